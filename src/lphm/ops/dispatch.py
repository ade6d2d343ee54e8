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
from lphm.ops.cost import Order, choose_order, scale_of
from lphm.ops.cpp import ORDERS, operator
from lphm.ops.fused import DenseCall, ThinCall, apply_fused
from lphm.ops.kernels import KERNELS
from lphm.structures.base import Structure
from lphm.structures.lphm import LPHM

KINDS, PLAIN = get_args(Kind), (Tensor, nn.Parameter)
#: Below this size of ``x`` a backward in Python costs more than autograd's passes over it (``benchmarks``).
FEWEST_NUMBERS = 2**13

Apply = Callable[[Tensor, Tensor, float], Tensor]


def try_fused_apply(
    structure: Structure, w: Tensor, x: Tensor, kind: Kind, normalize: Normalize, grouped: bool
) -> Tensor | None:
    """``x`` mixed by its own ``xi``. Returns None if no fast implementation supports these inputs.

    With channels (``grouped``) group ``c`` of its rows is mixed by ``xi_c``. Errors in the arguments give
    None as well: they are for ``check_arguments`` to explain.
    """
    plain = (
        type(x) in PLAIN
        and type(w) in PLAIN
        and x.is_floating_point()
        and w.dtype == x.dtype
        and w.device == x.device
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()  # what autograd.Function.apply itself asks
        and not torch._C._is_any_autocast_enabled()
        and torch.autograd.forward_ad._current_level < 0
    )
    if not plain or kind not in KINDS or (normalize is not None and normalize != "scale"):
        return None
    apply = plan(structure, kind, w.shape, x.shape, grouped)
    return None if apply is None else apply(w, x, scale_of(structure, normalize))


@lru_cache(maxsize=4096)
def plan(  # noqa: PLR0911 - each way out is one reason
    structure: Structure, kind: Kind, w_shape: torch.Size, x_shape: torch.Size, grouped: bool
) -> Apply | None:
    """``(w, x, scale)`` to ``x`` mixed, for these shapes; None where the reference path is taken."""
    if not 1 <= len(w_shape) <= 2 or w_shape[-1] != structure.num_parameters or len(x_shape) < 2:
        return None
    (n, k), channels = x_shape[-2:] if kind == "attribute" else x_shape[:-3:-1], w_shape[:-1].numel()
    if n != structure.n or x_shape.numel() * channels == 0:
        return None
    if n % channels or (channels > 1 and not grouped):
        return None
    order = choose_order(structure, x_shape[:-2].numel(), k, n // channels)
    small = len(w_shape) == 1 and len(x_shape) == 2 and n * k < FEWEST_NUMBERS
    if operator() is not None and type(structure) is LPHM and (small or order.name in ORDERS):
        return partial(_apply_compiled, structure, ORDERS.get(order.name, ORDERS[Order.MATRIX.name]), kind)
    if small:
        return partial(apply_to_one, structure, order, kind)
    kernel = KERNELS.get(type(structure))
    if order is Order.DENSE_FACTORED:
        forms_W = kernel if kernel and kernel.dense else None
        return partial(_apply_dense, DenseCall(structure, forms_W, kind))
    if order is not Order.DENSE_MATRIX and kernel:
        return partial(_apply_kernel, ThinCall(structure, kernel, order, kind))
    return None


def apply_to_one(
    structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor, scale: float
) -> Tensor:
    """One sample and one channel in as few plain operators as it takes.

    Shape:
        ``w`` ``(l,)``; ``x`` and the result ``(b, m)``.
    """
    attribute = kind == "attribute"
    rows, columns = (x, x.t()) if attribute else (x.t(), x)  # (n, k) and (k, n)
    if order is Order.DENSE_FACTORED:
        a, b = rows.mm(columns).mm(_dense_of_one(structure, w, scale)), rows  # (n, n), (n, k)
    elif order is Order.DENSE_MATRIX:
        a, b = rows, columns.mm(_dense_of_one(structure, w, scale).mm(rows))  # (n, k), (k, k)
    else:
        left, right = _pair_of_one(structure, w, rows)  # (K, k)
        left = left if scale == 1.0 else left * scale
        factored = order is Order.FACTORED
        a, b = (rows.mm(left.t()), right) if factored else (rows, left.t().mm(right))
    return a.mm(b) if attribute else b.t().mm(a.t())


def _dense_of_one(structure: Structure, w: Tensor, scale: float) -> Tensor:
    kernel = KERNELS.get(type(structure))
    dense = kernel.dense_of_one if kernel else None
    W = structure.to_dense(w) if dense is None else dense(structure, w)
    return W if scale == 1.0 else W * scale


def _pair_of_one(structure: Structure, w: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    kernel = KERNELS.get(type(structure))
    pair = kernel.pair_of_one if kernel else None
    if pair is not None:
        return pair(structure, w, rows)
    left, right = structure.pair(structure.unpack(w.unsqueeze(0)), rows.unsqueeze(0))
    return left.flatten(0, 2), right.flatten(0, 2)


def _apply_dense(call: DenseCall, w: Tensor, x: Tensor, scale: float) -> Tensor:
    if call.kernel is not None:
        return _apply_kernel(call, w, x, scale)
    W = call.structure.to_dense(w.view(-1, w.shape[-1]))
    return apply_fused(call, W if scale == 1.0 else W * scale, x)


def _apply_kernel(call: ThinCall | DenseCall, w: Tensor, x: Tensor, scale: float) -> Tensor:
    return apply_fused(call, w if scale == 1.0 else _scaled_parameters(call.structure, w, scale), x)


def _apply_compiled(structure: LPHM, order: int, kind: Kind, w: Tensor, x: Tensor, scale: float) -> Tensor:
    compiled = operator()
    assert compiled is not None  # plan has looked
    w = w if scale == 1.0 else _scaled_parameters(structure, w, scale)
    n, p, q, r = structure.n, structure.p, structure.q, structure.r
    return compiled(n, p, q, r, order, kind == "instance", w, x)


def _scaled_parameters(structure: Structure, w: Tensor, scale: float) -> Tensor:
    """``w`` of ``scale · W``, for a kernel: ``W`` is linear in its first factor."""
    first, *others = structure.unpack(w)
    return structure.pack(first * scale, *others)
