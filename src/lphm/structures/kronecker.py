"""W = A ⊗ B, cut into p x q blocks: what the hierarchical mappings share."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from lphm.errors import require_divisor
from lphm.structures.base import Factors
from lphm.structures.sizing import Sized


@dataclass(frozen=True, kw_only=True)
class Kronecker(Sized):
    """``W = A ⊗ B``, ``A`` ``p x q`` and ``B`` ``n/p x columns/q``, each of them made from factors.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``, or ``columns``; ``p`` if not given.
    """

    p: int
    q: int = cast(int, None)  # p takes its place in __post_init__: whoever reads q reads an int

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", self.p if cast(int | None, self.q) is None else self.q)
        super().__post_init__()
        require_divisor("n", self.n, p=self.p)
        require_divisor("n" if self.columns is None else "columns", self.shape[1], q=self.q)

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of a block of ``W``, ``n/p`` and ``columns/q``: the shape of ``B``."""
        return self.n // self.p, self.shape[1] // self.q

    @abstractmethod
    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """Factors ``(C, *shape)`` to ``A`` ``(C, p, q)`` and ``B`` ``(C, n/p, columns/q)``."""

    @property
    @abstractmethod
    def kronecker_ranks(self) -> tuple[int, int]:
        """The largest ranks that ``A`` and ``B`` can have."""

    def largest_rank(self, rows: int | None = None) -> int:
        """``rank(A ⊗ B) = rank(A) rank(B)``; of the leading part, what its rows and columns leave of that."""
        a, b = self.kronecker_ranks
        ranks = [a * b]
        if rows is not None:
            ranks += [rows // size * b + min(rows % size, b) for size in self.block]
        return min(ranks)

    @property
    def degrees_of_freedom(self) -> int:
        """Matrices ``i x j`` of rank ``a`` have ``a (i + j - a)``; ``A`` and ``B`` share one scale."""
        p, q, (s, t) = self.p, self.q, self.block
        a, b = self.kronecker_ranks
        return a * (p + q - a) + b * (s + t - b) - 1

    def dense_from_factors(self, factors: Factors) -> Tensor:
        """Block ``(i, j)`` is ``A[i, j] · B``."""
        A, B = self.kronecker_factors(factors)
        blocks = A[:, :, None, :, None] * B[:, None, :, None, :]  # (C, p, n/p, q, columns/q)
        return blocks.reshape(-1, *self.shape)
