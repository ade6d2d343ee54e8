"""Low-rank hierarchical mapping: W = A ⊗ (S Tᵀ)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.blocks import blocks_backward, blocks_forward, mix_blocks, project_pair
from lphm.structures.kronecker import Kronecker

__all__ = ["LPHM"]


@dataclass(frozen=True, kw_only=True)
class LPHM(Kronecker):
    r"""Low-rank hierarchical mapping, ``W = A ⊗ (S Tᵀ)``.

    ``A`` is ``p x q``, ``S`` is ``n/p x r``, ``T`` is ``n/q x r``; block ``(i, j)`` of ``W`` is
    ``A[i, j] · S Tᵀ``. The vector holds ``[A, S, T]``, each row-major,

        l = pq + r (n/p + n/q).

    ``W = (I_p ⊗ S)(A ⊗ I_r)(I_q ⊗ T)ᵀ`` gives the thin pair without forming ``W``:
    with ``U = Sᵀ X_p`` and ``V = Tᵀ X_q`` (``X`` cut into ``p`` and ``q`` blocks of rows)

        left, right = U, A V      K = p r      if p <= q
        left, right = Aᵀ U, V     K = q r      otherwise.

    Args:
        n: rows and columns of ``W``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.
        r: rank of a block.

    Raises:
        DivisibilityError: ``p`` or ``q`` does not divide ``n``.
        ValueError: a size is below 1.
        TypeError: a size is not an int.

    Example:
        >>> LPHM(n=96, p=8, q=8, r=4).num_parameters     # 64 + 4 (12 + 12); dense: 9216
        160

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), the LPHM parameterized bilinear interdependence function.
    """

    r: int
    name: ClassVar[str] = "lphm"

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``A`` ``(p, q)``, ``S`` ``(n/p, r)``, ``T`` ``(n/q, r)``."""
        return {"A": (self.p, self.q), "S": (self.n // self.p, self.r), "T": (self.n // self.q, self.r)}

    @property
    def terms(self) -> int:
        """``W[..] = A[i, j] Σ_r S[s, r] T[t, r]``: ``r`` products."""
        return self.r

    @property
    def middle(self) -> int:
        """``K = r min(p, q)``."""
        return self.r * min(self.p, self.q)

    def projection_flops(self, k: int) -> int:
        """``Sᵀ X_p`` and ``Tᵀ X_q``, then ``A`` on the larger of the two."""
        return 4 * self.n * k * self.r + 2 * self.p * self.q * self.r * k

    @property
    def _ranks(self) -> tuple[int, int]:
        return min(self.p, self.q), min(self.r, self._last_useful_r)

    @property
    def _last_useful_r(self) -> int:
        return self.n // max(self.p, self.q)

    def _kronecker(self, *factors: Tensor) -> tuple[Tensor, Tensor]:
        A, S, T = factors
        return A, S @ T.mT  # (C, p, q), (C, n/p, n/q)

    def _project(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        A, S, T = factors  # (C, p, q), (C, n/p, r), (C, n/q, r)
        U, V = project_pair(S, T, x)  # (N, C, p, r, k), (N, C, q, r, k)
        A = A[:, : U.shape[2], : V.shape[2]]  # a partial x has fewer blocks
        if self.p <= self.q:
            return U.flatten(2, 3), mix_blocks(A, V).flatten(2, 3)  # (N, C, p r, k) twice
        return mix_blocks(A.mT, U).flatten(2, 3), V.flatten(2, 3)  # (N, C, q r, k) twice

    # By hand. Where p = q, [S|T]ᵀ is one flat factor: one pass over x, and one over dx, instead of two.

    def _split(self, w: Tensor) -> list[Tensor]:
        """``Sᵀ`` and ``Tᵀ`` in ``w`` ``(C, l)``, as views ``(C, 1, r, s)`` each, or one ``(C, 2, r, s)``."""
        (C, l), r, start = w.shape, self.r, w.storage_offset() + self.p * self.q
        s, t = self.n // self.p, self.n // self.q
        if s == t:
            return [w.as_strided((C, 2, r, s), (l, s * r, 1, r), start)]
        S = w.as_strided((C, 1, r, s), (l, s * r, 1, r), start)
        return [S, w.as_strided((C, 1, r, t), (l, t * r, 1, r), start + s * r)]

    def _mixing(self, w: Tensor) -> Tensor:
        """``A`` in ``w`` ``(C, l)``, a view ``(C, p, q)``."""
        return w.as_strided((len(w), self.p, self.q), (w.shape[1], self.q, 1))

    def _project_keeping(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        (N, _, k), C, r = x.shape, len(w), self.r
        flat = [F.reshape(-1, F.shape[3]) for F in self._split(w)]
        sides = []
        for F in flat:
            Y = blocks_forward(F, x)  # (N, p, C 2 r, k), or (N, p, C r, k) and (N, q, C r, k)
            sides += Y.view(N, Y.shape[1], C, -1, r * k).transpose(1, 2).unbind(3)  # (N, C, ., r k)
        U, V = (side.reshape(N * C, side.shape[2], r * k) for side in sides)
        A = self._mixing(w)
        if N > 1:
            A = A.expand(N, C, self.p, self.q).reshape(N * C, self.p, self.q)
        if self.p <= self.q:
            return U.reshape(N * C, -1, k), A.bmm(V).view(N * C, -1, k), A, V, *flat
        return A.mT.bmm(U).view(N * C, -1, k), V.reshape(N * C, -1, k), A, U, *flat

    def _project_backward(
        self,
        w: Tensor,
        x: Tensor,
        dleft: Tensor,
        dright: Tensor,
        dx: Tensor | None,
        A: Tensor,
        mixed: Tensor,
        *flat: Tensor,
    ) -> Tensor:
        (N, _, k), C, r, dw = x.shape, len(w), self.r, torch.empty_like(w)
        dleft, dright = dleft.view(N * C, -1, r * k), dright.view(N * C, -1, r * k)
        if self.p <= self.q:  # left, right = U, A V
            dA, dU, dV = dright.bmm(mixed.mT), dleft, A.mT.bmm(dright)
        else:  # left, right = Aᵀ U, V
            dA, dU, dV = mixed.bmm(dleft.mT), A.bmm(dleft), dright
        self._mixing(dw).copy_(dA if N == 1 else dA.view(N, C, self.p, self.q).sum(0))
        sides = [side.view(N, C, -1, r * k).transpose(1, 2) for side in (dU, dV)]  # (N, ., C, r k)
        sides = [torch.cat(sides, dim=3)] if len(flat) == 1 else [side.contiguous() for side in sides]
        for F, dF, side in zip(flat, self._split(dw), sides, strict=True):
            blocks_backward(F, x, side.view(N, side.shape[1], -1, k), dx, dF)
        return dw
