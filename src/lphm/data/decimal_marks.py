"""Which mark stands before the decimals of a table's numbers: decided once, from all of its columns.

1.234 is one thousand two hundred and thirty-four in a table with numbers such as 3,5, and a little more than
one in another. A column whose cells can be read either way is read as the other columns say.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from lphm.data.columns import MISSING_WORDS
from lphm.data.number_formats import DecimalComma, ambiguous_cell, are_grouped, proven_decimal
from lphm.data.words import is_category, text

#: From here on, 1.234 is no number with thousands; and how exact a decimal fraction is as a float.
THOUSAND, ROUNDING = 1000, 1e-6


def content_of(column: pd.Series) -> Literal["date", "duration", "text"] | None:
    """What a column may be converted from."""
    types = pd.api.types
    if is_category(column) or types.is_bool_dtype(column.dtype) or types.is_numeric_dtype(column.dtype):
        return None
    content = types.infer_dtype(column.astype(object), skipna=True)
    if content in ("datetime", "datetime64", "date"):
        return "date"
    if content in ("timedelta", "timedelta64", "time"):
        return "duration"
    return "text" if content in ("string", "bytes") else None


def text_cells(column: pd.Series) -> list[str]:
    """The distinct cells of text, but words for a missing value."""
    distinct = (text(cell).strip() for cell in column.dropna().unique())
    return [cell for cell in distinct if cell.lower() not in MISSING_WORDS]


def decimal_comma(frame: pd.DataFrame) -> DecimalComma:
    """Whether the numbers of a table have decimal commas: as its file said, or as its columns of text do."""
    known: DecimalComma | None = frame.attrs.get("decimal_comma")
    if known is not None:
        return known
    return _decided({proven_decimal(cells) for cells in _columns_of_text(frame).values()}, ",")


def settle_decimals(
    frame: pd.DataFrame, separator: str, as_text: Callable[[Sequence[str]], pd.DataFrame]
) -> pd.DataFrame:
    """The table of a text file, in which numbers that may have thousands, such as 1.234, are text again.

    ``attrs`` has ``decimal_comma``, ``decimal`` for messages, and ``ambiguous``: a cell of each column that
    can be read in two ways.
    """
    cells = _columns_of_text(frame)
    proven = {proven_decimal(each) for each in cells.values()}
    floats = [name for name in frame if frame[name].dtype.kind == "f"]
    suspects = [name for name in floats if _may_have_thousands(frame[name])]
    proven |= {"."} if len(suspects) < len(floats) else set()
    if suspects and ("," in proven or separator == ";"):
        for name, column in as_text(suspects).items():
            if are_grouped(distinct := text_cells(column)):
                frame[name], cells[str(name)] = column, distinct
            elif any("." in cell for cell in distinct):
                proven.add(".")
    comma = _decided(proven, separator)
    found = {name: ambiguous_cell(each) for name, each in cells.items()}
    frame.attrs |= {
        "decimal_comma": comma,
        "decimal": "," if comma == "proven" else ".",
        "ambiguous": {name: cell for name, cell in found.items() if cell and (comma != "no" or "," in cell)},
    }
    return frame


def _columns_of_text(frame: pd.DataFrame) -> dict[str, list[str]]:
    return {str(label): text_cells(frame[label]) for label in frame if content_of(frame[label]) == "text"}


def _may_have_thousands(column: pd.Series) -> bool:
    """Whether floats could be cells such as 1.234 and 955 of a file."""
    numbers: np.ndarray[Any, Any] = np.abs(column[np.isfinite(column)].to_numpy())
    thousandths = numbers[numbers % 1 > 0] * 1000  # of 1.000 nothing can be seen any more
    exact = np.abs(thousandths - thousandths.round()) < ROUNDING
    return bool((thousandths < 1000 * THOUSAND).all() and (thousandths >= 1000).all() and exact.all())


def _decided(proven: set[Literal[".", ","] | None], separator: str) -> DecimalComma:
    if "," in proven and ("." not in proven or separator != ","):
        return "proven"
    return "likely" if separator == ";" and "." not in proven else "no"
