"""Hierarchical mapping: W = A ⊗ B."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.kronecker import Kronecker
from lphm.structures.row_blocks import mix_blocks, reduce_blocks


@dataclass(frozen=True, kw_only=True)
class HM(Kronecker):
    r"""Hierarchical mapping, ``W = A ⊗ B``.

    ``A`` is ``p x q``, ``B`` is ``n/p x n/q``; block ``(i, j)`` of ``W`` is ``A[i, j] · B``. The vector
    holds ``[A, B]``, each row-major, ``l = pq + n²/(pq)``. The middle is not thin (``K = n``), but ``W``
    is applied by two small products, ``A ⊗ B = (A ⊗ I)(I ⊗ B)``, to the side where they are smaller:

        left, right = X, (A ⊗ B) X       if p >= q
        left, right = (A ⊗ B)ᵀ X, X      otherwise.

    A rectangular ``W`` is applied to the side that takes fewer flops.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; then ``B`` is ``n/p x columns/q``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``, or ``columns``; ``p`` if not given.

    Raises:
        DivisibilityError: ``p`` or ``q`` does not divide ``n``; others as ``Structure``.

    Example:
        >>> HM(n=96, p=8, q=8).num_parameters     # 64 + 144; dense: 9216
        208

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence with hypercomplex
        multiplication (HM) reconciliation.
    """

    name: ClassVar[str] = "hm"
    terms = 1  # an entry of W is one product

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``A`` ``(p, q)``, ``B`` ``(n/p, columns/q)``."""
        return {"A": (self.p, self.q), "B": self.block}

    @property
    def middle(self) -> int:
        """``K``: ``n``, or ``columns`` where ``W`` is applied to ``X``."""
        return self.shape[1] if self._maps_left else self.n

    @property
    def _maps_left(self) -> bool:
        """Whether ``(A ⊗ B)ᵀ X`` takes fewer flops than ``(A ⊗ B) Y``."""
        left, right = self._flops
        return left < right

    @property
    def _flops(self) -> tuple[int, int]:
        """Of ``(A ⊗ B)ᵀ`` and of ``A ⊗ B`` on one column: ``B`` on its blocks, then ``A`` on what is left."""
        (n, columns), (s, t) = self.shape, self.block
        return 2 * (n * t + columns * self.p), 2 * (columns * s + n * self.q)

    def projection_flops(self, k: int) -> int:
        """``A ⊗ B`` on the side where it takes fewer."""
        return min(self._flops) * k

    @property
    def kronecker_ranks(self) -> tuple[int, int]:
        """``min(p, q)`` and ``min(n/p, columns/q)``."""
        return min(self.p, self.q), min(self.block)

    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``A`` and ``B``."""
        A, B = factors
        return A, B

    def pair_from_factors(self, factors: Factors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``X`` and ``(A ⊗ B) Y``, or ``(A ⊗ B)ᵀ X`` and ``Y`` where that is cheaper."""
        A, B = factors  # (C, p, q), (C, n/p, columns/q)
        if self._maps_left:
            return self._mapped(A.mT, B.mT, x, y.shape[1]), y.unsqueeze(1)
        return x.unsqueeze(1), self._mapped(A, B, y, x.shape[1])

    @staticmethod
    def _mapped(A: Tensor, B: Tensor, y: Tensor, rows: int) -> Tensor:
        """The first rows of ``(A ⊗ B) y``, ``(N, C, rows, k)``; a partial ``y`` has fewer blocks."""
        V = reduce_blocks(B.mT, y)  # (N, C, q, n/p, k)
        return mix_blocks(A[:, :, : V.shape[2]], V).flatten(2, 3)[:, :, :rows]
