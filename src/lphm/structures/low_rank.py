"""Low rank: W = P Qᵀ."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.row_blocks import RowBlocks
from lphm.structures.sizing import Sized


@dataclass(frozen=True, kw_only=True)
class OneBlock(RowBlocks, Sized):
    """``W = P Qᵀ`` of rank ``r``: all rows of ``X`` are one block, reduced by ``P`` and by ``Q``."""

    r: int

    @property
    def terms(self) -> int:
        """``W[i, j] = Σ_r P[i, r] Q[j, r]``: ``r`` products."""
        return self.r

    @property
    def middle(self) -> int:
        """``K = r``."""
        return self.r

    def projection_flops(self, k: int) -> int:
        """``Pᵀ X`` and ``Qᵀ Y``."""
        return 2 * sum(self.shape) * self.r * k

    def largest_rank(self, rows: int | None = None) -> int:
        """``r``, or the number of rows or columns where that is smaller."""
        return min(self.r, *self.shape) if rows is None else min(self.r, rows)

    @property
    def largest_useful_r(self) -> int:
        """``n``, or ``columns`` if they are fewer: a larger ``r`` gives no new ``W``."""
        return min(self.shape)

    def dense_from_factors(self, factors: Factors) -> Tensor:
        """``P Qᵀ``."""
        P, Q = self.row_factors(factors)
        return P @ Q.mT  # (C, n, columns)

    def combine(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """The two reductions are the pair."""
        return U.squeeze(2), V.squeeze(2)  # (N, C or 1, r, k) each


@dataclass(frozen=True, kw_only=True)
class LowRank(OneBlock):
    r"""``W`` of rank ``r``, ``W = P Qᵀ``.

    ``P`` and ``Q`` are ``n x r``. The vector holds ``[P, Q]``, each row-major, ``l = 2 n r``; the thin
    pair is ``left, right = Pᵀ X, Qᵀ X`` with ``K = r``. It is ``LPHM`` with ``p = q = 1`` and ``A = 1``.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; then ``Q`` is ``columns x r``.
        r: rank of ``W``.

    Raises:
        ValueError, TypeError: as ``Structure``.

    Example:
        >>> LowRank(n=96, r=4).num_parameters     # 2 · 96 · 4; dense: 9216
        768

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence with low-rank
        reconciliation (LoRR).
    """

    name: ClassVar[str] = "low_rank"

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``P`` ``(n, r)`` and ``Q`` ``(columns, r)``."""
        return {"P": (self.n, self.r), "Q": (self.shape[1], self.r)}

    @property
    def degrees_of_freedom(self) -> int:
        """``r (n + columns - r)``, what the matrices of rank ``r`` have."""
        r = self.largest_rank()
        return r * (sum(self.shape) - r)
