"""A directory of Parquet files, read row group by row group: no more than a few are in memory at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lphm.batches import Batch, epoch_seed
from lphm.columns import category_words, column_numbers, is_text, plain_values
from lphm.data import infer_task
from lphm.errors import InputError
from lphm.schema import CategoricalColumn, FeatureSchema, NumericColumn
from lphm.targets import ClassTarget, NumberTarget, Task

__all__ = ["ParquetStream", "Part", "StreamBatches", "StreamFit"]

Part = Literal["train", "validation", "test"]
#: More distinct words than this in a column of text are no categories.
MOST_CATEGORIES = 10_000
#: Row groups whose rows are shuffled together.
SHUFFLED_TOGETHER = 4


@dataclass(frozen=True)
class StreamFit:
    """What one pass over the training rows tells.

    Args:
        input: the schema of the features.
        target: the schema of the target.
        rows: rows of each part.
    """

    input: FeatureSchema
    target: ClassTarget | NumberTarget
    rows: dict[str, int]


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations, merged part by part (Chan et al., 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        values = values[~np.isnan(values)]
        if not len(values):
            return
        mean = float(values.mean())
        total, shift = self.count + len(values), mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + shift**2 * self.count * len(values) / total
        self.mean += shift * len(values) / total
        self.count = total

    @property
    def std(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else 0.0


@dataclass
class _Words:
    """The distinct words of a column."""

    name: str
    known: set[str] = field(default_factory=set)
    missing: bool = False

    def add(self, column: pd.Series) -> None:
        words = set(category_words(column))
        self.missing |= None in words
        self.known |= {word for word in words if word is not None}
        if len(self.known) > MOST_CATEGORIES:
            raise InputError(
                f"column {self.name!r} must hold numbers or categories, got text: more than "
                f"{MOST_CATEGORIES} distinct values; leave it out with --drop {self.name!r}"
            )


class ParquetStream:
    """The rows of all ``.parquet`` files of a directory, each in the training, validation or test part.

    Which part a row is in depends on the seed, the place of its file among the sorted names, and its own.

    Args:
        folder: the directory; its other files are ignored.
        target: the column to predict.
        drop: columns to leave out.
        seed: of the parts.
        test: share of the test part.
        validation: share of the validation part in the rest.

    Raises:
        InputError: there is no such file, one cannot be read, or its columns are not those of the first.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        drop: tuple[str, ...] = (),
        seed: int = 0,
        test: float = 0.2,
        validation: float = 0.0,
    ) -> None:
        self.name, self.target, self.seed = folder.name, target, seed
        self.test, self.validation = test, validation
        self.files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".parquet")
        if not self.files:
            raise InputError(f"{folder} must hold .parquet files, got none")
        self.groups: list[tuple[int, int, int, int]] = []  # file, row group, first row, rows
        names: list[str] = []
        for number, path in enumerate(self.files):
            metadata = _opened(path).metadata
            own = list(metadata.schema.to_arrow_schema().names)
            names = names or own
            if own != names:
                raise InputError(
                    f"{path} must have the columns of {self.files[0].name}, got {', '.join(own)}"
                )
            first = 0
            for group in range(metadata.num_row_groups):
                rows = metadata.row_group(group).num_rows
                self.groups.append((number, group, first, rows))
                first += rows
        for column in (target, *drop):
            if column not in names:
                raise InputError(f"{self.name} must have the column {column!r}, got {', '.join(names)}")
        self.columns = [name for name in names if name not in {target, *drop}]

    def frames(self, part: Part, order: list[int] | None = None) -> Iterator[pd.DataFrame]:
        """Features and target of a part, row group by row group; rows without a target are left out."""
        for number in range(len(self.groups)) if order is None else order:
            file, group, first, rows = self.groups[number]
            frame = _read_group(self.files[file], group, [*self.columns, self.target])
            kept = (self._parts(file, first, rows) == part) & frame[self.target].notna().to_numpy()
            yield frame[kept].reset_index(drop=True)

    def _parts(self, file: int, first: int, rows: int) -> np.ndarray:
        """The part of each row, by a number in [0, 1) that its place and the seed give."""
        place = np.arange(first, first + rows, dtype=np.uint64)
        key = np.uint64((self.seed * 0x9E3779B97F4A7C15 + (file + 1) * 0xD1B54A32D192ED03) % 2**64)
        share = _mixed(place ^ _mixed(np.array([key], dtype=np.uint64))) / 2.0**64
        held_out = self.test + self.validation * (1 - self.test)
        return np.where(share < self.test, "test", np.where(share < held_out, "validation", "train"))

    def fit(self, task: Task | None = None) -> StreamFit:
        """One pass over the training rows.

        Raises:
            InputError: a column cannot be learned from.
        """
        numbers: dict[str, _Moments] = {}
        words: dict[str, _Words] = {}
        target, classes = _Moments(), set()
        counts = {"train": 0}
        for frame in self.frames("train"):
            if not len(frame):
                continue
            task = task or infer_task(frame[self.target])
            counts["train"] += len(frame)
            if task == "regression":
                target.add(column_numbers(frame[self.target], self.target))
            else:
                classes |= set(plain_values(frame[self.target]))
            for name in self.columns:
                if is_text(frame[name]):
                    words.setdefault(name, _Words(name)).add(frame[name])
                else:
                    numbers.setdefault(name, _Moments()).add(column_numbers(frame[name], name))
        return StreamFit(_features(numbers, words), self._target(task, target, classes), counts)

    def _target(self, task: Task | None, number: _Moments, classes: set[Any]) -> ClassTarget | NumberTarget:
        if task is None:
            raise InputError(f"{self.name} must hold rows with a target, got none")
        if task == "regression":
            if not number.std > 0:
                raise InputError(f"target {self.target!r} must vary, got {number.mean} in every row")
            return NumberTarget(name=self.target, mean=number.mean, std=number.std)
        if len(classes) < 2:
            raise InputError(
                f"target {self.target!r} must have at least 2 classes, got {sorted(map(str, classes))}"
            )
        ordered = sorted(classes, key=lambda c: (isinstance(c, str), c))
        return ClassTarget(name=self.target, classes=ordered)


