"""``xi`` applied to the data that it is made from, with a gradient derived by hand.

Autograd keeps a gradient of ``x`` for each place where ``x`` is used and adds them up: two more passes
over memory than needed. Here the largest is completed in place by the others. Values, and second
derivatives, are those of the plain composition of ``contraction.py``; the orders are its orders.

In the alphabet of the core, with ``G`` the gradient of ``out = D xi``, ``D`` the rows of ``x``:

    MATRIX     xi = Lᵀ R       dxi = Dᵀ G        dD = G xiᵀ    dL = R dxiᵀ    dR = L dxi
    FACTORED   Z = D Lᵀ        dZ = G Rᵀ         dD = dZ L     dL = dZᵀ D     dR = Zᵀ G
    DENSE      Z = D xᵀ, Q = Z W,  out = Q x
               dQ = G xᵀ       dZ = dQ Wᵀ        dW = Zᵀ dQ    dx = Qᵀ G + (dZ + dZᵀ) x

and ``dL``, ``dR`` go through the structure's own projection into ``dD``.
"""

from enum import Enum
from typing import Any

import torch
from torch import Tensor

from lphm.arguments import autocasts
from lphm.structures.base import Structure
from lphm.structures.blocks import is_transpose

__all__ = ["Order", "apply_to_itself", "can_apply_to_itself", "compose", "product"]


#: Below this size of ``x`` a pass over it costs less than a backward in Python (``benchmarks/speed.py``).
FEWEST_NUMBERS = 2**18


class Order(Enum):
    """The three ways to contract ``data · xᵀ · W · x``."""

    MATRIX = "xi = leftᵀ right, then data xi"
    FACTORED = "(data leftᵀ) right"
    DENSE = "((data xᵀ) W) x"


def product(a: Tensor, b: Tensor, like: Tensor | None = None) -> Tensor:
    """``(N, C or 1, i, j) @ (N, C or 1, j, l)`` to ``(N, C, i, l)``, by one ``bmm`` without copies.

    A factor that all channels share is multiplied once, with the other channels' side by side. The
    result lies in memory as ``like`` does: transposed if that is a transpose.
    """
    if like is not None and is_transpose(like):
        return product(b.mT, a.mT).mT
    (N, C, i, _), l = a.shape, b.shape[-1]
    if C == 1 and b.shape[1] > 1:
        wide = b.transpose(1, 2).flatten(2)  # (N, j, C l)
        return a.squeeze(1).bmm(wide).view(N, i, b.shape[1], l).transpose(1, 2)
    if b.shape[1] == 1 and C > 1:
        return a.flatten(1, 2).bmm(b.squeeze(1)).view(N, C, i, l)
    return a.flatten(0, 1).bmm(b.flatten(0, 1)).view(N, C, i, l)


def apply_to_itself(structure: Structure, order: Order, groups: int, w: Tensor, x: Tensor) -> Tensor:
    """``D @ xi`` with ``D`` the rows of ``x`` in ``groups`` groups, one for all channels or one for each.

    Shape:
        ``w`` ``(C, l)``; ``x`` ``(N, n, k)``; the result ``(N, C, n / groups, k)``.
    """
    out: Tensor = _ApplyToItself.apply(structure, order, groups, w, x)  # type: ignore[no-untyped-call]
    return out


def can_apply_to_itself(structure: Structure, order: Order, x: Tensor) -> bool:
    """Whether the gradient by hand applies: known, worth it, and nobody else at work on the operators.

    Compilers, autocast, ``torch.func`` and forward-mode derivatives see the plain composition.
    """
    known = order is Order.DENSE or structure._project_backward is not None
    large = not torch.compiler.is_compiling() and x.numel() >= FEWEST_NUMBERS
    return known and large and x.shape[1] == structure.n and not _transformed(x.device.type)


def _transformed(device_type: str) -> bool:
    return (
        autocasts(device_type)
        or torch._C._are_functorch_transforms_active()  # what autograd.Function.apply itself asks
        or torch.autograd.forward_ad._current_level >= 0
    )


