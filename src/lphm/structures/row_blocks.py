"""Structures whose pair is a sum over blocks of rows, and the small products that reduce these blocks.

Every row is in one block of either side, so whoever has some of the rows can reduce these, and the results
add up: over the ranks of a process group, or over the parts of a file that are read one after another. Only
reduced blocks are sent or kept, never the rows.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.structures.base import Factors, Structure, is_transpose, stated_last

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class RowBlocks(Structure):
    """A structure that first reduces blocks of rows, ``U = Sᵀ X_p`` and ``V = Tᵀ X_q``, then combines them.

    It defines ``row_factors`` and ``combine`` instead of ``pair_from_factors``.
    """

    def row_factors(self, factors: Factors) -> Pair:
        """``S`` ``(C, n/p, r)`` and ``T`` ``(C, columns/q, r)``; by default the last two factors.

        A factor that all channels share has ``C = 1``.
        """
        return factors[-2], factors[-1]

    @abstractmethod
    def combine(self, factors: Factors, U: Tensor, V: Tensor) -> Pair:
        """``U`` ``(N, C, p, r, k)`` and ``V`` ``(N, C, q, r, k')`` to ``left, right`` ``(N, C, K, k or k')``.

        For a partial ``x`` or ``y`` there are fewer blocks than ``p`` and ``q``.
        """

    def pair_from_factors(self, factors: Factors, x: Tensor, y: Tensor) -> Pair:
        """``left, right`` from all rows at once."""
        S, T = self.row_factors(factors)
        if x is y:
            return self.combine(factors, *reduce_pair(S, T, x))
        return self.combine(factors, reduce_blocks(S, x), reduce_blocks(T, y))

    def reduce_part(self, factors: Factors, x: Tensor, start: int) -> tuple[Pair, tuple[int, int]]:
        """What the rows of ``x``, those from ``start`` on of a longer one, add to ``U`` and ``V``.

        Returns the blocks ``start // size`` and following of both sides, and both sizes of a block. Where a
        subclass overrides the pair itself, its ``left, right`` are the only block: they are linear in ``x``.
        """
        if self._combines:
            S, T = self.row_factors(factors)
            return reduce_pair(S, T, x, start), (S.shape[1], T.shape[1])
        padded = F.pad(x, (0, 0, start, self.n - start - x.shape[1]))
        left, right = self.pair(factors, padded)
        return (left.unsqueeze(2), right.unsqueeze(2)), (self.n, self.n)

    def pair_from_parts(self, factors: Factors, U: Tensor, V: Tensor) -> Pair:
        """``left, right`` from the sums of what ``reduce_part`` returns for all rows."""
        return self.combine(factors, U, V) if self._combines else (U.squeeze(2), V.squeeze(2))

    @property
    def _combines(self) -> bool:
        return type(self).pair_from_factors is RowBlocks.pair_from_factors


def has_thin_pair(structure: Structure) -> bool:
    """Whether the pair of ``structure`` has ``structure.middle`` rows, not ``n``."""
    return isinstance(structure, RowBlocks) and stated_last(type(structure)) != "dense"


def reduce_blocks(S: Tensor, x: Tensor, start: int = 0) -> Tensor:
    """``Sᵀ`` on every block of rows: ``S`` ``(C, s, r)``, ``x`` ``(N, p s, k)`` to ``(N, C, p, r, k)``.

    ``x`` may also be the rows from ``start`` on of a longer one, or end within a block: an incomplete block
    is multiplied by those rows of ``S`` that belong to its rows. Then nothing of ``x`` is copied: the whole
    blocks of one sample are a view and go together, and those of several samples go one by one.
    """
    (N, rows, _), s = x.shape, S.shape[1]
    begun = start % s
    head = min(s - begun, rows) if begun else 0
    tail = (rows - head) % s
    if not head and not tail:
        return _reduce_whole_blocks(S, x)
    together = N == 1 and not is_transpose(x)
    parts = torch.split(x, [head, rows - head - tail, tail], dim=1)
    whole = [parts[1]] if together else torch.split(parts[1], s, dim=1)
    pieces = [(S[:, begun : begun + head], parts[0]), *((S, part) for part in whole), (S[:, :tail], parts[2])]
    return torch.cat([_reduce_whole_blocks(*piece) for piece in pieces if piece[1].shape[1]], dim=2)


def _reduce_whole_blocks(S: Tensor, x: Tensor) -> Tensor:
    """Views and ``bmm``, never ``matmul`` or ``einsum``, and all channels in one product.

    Those fold the product through a transposed copy of ``x`` as soon as ``S`` requires a gradient.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p, flat = n // s, S.transpose(0, 1).reshape(s, C * r)  # (s, C r)
    if is_transpose(x):  # keep to its own layout
        out = x.mT.reshape(N * k * p, s) @ flat  # (N k p, C r)
        return out.view(N, k, p, C, r).permute(0, 3, 2, 4, 1)
    out = flat.mT.expand(N * p, -1, -1).bmm(x.reshape(N * p, s, k))  # (N p, C r, k)
    return out.view(N, p, C, r, k).transpose(1, 2)


def reduce_pair(S: Tensor, T: Tensor, x: Tensor, start: int = 0) -> Pair:
    """``reduce_blocks`` for both sides; one pass over ``x`` where both blocks have one size."""
    if S.shape != T.shape:
        return reduce_blocks(S, x, start), reduce_blocks(T, x, start)
    U, V = reduce_blocks(torch.cat([S, T]), x, start).chunk(2, dim=1)
    return U, V


def mix_blocks(A: Tensor, V: Tensor) -> Tensor:
    """``A ⊗ I_r``: ``A`` ``(C, p, q)``, ``V`` ``(N, C, q, r, k)`` to ``(N, C, p, r, k)``."""
    (N, C, q, r, k), p = V.shape, A.shape[1]
    mixed = A.expand(N, -1, -1, -1).reshape(N * C, p, q).bmm(V.reshape(N * C, q, r * k))  # (N C, p, r k)
    return mixed.view(N, C, p, r, k)
