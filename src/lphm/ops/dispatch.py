"""``xi`` applied to the data that it is made from: which implementation is used.

Plain operators where the data is small and the number of calls is what costs, the gradient by hand where
passes over memory are, and the compiled operator where it is built. All give what ``reference.compose``
gives, which is what compilers, autocast, ``torch.func`` and forward-mode derivatives get.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import get_args

import torch
from torch import Tensor, nn

from lphm.ops.checks import Kind, Normalize
from lphm.ops.cost import Order, choose_order, forms_dense_pair, forms_small_xi, scale_of
from lphm.ops.cpp import ORDERS, operator
from lphm.ops.fused import DenseCall, ThinCall, apply_fused
from lphm.ops.fused_matrix import MatrixCall
from lphm.ops.fused_softmax import SoftmaxCall
from lphm.ops.kernels import KERNELS
from lphm.structures.base import Structure
from lphm.structures.lphm import LPHM

KINDS, PLAIN = get_args(Kind), (Tensor, nn.Parameter)
#: Below this size of ``x`` a backward in Python costs more than autograd's passes over it (``benchmarks``).
FEWEST_NUMBERS = 3 * 2**13

Apply = Callable[[Tensor, Tensor], Tensor]


def try_fused_apply(
    structure: Structure, w: Tensor, x: Tensor, kind: Kind, normalize: Normalize, grouped: bool
) -> Tensor | None:
    """``x`` mixed by its own ``xi``. Returns None if no fast implementation supports these inputs.

    With channels (``grouped``) group ``c`` of its rows is mixed by ``xi_c``. Errors in the arguments give
    None as well: they are for ``check_arguments`` to explain.
    """
    if not are_plain(w, x) or kind not in KINDS:
        return None
    scaled, softmax = _scales_factors(structure, normalize, w), normalize == "softmax"
    if not (normalize is None or scaled or softmax):
        return None
    apply = plan(structure, kind, w.shape, x.shape, grouped, softmax)
    if apply is None:
        return None
    return apply(_scaled(structure, w, scale_of(structure, normalize)) if scaled else w, x)


def try_fused_matrix(
    structure: Structure, w: Tensor, x: Tensor, kind: Kind, normalize: Normalize
) -> Tensor | None:
    """``xi``. Returns None if no fast implementation supports these inputs, as ``try_fused_apply``."""
    if not are_plain(w, x) or kind not in KINDS:
        return None
    scaled = _scales_factors(structure, normalize, w)
    if not (normalize is None or scaled):
        return None
    call = plan_matrix(structure, kind, w.shape, x.shape)
    if call is None:
        return None
    w = _scaled(structure, w, scale_of(structure, normalize)) if scaled else w
    return apply_fused(call, w if call.kernel else structure.to_dense(w), x)


def are_plain(w: Tensor, x: Tensor) -> bool:
    """Whether these are two common tensors, and nothing traces, transforms or casts the computation."""
    return (
        type(x) in PLAIN
        and type(w) in PLAIN
        and x.is_floating_point()
        and w.dtype == x.dtype
        and w.device == x.device
        and x.layout is w.layout is torch.strided
        and not x.is_nested
        and not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and not torch._C._are_functorch_transforms_active()  # what autograd.Function.apply itself asks
        and not torch._C._is_any_autocast_enabled()
        and torch.autograd.forward_ad._current_level < 0
    )


def _scales_factors(structure: Structure, normalize: Normalize, w: Tensor) -> bool:
    """Whether ``W / n`` is that of other parameters, in a type that has numbers small enough for them."""
    return normalize == "scale" and type(structure) in KERNELS and w.dtype is not torch.float16


@lru_cache(maxsize=4096)
def plan_matrix(
    structure: Structure, kind: Kind, w_shape: torch.Size, x_shape: torch.Size
) -> MatrixCall | None:
    """The computation of ``xi`` for these shapes; None where the reference path is taken."""
    if not 1 <= len(w_shape) <= 2 or w_shape[-1] != structure.num_parameters or len(x_shape) < 3:
        return None
    (n, k), samples = x_shape[-2:] if kind == "attribute" else x_shape[:-3:-1], x_shape[:-2].numel()
    if (n, n) != structure.shape or x_shape.numel() * w_shape.numel() == 0:
        return None
    if not forms_dense_pair(structure, samples, k):
        return None
    kernel = KERNELS.get(type(structure))
    return MatrixCall(structure, kernel if hasattr(kernel, "dense") else None, kind)


def _scaled(structure: Structure, w: Tensor, scale: float) -> Tensor:
    """The parameters of ``scale · W``, where ``W`` is linear in its first factor."""
    first, *others = structure.unpack(w)
    return structure.pack(first * scale, *others)


@lru_cache(maxsize=4096)
def plan(  # noqa: PLR0911 - each way out is one reason
    structure: Structure,
    kind: Kind,
    w_shape: torch.Size,
    x_shape: torch.Size,
    grouped: bool,
    softmax: bool,
) -> Apply | None:
    """``(w, x)`` to ``x`` mixed, for these shapes; None where the reference path is taken."""
    if not 1 <= len(w_shape) <= 2 or w_shape[-1] != structure.num_parameters or len(x_shape) < 2:
        return None
    (n, k), channels = x_shape[-2:] if kind == "attribute" else x_shape[:-3:-1], w_shape[:-1].numel()
    if (n, n) != structure.shape or x_shape.numel() * channels == 0:
        return None
    if n % channels or (channels > 1 and not grouped):
        return None
    if softmax:
        return _plan_softmax(structure, kind, k, n // channels)
    small = len(w_shape) == 1 and len(x_shape) == 2 and n * k < FEWEST_NUMBERS
    compiled, kernel = operator(), KERNELS.get(type(structure))
    by_hand = kernel is not None and not small
    order = choose_order(structure, x_shape[:-2].numel(), k, n // channels, by_hand)
    if compiled is not None and type(structure) is LPHM and (small or order.name in ORDERS):
        number = ORDERS.get(order.name, ORDERS[Order.MATRIX.name])
        return partial(compiled, n, structure.p, structure.q, structure.r, number, kind == "instance")
    if small:
        return partial(apply_to_one, structure, order, kind)
    if order is Order.DENSE_FACTORED:
        call = DenseCall(structure, kernel if hasattr(kernel, "dense") else None, kind)
        return partial(apply_fused if call.kernel else _apply_dense, call)
    if order is not Order.DENSE_MATRIX and kernel:
        return partial(apply_fused, ThinCall(structure, kernel, order, kind))
    return None


def _plan_softmax(structure: Structure, kind: Kind, k: int, d: int) -> Apply | None:
    if not forms_small_xi(structure, k, d):
        return None
    kernel = KERNELS.get(type(structure))
    call = SoftmaxCall(structure, kernel if hasattr(kernel, "maps") else None, kind)
    return partial(apply_fused if call.kernel else _apply_maps, call)


def _apply_maps(call: SoftmaxCall, w: Tensor, x: Tensor) -> Tensor:
    return apply_fused(call, torch.stack(call.structure.maps(w.view(-1, w.shape[-1]))), x)


def _apply_dense(call: DenseCall, w: Tensor, x: Tensor) -> Tensor:
    return apply_fused(call, call.structure.to_dense(w.view(-1, w.shape[-1])), x)


def apply_to_one(structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor) -> Tensor:
    """One sample and one channel in as few plain operators as it takes.

    Shape:
        ``w`` ``(l,)``; ``x`` and the result ``(b, m)``.
    """
    attribute, kernel = kind == "attribute", KERNELS.get(type(structure))
    rows, columns = (x, x.t()) if attribute else (x.t(), x)  # (n, k) and (k, n)
    if order in (Order.MATRIX, Order.FACTORED):
        if kernel and hasattr(kernel, "pair_of_one"):
            left, right = kernel.pair_of_one(structure, w, rows)  # (K, k)
        else:
            pair = structure.pair(structure.unpack(w.unsqueeze(0)), rows.unsqueeze(0))
            left, right = (side.flatten(0, 2) for side in pair)
        factored = order is Order.FACTORED
        a, b = (rows.mm(left.t()), right) if factored else (rows, left.t().mm(right))
    else:
        short = getattr(kernel, "dense_of_one", None)
        W = short(structure, w) if short else structure.to_dense(w)
        if order is Order.DENSE_FACTORED:
            a, b = rows.mm(columns).mm(W), rows  # (n, n), (n, k)
        else:
            a, b = rows, columns.mm(W.mm(rows))  # (n, k), (k, k)
    return a.mm(b) if attribute else b.t().mm(a.t())
