"""Dates and durations, from their types or from text."""

import re
from collections.abc import Sequence
from datetime import date, datetime
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
#: the day. In a table with decimal commas the day stands first.
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
#: Text with a year that may be before 1678 or after 2261: pandas 2 counts nanoseconds, and reads no others.
DISTANT = re.compile(r"(?<!\d)(?:0\d|1[0-6]|2[2-9]|[3-9]\d)\d\d(?!\d)")
#: What microseconds reach, up to some years.
MOST_YEARS = 290_000
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
DAY = 86_400


def other_order(form: str) -> str | None:
    """The format with day and month the other way round; None if there is none, or the month is a word."""
    first, second = form[:2], form[3:5]
    swapped = f"{second}{form[2:3]}{first}{form[5:]}"
    return swapped if {first, second} == {"%d", "%m"} and swapped in FORMATS else None


def date_format(cells: Sequence[str], day_first: bool = False) -> str | None:
    """The format that reads all cells, "ISO8601" if it is that one; None if there is none.

    If the cells do not show whether the day or the month stands before a slash, it is the month, or the day
    with ``day_first``.
    """
    everything = pd.Series(cells, dtype=object)
    if all(map(ISO.fullmatch, cells)):
        return ISO8601 if _parsed(everything, ISO8601).notna().all() else None
    first = everything[:FIRST_CELLS]
    if not all(any(map(str.isdigit, cell)) and 6 <= len(cell) <= 40 for cell in first):
        return None
    formats = FORMATS[1:]
    if day_first:
        formats.sort(key=lambda form: form.startswith("%m/"))
    for form in formats:
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
    read = pd.to_datetime(dates, errors="coerce", utc=True).dt.tz_localize(None)
    read = _filled(read, dates[read.isna() & dates.notna()].map(_stamp))
    return _filled(read, _parsed(words, form))


def _parsed(cells: pd.Series, form: str) -> pd.Series:
    read = pd.to_datetime(cells, format=form, errors="coerce", utc=True).dt.tz_localize(None)
    missed = cells[read.isna() & cells.notna()]
    distant = missed[missed.map(DISTANT.search).notna()]
    return _filled(read, distant.map(lambda cell: _distant(cell, form)))


def _distant(cell: str, form: str) -> np.datetime64:
    """Text by Python, which reads the years 1 to 9999."""
    try:
        return _stamp(datetime.fromisoformat(cell) if form == ISO8601 else datetime.strptime(cell, form))
    except ValueError:
        return np.datetime64("NaT", "us")


def _stamp(cell: date | np.datetime64) -> np.datetime64:
    """A date in UTC, in microseconds, which reach 290,000 years; NaT beyond."""
    try:
        stamp = pd.Timestamp(cell)
        stamp = stamp if stamp.tzinfo is None else stamp.tz_convert(None)
        counted: np.datetime64 = stamp.as_unit("us").to_datetime64()
    except (ValueError, OverflowError):
        return np.datetime64("NaT", "us")
    return counted


def _filled(dates: pd.Series, others: pd.Series) -> pd.Series:
    """``dates``, and where one is missing that of ``others``; in microseconds if both have some."""
    others = others.astype("datetime64[us]") if others.dtype == object else others
    if not others.notna().any():
        return dates
    others = others.reindex(dates.index)
    if not dates.notna().any():
        return others
    near = dates.where(dates.dt.year.abs() < MOST_YEARS)
    return near.astype("datetime64[us]").fillna(others.astype("datetime64[us]"))


def since_1970(dates: pd.Series, unit: int = 1) -> np.ndarray:
    """So many ``unit`` seconds since 1970 for dates without a zone; ``nan`` where there is none.

    The difference that pandas takes may be in nanoseconds, which reach from 1678 to 2261 only.
    """
    counted = dates.dt.unit
    values = dates.to_numpy(dtype=f"datetime64[{counted}]")
    return np.where(np.isnat(values), np.nan, values.astype(np.int64) / (PER_SECOND[counted] * unit))


def date_part(dates: pd.Series, part: DatePart) -> np.ndarray:
    """A part of each date as a number, Monday being 0; ``nan`` where there is none."""
    if part == "days":
        return since_1970(dates, DAY)
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
