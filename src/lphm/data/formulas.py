"""Text in CSV files that a spreadsheet would run as a formula.

Spreadsheets take a cell as a formula if it begins with =, +, - or @, or with a tab or a line break, and a
formula from a stranger can send other cells away. With an apostrophe before it, it is text. What begins with
apostrophes and would be a formula without them gets one more, so that reading back is exact. Numbers, and
``+`` and ``-`` alone, are left as they are.
"""

import re
from collections.abc import Callable

import pandas as pd
from pandas.api.types import is_numeric_dtype

FORMULA = re.compile(r"'*([=@\t\r\n]|[+-](?![\d.]*$))")


def guard_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, with an apostrophe before every text, also in the names, that would be a formula."""
    return _map_text(frame, lambda text: f"'{text}" if FORMULA.match(text) else text)


def unguard_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """What ``guard_formulas`` was given."""
    return _map_text(frame, lambda text: text[1:] if text[:1] == "'" and FORMULA.match(text) else text)


def _map_text(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    def changed(cell: object) -> object:
        return change(cell) if isinstance(cell, str) else cell

    frame = frame.rename(columns=changed)
    if not is_numeric_dtype(frame.index):
        frame = frame.rename(index=changed)
    for i, dtype in enumerate(frame.dtypes):
        if not is_numeric_dtype(dtype):
            frame.isetitem(i, frame.iloc[:, i].map(changed))
    return frame
