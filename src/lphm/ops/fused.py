"""``xi`` applied to the data that it is made from, with a gradient derived by hand.

Autograd keeps a gradient of ``x`` for each place where ``x`` is used and adds them up: two more passes
over memory than needed. Here the thin ones come first, and the widest product, to which it makes no
difference, is added to them in place. Values, and second derivatives, are those of ``compose``.

In the alphabet of the core, with ``G`` the gradient of ``out = D xi``, ``D`` the rows of ``x``:

    MATRIX           xi = Lᵀ R       dxi = Dᵀ G        dL = R dxiᵀ     dR = L dxi       dD = G xiᵀ
    FACTORED         Z = D Lᵀ        dZ = G Rᵀ         dL = dZᵀ D      dR = Zᵀ G        dD = dZ L
    DENSE_FACTORED   Z = D xᵀ        Q = Z W           out = Q x
                     dQ = G xᵀ       dZ = dQ Wᵀ        dW = Zᵀ dQ      dx = Qᵀ G + (dZ + dZᵀ) x

and ``dL``, ``dR`` go back through the structure's own projection.

Every sample and channel is one matrix of a batch of ``B = N C``: group ``c`` of the rows of a sample is mixed
by its ``xi_c``. At small sizes the price is the number of operators, so there are few, on views made once.
"""

from typing import Any

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.orders import Order, compose, orient
from lphm.structures.base import Structure, flatten_batch
from lphm.structures.row_blocks import is_transpose, like

#: A product that sums over this many times more rows than its result has is summed in ``PARTS``.
TALL, PARTS = 32, 4


def apply_to_itself(structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor) -> Tensor:
    """``x`` mixed by its own ``xi``; with channels, group ``c`` of its rows (or columns) by ``xi_c``.

    Shape:
        ``w`` ``(l,)`` or ``(C, l)``; ``x`` and the result ``(*batch, b, m)``.
    """
    if torch.is_grad_enabled() and (w.requires_grad or x.requires_grad):
        out: Tensor = _ApplyToItself.apply(structure, order, kind, w, x)  # type: ignore[no-untyped-call]
        return out
    return _forward(structure, order, kind, w, x)[0]


def has_gradient(structure: Structure, order: Order) -> bool:
    """Whether the gradient of this order is known by hand."""
    if order in (Order.MATRIX, Order.FACTORED):
        return structure._project_backward is not None
    return order is Order.DENSE_FACTORED


class _ApplyToItself(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor) -> Tensor:
        ctx.choices = structure, order, kind
        out, saved = _forward(structure, order, kind, w, x)
        ctx.save_for_backward(w, x, *saved)
        return out

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        (structure, order, kind), (w, x, *saved) = ctx.choices, ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted: differentiate the plain composition
            return None, None, None, *_differentiable(structure, order, kind, w, x, G)
        G, needs_dx = orient(flatten_batch(G), kind), ctx.needs_input_grad[4]  # (N, n, k)
        if order is Order.DENSE_FACTORED:
            dw, dx = _backward_dense(structure, G, needs_dx, *saved)
        else:
            dw, dx = _backward_thin(structure, order, G, needs_dx, *saved)
        return None, None, None, dw, None if dx is None else orient(dx, kind).view(x.shape)


