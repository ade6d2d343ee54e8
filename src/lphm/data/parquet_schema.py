"""One pass over the rows of a stream fits its schemas; processes share the pass and get the same."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from lphm.data.columns import check_distance, column_numbers, plain_values, unusable_column
from lphm.data.dataset import check_counts, task_of
from lphm.data.fitting import feature_schema
from lphm.data.parquet import PARTS, ParquetStream, Part
from lphm.data.progress import Progress, no_progress
from lphm.data.schema import FeatureSchema
from lphm.data.statistics import ColumnStatistics, Moments
from lphm.data.targets import ClassTarget, NumberTarget, Task, sorted_classes
from lphm.distributed import gather_results, rank, world_size
from lphm.errors import InputError

#: A column of text with more distinct words than this is free text. The table in memory has a stricter rule.
MOST_CATEGORIES = 10_000


@dataclass(frozen=True)
class StreamFit:
    """The schemas of the features and of the target, the rows of each part, and the mean weight."""

    input: FeatureSchema
    target: ClassTarget | NumberTarget
    counts: dict[Part, list[int]]  # in every row group
    weight: float = 1.0  # mean of the training rows

    @property
    def rows(self) -> dict[Part, int]:
        """Rows of each part."""
        return {part: sum(counts) for part, counts in self.counts.items()}


@dataclass
class _GroupStatistics:
    """Rows and weight of each part, the columns of the training rows, targets and extremes of all rows."""

    counts: dict[Part, int] = field(default_factory=dict)
    weights: dict[Part, float] = field(default_factory=dict)  # sums
    columns: ColumnStatistics = field(default_factory=ColumnStatistics)
    extremes: dict[str, tuple[float, float]] = field(default_factory=dict)
    targets: Counter[Any] | None = field(default_factory=Counter)  # None if they are too many to be classes

    def add_extremes(self, extremes: dict[str, tuple[float, float]]) -> None:
        """Extend the ranges of the columns."""
        for name, each in extremes.items():
            low, high = zip(each, self.extremes.get(name, each), strict=True)
            self.extremes[name] = float(np.fmin(*low)), float(np.fmax(*high))

    def add_targets(self, targets: Counter[Any] | None) -> None:
        """Count more targets."""
        together = None if self.targets is None or targets is None else self.targets + targets
        self.targets = together if together is not None and len(together) <= MOST_CATEGORIES else None


def fit_stream(
    stream: ParquetStream, task: Task | None = None, progress: Progress | None = None
) -> StreamFit:
    """Fit the schemas of a stream; each process reads a share of the row groups and reports its progress.

    Statistics are merged in the order of the row groups, so the result is the same bit for bit for any number
    of processes. They are merged once every process has read one, so memory does not grow with the rows. The
    targets of all rows, of whatever part, decide the task, and every row is checked.
    """
    if task == "regression":
        stream.numbers[stream.target] = True  # also if its type is one for categories
    together = _GroupStatistics()
    counts: dict[Part, list[int]] = {part: [] for part in PARTS}
    weights = dict.fromkeys(PARTS, 0.0)
    for first in range(0, len(stream.groups), world_size()):
        for group in gather_results(partial(_read, stream, first, progress or no_progress)):
            if group is not None:
                together.columns.merge(group.columns)
                _check_categories(together.columns)
                together.add_targets(group.targets)
                together.add_extremes(group.extremes)
                for part, rows in group.counts.items():
                    counts[part].append(rows)
                    weights[part] += group.weights[part]
    for part in stream.parts:
        if not weights[part] > 0:
            got = f"got {sum(counts[part])} rows of weight 0 in it" if any(counts[part]) else "got none in it"
            named = "training" if part == "train" else part
            raise InputError(f"{stream.name} must hold enough rows for a {named} part, {got}")
    columns = together.columns
    moments = columns.numbers.pop(stream.target, Moments())
    varying = {name for name, moments in columns.numbers.items() if moments.std > 0}
    target = _target(stream, task, moments, together.targets)
    features = feature_schema(columns, varying, stream.conversions)
    ranges = [(column.name, column.mean, column.std) for column in features.numeric]
    ranges += [(target.name, target.mean, target.std)] if isinstance(target, NumberTarget) else []
    for name, mean, std in ranges:
        check_distance(name, np.array(together.extremes[name]), mean, std)
    return StreamFit(features, target, counts, weights["train"] / sum(counts["train"]))


def _read(stream: ParquetStream, first: int, progress: Progress) -> _GroupStatistics | None:
    """The statistics of this process's row group among those from ``first`` on; None if it has none left."""
    numbers = range(rank(), len(stream.groups), world_size())
    done = first // world_size()
    if done == len(numbers):
        return None
    group = _statistics(stream, numbers[done])
    progress(f"reading {stream.name}", done + 1, len(numbers))
    return group


def _statistics(stream: ParquetStream, number: int) -> _GroupStatistics:
    frame, parts = stream.group(number)
    weights = stream.weights(frame)
    statistics = _GroupStatistics(
        counts={part: int((parts == part).sum()) for part in PARTS},
        weights={part: float(weights[parts == part].sum()) for part in PARTS},
    )
    target = frame[stream.target]
    few = target.nunique() <= MOST_CATEGORIES
    statistics.add_targets(Counter(plain_values(target)) if few else None)
    for name in [*stream.columns, stream.target]:
        if stream.numbers[name]:
            statistics.extremes[name] = frame[name].min(), frame[name].max()  # nan if all are missing
    frame = frame[parts == "train"]
    if not len(frame):
        return statistics
    if stream.numbers[stream.target]:
        statistics.columns.numbers[stream.target] = Moments.of(
            column_numbers(frame[stream.target], stream.target)
        )
    for name in stream.columns:
        statistics.columns.add(name, frame[name])
    _check_categories(statistics.columns)
    return statistics


def _check_categories(columns: ColumnStatistics) -> None:
    for name, words in columns.words.items():
        if len(words - {None}) > MOST_CATEGORIES:
            got = f"text: more than {MOST_CATEGORIES} distinct values"
            raise unusable_column(name, "numbers or categories", got)


def _target(
    stream: ParquetStream, task: Task | None, moments: Moments, targets: Counter[Any] | None
) -> ClassTarget | NumberTarget:
    name, are_numbers = stream.target, stream.numbers[stream.target]
    if targets is not None:
        task = task or (task_of(targets) if are_numbers else "classification")
        check_counts(name, targets, task)
    elif not are_numbers or task == "classification":
        raise InputError(f"target {name!r} must have at most {MOST_CATEGORIES} classes, got more")
    if task == "classification" and targets is not None:
        return ClassTarget(name=name, classes=sorted_classes(set(targets)))
    if not moments.std > 0:
        raise InputError(f"target {name!r} must vary, got {moments.mean} in every row")
    return NumberTarget(name=name, mean=moments.mean, std=moments.std, conversion=stream.number)
