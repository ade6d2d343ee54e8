"""Softmax interdependence of small matrices, with a gradient derived by hand.

Attention kernels are made for long sequences. Where ``xi`` is small, forming it takes less time. The pair of
all channels comes from products with its maps, ``left_c = F[0, c] x`` and ``right_c = F[1, c] x``.

In the alphabet of the core, for every sample and channel, with ``G`` the gradient of ``out = D P``:

    xi = leftᵀ right     P = softmax(xi, dim=-2)     out = D P
    dP = Dᵀ G            dD = G Pᵀ                   dxi = P ∘ (dP - 1 1ᵀ (P ∘ dP))
    dleft = right dxiᵀ   dright = left dxi

The instance kind computes the transposes, because there the rows of ``xᵀ`` lie side by side in memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.fused import Gradients, plain_members
from lphm.ops.reference import apply_maps, orient, product
from lphm.structures.base import Structure, flatten_batch

#: Most numbers of ``xi`` that are kept; getting more memory takes as long as computing ``xi`` once more.
KEPT = 2**21
#: torch computes the softmax of shorter rows faster where their entries do not lie side by side.
SHORT_ROW = 16

Weights = Sequence[Tensor]  # left, right and P


@dataclass(frozen=True)
class SoftmaxCall:
    """``x`` mixed by the softmax of its own ``xi``, which is formed.

    If all ``xi`` of a single member have more than ``KEPT`` numbers, they are formed for a few samples at a
    time, and once more in the backward.

    With a kernel that forms the maps, ``w`` is the parameters; without, it is ``F`` ``(2, C, K, n)`` itself,
    and autograd goes on from its gradient. Other shapes are those of ``ThinCall``. The instance kind can have
    ``members`` ``M``: then ``w`` is ``(M, C, l)`` and ``x`` ``(M, *batch, b, m)``.
    """

    structure: Structure
    kernel: ModuleType | None
    kind: Kind
    members: int = 1

    def forward(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The result, and what the backward needs."""
        X, out = flatten_batch(x), torch.empty_like(x)
        kept: list[Tensor]
        F, *kept = (w,) if self.kernel is None else self.kernel.maps(self.structure, w)
        form, apply, _ = self._functions()
        parts = self._parts(F, X, flatten_batch(out))
        for part, mixed in parts:
            weights = form(F, part)
            apply(part, weights[2], mixed)
            if len(parts) == 1:
                kept = [*kept, *weights]
        return out, X, F, *kept

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """As ``ThinCall.backward``."""
        X, F, *kept = saved
        dF, dX = torch.zeros_like(F), torch.empty_like(X)
        form, _, backward = self._functions()
        parts = self._parts(F, X, orient(G, self.kind), dX)
        weights: Weights = ()
        if len(parts) == 1:
            *kept, left, right, P = kept
            weights = left, right, P
        for part, dout, dx in parts:
            backward(F, part, weights or form(F, part), dout, dF, dx, needs_dx)
        dw = dF if self.kernel is None else self.kernel.maps_backward(self.structure, w, dF, *kept)
        return dw, orient(dX, self.kind) if needs_dx else None

    def _functions(self) -> tuple[Callable[..., Weights], Callable[..., None], Callable[..., None]]:
        if self.kind == "attribute":
            return _weights, _apply, _backward
        of_members = partial(_weights_of_rows, members=self.members)
        return of_members, _apply_to_rows, partial(_backward_of_rows, members=self.members)

    def _parts(self, F: Tensor, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """The tensors, by samples: all at once, or on a CPU a few of one member where ``xi`` is not kept."""
        X = tensors[0]
        k = X.shape[2] if self.kind == "attribute" else X.shape[1]
        numbers = F.shape[1] * k * k  # of xi, for one sample
        if self.members > 1 or len(X) * numbers <= KEPT or X.device.type != "cpu":
            return [tensors]
        return list(zip(*(torch.split(t, max(1, KEPT // 8 // numbers)) for t in tensors), strict=True))

    def plain(self, w: Tensor, x: Tensor) -> Tensor:
        """The same in plain operators."""
        if self.members > 1:
            return plain_members(self, w, x)
        rows = orient(flatten_batch(x), self.kind)
        F = w if self.kernel is None else torch.stack(self.structure.maps(w.reshape(-1, w.shape[-1])))
        left, right = apply_maps(F, rows)
        groups = torch.unflatten(rows, 1, (F.shape[1], -1))
        out = product(groups, product(left.mT, right).softmax(dim=-2))
        return orient(out.flatten(1, 2), self.kind).reshape(x.shape)


# Attribute: X (N, n, k). The groups of a sample stand one below the other, so that nothing is copied.


def _weights(F: Tensor, X: Tensor) -> Weights:
    N, _, k = X.shape
    _, C, K, n = F.shape
    left, right = (side.view(C * K, n).expand(N, -1, -1).bmm(X).view(-1, K, k) for side in F)
    return left, right, _softmax(left.mT.bmm(right), -2)


def _apply(X: Tensor, P: Tensor, out: Tensor) -> None:
    torch.bmm(_groups(X, P), P, out=_groups(out, P))


def _backward(
    F: Tensor, X: Tensor, weights: Weights, G: Tensor, dF: Tensor, dX: Tensor, needs_dx: bool
) -> None:
    """Add to ``dF`` and write to ``dX``."""
    (left, right, P), (N, _, k), (_, C, K, n) = weights, X.shape, F.shape
    G = _groups(G, P)
    dxi = _softmax_backward(_groups(X, P).mT.bmm(G), P, -2)
    if needs_dx:
        torch.bmm(G, P.mT, out=_groups(dX, P))
    dsides = right.bmm(dxi.mT).view(N, C * K, k), left.bmm(dxi).view(N, C * K, k)
    for side, dside, total in zip(F, dsides, dF, strict=True):
        total.add_(dside.bmm(X.mT).sum(0).view(C, K, n))
        if needs_dx:
            dX.baddbmm_(side.view(C * K, n).mT.expand(N, -1, -1), dside)


def _groups(X: Tensor, P: Tensor) -> Tensor:
    """``(N, n, k)`` to ``(N C, d, k)``."""
    return X if len(X) == len(P) else X.reshape(len(P), -1, X.shape[2])


# Instance: X (N, k, n). The groups of a sample stand side by side, and are put one below the other.


def _weights_of_rows(F: Tensor, X: Tensor, members: int) -> Weights:
    """``leftᵀ``, ``rightᵀ`` ``(N C, k, K)`` and ``Pᵀ``, where ``C`` counts the channels of one member."""
    (_, all_channels, K, n), (N, k, _) = F.shape, X.shape
    C = all_channels // members
    Y = X.reshape(members, -1, n).bmm(_by_member(F, members).mT)  # one product for both sides of all channels
    if C == 1:
        left, right = Y.view(N, k, 2, K).unbind(2)
    else:
        left, right = Y.view(N, k, 2, C, K).permute(2, 0, 3, 1, 4).reshape(2, N * C, k, K).unbind(0)
    if k < SHORT_ROW:
        return left, right, _softmax(left.bmm(right.mT), -2).mT
    return left, right, _softmax(right.bmm(left.mT), -1)


def _apply_to_rows(X: Tensor, P: Tensor, out: Tensor) -> None:
    if len(X) == len(P):
        torch.bmm(P, X, out=out)
    else:
        _put_columns(P.bmm(_groups_of_columns(X, P)), out)


def _by_member(F: Tensor, members: int) -> Tensor:
    """``(2, members C, K, n)`` to ``(members, 2 C K, n)``."""
    n = F.shape[-1]
    return F.view(2, members, -1, n).transpose(0, 1).reshape(members, -1, n)


def _backward_of_rows(
    F: Tensor, X: Tensor, weights: Weights, G: Tensor, dF: Tensor, dX: Tensor, needs_dx: bool, members: int
) -> None:
    """Add to ``dF`` and write to ``dX``."""
    (left, right, P), n = weights, X.shape[2]
    D, G, maps = _groups_of_columns(X, P), _groups_of_columns(G, P), _by_member(F, members)  # (N C, k, d)
    if P.shape[1] < SHORT_ROW:
        dxi = _softmax_backward(D.bmm(G.mT), P.mT, -2).mT
    else:
        dxi = _softmax_backward(G.bmm(D.mT), P, -1)
    dY = _join_sides(dxi.mT.bmm(right), dxi.bmm(left), F.shape[1] // members).view(members, -1, maps.shape[1])
    dmaps = dY.mT.bmm(X.reshape(members, -1, n))
    dF.view(2, members, -1, n).add_(dmaps.view(members, 2, -1, n).transpose(0, 1))
    if needs_dx:
        if len(X) == len(P):
            torch.bmm(P.mT, G, out=dX)
        else:
            _put_columns(P.mT.bmm(G), dX)
        dX.view(members, -1, n).baddbmm_(dY, maps)


def _join_sides(dleft: Tensor, dright: Tensor, C: int) -> Tensor:
    """The gradient of ``Y``, ``(N k, 2 C K)``."""
    B, k, K = dleft.shape
    if C == 1:
        return torch.cat([dleft, dright], dim=2).view(B * k, 2 * K)
    sides = [side.view(-1, C, k, K).transpose(1, 2) for side in (dleft, dright)]
    return torch.stack(sides, dim=2).view(B // C * k, 2 * C * K)


def _groups_of_columns(X: Tensor, P: Tensor) -> Tensor:
    """``(N, k, n)`` to ``(N C, k, d)``."""
    (N, k, _), B = X.shape, len(P)
    return X if N == B else X.reshape(N, k, B // N, -1).transpose(1, 2).reshape(B, k, -1)


def _put_columns(groups: Tensor, X: Tensor) -> None:
    """``_groups_of_columns`` undone, into ``X``."""
    (N, k, _), d = X.shape, groups.shape[2]
    X.view(N, k, -1, d).copy_(groups.view(N, -1, k, d).transpose(1, 2))


def _softmax(xi: Tensor, dim: int) -> Tensor:
    """In place: it is the largest tensor, and another one of its size costs as much as the softmax."""
    return torch.softmax(xi, dim, out=xi)


def _softmax_backward(dP: Tensor, P: Tensor, dim: int) -> Tensor:
    """In place."""
    torch.ops.aten._softmax_backward_data.out(dP, P, dim, P.dtype, grad_input=dP)
    return dP
