"""Structures whose pair is a sum over blocks of rows, and the small products that reduce these blocks.

A row takes part in one block of either side. So whoever has part of the rows can reduce that part, and the
parts add up: over the ranks of a process group, or over the parts of a file that are read one after another.
What travels or is kept is the reduced blocks, never the rows.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from lphm.structures.base import Factors, Structure, stated_last


@dataclass(frozen=True, kw_only=True)
class RowBlocks(Structure):
    """A structure that first reduces blocks of rows, ``Sᵀ X_p`` and ``Tᵀ X_q``, and then combines them.

    It gives ``row_factors`` and ``combine`` in place of ``pair_from_factors``.

    Args:
        n: rows and columns of ``W``.
    """

    @abstractmethod
    def row_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``S`` ``(C, n/p, r)`` and ``T`` ``(C, n/q, r)``, which reduce blocks of ``n/p`` and ``n/q`` rows.

        A factor that all channels share has ``C = 1``.
        """

    @abstractmethod
    def combine(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """``U`` ``(N, C, p, r, k)`` and ``V`` ``(N, C, q, r, k)`` to ``left, right`` ``(N, C, K, k)``.

        For a partial ``x`` there are fewer blocks than ``p`` and ``q``.
        """

    def pair_from_factors(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        """``left, right`` from all rows at once."""
        S, T = self.row_factors(factors)
        return self.combine(factors, *reduce_pair(S, T, x))

    @property
    def reduces_rows(self) -> bool:
        """False for a subclass that overrides the pair or the dense form instead of the two hooks."""
        cls = type(self)
        return stated_last(cls) != "dense" and cls.pair_from_factors is RowBlocks.pair_from_factors


def has_thin_pair(structure: Structure) -> bool:
    """Whether the pair of ``structure`` has the ``middle`` rows that it states, not ``n``."""
    return isinstance(structure, RowBlocks) and stated_last(type(structure)) != "dense"


def reduce_blocks(S: Tensor, x: Tensor) -> Tensor:
    """``Sᵀ`` on every block of rows: ``S`` ``(C, s, r)``, ``x`` ``(N, p s, k)`` to ``(N, C, p, r, k)``.

    ``bmm`` on views, never ``matmul`` or ``einsum``: those fold the product through a transposed
    copy of ``x`` as soon as ``S`` requires a gradient. All channels go in one product.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p, rest = divmod(n, s)
    if rest:
        return _reduce_with_partial_block(S, x, rest) if p else reduce_blocks(S[:, :rest], x)
    flat = S.transpose(0, 1).reshape(s, C * r)  # (s, C r)
    if is_transpose(x):  # keep to its own layout
        out = x.mT.reshape(N * k * p, s) @ flat  # (N k p, C r)
        return out.view(N, k, p, C, r).permute(0, 3, 2, 4, 1)
    out = flat.mT.expand(N * p, -1, -1).bmm(x.reshape(N * p, s, k))  # (N p, C r, k)
    return out.view(N, p, C, r, k).transpose(1, 2)


def _reduce_with_partial_block(S: Tensor, x: Tensor, rest: int) -> Tensor:
    """The same where the last block of ``x`` has only ``rest`` rows: it meets the first rows of ``S``.

    Nothing of ``x`` is copied. The whole blocks of one sample are a view and go together; those of
    several samples are not, and go one by one.
    """
    whole, broken = torch.split(x, [x.shape[1] - rest, rest], dim=1)
    together = x.shape[0] == 1 and not is_transpose(x)
    parts = torch.split(whole, whole.shape[1] if together else S.shape[1], dim=1)
    sides = [reduce_blocks(S, part) for part in parts] + [reduce_blocks(S[:, :rest], broken)]
    return torch.cat(sides, dim=2)


def reduce_rows_from(S: Tensor, x: Tensor, start: int) -> Tensor:
    """``Sᵀ`` on blocks ``start // s`` and following of a longer ``x``, whose rows from ``start`` on are here.

    Blocks at either end may be broken: their sums are over the rows that are here.
    """
    s, rows = S.shape[1], x.shape[1]
    begun = start % s
    head = min(s - begun, rows) if begun else 0
    if not head:
        return reduce_blocks(S, x)
    first = reduce_blocks(S[:, begun : begun + head], x[:, :head])
    return first if head == rows else torch.cat([first, reduce_blocks(S, x[:, head:])], dim=2)


def is_transpose(x: Tensor) -> bool:
    """Whether the columns of ``x`` are contiguous and its rows are not."""
    return x.stride(-2) == 1 and x.stride(-1) != 1


def reduce_pair(S: Tensor, T: Tensor, x: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
    """``Sᵀ`` and ``Tᵀ`` on their blocks of ``x``; one pass over ``x`` where both blocks have one size.

    With ``start`` as ``reduce_rows_from``.
    """
    if S.shape != T.shape:
        return reduce_rows_from(S, x, start), reduce_rows_from(T, x, start)
    U, V = reduce_rows_from(torch.cat([S, T]), x, start).chunk(2, dim=1)
    return U, V


def mix_blocks(A: Tensor, V: Tensor) -> Tensor:
    """``A ⊗ I_r``: ``A`` ``(C, p, q)``, ``V`` ``(N, C, q, r, k)`` to ``(N, C, p, r, k)``."""
    (N, C, q, r, k), p = V.shape, A.shape[1]
    mixed = A.expand(N, -1, -1, -1).reshape(N * C, p, q).bmm(V.reshape(N * C, q, r * k))  # (N C, p, r k)
    return mixed.view(N, C, p, r, k)
