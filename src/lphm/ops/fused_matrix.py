"""``xi`` of a batch of small matrices, with ``W`` formed and a gradient derived by hand.

    right_c = W_c x      xi_c = xᵀ right_c        dright_c = x G_c
    dW_c = Σ dright_c xᵀ                          dx = Σ_c right_c G_cᵀ + W_cᵀ dright_c

``right`` and ``dright`` are kept transposed, a column of all channels in one row: so the products with ``W``
are one large product each, in place of a small one for each sample.
"""

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.fused import Gradients, plain_members
from lphm.ops.reference import orient, product
from lphm.structures.base import Structure, dense_pair, flatten_batch


@dataclass(frozen=True)
class MatrixCall:
    """``xi`` of ``x``, ``(*batch, k, k)``, or ``(*batch, C, k, k)`` where ``w`` has channels.

    With a kernel that forms ``W``, ``w`` is the parameters; without, it is ``W`` ``(n, n)`` or ``(C, n, n)``
    itself, and autograd goes on from its gradient. With ``members`` ``M``, ``w`` is ``(M, C, l)`` and ``x``
    ``(M, *batch, b, m)``.
    """

    structure: Structure
    kernel: ModuleType | None
    kind: Kind
    members: int = 1

    def forward(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The result, and what the backward needs."""
        X, n = orient(flatten_batch(x), self.kind), self.structure.n
        W, *kept = (w,) if self.kernel is None else self.kernel.dense(self.structure, w)
        W = W.view(self.members, -1, n)  # (M, C n, n)
        (N, _, k), columns = X.shape, X.mT.contiguous()  # (N, k, n)
        right = columns.view(self.members, -1, n).bmm(W.mT)  # (M, N/M k, C n)
        xi = right.view(N, -1, n).bmm(X).view(N, k, -1, k).permute(0, 2, 3, 1)  # (N, C, k, k)
        # A copy, because torch forbids to change a view that a Function returns in place.
        out = self._shaped(xi, w, x).clone(memory_format=torch.contiguous_format)
        return out, X, columns, W, right, *kept

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """The gradients of ``w`` and of ``x`` in the core's orientation, from that of ``xi``."""
        X, columns, W, right, *kept = saved
        (N, n, k), M = X.shape, self.members
        G = orient(G, self.kind).reshape(N, -1, k, k).permute(0, 3, 1, 2).reshape(N, -1, k)  # (N, k C, k)
        dright = G.bmm(columns).view(right.shape)
        dW = dright.mT.bmm(columns.view(M, -1, n))  # (M, C n, n)
        if self.kernel is None:
            dw = dW.view(w.shape)
        else:
            dw = self.kernel.dense_backward(self.structure, w, dW.view(-1, n, n), *kept)
        if not needs_dx:
            return dw, None
        dx = dright.bmm(W).view(N, k, n).baddbmm_(G.mT, right.view(N, -1, n))
        return dw, dx.mT

    def plain(self, w: Tensor, x: Tensor) -> Tensor:
        """The same in plain operators."""
        if self.members > 1:
            return plain_members(self, w, x)
        X, n = orient(flatten_batch(x), self.kind), self.structure.n
        W = (
            w.reshape(-1, n, n)
            if self.kernel is None
            else self.structure.to_dense(w.reshape(-1, w.shape[-1]))
        )
        left, right = dense_pair(W, X, X)
        return self._shaped(product(left.mT, right), w, x)

    def _shaped(self, xi: Tensor, w: Tensor, x: Tensor) -> Tensor:
        channels = w.shape[:-2] if self.kernel is None else w.shape[-2:-1]
        return xi.reshape(*x.shape[:-2], *channels, *xi.shape[-2:])