def _differentiable(
    structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor, G: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    vectors, rows = w.reshape(-1, w.shape[-1]), orient(flatten_batch(x), kind)
    groups = torch.unflatten(rows, 1, (len(vectors), -1))
    out = orient(compose(structure, order, vectors, rows, groups).flatten(1, 2), kind).reshape(x.shape)
    wanted = [leaf for leaf in (w, x) if leaf.requires_grad]
    found = iter(torch.autograd.grad(out, wanted, G, create_graph=True))
    dw, dx = (next(found) if leaf.requires_grad else None for leaf in (w, x))
    return dw, dx


def _forward(
    structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The result, and what the backward wants to have kept."""
    w, rows = w.contiguous(), orient(flatten_batch(x.contiguous()), kind)  # (N, n, k)
    if order is Order.DENSE_FACTORED:
        out, *saved = _forward_dense(structure, w, rows)
    else:
        out, *saved = _forward_thin(structure, order, w, rows)
    return orient(out, kind).reshape(x.shape), tuple(saved)


def _forward_thin(structure: Structure, order: Order, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    left, right, *kept = structure._project_keeping(w, x)  # (B, K, k)
    D = _grouped(x, len(left))  # (B, d, k)
    if order is Order.FACTORED:
        middle = D.bmm(left.mT)  # Z (B, d, K)
        out = like(D, middle, right)
    else:
        middle = left.mT.bmm(right)  # xi (B, k, k)
        out = like(D, D, middle)
    return out if D is x else out.reshape(x.shape), w, x, D, middle, left, right, *kept


def _grouped(rows: Tensor, B: int) -> Tensor:
    """Rows ``(N, n, k)`` as one matrix for each sample and channel, ``(B, d, k)``, ``d = n / C``."""
    return rows if len(rows) == B else rows.reshape(B, -1, rows.shape[2])


def _backward_thin(
    structure: Structure,
    order: Order,
    G: Tensor,
    needs_dx: bool,
    w: Tensor,
    x: Tensor,
    D: Tensor,
    middle: Tensor,
    left: Tensor,
    right: Tensor,
    *kept: Tensor,
) -> tuple[Tensor, Tensor | None]:
    G = _grouped(G, len(left))  # (B, d, k)
    if order is Order.FACTORED:
        a, b = G.bmm(right.mT), left  # dZ (B, d, K)
        dleft, dright = a.mT.bmm(D), middle.mT.bmm(G)  # (B, K, k)
    else:
        a, b = G, middle.mT
        dxi = _tall(D, G)  # (B, k, k)
        dleft, dright = right.bmm(dxi.mT), left.bmm(dxi)  # (B, K, k)
    assert structure._project_backward is not None  # has_gradient has looked
    dw, dx = structure._project_backward(w, x, dleft, dright, needs_dx, *kept)
    if dx is None:
        return dw, None
    if D is x:
        return dw, accumulate(dx, a, b)
    return dw, dx.add_(a.bmm(b).view(x.shape))


def _forward_dense(structure: Structure, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    W, *kept = structure._dense_keeping(w)  # (C, n, n)
    Z = _by_channel(_tall(x.mT, x.mT), len(W))  # (C, N d, n)
    Q = _by_sample(Z.bmm(W), x)  # (N, n, n)
    return like(x, Q, x), w, x, W, Z, Q, *kept


def _backward_dense(
    structure: Structure,
    G: Tensor,
    needs_dx: bool,
    w: Tensor,
    x: Tensor,
    W: Tensor,
    Z: Tensor,
    Q: Tensor,
    *kept: Tensor,
) -> tuple[Tensor, Tensor | None]:
    dQ = _by_channel(_tall(G.mT, x.mT), len(W))  # (C, N d, n)
    dw = structure._dense_backward(w, Z.mT.bmm(dQ), *kept)
    if not needs_dx:
        return dw, None
    dZ = _by_sample(dQ.bmm(W.mT), x)  # (N, n, n)
    return dw, accumulate(like(x, Q.mT, G), dZ + dZ.mT, x)


def _by_channel(Z: Tensor, C: int) -> Tensor:
    """``(N, n, n)`` with its rows in groups to ``(C, N d, n)``: what meets the same ``W`` stands together."""
    N, n, _ = Z.shape
    if C == 1:
        return Z if N == 1 else Z.view(1, N * n, n)
    return Z.view(N, C, n // C, n).transpose(0, 1).reshape(C, -1, n)


def _by_sample(Q: Tensor, x: Tensor) -> Tensor:
    """``_by_channel`` undone: ``(N, n, n)``."""
    (C, _, n), N = Q.shape, len(x)
    if C == 1:
        return Q if N == 1 else Q.view(N, n, n)
    return Q.view(C, N, n // C, n).transpose(0, 1).reshape(N, n, n)


def _tall(a: Tensor, b: Tensor) -> Tensor:
    """``aᵀ b`` for ``(B, rows, .)``; one that sums over very many rows in parts, which BLAS does faster."""
    B, rows, i = a.shape
    tall = B == 1 and rows % PARTS == 0 and rows >= TALL * max(i, b.shape[2])
    if not (tall and a.is_contiguous() and b.is_contiguous()):
        return a.mT.bmm(b)
    parts = a.view(PARTS, rows // PARTS, i).mT.bmm(b.view(PARTS, rows // PARTS, -1))
    return parts.sum(0, keepdim=True)


def accumulate(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``total += a @ b`` in place, ``(N, i, k)``; in the memory order of ``total``."""
    if is_transpose(total):
        total.mT.baddbmm_(b.mT, a.mT)
        return total
    return total.baddbmm_(a, b)
