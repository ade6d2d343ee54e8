"""Statistics of columns that are gathered part by part: moments, quantiles and distinct words."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lphm.data.columns import column_numbers, is_text
from lphm.data.words import category_words


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of numbers, merged part by part (Chan et al., 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """The moments of an array, in which ``nan`` is missing."""
        count = int(np.count_nonzero(~np.isnan(values)))
        mean = float(np.nanmean(values)) if count else 0.0
        return cls(count, mean, float(np.nansum((values - mean) ** 2)))

    def merge(self, other: "Moments") -> None:
        """Add the numbers of ``other``."""
        if not other.count:
            return
        total, shift = self.count + other.count, other.mean - self.mean
        self.squares += other.squares + shift**2 * self.count * other.count / total
        self.mean += shift * other.count / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation; 0 without numbers."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


#: Most numbers that describe a distribution while it is gathered.
MOST_POINTS = 4096
#: Its multiples have fractional parts that are spread evenly.
GOLDEN_RATIO = (1 + math.sqrt(5)) / 2


@dataclass
class Distribution:
    """Where the numbers of a column lie: themselves while they are few, else as many of their quantiles.

    Each point stands for ``weights`` numbers. Distributions are merged part by part.
    """

    points: np.ndarray = field(default_factory=lambda: np.empty(0))
    weights: np.ndarray = field(default_factory=lambda: np.empty(0))

    @classmethod
    def of(cls, values: np.ndarray) -> "Distribution":
        """The distribution of an array, in which ``nan`` is missing."""
        present = np.sort(values[~np.isnan(values)])
        return cls(present, np.ones(len(present)))._reduced()

    def merge(self, other: "Distribution") -> None:
        """Add the numbers of ``other``."""
        points = np.concatenate([self.points, other.points])
        order = points.argsort(kind="stable")
        weights = np.concatenate([self.weights, other.weights])[order]
        vars(self).update(vars(Distribution(points[order], weights)._reduced()))

    def edges(self, pieces: int) -> list[float]:
        """At most ``pieces + 1`` increasing numbers, from the smallest to the largest one.

        A number that is more frequent than a piece's share is an edge, such as the zero of a column that is
        mostly zeros; the other edges are quantiles of the numbers that are left.
        """
        if not len(self.points):
            return []
        points, place = np.unique(self.points, return_inverse=True)
        rest = np.bincount(place, self.weights)
        frequent = np.zeros(len(points), dtype=bool)
        while (more := rest * (pieces - frequent.sum()) > rest.sum()).any():
            frequent |= more
            rest = np.where(frequent, 0, rest)
        left = pieces - frequent.sum()
        inner = Distribution(points, rest)._quantiles(np.arange(1, left) / left)
        distinct = np.unique(np.concatenate([points[[0, -1]], points[frequent], inner]))
        return [float(edge) for edge in distinct]

    def share_above(self, values: np.ndarray) -> np.ndarray:
        """The share of the numbers that are larger than each of these values."""
        upto = np.append(0.0, self.weights.cumsum())
        shares: np.ndarray = 1 - upto[self.points.searchsorted(values, side="right")] / upto[-1]
        return shares

    def _quantiles(self, shares: np.ndarray) -> np.ndarray:
        upto = self.weights.cumsum()
        found: np.ndarray = self.points[np.searchsorted(upto, shares * upto[-1])]
        return found

    def _reduced(self) -> "Distribution":
        """The same in at most ``MOST_POINTS`` points, of which the first and the last are the extremes.

        Each other point is one of an equal share of the numbers, at a place in it that differs from reduction
        to reduction, so that many of them do not move the quantiles to one side. The extremes have weight 0.
        """
        if len(self.points) <= MOST_POINTS:
            return self
        count = MOST_POINTS // 2 - 2  # half, so that not every merge is followed by a reduction
        total = self.weights.sum()
        inner = self._quantiles((np.arange(count) + total * GOLDEN_RATIO % 1) / count)
        points = np.concatenate([self.points[:1], inner, self.points[-1:]])
        weights = np.full(count + 2, total / count)
        weights[[0, -1]] = 0
        return Distribution(points, weights)


@dataclass
class ColumnStatistics:
    """Moments and distributions of columns of numbers, and the distinct words of columns of text.

    A missing word is None.
    """

    numbers: dict[str, Moments] = field(default_factory=dict)
    distributions: dict[str, Distribution] = field(default_factory=dict)
    words: dict[str, set[str | None]] = field(default_factory=dict)

    def add(self, name: str, column: pd.Series) -> None:
        """Take a column of numbers or of categories that was not added yet."""
        if is_text(column):
            words = category_words(column)
            self.words[name] = {*words.categories, *([None] if (words.codes < 0).any() else [])}
        else:
            numbers = column_numbers(column, name)
            self.numbers[name], self.distributions[name] = Moments.of(numbers), Distribution.of(numbers)

    def merge(self, other: "ColumnStatistics") -> None:
        """Add the rows of ``other``."""
        for name, moments in other.numbers.items():
            self.numbers.setdefault(name, Moments()).merge(moments)
        for name, distribution in other.distributions.items():
            self.distributions.setdefault(name, Distribution()).merge(distribution)
        for name, words in other.words.items():
            self.words.setdefault(name, set()).update(words)
