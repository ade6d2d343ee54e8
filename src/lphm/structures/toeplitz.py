"""Stationary: W[i, j] depends on the lag j - i alone."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeGuard

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.structures.base import Factors, Structure, dense_pair
from lphm.structures.sizing import Sized

if TYPE_CHECKING:
    from typing_extensions import Self

#: ``W x`` is computed in blocks of so many rows, or of ``lags`` rows where these are more.
BLOCK_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class Toeplitz(Sized):
    r"""Stationary ``W``: one coefficient for each lag, ``W[i, j] = t[j - i]`` up to the largest lag ``h``.

    The vector holds ``t[-h], …, t[0], …, t[h]``, ``l = lags = 2 h + 1``; entries of ``W`` at larger lags are
    0. So ``xi`` is a sum of lagged covariances of the columns, uncentred and not divided by ``n``:

        xi = Σ_τ t[τ] C(τ)      C(τ) = Σ_i x_i x_{i+τ}ᵀ, in which column b comes τ rows after column a.

    ``left, right = X, W X`` and ``K = n``. ``W X`` is a short convolution, computed in blocks of
    ``s = max(lags, 32)`` rows: a block is the product of one band, ``s x (s + 2 h)``, with its rows and ``h``
    more on either side. That takes ``2 n (s + 2 h) k`` flops, and ``W`` is formed for ``n <= s`` only.

    Both signs of a lag have a coefficient, so that one entry of ``xi`` tells whether column ``a`` leads or
    follows column ``b``: ``t[-τ] = -t[τ]`` gives ``xi = -xiᵀ``. Coefficients of one sign would do where the
    entries are only read, because ``C(-τ) = C(τ)ᵀ``, but not where ``xi`` is applied.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; row ``i`` of ``X`` and row ``i`` of ``Y`` are at the same time.
        lags: number of lags, odd, at most ``2 n - 1``, or ``2 columns - 1`` if these are fewer: 0 and as many
            backwards as forwards.

    Raises:
        ValueError: ``lags`` is even or too large; others as ``Structure``.

    Example:
        >>> Toeplitz(n=96, lags=9).num_parameters     # lags -4 … 4; dense: 9216
        9

    Reference:
        Brockwell and Davis (1991), Time Series: Theory and Methods, chapter 11, whose ``Γ(-τ)`` is estimated
        by ``C(τ) / n`` of centred columns.
    """

    lags: int
    name: ClassVar[str] = "toeplitz"

    def __post_init__(self) -> None:
        super().__post_init__()
        most = 2 * min(self.shape) - 1
        if self.lags % 2 == 0 or self.lags > most:
            size = "n" if min(self.shape) == self.n else "columns"
            raise ValueError(
                f"lags must be odd, as many backwards as forwards and 0, and at most 2 {size} - 1 = {most}, "
                f"got lags={self.lags}, {size}={min(self.shape)}; use lags={min(self.lags - 1, most)}"
            )

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``t`` ``(lags,)``."""
        return {"t": (self.lags,)}

    @property
    def terms(self) -> float:
        """1 in the band and 0 elsewhere: the share of entries in the band, for ``n²`` ``Σ_τ (n - |τ|)``."""
        n, columns = self.shape
        h, more = self.largest_lag, abs(n - columns)
        m = min(h, more)  # the longer side has min(|τ|, more) entries more for each of its lags
        return (self.lags * min(n, columns) - h * (h + 1) + m * (m + 1) // 2 + (h - m) * more) / (n * columns)

    @property
    def largest_lag(self) -> int:
        """``h``."""
        return self.lags // 2

    @property
    def halo(self) -> int:
        """How many rows before a block of rows are needed to count all its pairs; at least 1."""
        return max(self.largest_lag, 1)

    def projection_flops(self, k: int) -> int:
        """``W`` on ``y`` of one block, else the band on every block of rows."""
        (n, columns), s = self.shape, self._block_rows
        if n <= s:
            return 2 * n * min(columns, n + self.largest_lag) * k
        return 2 * -(-n // s) * s * (s + self.lags - 1) * k

    def largest_rank(self, rows: int | None = None) -> int:
        """All rows, or columns: ``t[0] = 1`` and 0 elsewhere is the identity matrix."""
        return min(self.shape) if rows is None else rows

    @property
    def degrees_of_freedom(self) -> int:
        """``l``: every coefficient has its own diagonals."""
        return self.lags

    def _grown(self, limit: int) -> "Self":
        """With the most lags that ``limit`` parameters allow."""
        most = min(limit, 2 * min(self.shape) - 1)
        return replace(self, lags=most - 1 + most % 2)

    def dense_from_factors(self, factors: Factors) -> Tensor:
        """``W`` ``(C, n, columns)``."""
        (t,) = factors  # (C, lags)
        return _dense(t, *self.shape)

    def pair_from_factors(self, factors: Factors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """``X`` and ``W Y``; ``x`` ``(N, rows, k)`` may have any number of rows, also more than ``n``."""
        (t,) = factors  # (C, lags)
        rows, h, s = x.shape[1], self.largest_lag, self._block_rows
        if rows <= s:
            reached = y if x is y else y[:, : rows + h]
            return dense_pair(_dense(t, rows, reached.shape[1]), x, reached)
        blocks = -(-rows // s)
        padded = F.pad(y, (0, 0, h, (blocks + 1) * s - h - y.shape[1]))  # cut where W is 0
        parts = torch.unflatten(padded, 1, (blocks + 1, s))  # (N, blocks + 1, s, k)
        windows = torch.cat([parts[:, :-1], parts[:, 1:, : 2 * h]], dim=2)  # (N, blocks, s + 2 h, k)
        right = _band(t, s).flatten(0, 1) @ windows  # (N, blocks, C s, k)
        right = torch.unflatten(right, 2, (len(t), s)).transpose(1, 2)  # (N, C, blocks, s, k)
        return x.unsqueeze(1), right.flatten(2, 3)[:, :, :rows]

    def pair_of_new_rows(self, factors: Factors, recent: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pair of what ``x`` adds to ``xi`` when all rows before it have been counted.

        It counts the pairs of rows of which one or both are in ``x``, and none of two rows in ``recent``. So
        the sum over the parts of ``X`` is ``xi`` of all rows.

        Shape:
            ``recent`` ``(N, halo, k)``, the rows before those of ``x``, zero where there are none; ``x``
            ``(N, rows, k)``, perhaps no rows; ``left`` and ``right`` ``(N, C or 1, halo + rows, k)``.
        """
        halo = self.halo
        rows, first = torch.cat([recent, x], dim=1), F.pad(x[:, :halo], (0, 0, halo, 0))
        left, right = self.pair_from_factors(factors, rows, rows)
        _, onto_recent = self.pair_from_factors(factors, first, first)
        return left, torch.cat([onto_recent[:, :, :halo], right[:, :, halo:]], dim=2)

    @property
    def _block_rows(self) -> int:
        """``s``, above ``2 h``."""
        return max(self.lags, BLOCK_ROWS)


def _band(t: Tensor, s: int) -> Tensor:
    """``t`` ``(C, lags)`` to ``(C, s, s + lags - 1)``: row ``i`` holds ``t`` from column ``i`` on."""
    width = s + t.shape[1] - 1
    rows = F.pad(t, (0, s)).unsqueeze(1).expand(-1, s, -1)  # (C, s, width + 1)
    # Cut anew into rows that are shorter by one, t moves on by one from row to row.
    return torch.unflatten(rows.flatten(1)[:, : s * width], 1, (s, width))


def _dense(t: Tensor, n: int, columns: int) -> Tensor:
    """``t`` ``(C, lags)`` to ``W`` ``(C, n, columns)``."""
    h = t.shape[1] // 2
    W = _band(t, n)[:, :, h : h + columns]
    return F.pad(W, (0, columns - W.shape[2])) if W.shape[2] < columns else W


def is_stationary(structure: Structure) -> "TypeGuard[Toeplitz]":
    """Whether ``W`` is that of ``Toeplitz``, which a subclass may have changed."""
    return type(structure) is Toeplitz
