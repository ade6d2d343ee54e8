"""W = A ⊗ B, cut into p x q blocks: what the hierarchical mappings share."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from lphm.errors import require_divisor
from lphm.structures.base import Structure

__all__ = ["Kronecker"]


@dataclass(frozen=True, kw_only=True)
class Kronecker(Structure):
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
    def _kronecker(self, *factors: Tensor) -> tuple[Tensor, Tensor]:
        """Factors ``(C, *shape)`` to ``A`` ``(C, p, q)`` and ``B`` ``(C, n/p, n/q)``."""

    def _dense(self, *factors: Tensor) -> Tensor:
        A, B = self._kronecker(*factors)
        blocks = A[:, :, None, :, None] * B[:, None, :, None, :]  # (C, p, n/p, q, n/q)
        return blocks.reshape(-1, self.n, self.n)
