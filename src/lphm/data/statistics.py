"""Statistics of columns, merged part by part: what the schema of a table is made from."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lphm.data.columns import category_words, column_numbers, is_text
from lphm.errors import InputError


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of numbers (merged as in Chan et al., 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """The moments of an array, in which ``nan`` is missing."""
        missing = np.isnan(values)
        count = len(values) - int(missing.sum())
        if not count:
            return cls()
        mean = float(np.where(missing, 0.0, values).sum() / count)
        deviations = np.where(missing, 0.0, values - mean)
        return cls(count, mean, float((deviations * deviations).sum()))

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


@dataclass
class Words:
    """The distinct words of a column of text, and whether some are missing."""

    distinct: set[str] = field(default_factory=set)
    missing: bool = False

    @classmethod
    def of(cls, column: pd.Series) -> "Words":
        """The words of a column."""
        words = set(category_words(column))
        return cls({word for word in words if word is not None}, None in words)

    def merge(self, other: "Words") -> None:
        """Add the words of ``other``."""
        self.distinct |= other.distinct
        self.missing |= other.missing

    @property
    def varies(self) -> bool:
        """Whether there is more than one value; a missing one counts as a value."""
        return bool(self.distinct) and len(self.distinct) + self.missing > 1


@dataclass
class ColumnStatistics:
    """Statistics of the columns of a table: text is categories, everything else must be numbers."""

    numbers: dict[str, Moments] = field(default_factory=dict)
    words: dict[str, Words] = field(default_factory=dict)

    def add(self, name: str, column: pd.Series) -> None:
        """Take a column that was not added yet.

        Raises:
            InputError: it holds neither text nor finite numbers.
        """
        if is_text(column):
            self.words[name] = Words.of(column)
        else:
            self.numbers[name] = Moments.of(column_numbers(column, name))

    def merge(self, other: "ColumnStatistics") -> None:
        """Add the rows of ``other``."""
        for name, moments in other.numbers.items():
            self.numbers.setdefault(name, Moments()).merge(moments)
        for name, words in other.words.items():
            self.words.setdefault(name, Words()).merge(words)


def free_text(name: str, distinct: str) -> InputError:
    """The error for a column with too many distinct words to be categories."""
    return InputError(
        f"column {name!r} must hold numbers or categories, got text: {distinct}; leave it out",
        option="drop",
        value=name,
    )
