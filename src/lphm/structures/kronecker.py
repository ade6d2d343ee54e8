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
    """``W = A ⊗ B``, ``A`` ``p x q`` and ``B`` ``n/p x n/q``, each of them made from factors.

    Args:
        n: rows and columns of ``W``.
        p: row blocks of ``W``; divides ``n``.
        q: column blocks of ``W``; divides ``n``; ``p`` if not given.
    """

    p: int
    q: int = cast(int, None)  # p takes its place in __post_init__: whoever reads q reads an int

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", self.p if cast(int | None, self.q) is None else self.q)
        super().__post_init__()
        require_divisor("n", self.n, p=self.p, q=self.q)

    @abstractmethod
    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """Factors ``(C, *shape)`` to ``A`` ``(C, p, q)`` and ``B`` ``(C, n/p, n/q)``."""

    @property
    @abstractmethod
    def kronecker_ranks(self) -> tuple[int, int]:
        """The largest ranks that ``A`` and ``B`` can have."""

    def largest_rank(self, rows: int | None = None) -> int:
        """``rank(A ⊗ B) = rank(A) rank(B)``; of the leading part, what its rows and columns leave of that."""
        rows, (a, b) = self.n if rows is None else rows, self.kronecker_ranks
        ranks = [a * b]
        for blocks in (self.p, self.q):
            whole, rest = divmod(rows, self.n // blocks)
            ranks.append(whole * b + min(rest, b))
        return min(ranks)

    @property
    def degrees_of_freedom(self) -> int:
        """Matrices ``i x j`` of rank ``a`` have ``a (i + j - a)``; ``A`` and ``B`` share one scale."""
        p, q, s, t = self.p, self.q, self.n // self.p, self.n // self.q
        a, b = self.kronecker_ranks
        return a * (p + q - a) + b * (s + t - b) - 1

    def dense_from_factors(self, factors: Factors) -> Tensor:
        """Block ``(i, j)`` is ``A[i, j] · B``."""
        A, B = self.kronecker_factors(factors)
        blocks = A[:, :, None, :, None] * B[:, None, :, None, :]  # (C, p, n/p, q, n/q)
        return blocks.reshape(-1, self.n, self.n)
