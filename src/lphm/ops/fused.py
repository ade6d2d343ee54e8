"""``xi`` applied to the data that it is made from, with a gradient derived by hand.

Autograd keeps a gradient of ``x`` for each place where ``x`` is used and adds them up: two more passes over
memory than needed. Here the thin gradients come first, and the widest product is added to them in place.

In the alphabet of the core, with ``G`` the gradient of ``out = D xi`` and ``D`` the rows of ``x``:

    MATRIX           xi = Lᵀ R       dxi = Dᵀ G        dL = R dxiᵀ     dR = L dxi       dD = G xiᵀ
    FACTORED         Z = D Lᵀ        dZ = G Rᵀ         dL = dZᵀ D      dR = Zᵀ G        dD = dZ L
    DENSE_FACTORED   Z = D xᵀ        Q = Z W           out = Q x
                     dQ = G xᵀ       dZ = dQ Wᵀ        dW = Zᵀ dQ      dx = Qᵀ G + (dZ + dZᵀ) x

``dL`` and ``dR`` go back through the projection of the structure's kernel, ``dW`` through its dense form.

Every sample and channel is one matrix of a batch of ``B = N C``: group ``c`` of the rows of a sample is mixed
by its ``xi_c``. Results are written into a new tensor of the layout of ``nn.Linear``'s output, so that they
can be viewed and changed in place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.cost import Order
from lphm.ops.reference import compose, compose_dense, orient
from lphm.structures.base import Structure, flatten_batch, is_transpose

Gradients = tuple[Tensor | None, ...]

#: A product that sums over ``TALL`` times more rows than its result has is summed in ``PARTS``.
TALL, PARTS = 32, 4


@dataclass(frozen=True)
class ThinCall:
    """``x`` mixed by its own ``xi`` through the pair, by ``Order.MATRIX`` or ``Order.FACTORED``.

    With channels, group ``c`` of the rows (attribute) or columns (instance) is mixed by ``xi_c``.

    Shape:
        ``w`` ``(l,)`` or ``(C, l)``; ``x`` and the result ``(*batch, b, m)``.
    """

    structure: Structure
    kernel: ModuleType
    order: Order
    kind: Kind

    def forward(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The result, and what the backward needs."""
        rows = orient(flatten_batch(x), self.kind)
        left, right, *kept = self.kernel.project(self.structure, w, rows)  # (B, K, k)
        D = _grouped(rows, len(left))  # (B, d, k)
        if self.order is Order.FACTORED:
            middle = D.bmm(left.mT)  # Z (B, d, K)
            out = _product_like(x, middle, right, self.kind)
        else:
            middle = left.mT.bmm(right)  # xi (B, k, k)
            out = _product_like(x, D, middle, self.kind)
        return out, rows, D, middle, left, right, *kept

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """The gradients of ``w`` and, in the core's orientation, of ``x``, from ``G`` ``(N, n, k)``."""
        x, D, middle, left, right, *kept = saved
        G = _grouped(G, len(left))  # (B, d, k)
        if self.order is Order.FACTORED:
            a, b = G.bmm(right.mT), left  # dZ (B, d, K)
            dleft, dright = a.mT.bmm(D), middle.mT.bmm(G)  # (B, K, k)
        else:
            a, b = G, middle.mT
            dxi = _sum_over_rows(D, G)  # (B, k, k)
            dleft, dright = right.bmm(dxi.mT), left.bmm(dxi)  # (B, K, k)
        dw, dx = self.kernel.project_backward(self.structure, w, x, dleft, dright, needs_dx, *kept)
        if dx is None:
            return dw, None
        if len(D) == len(x) or self.kind == "attribute":
            accumulate(_grouped(dx, len(D)), a, b)  # a view
            return dw, dx
        return dw, dx.add_(a.bmm(b).view(x.shape))

    def plain(self, w: Tensor, x: Tensor) -> Tensor:
        """The same in plain operators."""
        vectors, rows = w.reshape(-1, w.shape[-1]), orient(flatten_batch(x), self.kind)
        groups = torch.unflatten(rows, 1, (len(vectors), -1))
        out = compose(self.structure, self.order, vectors, rows, groups)
        return orient(out.flatten(1, 2), self.kind).reshape(x.shape)


