"""The rows of a directory of Parquet files, each in a part, read row group by row group."""

from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from lphm.data import conversions
from lphm.data.columns import (
    as_numbers_or_words,
    as_target,
    holds_numbers,
    require_categories,
    require_named,
)
from lphm.data.parquet_files import ParquetIndex, RowGroup
from lphm.data.row_columns import RowArrays, row_arrays, time_numbers
from lphm.data.row_options import AT_RANDOM, RowOptions
from lphm.data.statistics import Distribution
from lphm.data.tables import UNNAMED, category_columns, unnamed_index
from lphm.errors import InputError

Part = Literal["train", "validation", "test"]
#: Distinct cells of a row group that decide how a column of text is read.
MOST_CELLS = 1000
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class ParquetStream:
    """The rows of a directory of Parquet files, each in the training, validation or test part.

    The part of a row depends on the seed, the place of its file among the sorted names, and its own place in
    the file; with groups on the seed and its group alone; with times on the share of rows that are later.
    ``test`` is the share of the test part, or 0 if ``options`` name a file for it, and ``validation`` that of
    the validation part in the rest. The columns ``categories`` hold categories, whatever their values look
    like, and the columns ``texts`` free text, whose words are hashed. Raises ``InputError`` as
    ``ParquetIndex``, or if a column that is named is missing.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        drop: tuple[str, ...] = (),
        seed: int = 0,
        test: float = 0.2,
        validation: float = 0.0,
        categories: Collection[str] = (),
        options: RowOptions = AT_RANDOM,
        texts: Collection[str] = (),
    ) -> None:
        self.name, self.target, self.seed, self.options = folder.name, target, seed, options
        self.test, self.validation = test if options.test is None else 0.0, validation
        if options.test is not None and (options.group is not None or options.time is not None):
            message = "a directory must be split by a file of test rows, by group or by time"
            raise InputError(f"{message}, got two of them; leave one out")
        self.index = ParquetIndex(folder)
        self.hint: dict[str, str] = {}  # options about rows that columns suggest
        self.left_out = dict.fromkeys(unnamed_index(self.index.schema.names), UNNAMED)
        names = [name for name in self.index.schema.names if name not in self.left_out]
        self.of_rows = list(dict.fromkeys(self.options.columns_beside(target)))
        apart = [target, *drop, *self.of_rows]
        require_named(self.name, [*apart, *categories, *texts], names)
        require_categories(self.name, categories, names, target, apart)
        self.raw = [name for name in names if name not in apart]  # that the features are made of
        if not self.raw:
            raise InputError(f"{self.name} must have a column beside {target!r}, got none")
        self.groups = self.index.groups
        typed = {name for schema in self.index.schemas for name in category_columns(schema)}
        words = typed.union(categories, texts)
        self.texts = [name for name in texts if name in self.raw]
        found = {name: None if name in words else self._conversion(name) for name in [*self.raw, target]}
        number = found.pop(target)
        self.number = None if isinstance(number, conversions.DateFormat) else number  # of the target
        self.conversions: conversions.Conversions = {
            name: each for name, each in found.items() if each is not None
        }
        self.conversions |= dict.fromkeys(self.texts, conversions.TextHash())
        made = {name: each.names(name) for name, each in self.conversions.items()}
        self.columns = [column for name in self.raw for column in made.get(name, [name])]  # the features
        self.numbers = dict.fromkeys((column for columns in made.values() for column in columns), True)
        for name in [*self.raw, target]:
            if name not in made:
                is_number = name == target and self.number is not None
                self.numbers[name] = name not in words and (is_number or self._holds_numbers(name))
        self.times = None if self.options.time is None else self._distribution_of_times(self.options.time)

    @property
    def parts(self) -> list[Part]:
        """The parts that need rows."""
        needed = {"train": True, "validation": self.validation > 0, "test": self.options.test is None}
        return [part for part in PARTS if needed[part]]

    def frames(self, part: Part, groups: Iterable[int] | None = None) -> Iterator[pd.DataFrame]:
        """Features, target and weight of a part, row group by row group, without rows that lack a target."""
        for number in range(len(self.groups)) if groups is None else groups:
            frame, parts = self.group(number)
            yield frame[parts == part].reset_index(drop=True)

    def group(self, number: int) -> tuple[pd.DataFrame, np.ndarray]:
        """The rows of a row group that have a target, and the part that each is in."""
        group = self.groups[number]
        with self.index.naming(group):
            words = [name for name, numbers in self.numbers.items() if not numbers]
            words += [*self.texts, *self.options.words]
            frame = self.index.read(group, [*self.raw, self.target, *self.of_rows], words)
            target = frame[self.target] if self.number is None else self.number.column(frame[self.target])
            target = as_target(target, self.target, self.numbers[self.target])
            known = target.notna().to_numpy()
            features = as_numbers_or_words(
                conversions.convert(frame[self.raw], self.conversions), self.numbers
            )[known]
            arrays = row_arrays(frame[known], self.options)
        rows = features.assign(**{self.target: target[known]})
        if self.options.weight is not None:
            rows[self.options.weight] = arrays["weight"]
        return rows, self._parts(group, known, arrays)

    def weights(self, frame: pd.DataFrame) -> np.ndarray:
        """How much each of these rows counts, ``(N,)``."""
        weight = 1.0 if self.options.weight is None else frame[self.options.weight]
        return np.full(len(frame), weight, dtype=np.float64)

    def _holds_numbers(self, name: str) -> bool:
        """Whether a column, of no type for categories, holds numbers; text is read until a cell is none."""
        numbers = True
        for group in self.groups:
            kind = self.index.schemas[group.file].field(name).type
            if _is_number(kind) or (_is_text(kind) and not numbers):
                continue  # there is nothing more to learn
            with self.index.naming(group):
                column = self.index.read(group, [name])[name]
                numbers &= holds_numbers(column, name, name == self.target) is not False
        return numbers

    def _conversion(self, name: str) -> conversions.FoundConversion | None:
        """How a column becomes numbers, if it is written for people in all files."""
        if not self.groups or all(_is_number(schema.field(name).type) for schema in self.index.schemas):
            return None
        cells: list[pd.Series] = []
        for group in self.groups:
            with self.index.naming(group):
                column = self.index.read(group, [name])[name].drop_duplicates()
            if not cells and column.notna().any() and conversions.find_conversion(column) is None:
                return None
            cells.append(column.iloc[:MOST_CELLS])
        of_target = name == self.target
        find = conversions.target_conversion if of_target else conversions.find_conversion
        return find(pd.concat(cells))

    def _distribution_of_times(self, name: str) -> Distribution:
        """Where the times of all files lie, from one pass over their column."""
        kinds = {_kind_of_time(schema.field(name).type) for schema in self.index.schemas}
        if kinds not in ({"numbers"}, {"dates"}):
            got = " and ".join(sorted(kinds))
            raise InputError(f"the time {name!r} must hold numbers in all files, or dates in all, got {got}")
        times = Distribution()
        for group in self.groups:
            with self.index.naming(group):
                times.merge(Distribution.of(time_numbers(self.index.read(group, [name])[name])))
        return times

    def _parts(self, group: RowGroup, known: np.ndarray, arrays: RowArrays) -> np.ndarray:
        """The part of each known row, by a number in [0, 1): the smallest are the test part.

        It is the share of rows that are later, or is drawn by the seed and the group or the place of the row.
        """
        if self.times is not None:
            share = self.times.share_above(arrays["time"])
        elif "groups" in arrays:
            codes, words = pd.factorize(arrays["groups"])
            share = self._drawn(np.array([_hash(word) for word in words], dtype=np.uint64), 0)[codes]
        else:
            place = np.arange(group.offset, group.offset + group.rows, dtype=np.uint64)
            share = self._drawn(place[known], group.file + 1)
        held_out = self.test + self.validation * (1 - self.test)
        return np.where(share < self.test, "test", np.where(share < held_out, "validation", "train"))

    def _drawn(self, values: np.ndarray, stream: int) -> np.ndarray:
        """Numbers in [0, 1) that follow from the values, the seed and the number of a stream of draws."""
        key = np.uint64((self.seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03) % 2**64)
        drawn: np.ndarray = _mixed(values ^ _mixed(np.array([key], dtype=np.uint64))) / 2.0**64
        return drawn


def _kind_of_time(kind: pa.DataType) -> str:
    dates = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return "numbers" if _is_number(kind) else "dates" if dates else str(kind)


def _hash(word: str) -> int:
    """64 bits that follow from a word, on every machine."""
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, which makes neighbouring numbers unrelated (Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
