"""Dates and durations, from their types or from text."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Literal, get_args

import numpy as np
import pandas as pd

from lphm.data.words import text

DatePart = Literal["year", "month", "day", "weekday", "hour", "days"]
#: The last is the time that has passed, in days since 1970.
DATE_PARTS: tuple[DatePart, ...] = get_args(DatePart)
ISO = re.compile(
    r"\d{4}-\d\d(?:-\d\d(?:[T ]\d\d(?::?\d\d(?::?\d\d(?:\.\d+)?)?)?"  # 2024-01-31T12:30:00.5
    r" ?(?:Z|[+-]\d\d(?::?\d\d)?)?)?)?"  # Z or +02:00
)
#: Of two formats that read all cells, the first counts: a slash stands behind the month, another mark behind
#: the day.
DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%b %Y", "%B %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %H:%M")
ISO8601 = "ISO8601"
FULL = ("%Y%m%dT%H%M%S", "%a %b %d %H:%M:%S %Y")
FORMATS = [ISO8601, *(days + times for days in DAYS for times in TIMES), *FULL]
CLOCK = re.compile(r"(?:(\d+) days?,? )?(-?\d{1,4}:\d\d)(:\d\d(?:\.\d+)?)?")
#: Cells that a format must read before all are tried.
FIRST_CELLS = 20


def date_format(cells: Sequence[str]) -> str | None:
    """The format that reads all cells, "ISO8601" if it is that one; None if there is none."""
    everything = pd.Series(cells, dtype=object)
    if all(map(ISO.fullmatch, cells)):
        return ISO8601 if _parsed(everything, ISO8601).notna().all() else None
    first = everything[:FIRST_CELLS]
    if not all(any(map(str.isdigit, cell)) and 6 <= len(cell) <= 40 for cell in first):
        return None
    for form in FORMATS[1:]:
        if _parsed(first, form).notna().all() and _parsed(everything, form).notna().all():
            return form
    return None


def as_dates(column: pd.Series, form: str) -> pd.Series:
    """Dates in the zone of their column, or in UTC where text has a zone; missing where a cell is no date."""
    if isinstance(column.dtype, pd.ArrowDtype):
        column = column.astype(object)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.dt.tz_localize(None)
    cells = column.astype(object)
    # Numbers are no dates: pandas would count them from 1970.
    dates = cells.map(lambda cell: cell if isinstance(cell, date | np.datetime64) else None)
    words = cells.map(lambda cell: text(cell).strip() if isinstance(cell, str | bytes) else None)
    return pd.to_datetime(dates, errors="coerce", utc=True).dt.tz_localize(None).fillna(_parsed(words, form))


def _parsed(cells: pd.Series, form: str) -> pd.Series:
    return pd.to_datetime(cells, format=form, errors="coerce", utc=True).dt.tz_localize(None)


def date_part(dates: pd.Series, part: DatePart) -> np.ndarray:
    """A part of each date as a number, Monday being 0; ``nan`` where there is none."""
    if part == "days":
        passed: np.ndarray = ((dates - pd.Timestamp(0)) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)
        return passed
    of_all = getattr(dates.dt, "day_of_week" if part == "weekday" else part)
    numbers: np.ndarray = of_all.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def as_seconds(column: pd.Series) -> pd.Series:
    """Durations in seconds, and times of day in seconds since midnight; missing where a cell is neither."""
    if isinstance(column.dtype, pd.ArrowDtype):
        column = column.astype(object)
    if not pd.api.types.is_timedelta64_dtype(column.dtype):
        column = pd.to_timedelta(column.astype(object).map(_clock, na_action="ignore"), errors="coerce")
    return column.dt.total_seconds()


def _clock(cell: object) -> object:
    """A duration as it is; a time of day, and text such as 1:30, as pandas reads durations."""
    if hasattr(cell, "total_seconds") or isinstance(cell, np.timedelta64):
        return cell
    clock = CLOCK.fullmatch(str(cell).strip())
    return None if clock is None else f"{clock[1] or 0} days {clock[2]}{clock[3] or ':00'}"
