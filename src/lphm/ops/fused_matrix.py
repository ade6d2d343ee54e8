"""``xi`` of a batch of small matrices, with ``W`` formed and a gradient derived by hand.

    right_c = W_c x      xi_c = xᵀ right_c        dright_c = x G_c
    dW_c = Σ dright_c xᵀ                          dx = Σ_c right_c G_cᵀ + W_cᵀ dright_c

The rows of all ``W_c`` take turns, so that the columns of the channels of one sample stand side by side, and
every product is one for all channels.
"""

from dataclasses import dataclass
from types import ModuleType

from torch import Tensor

from lphm.ops.checks import Kind
from lphm.ops.fused import Gradients, accumulate, matmul_in_layout_of
from lphm.ops.reference import orient, product
from lphm.structures.base import Structure, dense_pair, flatten_batch


@dataclass(frozen=True)
class MatrixCall:
    """``xi`` of ``x``, ``(*batch, k, k)``, or ``(*batch, C, k, k)`` where ``w`` has channels.

    With a kernel that forms ``W``, ``w`` is the parameters; without, it is ``W`` ``(n, n)`` or ``(C, n, n)``
    itself, and autograd goes on from its gradient.
    """

    structure: Structure
    kernel: ModuleType | None
    kind: Kind

    def forward(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        """The result, and what the backward needs."""
        X, n = orient(flatten_batch(x), self.kind), self.structure.n
        W, *kept = (w.view(-1, n, n),) if self.kernel is None else self.kernel.dense(self.structure, w)
        (N, _, k), C = X.shape, len(W)
        W = W.transpose(0, 1).reshape(n * C, n)
        right = W.expand(N, -1, -1).bmm(X).view(N, n, C * k)
        xi = X.mT.bmm(right).view(N, k, C, k).transpose(1, 2)  # (N, C, k, k)
        return self._shaped(xi, w, x), X, W, right, *kept

    def backward(self, w: Tensor, G: Tensor, needs_dx: bool, saved: list[Tensor]) -> Gradients:
        """The gradients of ``w`` and of ``x`` in the core's orientation, from that of ``xi``."""
        X, W, right, *kept = saved
        (N, n, k), C = X.shape, len(W) // X.shape[1]
        G = orient(G, self.kind).reshape(N, C, k, k).transpose(1, 2).reshape(N, k, C * k)
        dright = X.bmm(G).view(N, n * C, k)
        dW = dright.bmm(X.mT).sum(0).view(n, C, n).transpose(0, 1).contiguous()
        dw = (
            dW.view(w.shape)
            if self.kernel is None
            else self.kernel.dense_backward(self.structure, w, dW, *kept)
        )
        if not needs_dx:
            return dw, None
        dx = matmul_in_layout_of(X, right, G.mT)
        return dw, accumulate(dx, W.mT.expand(N, -1, -1), dright)

    def plain(self, w: Tensor, x: Tensor) -> Tensor:
        """The same in plain operators."""
        X, n = orient(flatten_batch(x), self.kind), self.structure.n
        W = (
            w.reshape(-1, n, n)
            if self.kernel is None
            else self.structure.to_dense(w.reshape(-1, w.shape[-1]))
        )
        left, right = dense_pair(W, X)
        return self._shaped(product(left.mT, right), w, x)

    def _shaped(self, xi: Tensor, w: Tensor, x: Tensor) -> Tensor:
        channels = w.shape[:-1] if self.kernel is not None else w.shape[:-2]
        return xi.reshape(*x.shape[:-2], *channels, *xi.shape[-2:])
