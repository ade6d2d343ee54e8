"""Cells as words, and the places of words among the categories of a training."""

import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

#: A column of fewer cells is faster to read cell by cell.
FEW_CELLS = 1000
#: A whole number with zeros behind the point, and a date with the time of midnight.
LONGER = re.compile(r"(-?\d+)\.0+|(\d{4}-\d\d-\d\d) 00:00:00")
#: Words for truth values, and the numbers that they mean.
TRUTH = {"true": 1, "false": 0}


def is_category(column: pd.Series) -> bool:
    """Whether the type of a column is one for categories: pandas ``category`` or Arrow ``dictionary``."""
    return isinstance(column.dtype, pd.CategoricalDtype) or _is_arrow_dictionary(column)


def _is_arrow_dictionary(column: pd.Series) -> bool:
    dtype = column.dtype
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_dictionary(dtype.pyarrow_dtype)


def text(cell: str | bytes) -> str:
    """Text as it is, and bytes as text: those that are not UTF-8 as escapes."""
    return cell.decode("utf-8", "backslashreplace") if isinstance(cell, bytes) else cell


def word(cell: Any) -> str:
    """A value as text, the same for equal numbers of any type: 1, 1.0 and Decimal('1.00') are all '1'."""
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, Integral):
        return str(int(cell))  # also one that a float cannot hold
    if isinstance(cell, Real | Decimal):
        number = float(cell)
        return str(int(number)) if number.is_integer() else repr(number)
    return text(cell) if isinstance(cell, str | bytes) else str(cell)


def category_words(column: pd.Series) -> pd.Categorical:
    """Every cell as ``word``, and missing where it is."""
    column = column.astype(object) if _is_arrow_dictionary(column) else column
    if column.dtype == object or len(column) < FEW_CELLS:
        missing = column.isna()
        return pd.Categorical(
            [None if absent else word(c) for c, absent in zip(column, missing, strict=True)]
        )
    codes, distinct = pd.factorize(column)
    words = pd.Index([word(cell) for cell in distinct], dtype=object)
    places, categories = pd.factorize(words)  # different values may have one word
    return pd.Categorical.from_codes(np.where(codes < 0, -1, np.append(places, -1)[codes]), categories)


def word_codes(column: pd.Series, words: Sequence[str]) -> np.ndarray:
    """The place of every cell among the words; -1 where it is missing or is another word.

    A cell that is none of the words may be one of them as another program or type writes it: ``1.0`` for 1,
    ``true`` for True or 1, ``2024-01-31 00:00:00`` for 2024-01-31.
    """
    if column.dtype == object or len(column) < FEW_CELLS:
        missing = column.isna()
        cells = [None if absent else word(c) for c, absent in zip(column, missing, strict=True)]
        return np.array(_places(cells, words), dtype=np.intp)
    known = category_words(column)
    codes: np.ndarray = np.array([*_places(known.categories, words), -1], dtype=np.intp)[known.codes]
    return codes


def _places(cells: Sequence[str | None], words: Sequence[str]) -> list[int]:
    """As ``word_codes``, of words, and None where one is missing."""
    places: dict[str | None, int] = {known: place for place, known in enumerate(words)}
    if unknown := {cell for cell in cells if cell is not None} - places.keys():
        alike = {_shortest(known): place for place, known in enumerate(words)}
        places |= {cell: alike.get(_shortest(cell), -1) for cell in unknown}
    return [places.get(cell, -1) for cell in cells]


def _shortest(cell: str) -> str:
    """The shortest way to write the same value."""
    longer = LONGER.fullmatch(cell)
    return (longer[1] or longer[2]) if longer else str(TRUTH.get(cell.lower(), cell))
