"""What a user should know of how cells were read, though it is no error: a line for a column."""

import shlex
from collections.abc import Collection, Mapping

import pandas as pd

from lphm.data.columns import MISSING_WORDS, holds_numbers, is_text
from lphm.data.conversions import Conversions, DateFormat
from lphm.data.dates import as_dates, other_order
from lphm.data.problems import mixture
from lphm.data.words import is_category

#: The least share of the cells of a column of categories that are numbers or dates, where that is said.
MOST_CELLS_READ = 0.9


def notes(frame: pd.DataFrame, conversions: Conversions, chosen: Collection[str]) -> dict[str, str]:
    """The lines by column, of a table as it was before ``conversions``; none of the columns ``chosen``."""
    codes: Mapping[str, str] = frame.attrs.get("codes", {})
    found = {}
    for label in frame:
        name, column = str(label), frame[label]
        conversion = conversions.get(name)
        if name in chosen or is_category(column):
            continue
        if isinstance(conversion, DateFormat):
            line = _order_of_dates(column, conversion)
        elif conversion is None and name in codes and holds_numbers(column, name):
            line = f"{name} looks like a code ({codes[name]}): --category {shlex.quote(name)}"
        else:
            line = _almost_numbers(column) if conversion is None and is_text(column) else None
        if line is not None:
            found[name] = line
    return found


def _almost_numbers(column: pd.Series) -> str | None:
    """For a column that holds categories because of a few cells."""
    words = column.dropna().astype(object).map(lambda cell: str(cell).strip())
    mixed = mixture(words[~words.str.lower().isin(MISSING_WORDS)])
    if mixed is None or mixed.read < MOST_CELLS_READ * mixed.cells:
        return None
    rows = "1 row" if mixed.others == 1 else f"{mixed.others:,} rows"
    return (
        f"{column.name}: {mixed.read:,} of {mixed.cells:,} cells are such as {mixed.example!r:.60}, but not "
        f"{mixed.other!r:.60} ({rows}): used as categories; leave such cells empty to use numbers or dates"
    )


def _order_of_dates(column: pd.Series, found: DateFormat) -> str | None:
    """For dates of which no cell shows whether the day or the month stands first."""
    other = other_order(found.format)
    if other is None:
        return None
    cells = column.dropna()
    numbers = as_dates(cells, found.format)
    if as_dates(cells, other)[numbers.notna()].isna().any():
        return None
    differs = cells[as_dates(cells, other) != numbers]
    if differs.empty:
        return None
    first = "month" if found.format.startswith("%m") else "day"
    meant = as_dates(differs[:1], found.format).iloc[0].strftime("%Y-%m-%d")
    return (
        f"{column.name}: {first} first, though no cell shows it: {differs.iloc[0]} is read as {meant}; "
        "write dates as 2024-12-31 if that is wrong"
    )