@dataclass(frozen=True)
class DenseCall:
    """``x`` mixed by its own ``xi`` with ``W`` formed, by ``Order.DENSE_FACTORED``.

    With a kernel that forms ``W``, ``w`` is the parameters; without, it is ``W`` ``(C, n, n)`` itself, and
    autograd goes on from its gradient. Shapes are those of ``ThinCall``. With ``members`` ``M``, ``w`` is
    ``(M, C, l)`` and ``x`` ``(M, *batch, b, m)``; below, ``N`` and ``C`` count what all members have.
    """

    structure: Structure
    kernel: ModuleType | None
    kind: Kind
    members: int = 1

    def forward(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The result, and what the backward needs."""
        rows = orient(flatten_batch(x), self.kind)
        W, *kept = (w,) if self.kernel is None else self.kernel.dense(self.structure, w)  # (C, n, n)
        Z = self._by_channel(_sum_over_rows(rows.mT, rows.mT), len(W))  # (C, N d, n)
        Q = self._by_sample(Z.bmm(W), len(rows))  # (N, n, n)
        out = _product_like(x, Q, rows, self.kind)
        return out, rows, W, Z, Q, *kept

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """As ``ThinCall.backward``."""
        x, W, Z, Q, *kept = saved
        dQ = self._by_channel(_sum_over_rows(G.mT, x.mT), len(W))  # (C, N d, n)
        dw = Z.mT.bmm(dQ)
        if self.kernel is not None:
            dw = self.kernel.dense_backward(self.structure, w, dw, *kept)
        if not needs_dx:
            return dw, None
        dZ = self._by_sample(dQ.bmm(W.mT), len(x))  # (N, n, n)
        dx = accumulate(matmul_in_layout_of(x, Q.mT, G), dZ, x)
        return dw, accumulate(dx, dZ.mT, x)

    def plain(self, w: Tensor, x: Tensor) -> Tensor:
        """The same in plain operators."""
        if self.members > 1:
            return plain_members(self, w, x)
        rows = orient(flatten_batch(x), self.kind)
        W = w if self.kernel is None else self.structure.to_dense(w.reshape(-1, w.shape[-1]))
        out = compose_dense(W, rows, torch.unflatten(rows, 1, (len(W), -1)), rows)
        return orient(out.flatten(1, 2), self.kind).reshape(x.shape)

    def _by_channel(self, Z: Tensor, C: int) -> Tensor:
        """``(N, n, n)``, rows in groups, to ``(C, N d, n)``: what meets the same ``W`` stands together."""
        n, M = Z.shape[1], self.members
        if C == M:
            return Z.view(M, -1, n)
        return Z.view(M, len(Z) // M, C // M, -1, n).transpose(1, 2).reshape(C, -1, n)

    def _by_sample(self, Q: Tensor, N: int) -> Tensor:
        """``_by_channel`` undone: ``(N, n, n)``."""
        (C, _, n), M = Q.shape, self.members
        if C == M:
            return Q.view(N, n, n)
        return Q.view(M, C // M, N // M, -1, n).transpose(1, 2).reshape(N, n, n)


class Call(Protocol):
    """A computation with a gradient by hand, for ``apply_fused``."""

    @property
    def kind(self) -> Kind:
        """The kind, which gives the core's orientation."""

    def forward(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The result, and what the backward needs."""

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """The gradients of ``w`` and, in the core's orientation, of ``x``, from ``G`` ``(N, n, k)``."""

    def plain(self, w: Tensor, x: Tensor) -> Tensor:
        """The same in plain operators."""


def apply_fused(call: Call, w: Tensor, x: Tensor) -> Tensor:
    """The result of ``call``, with its gradient by hand."""
    if torch.is_grad_enabled() and (w.requires_grad or x.requires_grad):
        out: Tensor = _Fused.apply(call, w, x)  # type: ignore[no-untyped-call]
        return out
    return call.forward(w.contiguous(), x.contiguous())[0]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, w: Tensor, x: Tensor) -> Tensor:
        ctx.call = call
        out, *kept = call.forward(w.contiguous(), x.contiguous())
        ctx.save_for_backward(w, x, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> Gradients:
        call, (w, x, *kept) = ctx.call, ctx.saved_tensors
        if _needs_plain_operators(G):
            return None, *_plain_gradients(call.plain, w, x, G)
        G = orient(flatten_batch(G), call.kind)  # (N, n, k)
        dw, dx = call.backward(w.contiguous(), G, ctx.needs_input_grad[2], kept)
        return None, dw, None if dx is None else orient(dx, call.kind).view(x.shape)


def _needs_plain_operators(G: Tensor) -> bool:
    """Whether the gradient is differentiated itself, or computed for a batch of ``G`` at once."""
    functorch = torch._C._functorch
    return torch.is_grad_enabled() or functorch.is_legacy_batchedtensor(G) or functorch.is_batchedtensor(G)


def _plain_gradients(plain: Callable[[Tensor, Tensor], Tensor], w: Tensor, x: Tensor, G: Tensor) -> Gradients:
    """The gradients of ``plain(w, x)``; differentiable where autograd records.

    ``w`` and ``x`` enter through views of their own. ``x`` may depend on ``w``, as where one layer is applied
    twice: that way is for the rest of autograd's graph to follow, and not a part of this gradient.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        views = w.view_as(w), x.view_as(x)
        out = plain(*views)
    wanted = [view for view in views if view.requires_grad]
    computed = iter(torch.autograd.grad(out, wanted, G, create_graph=create_graph))
    return tuple(next(computed) if view.requires_grad else None for view in views)


def _grouped(rows: Tensor, B: int) -> Tensor:
    """Rows ``(N, n, k)`` as one matrix for each sample and channel, ``(B, d, k)``, ``d = n / C``."""
    return rows if len(rows) == B else rows.reshape(B, -1, rows.shape[2])


def _product_like(x: Tensor, a: Tensor, b: Tensor, kind: Kind) -> Tensor:
    """``a @ b`` ``(B, d, k)`` in the shape and layout of ``x`` ``(*batch, b, m)``."""
    out = torch.empty_like(x)
    flat = flatten_batch(out)
    if kind == "attribute":
        torch.bmm(a, b, out=flat if len(a) == len(flat) else flat.view(len(a), -1, flat.shape[2]))
    elif len(a) == len(flat):
        torch.bmm(b.mT, a.mT, out=flat)
    else:  # the columns of each group lie apart
        flat.copy_(a.bmm(b).view(flat.mT.shape).mT)
    return out


def plain_members(call: Call, w: Tensor, x: Tensor) -> Tensor:
    """The plain operators of ``call`` for each member."""
    of_one = replace(call, members=1)  # type: ignore[type-var]
    return torch.stack([of_one.plain(*one) for one in zip(w.unbind(0), x.unbind(0), strict=True)])


# Products.


def _sum_over_rows(a: Tensor, b: Tensor) -> Tensor:
    """``aᵀ b`` for ``(B, rows, .)``; a sum over very many rows is taken in parts, which BLAS does faster."""
    B, rows, i = a.shape
    tall = B == 1 and rows % PARTS == 0 and rows >= TALL * max(i, b.shape[2])
    if not (tall and a.is_contiguous() and b.is_contiguous()):
        return a.mT.bmm(b)
    parts = a.view(PARTS, rows // PARTS, i).mT.bmm(b.view(PARTS, rows // PARTS, -1))
    return parts.sum(0, keepdim=True)


def matmul_in_layout_of(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` ``(B, i, j)``, stored with the memory layout of ``x``."""
    return b.mT.bmm(a.mT).mT if is_transpose(x) else a.bmm(b)


def accumulate(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``total += a @ b`` in place, ``(N, i, k)``; in the memory order of ``total``."""
    if is_transpose(total):
        total.mT.baddbmm_(b.mT, a.mT)
        return total
    return total.baddbmm_(a, b)
