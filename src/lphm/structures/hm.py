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

    Args:
        n: rows and columns of ``W``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.

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
        """``A`` ``(p, q)``, ``B`` ``(n/p, n/q)``."""
        return {"A": (self.p, self.q), "B": (self.n // self.p, self.n // self.q)}

    def projection_flops(self, k: int) -> int:
        """``B`` on blocks of rows, then ``A`` on what is left of them."""
        return 2 * self.n * k * (self.n // max(self.p, self.q) + min(self.p, self.q))

    @property
    def kronecker_ranks(self) -> tuple[int, int]:
        """``min(p, q)`` and ``n / max(p, q)``."""
        return min(self.p, self.q), self.n // max(self.p, self.q)

    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``A`` and ``B``."""
        A, B = factors
        return A, B

    def pair_from_factors(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        """``X`` and ``(A ⊗ B) X``, or ``(A ⊗ B)ᵀ X`` and ``X`` where that is cheaper."""
        A, B = factors  # (C, p, q), (C, n/p, n/q)
        if self.p < self.q:
            return self._mapped(A.mT, B.mT, x), x.unsqueeze(1)
        return x.unsqueeze(1), self._mapped(A, B, x)

    @staticmethod
    def _mapped(A: Tensor, B: Tensor, x: Tensor) -> Tensor:
        """``(A ⊗ B) x``, ``(N, C, rows, k)``; a partial ``x`` has fewer blocks."""
        V = reduce_blocks(B.mT, x)  # (N, C, q, n/p, k)
        return mix_blocks(A[:, :, : V.shape[2]], V).flatten(2, 3)[:, :, : x.shape[1]]
