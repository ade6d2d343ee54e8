"""``xi`` applied to the data that it is made from: who does it.

Plain operators where the data is small and calls are the price, the gradient by hand where passes over
memory are, and its C++ where that is built. All give what ``orders.compose`` gives, which is what everybody
else at work on the operators sees: compilers, autocast, ``torch.func``, forward-mode derivatives.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import get_args

import torch
from torch import Tensor, nn

from lphm.ops.checks import Kind, Normalize
from lphm.ops.cpp import ORDERS, operator
from lphm.ops.fused import apply_to_itself, has_gradient
from lphm.ops.orders import Order, choose_order, compose_one
from lphm.structures.base import Structure
from lphm.structures.lphm import LPHM

KINDS, PLAIN = get_args(Kind), (Tensor, nn.Parameter)
#: Below this size of ``x`` a backward in Python costs more than autograd's passes over it (``benchmarks``).
FEWEST_NUMBERS = 2**13


def mix_itself(
    structure: Structure, w: Tensor, x: Tensor, kind: Kind, normalize: Normalize, grouped: bool
) -> Tensor | None:
    """``x`` mixed by its own ``xi``, the short way; None where that has no place, or something is wrong.

    With channels (``grouped``) group ``c`` of its rows is mixed by ``xi_c``.
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
    mix = _plan(structure, kind, w.shape, x.shape, grouped)
    if mix is None:
        return None
    return mix(w if normalize is None else scaled(structure, w, 1 / structure.n), x)


@lru_cache(maxsize=4096)
def _plan(
    structure: Structure, kind: Kind, w_shape: torch.Size, x_shape: torch.Size, grouped: bool
) -> Callable[[Tensor, Tensor], Tensor] | None:
    """``(w, x)`` to ``x`` mixed, for these shapes; None where ``compose`` does it, or a shape is wrong."""
    if not 1 <= len(w_shape) <= 2 or w_shape[-1] != structure.num_parameters or len(x_shape) < 2:
        return None
    (n, k), channels = x_shape[-2:] if kind == "attribute" else x_shape[:-3:-1], w_shape[:-1].numel()
    if n != structure.n or x_shape.numel() * channels == 0:
        return None
    if n % channels or (channels > 1 and not grouped):
        return None
    order = choose_order(structure, x_shape[:-2].numel(), k, n // channels)
    small = len(w_shape) == 1 and len(x_shape) == 2 and n * k < FEWEST_NUMBERS
    compiled = operator()
    if compiled is not None and type(structure) is LPHM and (small or order.name in ORDERS):
        number = ORDERS.get(order.name, ORDERS[Order.MATRIX.name])
        n, p, q, r = structure.n, structure.p, structure.q, structure.r
        return partial(compiled, n, p, q, r, number, kind == "instance")
    if small:
        return partial(compose_one, structure, order, kind)
    return partial(apply_to_itself, structure, order, kind) if has_gradient(structure, order) else None


def scaled(structure: Structure, w: Tensor, factor: float) -> Tensor:
    """``w`` of ``factor · W``: every structure is linear in each of its factors, so one is scaled."""
    first, *others = structure.unpack(w)
    return structure.pack(first * factor, *others)