class StreamBatches:
    """Batches of a part of a stream, shuffled within a few row groups that themselves come in random order.

    Args:
        stream: the rows.
        part: which of them.
        fitted: the schemas.
        batch_size: samples in a batch.
        seed: with the number of the epoch, decides the order.
        shuffle: without it, every epoch is in the order of the files.
    """

    def __init__(
        self,
        stream: ParquetStream,
        part: Part,
        fitted: StreamFit,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
    ) -> None:
        self.stream, self.part, self.fitted = stream, part, fitted
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        known = fitted.rows.get(part)
        self.rows = sum(map(len, stream.frames(part))) if known is None else known

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.rows / self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of the epoch with this number; the same number gives the same batches."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        count = len(self.stream.groups)
        order = torch.randperm(count, generator=generator).tolist() if self.shuffle else list(range(count))
        left: tuple[Tensor, Tensor] | None = None
        for start in range(0, count, SHUFFLED_TOGETHER):
            frames = self.stream.frames(self.part, order[start : start + SHUFFLED_TOGETHER])
            x, y = self._encoded(list(frames))
            if self.shuffle:
                rows = torch.randperm(len(y), generator=generator)
                x, y = x[rows], y[rows]
            if left is not None:
                x, y = torch.cat([left[0], x]), torch.cat([left[1], y])
            whole = len(y) // self.batch_size * self.batch_size
            for at in range(0, whole, self.batch_size):
                part = slice(at, at + self.batch_size)
                yield x[part], y[part], torch.ones(self.batch_size)
            left = x[whole:].clone(), y[whole:].clone()
        if left is not None and len(left[1]):
            yield *left, torch.ones(len(left[1]))

    def _encoded(self, frames: list[pd.DataFrame]) -> tuple[Tensor, Tensor]:
        frame = pd.concat(frames, ignore_index=True)
        fitted = self.fitted
        return fitted.input.encode(frame), fitted.target.encode(frame[self.stream.target])


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: neighbours become unrelated (Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _features(numbers: dict[str, _Moments], words: dict[str, _Words]) -> FeatureSchema:
    numeric = [NumericColumn(name=n, mean=m.mean, std=m.std) for n, m in numbers.items() if m.std > 0]
    categorical = [
        CategoricalColumn(name=name, categories=sorted(w.known))
        for name, w in words.items()
        if w.known and len(w.known) + w.missing > 1
    ]
    if not numeric and not categorical:
        raise InputError(f"a feature must vary, got one value in each of: {', '.join([*numbers, *words])}")
    return FeatureSchema(numeric=numeric, categorical=categorical)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} must be a readable Parquet file, got: {str(error).splitlines()[0]}"
        ) from error


def _read_group(path: Path, group: int, columns: list[str]) -> pd.DataFrame:
    try:
        with _opened(path) as file:
            frame: pd.DataFrame = file.read_row_group(group, columns=columns).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} must be a readable Parquet file, got: {str(error).splitlines()[0]}"
        ) from error
    return frame.reset_index(drop=True)
