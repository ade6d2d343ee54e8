"""What one pass over the training rows of a stream tells; ranks share the pass, and come to the same."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lphm.data.columns import category_words, column_numbers, is_text, plain_values
from lphm.data.dataset import infer_task
from lphm.data.parquet import PARTS, ParquetStream, Part
from lphm.data.schema import CategoricalColumn, FeatureSchema, NumericColumn
from lphm.data.targets import ClassTarget, NumberTarget, Task
from lphm.distributed import gathered, rank, ranks
from lphm.errors import InputError

#: More distinct words than this in a column of text are no categories.
MOST_CATEGORIES = 10_000


@dataclass(frozen=True)
class StreamFit:
    """What one pass over the training rows tells.

    Args:
        input: the schema of the features.
        target: the schema of the target.
        counts: of each part, its rows in every row group.
    """

    input: FeatureSchema
    target: ClassTarget | NumberTarget
    counts: dict[Part, list[int]]

    @property
    def rows(self) -> dict[Part, int]:
        """Rows of each part."""
        return {part: sum(counts) for part, counts in self.counts.items()}


@dataclass
class _Moments:
    """Count, mean and sum of squared deviations, merged part by part (Chan et al., 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "_Moments":
        values = values[~np.isnan(values)]
        if not len(values):
            return cls()
        mean = float(values.mean())
        return cls(len(values), mean, float(((values - mean) ** 2).sum()))

    def merge(self, other: "_Moments") -> None:
        if not other.count:
            return
        total, shift = self.count + other.count, other.mean - self.mean
        self.squares += other.squares + shift**2 * self.count * other.count / total
        self.mean += shift * other.count / total
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

    @classmethod
    def of(cls, name: str, column: pd.Series) -> "_Words":
        words = set(category_words(column))
        found = cls(name)
        found.merge(cls(name, {word for word in words if word is not None}, None in words))
        return found

    def merge(self, other: "_Words") -> None:
        self.missing |= other.missing
        self.known |= other.known
        if len(self.known) > MOST_CATEGORIES:
            raise InputError(
                f"column {self.name!r} must hold numbers or categories, got text: more than "
                f"{MOST_CATEGORIES} distinct values; leave it out with --drop {self.name!r}"
            )


@dataclass
class _Statistics:
    """Of the training rows of one row group."""

    counts: dict[Part, int]
    numbers: dict[str, _Moments] = field(default_factory=dict)
    words: dict[str, _Words] = field(default_factory=dict)
    target: _Moments = field(default_factory=_Moments)
    classes: set[Any] = field(default_factory=set)


def fit_stream(
    stream: ParquetStream, task: Task | None = None, after: Callable[[int], None] | None = None
) -> StreamFit:
    """One pass over the training rows, each rank over a share of the row groups.

    What was found in each row group is merged in their order, so it is the same bit for bit for any number of
    ranks.

    Args:
        stream: the rows.
        task: decided from the first target if not given.
        after: called with 1 for each row group that this rank has read.

    Raises:
        InputError: a column cannot be learned from.
    """
    task = task or _infer(stream)
    found: dict[int, _Statistics] = {}
    for share in gathered(_share(stream, task, after)):
        if isinstance(share, InputError):
            raise share
        found |= share
    numbers: dict[str, _Moments] = {}
    words: dict[str, _Words] = {}
    target, classes = _Moments(), set()
    for number in range(len(stream.groups)):
        part = found[number]
        for name, moments in part.numbers.items():
            numbers.setdefault(name, _Moments()).merge(moments)
        for name, own in part.words.items():
            words.setdefault(name, _Words(name)).merge(own)
        target.merge(part.target)
        classes |= part.classes
    counts = {part: [found[i].counts[part] for i in range(len(stream.groups))] for part in PARTS}
    return StreamFit(_features(numbers, words), _target(stream, task, target, classes), counts)


def _infer(stream: ParquetStream) -> Task:
    for frame in stream.frames("train"):
        if len(frame):
            return infer_task(frame[stream.target])
    raise InputError(f"{stream.name} must hold rows with a target, got none")


def _share(
    stream: ParquetStream, task: Task, after: Callable[[int], None] | None
) -> dict[int, _Statistics] | InputError:
    """Of the row groups of this rank; what one rank cannot read, all are told."""
    found = {}
    try:
        for number in range(rank(), len(stream.groups), ranks()):
            found[number] = _statistics(stream, task, number)
            if after is not None:
                after(1)
    except InputError as error:
        return error
    return found


def _statistics(stream: ParquetStream, task: Task, number: int) -> _Statistics:
    frame, parts = stream.group(number)
    found = _Statistics({part: int((parts == part).sum()) for part in PARTS})
    frame = frame[parts == "train"]
    if not len(frame):
        return found
    if task == "regression":
        found.target = _Moments.of(column_numbers(frame[stream.target], stream.target))
    else:
        found.classes = set(plain_values(frame[stream.target]))
    for name in stream.columns:
        if is_text(frame[name]):
            found.words[name] = _Words.of(name, frame[name])
        else:
            found.numbers[name] = _Moments.of(column_numbers(frame[name], name))
    return found


def _target(
    stream: ParquetStream, task: Task, number: _Moments, classes: set[Any]
) -> ClassTarget | NumberTarget:
    name = stream.target
    if task == "regression":
        if not number.std > 0:
            raise InputError(f"target {name!r} must vary, got {number.mean} in every row")
        return NumberTarget(name=name, mean=number.mean, std=number.std)
    if len(classes) < 2:
        raise InputError(f"target {name!r} must have at least 2 classes, got {sorted(map(str, classes))}")
    return ClassTarget(name=name, classes=sorted(classes, key=lambda c: (isinstance(c, str), c)))


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
