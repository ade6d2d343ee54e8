"""Structures whose thin pair is a sum over rows: what lets the rows of X lie in many places."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from lphm.structures.base import Factors, Structure
from lphm.structures.row_blocks import project_pair


@dataclass(frozen=True, kw_only=True)
class Thin(Structure):
    """A structure that first reduces blocks of rows, ``Sᵀ X_p`` and ``Tᵀ X_q``, and then mixes these.

    A row takes part in one block of either side, so whoever has some of the rows has a share of the blocks
    (``blocks.project_rows``), and shares add up: over the ranks of a process group, or over parts of a
    file that are read one after another. What travels or is kept is the blocks, never the rows.

    Args:
        n: rows and columns of ``W``.
    """

    @abstractmethod
    def _block_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``S`` ``(C, n/p, r)`` and ``T`` ``(C, n/q, r)``, which reduce blocks of ``n/p`` and ``n/q`` rows.

        A factor that all channels share has ``C = 1``.
        """

    @abstractmethod
    def _join(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """``U`` ``(N, C, p, r, k)`` and ``V`` ``(N, C, q, r, k)`` to ``left, right`` ``(N, C, K, k)``.

        For a partial ``x`` there are fewer blocks than ``p`` and ``q``.
        """

    def _project(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        S, T = self._block_factors(factors)
        return self._join(factors, *project_pair(S, T, x))
