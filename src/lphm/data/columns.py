"""Columns of a table as numbers, as words, or as plain Python values, and their statistics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lphm.errors import InputError

#: Words that stand for a missing value in a column whose other values are numbers. In a column of text they
#: are categories.
MISSING_WORDS = frozenset({"na", "n/a", "nan", "null", "none", "?", "-", ""})


def is_text(column: pd.Series) -> bool:
    """Whether the column holds text or categories."""
    return isinstance(column.dtype, pd.CategoricalDtype) or bool(pd.api.types.is_string_dtype(column.dtype))


def missing_words_to_nan(column: pd.Series) -> pd.Series:
    """A column of numbers in which some cells say 'NA' or '?' as numbers; any other column unchanged."""
    if not is_text(column):
        return column
    numbers, unread = _read_numbers(column)
    return column if unread.any() or numbers.notna().sum() == 0 else numbers


def _read_numbers(column: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Text as numbers, and which cells are neither a number nor a word for a missing value."""
    missing = column.astype("string").str.strip().str.lower().isin(MISSING_WORDS)
    numbers = pd.to_numeric(column.mask(missing), errors="coerce")
    unread = column.notna() & numbers.isna() & ~missing
    return numbers, unread.to_numpy(dtype=bool)


def column_numbers(column: pd.Series, name: str) -> np.ndarray:
    """A column as float64, ``nan`` where missing; ``InputError`` for text, dates and infinities."""
    if is_text(column):
        numbers, unread = _read_numbers(column)
        if unread.any():
            value, row = _first(column, unread)
            raise InputError(f"column {name!r} must hold numbers, got {value!r} in row {row}")
        column = numbers
    elif not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)):
        raise unusable_column(name, "numbers or categories", str(column.dtype), "convert it or leave it out")
    values: np.ndarray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        value, row = _first(column, np.isinf(values))
        raise InputError(f"column {name!r} must hold finite numbers, got {value} in row {row}")
    return values


def table_numbers(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Columns of a table as float64, ``(N, columns)``; otherwise as ``column_numbers``."""
    # Choosing columns takes as long as a small network does with a row.
    chosen = frame if frame.columns.tolist() == list(names) else frame[list(names)]
    if all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in chosen.dtypes):
        values: np.ndarray = chosen.to_numpy(dtype=np.float64)
        if not np.isinf(values).any():
            return values
    columns = [column_numbers(frame[name], name) for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))


def _first(column: pd.Series, chosen: np.ndarray) -> tuple[Any, int]:
    """The first chosen value and its row: by the number it had in the whole table, counted from 1."""
    position = int(chosen.argmax())
    label = column.index[position]
    return column.iloc[position], (int(label) if isinstance(label, int | np.integer) else position) + 1


def category_words(column: pd.Series) -> list[str | None]:
    """Every value as text, None where it is missing."""
    return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def plain_values(column: pd.Series) -> list[Any]:
    """Python values: bool, int, float or text. A whole float becomes an int."""
    values = [value.item() if isinstance(value, np.generic) else value for value in column]
    values = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
    return [value if isinstance(value, bool | int | float) else str(value) for value in values]


def table_with(inputs: pd.DataFrame | np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """The inputs, if they are a table that has all columns that a run was trained on."""
    if not isinstance(inputs, pd.DataFrame):
        got = f"{type(inputs).__name__} of {np.shape(inputs)}"
        raise InputError(f"samples must be rows of a table, got {got}")
    absent = [name for name in names if name not in inputs.columns]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise InputError(f"the table must have every column of training, missing: {absent[:5]}{more}")
    return inputs


def require_named(source: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise ``InputError`` unless every name that a user gave is one of the columns of ``source``."""
    for name in names:
        if name not in columns:
            raise InputError(f"{source} must have the column {name!r}, got {', '.join(map(str, columns))}")


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
        """The distinct ones of ``pieces + 1`` quantiles, smallest and largest number included."""
        if not len(self.points):
            return []
        inner = self._quantiles(np.arange(1, pieces) / pieces)
        distinct = np.unique(np.concatenate([self.points[:1], inner, self.points[-1:]]))
        return [float(edge) for edge in distinct]

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
        """Take a column that was not added yet: text as categories, everything else as numbers."""
        if is_text(column):
            self.words[name] = set(category_words(column))
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


def unusable_column(name: str, wanted: str, got: str, remedy: str = "leave it out") -> InputError:
    """The error for a column that does not hold what is wanted, and that can be dropped."""
    message = f"column {name!r} must hold {wanted}, got {got}; {remedy}"
    return InputError(message, option="drop", value=name)
