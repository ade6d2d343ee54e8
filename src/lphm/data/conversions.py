"""Columns that are written for people: numbers with signs and separators, dates, and durations.

Such a column becomes one or several columns of numbers. How it is read is decided from all of its cells at
training, and saved, so that a file of one row is read in the same way.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Annotated, Literal, TypeAlias
from zlib import crc32

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lphm.data.columns import MISSING_WORDS, holds_numbers, plain_value, row_number
from lphm.data.dates import (
    DATE_PARTS,
    FORMATS,
    ISO8601,
    DatePart,
    as_dates,
    as_seconds,
    date_format,
    date_part,
)
from lphm.data.decimal_marks import content_of, decimal_comma, text_cells
from lphm.data.number_formats import Decimal, DecimalComma, Marks, Thousands, find_marks, other_decimal
from lphm.data.words import text, word
from lphm.errors import InputError

#: A target of so many distinct cells with a sign is classes.
MOST_WORDS = 20
#: A word of a text.
TOKEN = re.compile(r"\w+")
#: A date of which a format shows an example.
EXAMPLE = pd.Timestamp(2024, 12, 31, 18, 30)


class Conversion(BaseModel, ABC):
    """How the cells of a column become numbers; as a string, what they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def names(self, column: str) -> list[str]:
        """The columns of numbers that the column becomes."""
        return [column]

    def numbers(self, column: pd.Series) -> dict[str, np.ndarray]:
        """These columns by name, ``nan`` where a cell is missing.

        One column of a type of numbers has become what it becomes already.

        Raises:
            InputError: a cell cannot be read.
        """
        if self.names(str(column.name)) == [column.name] and pd.api.types.is_numeric_dtype(column.dtype):
            return {str(column.name): column.to_numpy(dtype=np.float64, na_value=np.nan)}
        missing = column.isna() | column.map(_is_missing_word, na_action="ignore").eq(True)
        columns, read = self._read(column.mask(missing), str(column.name))
        right = read | missing.to_numpy()
        if not right.all():
            position = int(right.argmin())
            cell, row = plain_value(column.iloc[position]), row_number(column.index, position)
            wanted = f"a {self} in every row, as at training"
            got = f"got {cell!r:.60} in row {row}"
            got += other_decimal(cell, self.decimal) if isinstance(self, NumberFormat) else ""
            raise InputError(f"column {column.name!r} must hold {wanted}, {got}")
        return columns

    def readable(self, column: pd.Series) -> pd.Series:
        """Which cells of text can be read, or are missing."""
        missing = column.isna() | column.map(_is_missing_word, na_action="ignore").eq(True)
        return pd.Series(self._read(column.mask(missing), str(column.name))[1], column.index) | missing

    def column(self, column: pd.Series) -> pd.Series:
        """The one column of numbers that it becomes."""
        (numbers,) = self.numbers(column).values()
        return pd.Series(numbers, column.index, name=column.name)

    @abstractmethod
    def _read(self, column: pd.Series, name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The columns of numbers, and which cells could be read."""


class NumberFormat(Conversion):
    """Numbers with a mark between thousands, a comma before decimals, a currency or a unit."""

    kind: Literal["number"] = "number"
    decimal: Decimal = "."
    thousands: Thousands = ""
    sign: str = ""

    def __str__(self) -> str:
        return f"number such as 1{self.thousands}234{self.decimal}5 {self.sign}".rstrip()

    def _read(self, column: pd.Series, name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        codes, distinct = pd.factorize(column)
        numbers = [self.number(cell) for cell in distinct]
        of_all = np.array([*(np.nan if number is None else number for number in numbers), np.nan])[codes]
        return {name: of_all}, ~np.isnan(of_all)

    def number(self, cell: object) -> float | None:
        """The number that a cell is; None if it is none."""
        if isinstance(cell, str | bytes):
            return Marks(self.decimal, self.thousands, self.sign).read(text(cell).strip())
        return float(cell) if isinstance(cell, int | float | np.number) else None


class DateFormat(Conversion):
    """Dates and times."""

    kind: Literal["date"] = "date"
    format: str = ISO8601  # of text
    parts: tuple[DatePart, ...] = DATE_PARTS

    @field_validator("format")
    @classmethod
    def _is_known(cls, form: str) -> str:
        if form not in FORMATS:
            raise ValueError(f"format must be one that dates are read in, got {form!r}")
        return form

    def __str__(self) -> str:
        example = "2024-12-31" if self.format == ISO8601 else EXAMPLE.strftime(self.format)
        return f"date such as {example}"

    def names(self, column: str) -> list[str]:
        """A column for each part."""
        return [f"{column}: {part}" for part in self.parts]

    def _read(self, column: pd.Series, name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        dates = as_dates(column, self.format)
        parts = {
            made: date_part(dates, part) for made, part in zip(self.names(name), self.parts, strict=True)
        }
        return parts, dates.notna().to_numpy()


class DurationFormat(Conversion):
    """Durations and times of day, as seconds."""

    kind: Literal["duration"] = "duration"

    def __str__(self) -> str:
        return "duration such as 01:30:00"

    def _read(self, column: pd.Series, name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        seconds = as_seconds(column).to_numpy(dtype=np.float64)
        return {name: seconds}, ~np.isnan(seconds)


class TextHash(Conversion):
    """Free text as how often its words occur: feature hashing (Weinberger et al., 2009, ICML).

    As scikit-learn's ``HashingVectorizer``, which takes too long to import for a prediction.
    """

    kind: Literal["text"] = "text"
    buckets: int = Field(default=32, ge=1, le=2**16)

    def __str__(self) -> str:
        return f"text, its words hashed to {self.buckets} numbers"

    def names(self, column: str) -> list[str]:
        """A column for each bucket."""
        return [f"{column}: {bucket}" for bucket in range(self.buckets)]

    def _read(self, column: pd.Series, name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
        codes, distinct = pd.factorize(column)
        counts = np.zeros((len(distinct) + 1, self.buckets))
        for row, cell in enumerate(distinct):
            for token in TOKEN.findall(word(cell).lower()):
                number = crc32(token.encode("utf-8", "surrogatepass"))
                counts[row, number % self.buckets] += 1 if number >> 31 else -1
        counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
        counts[-1] = np.nan
        return dict(zip(self.names(name), counts[codes].T, strict=True)), codes >= 0


AnyConversion: TypeAlias = Annotated[
    NumberFormat | DateFormat | DurationFormat | TextHash, Field(discriminator="kind")
]
#: Conversions that are found from the cells of a column.
FoundConversion: TypeAlias = NumberFormat | DateFormat | DurationFormat
#: Conversions that give one column of numbers, and so may be those of a target.
NumberConversion: TypeAlias = Annotated[NumberFormat | DurationFormat, Field(discriminator="kind")]
Conversions: TypeAlias = dict[str, AnyConversion]


def find_conversions(
    frame: pd.DataFrame, without: Collection[str] = (), comma: DecimalComma | None = None
) -> Conversions:
    """The columns that are written for people, but those in ``without``, and how they are read.

    If ``comma`` is not given, all columns decide what 1,234 and 1.234 are.
    """
    comma = comma or decimal_comma(frame)
    found = {str(label): find_conversion(frame[label], comma) for label in frame if str(label) not in without}
    return {name: conversion for name, conversion in found.items() if conversion is not None}


def find_conversion(column: pd.Series, comma: DecimalComma = "no") -> FoundConversion | None:
    """How a column is read, if it is written for people; None if it holds plain numbers, words or no cell."""
    content = content_of(column)
    if content == "date":
        return _with_parts_that_vary(column, ISO8601)
    if content == "duration":
        return DurationFormat()
    cells = text_cells(column) if content == "text" else []
    return _of_text(column, cells, comma) if cells else None


def _of_text(column: pd.Series, cells: Sequence[str], comma: DecimalComma) -> FoundConversion | None:
    marks = find_marks(cells, comma)
    if marks is not None:
        return NumberFormat(decimal=marks.decimal, thousands=marks.thousands, sign=marks.sign)
    form = date_format(cells, day_first=comma == "proven")
    if form is not None:
        return _with_parts_that_vary(column, form)
    if as_seconds(pd.Series(cells[:1], dtype=object)).isna().any():
        return None
    return None if as_seconds(pd.Series(cells, dtype=object)).isna().any() else DurationFormat()


def target_conversion(column: pd.Series, comma: DecimalComma = "no") -> NumberConversion | None:
    """How a target that is written for people becomes a number.

    None also where it has few distinct cells, unless these would be other numbers: 1.234 with thousands.
    """
    found = find_conversion(column, comma)
    if found is None or isinstance(found, DateFormat):
        return None
    if column.nunique() > MOST_WORDS:
        return found
    return found if isinstance(found, NumberFormat) and holds_numbers(column, str(column.name)) else None


def channel_conversions(
    frame: pd.DataFrame, channels: Sequence[Sequence[str]], comma: DecimalComma = "no"
) -> Conversions:
    """How the columns of the channels of series become numbers; those of one channel in one way."""
    found: Conversions = {}
    for columns in channels:
        cells = [frame[column] for column in columns]
        if any(content_of(column) == "text" for column in cells):  # numbers beside it are text of one channel
            cells = [column.astype(object).map(word, na_action="ignore") for column in cells]
        together = pd.concat(cells, ignore_index=True)
        conversion = find_conversion(together, comma)
        if conversion is not None and not isinstance(conversion, DateFormat):
            found |= dict.fromkeys(columns, conversion)
    return found


def _with_parts_that_vary(column: pd.Series, form: str) -> DateFormat:
    dates = as_dates(column, form).dropna()
    varying = tuple(part for part in DATE_PARTS if len(np.unique(date_part(dates, part))) > 1)
    return DateFormat(format=form, parts=varying or ("year",))


def convert(frame: pd.DataFrame, conversions: Conversions) -> pd.DataFrame:
    """The same table, in which the columns that are there have become columns of numbers, in their place."""
    if not any(name in frame for name in conversions):
        return frame
    columns: dict[str, pd.Series | np.ndarray] = {}
    for label in frame:
        conversion = conversions.get(str(label))
        if conversion is None:
            columns[label] = frame[label]
            continue
        for name, numbers in conversion.numbers(frame[label]).items():
            if name != label and name in frame:
                raise InputError(f"column {label!r} becomes {name!r}, which is a column too; rename that one")
            columns[name] = numbers
    return pd.DataFrame(columns, index=frame.index)


def sources(names: Sequence[str], conversions: Conversions) -> list[str]:
    """The column of a table that each of these columns was made of."""
    made_of = {made: name for name, conversion in conversions.items() for made in conversion.names(name)}
    return [made_of.get(name, name) for name in names]


def _is_missing_word(cell: object) -> bool:
    return isinstance(cell, str | bytes) and text(cell).strip().lower() in MISSING_WORDS
