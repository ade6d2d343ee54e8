"""Low-rank hierarchical mapping: W = A ⊗ (S Tᵀ)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.kronecker import Kronecker
from lphm.structures.row_blocks import (
    blocks_backward,
    blocks_forward,
    blocks_transposed,
    mix_blocks,
)
from lphm.structures.thin import Thin


@dataclass(frozen=True, kw_only=True)
class LPHM(Thin, Kronecker):
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

    def _block_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        _, S, T = factors
        return S, T

    def _join(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        A = factors[0][:, : U.shape[2], : V.shape[2]]  # a partial x has fewer blocks
        if self.p <= self.q:
            return U.flatten(2, 3), mix_blocks(A, V).flatten(2, 3)  # (N, C, p r, k) twice
        return mix_blocks(A.mT, U).flatten(2, 3), V.flatten(2, 3)  # (N, C, q r, k) twice

    # One sample and one channel: the same in as few operators as it takes.

    def _split(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p, q, r = self.p, self.q, self.r
        s, t = self.n // p, self.n // q
        A, S, T = torch.split(w, [p * q, s * r, t * r])
        return A.view(p, q), S.view(s, r), T.view(t, r)

    def _dense_one(self, w: Tensor) -> Tensor:
        A, S, T = self._split(w)
        (p, q), s, t = A.shape, len(S), len(T)
        return (A.view(p, 1, q, 1) * S.mm(T.t()).view(1, s, 1, t)).view(self.n, self.n)

    def _project_one(self, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        (A, S, T), (_, k) = self._split(w), x.shape
        (p, q), (s, r), t = A.shape, S.shape, len(T)
        U = S.t().expand(p, r, s).bmm(x.reshape(p, s, k))  # (p, r, k)
        V = T.t().expand(q, r, t).bmm(x.reshape(q, t, k))  # (q, r, k)
        if p <= q:
            return U.view(p * r, k), A.mm(V.view(q, r * k)).view(p * r, k)
        return A.t().mm(U.view(p, r * k)).view(q * r, k), V.view(q * r, k)

    # By hand. Where p = q, [S|T]ᵀ is one flat factor: one pass over x, and one over dx, instead of two.

    def _mixing(self, w: Tensor) -> Tensor:
        """``A`` in ``w``, a view ``(C, p, q)``."""
        l = w.shape[-1]
        return w.as_strided((w.numel() // l, self.p, self.q), (l, self.q, 1), w.storage_offset())

    def _thin_views(self, w: Tensor) -> list[Tensor]:
        """``Sᵀ`` and ``Tᵀ`` in ``w``, as views ``(C, 1, r, s)`` each, or as one ``(C, 2, r, s)``."""
        l, r, s, t = w.shape[-1], self.r, self.n // self.p, self.n // self.q
        C, start = w.numel() // l, w.storage_offset() + self.p * self.q
        if s == t:
            return [w.as_strided((C, 2, r, s), (l, s * r, 1, r), start)]
        S = w.as_strided((C, 1, r, s), (l, s * r, 1, r), start)
        return [S, w.as_strided((C, 1, r, t), (l, t * r, 1, r), start + s * r)]

    def _project_keeping(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        (N, n, k), r, A = x.shape, self.r, self._mixing(w)
        C, flat = len(A), []
        sides: list[Tensor] = []
        for view in self._thin_views(w):
            _, h, _, s = view.shape
            flat.append(view.reshape(C * h * r, s))
            Y = blocks_forward(flat[-1], x)
            if C > 1:
                Y = Y.reshape(N, n // s, C, h * r, k).transpose(1, 2)  # (N, C, ., h r, k)
            Y = Y.reshape(N * C, n // s, h, r * k)
            sides += [Y.select(2, side) for side in range(h)]
        U, V = sides  # (N C, p, r k), (N C, q, r k)
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
        needs_dx: bool,
        A: Tensor,
        mixed: Tensor,
        *flat: Tensor,
    ) -> tuple[Tensor, Tensor | None]:
        (N, _, k), (B, p, q), r = x.shape, A.shape, self.r
        C, dw, dx = B // N, torch.empty_like(w), None
        dleft, dright = dleft.view(B, -1, r * k), dright.view(B, -1, r * k)
        if p <= q:  # left, right = U, A V
            dA, dU, dV = dright.bmm(mixed.mT), dleft, A.mT.bmm(dright)
        else:  # left, right = Aᵀ U, V
            dA, dU, dV = mixed.bmm(dleft.mT), A.bmm(dleft), dright
        self._mixing(dw).copy_(dA if N == 1 else dA.view(N, C, p, q).sum(0))
        sides = [dU, dV] if C == 1 else [side.view(N, C, -1, r * k).transpose(1, 2) for side in (dU, dV)]
        if p == q:
            sides = [torch.cat(sides, dim=-1)]  # (N, p, (C) 2 r k)
        for F, dF, side in zip(flat, self._thin_views(dw), sides, strict=True):
            blocks_backward(F, x, side, dF)
            dx = blocks_transposed(F, x, side, dx) if needs_dx else None
        return dw, dx

    def _dense_keeping(self, w: Tensor) -> tuple[Tensor, ...]:
        l, p, q, r, start = w.shape[-1], self.p, self.q, self.r, w.storage_offset()
        C, s, t = w.numel() // l, self.n // p, self.n // q
        S = w.as_strided((C, s, r), (l, r, 1), start + p * q)
        T = w.as_strided((C, t, r), (l, r, 1), start + p * q + s * r)
        A, B = w.as_strided((C, p, 1, q, 1), (l, q, 1, 1, 1), start), S.bmm(T.mT)
        return (A * B.view(C, 1, s, 1, t)).view(C, self.n, self.n), A, B, S, T

    def _dense_backward(self, w: Tensor, dW: Tensor, *kept: Tensor) -> Tensor:
        (A, B, S, T), p, q = kept, self.p, self.q
        C, s, t = B.shape
        blocks = dW.view(C, p, s, q, t).transpose(2, 3).reshape(C, p * q, s * t)
        dA = blocks.bmm(B.view(C, s * t, 1))
        dB = A.reshape(C, 1, p * q).bmm(blocks).view(C, s, t)
        factors = dA, dB.bmm(T), dB.mT.bmm(S)
        return torch.cat([factor.view(C, -1) for factor in factors], dim=1).view(w.shape)