def compose(structure: Structure, order: Order, w: Tensor, x: Tensor, data: Tensor) -> Tensor:
    """``data @ xi`` in plain operators, for autograd to differentiate as often as it likes.

    Shape:
        ``w`` ``(C, l)``; ``x`` ``(N, rows, k)``, ``rows <= n``; ``data`` ``(N, C or 1, d, k)``; the result
        ``(N, C, d, k)``.
    """
    if order is Order.DENSE:
        N, rows, _ = x.shape
        W = structure.to_dense(w)[:, :rows, :rows].expand(N, -1, -1, -1)  # (N, C, rows, rows)
        return product(product(product(data, x.mT.unsqueeze(1)), W), x.unsqueeze(1), x)
    left, right = structure._project(structure.unpack(w), x)  # (N, C or 1, K, k)
    if order is Order.FACTORED:
        return product(product(data, left.mT), right, x)
    return product(data, product(left.mT, right), x)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """The rows of ``x`` ``(N, n, k)`` in groups: ``(N, groups, n / groups, k)``."""
    return torch.unflatten(x, 1, (groups, x.shape[1] // groups))


class _ApplyToItself(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, structure: Structure, order: Order, groups: int, w: Tensor, x: Tensor) -> Tensor:
        ctx.structure, ctx.order, ctx.groups = structure, order, groups
        data = _grouped(x, groups)  # (N, groups, d, k)
        if order is Order.DENSE:
            W = structure.to_dense(w).expand(len(x), -1, -1, -1)  # (N, C, n, n)
            Z = product(data, x.mT.unsqueeze(1))  # (N, groups, d, n)
            Q = product(Z, W)  # (N, C, d, n)
            ctx.save_for_backward(w, x, W, Z, Q)
            return product(Q, x.unsqueeze(1), x)
        left, right, *kept = structure._project_keeping(structure.unpack(w), x)  # (N, C, K, k)
        factored = order is Order.FACTORED
        middle = product(data, left.mT) if factored else product(left.mT, right)  # (N, C, d, K) or (.., k, k)
        ctx.save_for_backward(w, x, middle, left, right, *kept)
        return product(middle, right, x) if factored else product(data, middle, x)

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        structure, order, groups, (w, x, *saved) = ctx.structure, ctx.order, ctx.groups, ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: differentiate the plain composition
            out = compose(structure, order, w, x, _grouped(x, groups))
            wanted = [t for t in (w, x) if t.requires_grad]
            found = iter(torch.autograd.grad(out, wanted, G, create_graph=True))
            return None, None, None, *(next(found) if t.requires_grad else None for t in (w, x))
        backward = _backward_dense if order is Order.DENSE else _backward_thin
        needs_dx = ctx.needs_input_grad[4]
        return None, None, None, *backward(structure, order, groups, w, x, G, needs_dx, *saved)


def _backward_thin(
    structure: Structure,
    order: Order,
    groups: int,
    w: Tensor,
    x: Tensor,
    G: Tensor,
    needs_dx: bool,
    middle: Tensor,
    left: Tensor,
    right: Tensor,
    *kept: Tensor,
) -> tuple[Tensor, Tensor | None]:
    data = _grouped(x, groups)  # (N, groups, d, k)
    if order is Order.FACTORED:
        dmiddle = product(G, right.mT)  # (N, C, d, K)
        dleft, dright = product(dmiddle.mT, data), product(middle.mT, G)  # (N, C, K, k)
        dx = _gather(dmiddle, left, groups, x) if needs_dx else None
    else:
        dxi = product(data.mT, G)  # (N, C, k, k)
        dleft, dright = product(right, dxi.mT), product(left, dxi)  # (N, C, K, k)
        dx = _gather(G, middle.mT, groups, x) if needs_dx else None
    assert structure._project_backward is not None  # can_apply_to_itself has looked
    dfactors = structure._project_backward(structure.unpack(w), x, dleft, dright, dx, *kept)
    return structure.pack(*dfactors), dx


def _gather(a: Tensor, b: Tensor, groups: int, like: Tensor) -> Tensor:
    """``a b`` of every channel put together again (a group each), or summed (one group for all)."""
    if groups == a.shape[1]:
        return product(a, b, like).flatten(1, 2)
    return product(a.transpose(1, 2).flatten(2).unsqueeze(1), b.flatten(1, 2).unsqueeze(1), like).squeeze(1)


def _backward_dense(
    structure: Structure,
    order: Order,  # noqa: ARG001  one signature for both
    groups: int,
    w: Tensor,
    x: Tensor,
    G: Tensor,
    needs_dx: bool,
    W: Tensor,
    Z: Tensor,
    Q: Tensor,
) -> tuple[Tensor, Tensor | None]:
    dQ = product(G, x.mT.unsqueeze(1))  # (N, C, d, n)
    dZ = _gather(dQ, W.mT, groups, dQ)  # (N, n, n)
    dW = product(Z.mT, dQ).sum(0)  # (C, n, n)
    (dw,) = torch.func.vjp(structure.to_dense, w)[1](dW)
    if not needs_dx:
        return dw, None
    dx = product(Q.flatten(1, 2).mT.unsqueeze(1), G.flatten(1, 2).unsqueeze(1), x).squeeze(1)  # (N, n, k)
    return dw, accumulate(dx, dZ + dZ.mT, x)


def accumulate(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``total += a @ b`` in place, ``(N, i, k)``; in the memory order of ``total``."""
    if is_transpose(total):
        total.mT.baddbmm_(b.mT, a.mT)
        return total
    return total.baddbmm_(a, b)
