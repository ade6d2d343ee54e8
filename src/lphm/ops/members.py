"""Interdependence of the members of an ensemble, each of which has its own data and its own ``w``.

Where the matrices are small, the members are one more batch dimension of the same operators. Where they are
not, the members take turns, which costs nothing then.
"""

from functools import lru_cache

import torch
from torch import Tensor

from lphm.ops.checks import Kind, Normalize
from lphm.ops.cost import Order, choose_order, forms_dense_pair, forms_small_xi
from lphm.ops.dispatch import are_plain
from lphm.ops.functional import interdependence_grouped, interdependence_matrix
from lphm.ops.fused import Call, DenseCall, apply_fused
from lphm.ops.fused_matrix import MatrixCall
from lphm.ops.fused_softmax import KEPT, SoftmaxCall
from lphm.ops.kernels import KERNELS
from lphm.structures.base import Structure


def apply_members(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    kind: Kind,
    normalize: Normalize,
    mask: Tensor | None = None,
) -> Tensor:
    """``lphm.interdependence_apply`` with ``grouped=True`` for each member.

    Shape:
        ``w`` ``(members, channels, l)``; ``x`` and the result ``(members, N, b, m)``; ``mask``
        ``(members, N, k)``.
    """
    plain = mask is None and are_plain(w, x)
    call = _plan_apply(structure, kind, normalize, w.shape, x.shape) if plain else None
    if call is not None:
        return apply_fused(call, w, x)
    if normalize is None and mask is None and torch.compiler.is_compiling():
        # One part of the graph for all members; attention under vmap would fix the number of samples.
        def of_one(own: Tensor, data: Tensor) -> Tensor:
            return interdependence_grouped(structure, own, data, None, kind)

        return torch.vmap(of_one)(w, x)
    masks = [None] * len(w) if mask is None else mask.unbind(0)
    turns = zip(w.unbind(0), x.unbind(0), masks, strict=True)
    return torch.stack(
        [
            interdependence_grouped(structure, own, data, None, kind, normalize, mask=seen)
            for own, data, seen in turns
        ]
    )


def matrix_members(structure: Structure, w: Tensor, x: Tensor, kind: Kind, normalize: Normalize) -> Tensor:
    """``lphm.interdependence_matrix`` for each member.

    Shape:
        ``w`` ``(members, channels, l)``; ``x`` ``(members, N, b, m)``; the result
        ``(members, N, channels, k, k)``.
    """
    call = _plan_matrix(structure, kind, normalize, w.shape, x.shape) if are_plain(w, x) else None
    if call is not None:
        return apply_fused(call, w, x)

    def of_one(own: Tensor, data: Tensor) -> Tensor:
        return interdependence_matrix(structure, own, data, kind, normalize)

    if torch.compiler.is_compiling():
        return torch.vmap(of_one)(w, x)
    return torch.stack([of_one(*one) for one in zip(w.unbind(0), x.unbind(0), strict=True)])


@lru_cache(maxsize=4096)
def _plan_apply(
    structure: Structure, kind: Kind, normalize: Normalize, w_shape: torch.Size, x_shape: torch.Size
) -> Call | None:
    """The computation of all members at once; None where they take turns."""
    members, channels, n, k = _sizes(structure, kind, w_shape, x_shape)
    kernel, samples = KERNELS.get(type(structure)), x_shape[1]
    if kernel is None or (n, n) != structure.shape or x_shape.numel() * channels == 0 or n % channels:
        return None
    if normalize == "softmax" and kind == "instance" and hasattr(kernel, "maps"):
        # How many members there are does not decide: what each of them computes may not depend on it.
        small = forms_small_xi(structure, k, n // channels)
        if small and samples * channels * k * k <= KEPT // 4:
            return SoftmaxCall(structure, kernel, kind, members)
    if normalize is None and hasattr(kernel, "dense"):
        order = choose_order(structure, samples, k, n // channels, by_hand=True)
        return DenseCall(structure, kernel, kind, members) if order is Order.DENSE_FACTORED else None
    return None


@lru_cache(maxsize=4096)
def _plan_matrix(
    structure: Structure, kind: Kind, normalize: Normalize, w_shape: torch.Size, x_shape: torch.Size
) -> Call | None:
    members, channels, n, k = _sizes(structure, kind, w_shape, x_shape)
    kernel = KERNELS.get(type(structure))
    fits = (n, n) == structure.shape and x_shape.numel() * channels > 0
    if normalize is None and fits and hasattr(kernel, "dense") and forms_dense_pair(structure, x_shape[1], k):
        return MatrixCall(structure, kernel, kind, members)
    return None


def _sizes(
    structure: Structure, kind: Kind, w_shape: torch.Size, x_shape: torch.Size
) -> tuple[int, int, int, int]:
    """Members, channels, rows and columns of a matrix in the core's orientation.

    Raises:
        ValueError: ``w`` and ``x`` do not fit each other.
    """
    if (
        len(w_shape) != 3
        or len(x_shape) != 4
        or w_shape[0] != x_shape[0]
        or w_shape[2] != structure.num_parameters
    ):
        raise ValueError(
            f"w must be (members, channels, {structure.num_parameters}) and x (members, N, b, m), "
            f"got shapes {tuple(w_shape)} and {tuple(x_shape)}"
        )
    n, k = x_shape[-2:] if kind == "attribute" else x_shape[:-3:-1]
    return w_shape[0], w_shape[1], n, k
