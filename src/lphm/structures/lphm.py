"""Low-rank hierarchical mapping: W = A ⊗ (S Tᵀ)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.hm import HM
from lphm.structures.kronecker import Kronecker
from lphm.structures.row_blocks import RowBlocks, mix_blocks


@dataclass(frozen=True, kw_only=True)
class LPHM(RowBlocks, Kronecker):
    r"""Low-rank hierarchical mapping, ``W = A ⊗ (S Tᵀ)``.

    ``A`` is ``p x q``, ``S`` is ``n/p x r``, ``T`` is ``n/q x r``; block ``(i, j)`` of ``W`` is
    ``A[i, j] · S Tᵀ``. The vector holds ``[A, S, T]``, each row-major,

        l = pq + r (n/p + n/q).

    ``W = (I_p ⊗ S)(A ⊗ I_r)(I_q ⊗ T)ᵀ`` gives the thin pair without forming ``W``:
    with ``U = Sᵀ X_p`` and ``V = Tᵀ X_q`` (``X`` cut into ``p`` and ``q`` blocks of rows)

        left, right = U, A V      K = p r      if p <= q
        left, right = Aᵀ U, V     K = q r      otherwise.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; then ``T`` is ``columns/q x r``, and ``V = Tᵀ Y_q``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``, or ``columns``; ``p`` if not given.
        r: rank of a block. From ``min(n/p, n/q)`` on, ``HM(n, p, q)`` holds every such ``W`` with fewer
            parameters.

    Raises:
        DivisibilityError: ``p`` or ``q`` does not divide ``n``; others as ``Structure``.

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
        """``A`` ``(p, q)``, ``S`` ``(n/p, r)``, ``T`` ``(columns/q, r)``."""
        s, t = self.block
        return {"A": (self.p, self.q), "S": (s, self.r), "T": (t, self.r)}

    @property
    def terms(self) -> int:
        """``W[..] = A[i, j] Σ_r S[s, r] T[t, r]``: ``r`` products."""
        return self.r

    @property
    def middle(self) -> int:
        """``K = r min(p, q)``."""
        return self.r * min(self.p, self.q)

    def projection_flops(self, k: int) -> int:
        """``Sᵀ X_p`` and ``Tᵀ Y_q``, then ``A`` on the larger of the two."""
        return 2 * sum(self.shape) * k * self.r + 2 * self.p * self.q * self.r * k

    @property
    def kronecker_ranks(self) -> tuple[int, int]:
        """``min(p, q)`` and ``min(r, n/p, columns/q)``."""
        return min(self.p, self.q), min(self.r, self.largest_useful_r)

    @property
    def largest_useful_r(self) -> int:
        """Above it ``S Tᵀ`` has full rank."""
        return min(self.block)

    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``A`` and ``S Tᵀ``."""
        A, S, T = factors
        return A, S @ T.mT  # (C, p, q), (C, n/p, columns/q)

    def combine(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """``U, A V`` or ``Aᵀ U, V``, whichever has fewer rows."""
        A = factors[0][:, : U.shape[2], : V.shape[2]]  # a partial x has fewer blocks
        if self.p <= self.q:
            return U.flatten(2, 3), mix_blocks(A, V).flatten(2, 3)  # (N, C, p r, k) twice
        return mix_blocks(A.mT, U).flatten(2, 3), V.flatten(2, 3)  # (N, C, q r, k) twice

    def explain(self, rows: int | None = None) -> str:
        """As of every structure with sizes, and whether ``HM`` holds the same ``W`` with fewer parameters."""
        text = super().explain(rows)
        if type(self) is not LPHM or self.r < self.largest_useful_r:
            return text
        same = HM(n=self.n, columns=self.columns, p=self.p, q=self.q)
        return f"{text}\n{same} holds every such W with {same.num_parameters} parameters"
