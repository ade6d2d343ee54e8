"""Columns that say how rows are split, what they count and in which order they come."""

from typing import Literal, TypedDict

import numpy as np
import pandas as pd

from lphm.data.columns import column_numbers, holds_numbers, row_number
from lphm.data.conversions import (
    DateFormat,
    DurationFormat,
    NumberFormat,
    convert,
    find_conversion,
    find_conversions,
)
from lphm.data.dates import ISO8601, as_dates, since_1970
from lphm.data.decimal_marks import decimal_comma
from lphm.data.row_options import RowOptions
from lphm.data.words import category_words
from lphm.errors import InputError


class RowArrays(TypedDict, total=False):
    """Fields of ``Dataset``: words, numbers in order of time, and numbers of at least 0; ``(N,)`` each."""

    groups: np.ndarray
    time: np.ndarray
    weight: np.ndarray


def row_arrays(frame: pd.DataFrame, options: RowOptions) -> RowArrays:
    """The columns of the frame that the options name.

    Raises:
        InputError: a cell is missing, or is not what it should be.
    """
    arrays: RowArrays = {}
    of_numbers = [name for name in (options.time, options.weight) if name is not None]
    found = find_conversions(frame[of_numbers], comma=decimal_comma(frame))
    frame = convert(frame, {name: form for name, form in found.items() if isinstance(form, NumberFormat)})
    if options.group is not None:
        arrays["groups"] = group_words(frame[options.group])
    if options.time is not None:
        arrays["time"] = time_numbers(frame[options.time])
        _require(~np.isnan(arrays["time"]), frame[options.time], "time", "a number or a date")
    if options.weight is not None:
        arrays["weight"] = column_numbers(frame[options.weight], options.weight)
        _require(arrays["weight"] >= 0, frame[options.weight], "weight", "a number of at least 0")
    return arrays


def group_words(column: pd.Series) -> np.ndarray:
    """The group of every row as a word; a missing one is an ``InputError``."""
    words = category_words(column)
    _require(words.codes >= 0, column, "group", "a word or a number")
    return np.asarray(words, dtype=object)


def time_numbers(column: pd.Series) -> np.ndarray:
    """Times as float64, ``nan`` where missing: numbers as they are, dates in seconds, UTC without a zone."""
    times = in_order(column, str(column.name), "time")
    if pd.api.types.is_timedelta64_dtype(times.dtype):
        times = times.dt.total_seconds()
    elif not pd.api.types.is_float_dtype(times.dtype):
        if isinstance(times.dtype, pd.ArrowDtype):
            return since_1970(as_dates(times, ISO8601))
        return since_1970(times if times.dt.tz is None else times.dt.tz_convert(None))
    numbers: np.ndarray = times.to_numpy(dtype=np.float64)
    return numbers


def in_order(column: pd.Series, name: str, role: Literal["step", "time"]) -> pd.Series:
    """What orders the cells: numbers, or dates; text may hold numbers, dates or times of day."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        return column
    text = column.astype(object)
    content = pd.api.types.infer_dtype(text)
    if content in ("date", "datetime", "datetime64"):
        return as_dates(column, ISO8601)
    if content != "string" or holds_numbers(text, name):
        return pd.Series(column_numbers(column, name), column.index)
    dates = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    unread = (dates.isna() & text.notna()).to_numpy()
    if unread.any():
        found = find_conversion(column)
        if isinstance(found, DateFormat):
            return as_dates(column, found.format)
        if isinstance(found, DurationFormat):
            return found.column(column)
        position = int(unread.argmax())
        raise InputError(
            f"the {role} {name!r} must hold numbers or dates such as 2024-01-31, got {text.iloc[position]!r} "
            f"in row {row_number(column.index, position)}; write it so that the order is clear"
        )
    return dates


def _require(right: np.ndarray, column: pd.Series, role: str, wanted: str) -> None:
    """Raise ``InputError`` for the first row that is not right."""
    if not right.all():
        position = int(right.argmin())
        cell = column.iloc[position]
        got = "none" if pd.isna(cell) else f"{cell!s:.40}"
        row = row_number(column.index, position)
        raise InputError(f"the {role} {column.name!r} must be {wanted} in every row, got {got} in row {row}")
