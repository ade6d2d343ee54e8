"""``xi`` and ``xi`` applied, in plain operators: right for every structure, derivative and transform.

All that is faster has to give the same; ``docs/performance.md`` says when it is used.
"""

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.cost import Order, count_samples, forms_dense_pair, split_scale
from lphm.structures.base import Structure, dense_pair, is_transpose


def cheaper_pair(
    structure: Structure, w: Tensor, x: Tensor, y: Tensor, scale: float = 1.0, width: int = 0
) -> tuple[Tensor, Tensor]:
    """``left, right`` ``(N, C or 1, K, k or k')`` with ``scale · xᵀ W y = leftᵀ right``.

    ``y`` is ``x`` where there is one set of data. ``left, right = x, W y`` is such a pair as well, and the
    cheaper one where ``n`` is small. ``width`` is that of ``forms_dense_pair``.
    """
    dense = forms_dense_pair(structure, count_samples(x), x.shape[2], width, y.shape[2])
    return _pair(structure, dense, w, x, y, scale)


def _pair(
    structure: Structure, dense: bool, w: Tensor, x: Tensor, y: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    if dense:
        first, second = split_scale(scale)
        W = _scaled(structure.to_dense(w), first)[:, : x.shape[1], : y.shape[1]]
        left, right = dense_pair(W, x, y)
        return left, _scaled(right, second)
    return scale_pair(*structure.pair(structure.unpack(w), x, y), scale)


def scale_pair(left: Tensor, right: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """A pair whose ``xi`` is ``scale`` times that of ``left`` and ``right``."""
    first, second = split_scale(scale)
    return _scaled(left, first), _scaled(right, second)


def _scaled(tensor: Tensor, scale: float) -> Tensor:
    return tensor if scale == 1.0 else tensor * scale


def compose(
    structure: Structure,
    order: Order,
    w: Tensor,
    x: Tensor,
    data: Tensor,
    scale: float = 1.0,
    y: Tensor | None = None,
) -> Tensor:
    """``scale · data @ xi`` in plain operators, for autograd to differentiate as often as it likes.

    Shape:
        ``w`` ``(C, l)``; ``x`` ``(N, rows, k)``, ``rows <= n``; ``data`` ``(N, C or 1, d, k)``; ``y``, which
        is ``x`` if not given, ``(N, its rows, k')``; the result ``(N, C, d, k')``.
    """
    y = x if y is None else y
    if order is Order.DENSE_FACTORED:
        first, second = split_scale(scale)
        W = _scaled(structure.to_dense(w), first)[:, : x.shape[1], : y.shape[1]]
        return compose_dense(W, x, _scaled(data, second), y)
    left, right = _pair(structure, order is Order.DENSE_MATRIX, w, x, y, scale)  # (N, C or 1, K, k or k')
    return apply_pair(left, right, data, y, factored=order is Order.FACTORED)


def compose_dense(W: Tensor, x: Tensor, data: Tensor, y: Tensor) -> Tensor:
    """``((data xᵀ) W) y`` ``(N, C, d, k')`` with ``W`` ``(C, rows, rows of y)``; else as ``compose``."""
    W = W.expand(x.shape[0], -1, -1, -1)  # (N, C, rows, rows of y)
    return product(product(product(data, x.mT.unsqueeze(1)), W), y.unsqueeze(1), y)


def apply_maps(F: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The pair ``(N, C, K, k)`` of ``x`` ``(N, n, k)`` by its maps ``F`` ``(2, C, K, n)``."""
    left, right = torch.einsum("scin,bnk->sbcik", F, x)
    return left, right


def apply_pair(left: Tensor, right: Tensor, data: Tensor, layout: Tensor, factored: bool) -> Tensor:
    """``data leftᵀ right`` ``(N, C, d, k')``, through ``xi`` or not, in the memory layout of ``layout``."""
    if factored:
        return product(product(data, left.mT), right, layout)
    return product(data, product(left.mT, right), layout)


def product(a: Tensor, b: Tensor, layout: Tensor | None = None) -> Tensor:
    """``(N, C or 1, i, j) @ (N, C or 1, j, l)`` to ``(N, C, i, l)``, by one ``bmm`` without copies.

    A factor that all channels share is multiplied once, with the other channels' side by side. The result is
    stored with the memory layout of ``layout``: transposed if that is a transpose.
    """
    if layout is not None and is_transpose(layout):
        return product(b.mT, a.mT).mT
    (N, C, i, _), l = a.shape, b.shape[-1]
    if C == 1 and b.shape[1] > 1:
        wide = b.transpose(1, 2).flatten(2)  # (N, j, C l)
        return a.squeeze(1).bmm(wide).view(N, i, b.shape[1], l).transpose(1, 2)
    if b.shape[1] == 1 and C > 1:
        return a.flatten(1, 2).bmm(b.squeeze(1)).view(N, C, i, l)
    return a.flatten(0, 1).bmm(b.flatten(0, 1)).view(N, C, i, l)


def orient(x: Tensor, kind: Kind) -> Tensor:
    """To the core's orientation, and back: the instance kind is the attribute kind on the transpose."""
    return x if kind == "attribute" else x.mT
