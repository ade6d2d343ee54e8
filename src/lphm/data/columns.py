"""Columns of a table as numbers, as words, or as plain values; what cannot be read is refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lphm.errors import InputError

#: Words that stand for a missing value in a column whose other values are numbers. In a column of
#: text they are categories like any other.
MISSING_WORDS = frozenset({"na", "n/a", "nan", "null", "none", "?", "-", ""})


def is_text(column: pd.Series) -> bool:
    """Whether the column holds text or categories."""
    types = pd.api.types
    return bool(
        types.is_string_dtype(column.dtype)
        or types.is_object_dtype(column.dtype)
        or isinstance(column.dtype, pd.CategoricalDtype)
    )


def missing_words_to_nan(column: pd.Series) -> pd.Series:
    """Numbers in which some cells say 'NA' or '?' are numbers; anything else is left as it is."""
    if not is_text(column):
        return column
    words = column.astype("string").str.strip().str.lower()
    numbers = pd.to_numeric(column.mask(words.isin(MISSING_WORDS)), errors="coerce")
    unread = column.notna() & numbers.isna() & ~words.isin(MISSING_WORDS).fillna(False)
    return column if unread.any() or numbers.notna().sum() == 0 else numbers


def column_numbers(column: pd.Series, name: str) -> np.ndarray:
    """A column as float64, ``nan`` where missing; refuses text, dates and infinities."""
    column = missing_words_to_nan(column)
    if is_text(column):
        numbers = pd.to_numeric(column, errors="coerce")
        unread = column[column.notna() & numbers.isna()]
        if len(unread):
            raise InputError(
                f"column {name!r} must hold numbers, got {unread.iloc[0]!r} in row {unread.index[0] + 1}"
            )
        column = numbers
    elif not (pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)):
        raise InputError(
            f"column {name!r} must hold numbers or categories, got {column.dtype}; convert it or drop it"
        )
    values: np.ndarray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax()) + 1
        raise InputError(f"column {name!r} must hold finite numbers, got {values[row - 1]} in row {row}")
    return values


def category_words(column: pd.Series) -> list[str | None]:
    """Every value as text, None where it is missing."""
    return [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]


def plain_values(column: pd.Series) -> list[Any]:
    """Python values; a whole float is an int, whatever else is not a number or bool is text."""

    def plain(value: Any) -> bool | int | float | str:
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, bool | int | float) else str(value)

    return [plain(value) for value in column]


def require_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise ``InputError`` unless the table has all these columns."""
    absent = [name for name in names if name not in frame.columns]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise InputError(f"the table must have every column of training, missing: {absent[:5]}{more}")
