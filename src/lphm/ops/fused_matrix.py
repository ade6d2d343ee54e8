"""``xi`` of a batch of small matrices, with ``W`` formed and a gradient derived by hand.

    right_c = W_c x      xi_c = xᵀ right_c        dright_c = x G_c
    dW_c = Σ dright_c xᵀ                          dx = Σ_c right_c G_cᵀ + W_cᵀ dright_c

The rows of all ``W_c`` take turns, so that the columns of the channels of one sample stand side by side, and
every product is one for all channels.
"""

from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.fused import Gradients, accumulate, matmul_in_layout_of, plain_members
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
        W, *kept = (w.view(-1, n, n),) if self.kernel is None else self.kernel.dense(self.structure, w)
        (N, _, k), C, M = X.shape, len(W) // self.members, self.members
        W = W.view(M, C, n, n).transpose(1, 2).reshape(M, n * C, n)
        right = X.new_empty(N, n * C, k)
        for own, rows, out in zip(W, X.chunk(M), right.chunk(M), strict=True):
            torch.bmm(own.expand(len(rows), -1, -1), rows, out=out)
        right = right.view(N, n, C * k)
        xi = X.mT.bmm(right).view(N, k, C, k).transpose(1, 2)  # (N, C, k, k)
        return self._shaped(xi, w, x), X, W, right, *kept

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """The gradients of ``w`` and of ``x`` in the core's orientation, from that of ``xi``."""
        X, W, right, *kept = saved
        (N, n, k), (M, rows, _) = X.shape, W.shape
        C = rows // n
        G = orient(G, self.kind).reshape(N, C, k, k).transpose(1, 2).reshape(N, k, C * k)
        dright = X.bmm(G).view(N, n * C, k)
        dW = dright.bmm(X.mT).view(M, N // M, n, C, n).sum(1).transpose(1, 2).reshape(M * C, n, n)
        dw = (
            dW.view(w.shape)
            if self.kernel is None
            else self.kernel.dense_backward(self.structure, w, dW, *kept)
        )
        if not needs_dx:
            return dw, None
        dx = matmul_in_layout_of(X, right, G.mT)
        for own, total, d in zip(W, dx.chunk(M), dright.chunk(M), strict=True):
            accumulate(total, own.mT.expand(len(total), -1, -1), d)
        return dw, dx

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
        left, right = dense_pair(W, X)
        return self._shaped(product(left.mT, right), w, x)

    def _shaped(self, xi: Tensor, w: Tensor, x: Tensor) -> Tensor:
        channels = w.shape[:-2] if self.kernel is None else w.shape[-2:-1]
        return xi.reshape(*x.shape[:-2], *channels, *xi.shape[-2:])
