"""Dual low-rank hierarchical mapping: W = (P Qᵀ) ⊗ (S Tᵀ)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.kronecker import Kronecker
from lphm.structures.row_blocks import RowBlocks, mix_blocks


@dataclass(frozen=True, kw_only=True)
class DualLPHM(RowBlocks, Kronecker):
    r"""Low-rank hierarchical mapping with both factors of low rank, ``W = (P Qᵀ) ⊗ (S Tᵀ)``.

    ``P`` is ``p x r``, ``Q`` is ``q x r``, ``S`` is ``n/p x r``, ``T`` is ``n/q x r``. The vector holds
    ``[P, Q, S, T]``, each row-major, ``l = r (p + q + n/p + n/q)``. As ``W = (P ⊗ S)(Q ⊗ T)ᵀ``,

        left, right = (P ⊗ S)ᵀ X, (Q ⊗ T)ᵀ X      K = r²,

    each by two small products.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; then ``T`` is ``columns/q x r``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``, or ``columns``; ``p`` if not given.
        r: rank of both factors.

    Raises:
        DivisibilityError: ``p`` or ``q`` does not divide ``n``; others as ``Structure``.

    Example:
        >>> DualLPHM(n=96, p=8, q=8, r=4).num_parameters     # 4 (8 + 8 + 12 + 12); dense: 9216
        160

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence with dual LPHM
        reconciliation.
    """

    r: int
    name: ClassVar[str] = "dual_lphm"

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``P`` ``(p, r)``, ``Q`` ``(q, r)``, ``S`` ``(n/p, r)``, ``T`` ``(columns/q, r)``."""
        r, (s, t) = self.r, self.block
        return {"P": (self.p, r), "Q": (self.q, r), "S": (s, r), "T": (t, r)}

    @property
    def terms(self) -> int:
        """``Σ_a P[i, a] Q[j, a] · Σ_c S[s, c] T[t, c]``: ``r²`` products."""
        return self.r**2

    @property
    def middle(self) -> int:
        """``K = r²``."""
        return self.r**2

    def projection_flops(self, k: int) -> int:
        """``Sᵀ X_p`` and ``Tᵀ Y_q``, then ``Pᵀ`` and ``Qᵀ`` across the blocks."""
        return 2 * sum(self.shape) * self.r * k + 2 * (self.p + self.q) * self.r**2 * k

    @property
    def kronecker_ranks(self) -> tuple[int, int]:
        """``min(p, q, r)`` and ``min(n/p, columns/q, r)``."""
        return min(self.p, self.q, self.r), min(*self.block, self.r)

    @property
    def largest_useful_r(self) -> int:
        """Above it ``P Qᵀ`` and ``S Tᵀ`` both have full rank."""
        return max(min(self.p, self.q), min(self.block))

    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``P Qᵀ`` and ``S Tᵀ``."""
        P, Q, S, T = factors
        return P @ Q.mT, S @ T.mT  # (C, p, q), (C, n/p, columns/q)

    def combine(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """``Pᵀ`` and ``Qᵀ`` across the blocks."""
        P, Q, _, _ = factors  # (C, p, r), (C, q, r)
        U = mix_blocks(P[:, : U.shape[2]].mT, U)  # (N, C, r, r, k); a partial x has fewer blocks
        V = mix_blocks(Q[:, : V.shape[2]].mT, V)  # (N, C, r, r, k)
        return U.flatten(2, 3), V.flatten(2, 3)  # (N, C, r², k) each
