"""Sizes left to the library: the structure that makes the most of a number of parameters."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from numbers import Integral, Real
from operator import index
from typing import TYPE_CHECKING, Any

from lphm.errors import divisors, require_positive
from lphm.structures.base import Structure

if TYPE_CHECKING:
    from typing_extensions import Self


#: The most rows above ``n`` that a search of sizes tries.
MOST_MORE = 256


@dataclass(frozen=True, kw_only=True)
class Sized(Structure):
    """A structure whose sizes, of ``p``, ``q``, ``r`` and ``lags``, ``suggest`` chooses for a budget."""

    @abstractmethod
    def largest_rank(self, rows: int | None = None) -> int:
        """The largest rank that ``W``, or its leading ``rows x rows`` part, can have.

        Almost every ``w`` gives it: all but a set of measure zero.
        """

    @property
    @abstractmethod
    def degrees_of_freedom(self) -> int:
        """Dimension of the set of all ``W``: ``l`` less what the factors can trade without changing ``W``."""

    @property
    def largest_useful_r(self) -> int:
        """The ``r`` above which more of it gives no new ``W``; 0 for a structure without ``r``."""
        return 0

    @classmethod
    def suggest(cls, n: int, budget: float, *, columns: int | None = None, partial: bool = False) -> "Self":
        r"""The structure that makes the most of ``budget`` parameters.

        Of all structures of this class with ``l <= budget`` it is, in this order, the one

        1. of the largest rank: ``xi`` is a sum of as many products ``leftᵢᵀ rightᵢ``;
        2. with the fewest rows above ``n``;
        3. with the most degrees of freedom, the dimension of the set of all ``W``;
        4. with the fewest parameters.

        For LPHM with ``p = q`` a rank of ``K = p r`` takes ``l = p² + 2 n K / p²``, least at
        ``p⁴ = 2 n K``: so ``l`` parameters buy a rank of ``l² / (8 n)``, and ``2 √2 n`` of them full rank.
        The search goes over all divisors and finds what comes nearest to that.

        Args:
            n: rows of ``W`` that are needed, and columns of a square one.
            budget: an int, the largest number of parameters (of one channel); or a float above 0 and up to
                1, the share of the ``n²`` (or ``n columns``) parameters of ``Full``.
            columns: columns of a rectangular ``W``.
            partial: also try up to ``√n`` rows more, at most 256 of them, so that the search ends in seconds;
                this is how a prime ``n`` gets blocks. Where the result has a larger ``n`` than was asked for,
                it needs ``partial=True`` wherever it is used.

        Raises:
            ValueError: no structure has so few parameters; the message says how many it takes. ``partial``
                with ``columns``, which has too many sizes to search.
            TypeError: ``n`` is not an int, or ``budget`` not a number.

        Example:
            >>> LPHM.suggest(96, budget=160)
            LPHM(n=96, p=8, q=8, r=4)
            >>> LPHM.suggest(97, budget=200), LPHM.suggest(97, budget=200, partial=True)
            (LPHM(n=97, p=1, q=1, r=1), LPHM(n=100, p=10, q=10, r=5))
        """
        n = require_positive(n=n)["n"]
        if columns is not None:
            columns = require_positive(columns=columns)["columns"]
            columns = None if columns == n else columns
        if partial and columns is not None:
            raise ValueError(
                f"partial must be False for a rectangular W, got partial=True, n={n}, columns={columns}; "
                "round n and columns up yourself, to numbers with more divisors"
            )
        entries = n * (n if columns is None else columns)
        limit = parameter_limit(entries, budget)
        smallest = list(cls._smallest(n, columns, partial))
        fitting = [structure._grown(limit) for structure in smallest if structure.num_parameters <= limit]
        if fitting:
            return max(fitting, key=lambda structure: structure._merit(n))
        least = min(smallest, key=lambda structure: structure.num_parameters)
        padded = min(
            cls._smallest(n, columns, partial=columns is None), key=lambda structure: structure.num_parameters
        )
        given = f"{budget} of {entries}, that is {limit}" if isinstance(budget, float) else f"{budget}"
        fewer = padded.num_parameters < least.num_parameters
        hint = f"; partial=True takes {padded.num_parameters}, {padded}" if fewer else ""
        raise ValueError(
            f"budget must be at least {least.num_parameters} parameters, those of {least}, got {given}{hint}"
        )

    @classmethod
    def every_size(cls, n: int, columns: int | None = None, *, limit: int | None = None) -> "Iterator[Self]":
        """Every ``p`` and ``q``, with one ``r`` or lag, or the most within ``limit`` parameters."""
        choices = {"p": divisors(n), "q": divisors(columns or n), "r": [1], "lags": [1]}
        names = [field.name for field in fields(cls) if field.name in choices]
        for sizes in product(*(choices[name] for name in names)):
            structure = cls(n=n, columns=columns, **dict(zip(names, sizes, strict=True)))
            if limit is None:
                yield structure
            elif structure.num_parameters <= limit:
                yield structure._grown(limit)

    @classmethod
    def _smallest(cls, n: int, columns: int | None, partial: bool) -> "Iterator[Self]":
        """Every ``p`` and ``q`` with one ``r`` or lag, for ``n`` and with ``partial`` for some rows more.

        Of ``p`` and ``q`` of different sizes only ``p < q`` where ``W`` is square: ``Wᵀ`` has the same
        parameters and rank.
        """
        for size in range(n, n + (min(math.isqrt(n), MOST_MORE) if partial else 0) + 1):
            for structure in cls.every_size(size, columns):
                if columns or getattr(structure, "p", 1) <= getattr(structure, "q", size):
                    yield structure

    def _grown(self, limit: int) -> "Self":
        """With the largest useful ``r`` that ``limit`` parameters allow; ``l`` is linear in ``r``."""
        if self.largest_useful_r <= 1:
            return self
        larger: dict[str, Any] = {"r": 2}
        step = replace(self, **larger).num_parameters - self.num_parameters
        larger["r"] = min(self.largest_useful_r, 1 + (limit - self.num_parameters) // step)
        return replace(self, **larger)

    def _merit(self, rows: int) -> tuple[int, ...]:
        """What ``suggest`` compares, in its order."""
        rank = self.largest_rank(None if rows == self.n else rows)
        return rank, -self.n, self.degrees_of_freedom, -self.num_parameters

    def explain(self, rows: int | None = None) -> str:
        """What the sizes cost, what they give, and whether others would give more, in a few lines.

        Args:
            rows: rows of ``X`` where they are fewer than ``n`` (``partial=True``), for a square ``W``.

        Raises:
            ValueError: ``rows`` is not between 1 and ``n``, or given for a rectangular ``W``.

        Example:
            >>> print(LPHM(n=96, p=8, q=8, r=4).explain())
            LPHM(n=96, p=8, q=8, r=4)
            160 parameters, 1.74% of the 9216 of Full
            W of rank up to 32 of 96, through left and right of K = 32 rows
            2048 flops for a column of X, where Full takes 18432; then 64 for an entry of xi
            no LPHM of n=96 with as few parameters reaches a higher rank
        """
        used = self.n if rows is None else index(rows)
        if not 1 <= used <= self.n:
            raise ValueError(f"rows must be between 1 and n={self.n}, got rows={rows}")
        if rows is not None and self.columns is not None:
            raise ValueError(f"rows must be None for a rectangular W, got rows={rows}, W {self}")
        rows, columns = (used, used) if self.columns is None else self.shape
        part = None if used == self.n else used
        l, name = self.num_parameters, type(self).__name__
        best = type(self).suggest(used, l, columns=self.columns, partial=used < self.n)
        rank, better = self.largest_rank(part), best.largest_rank(None if best.n == used else used)
        sizes = f"n={used}" if self.columns is None else f"n={used}, columns={columns}"
        others = f"no {name} of {sizes} with as few parameters reaches a higher rank"
        both = "" if self.columns is None else " and one of Y"
        if better > rank:
            others = f"{best} reaches rank {better} with {best.num_parameters}"
        return (
            f"{self}{f' for {used} rows, with partial=True' if used < self.n else ''}\n"
            f"{l} parameters, {l / (used * columns):.2%} of the {used * columns} of Full\n"
            f"W of rank up to {rank} of {min(used, columns)}, "
            f"through left and right of K = {self.middle} rows\n"
            f"{self.projection_flops(1)} flops for a column of X{both}, "
            f"where Full takes {2 * used * columns}; "
            f"then {2 * self.middle} for an entry of xi\n{others}"
        )


def parameter_limit(entries: int, budget: object) -> int:
    """``budget`` as a number of parameters, for a ``W`` of so many entries."""
    if isinstance(budget, bool) or not isinstance(budget, Integral | Real):
        raise TypeError(f"budget must be an int or a float, got {budget!r} of type {type(budget).__name__}")
    if isinstance(budget, Integral):
        return int(budget)
    share = float(budget)
    if 0 < share <= 1:
        return math.floor(share * entries)
    raise ValueError(
        "budget must be an int, a number of parameters, or a float above 0 and up to 1, a share of the "
        f"entries of W, got {budget}"
    )
