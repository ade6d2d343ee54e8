"""One pass over the training rows of a stream fits its schemas; processes share the pass and get the same."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lphm.data.columns import ColumnStatistics, Moments, column_numbers, plain_values, unusable_column
from lphm.data.dataset import infer_task
from lphm.data.parquet import PARTS, ParquetStream, Part
from lphm.data.progress import Progress, no_progress
from lphm.data.schema import FeatureSchema, feature_schema
from lphm.data.targets import ClassTarget, NumberTarget, Task, sorted_classes
from lphm.distributed import gather_results, rank, world_size
from lphm.errors import InputError

#: A column of text with more distinct words than this is free text. The table in memory has a stricter rule.
MOST_CATEGORIES = 10_000


@dataclass(frozen=True)
class StreamFit:
    """The schemas of the features and of the target, and the rows of each part."""

    input: FeatureSchema
    target: ClassTarget | NumberTarget
    counts: dict[Part, list[int]]  # in every row group

    @property
    def rows(self) -> dict[Part, int]:
        """Rows of each part."""
        return {part: sum(counts) for part, counts in self.counts.items()}


@dataclass
class _GroupStatistics:
    """Rows of each part in one row group; the columns of its training rows, and the classes of the target."""

    counts: dict[Part, int]
    columns: ColumnStatistics = field(default_factory=ColumnStatistics)
    classes: set[Any] = field(default_factory=set)


def fit_stream(
    stream: ParquetStream, task: Task | None = None, progress: Progress | None = None
) -> StreamFit:
    """Fit the schemas of a stream; each process reads a share of the row groups and reports its progress.

    Statistics are merged in the order of the row groups, so the result is the same bit for bit for any number
    of processes. They are merged once every process has read one, so memory does not grow with the rows. A
    task that is not given is decided from the first targets.
    """
    task = task or _infer(stream)
    columns, classes = ColumnStatistics(), set()
    counts: dict[Part, list[int]] = {part: [] for part in PARTS}
    for first in range(0, len(stream.groups), world_size()):
        for group in gather_results(partial(_read, stream, task, first, progress or no_progress)):
            if group is not None:
                columns.merge(group.columns)
                _check_categories(columns)
                classes |= group.classes
                for part, rows in group.counts.items():
                    counts[part].append(rows)
    target = columns.numbers.pop(stream.target, Moments())
    varying = {name for name, moments in columns.numbers.items() if moments.std > 0}
    return StreamFit(feature_schema(columns, varying), _target(stream.target, task, target, classes), counts)


def _infer(stream: ParquetStream) -> Task:
    for frame in stream.frames("train"):
        if len(frame):
            return infer_task(frame[stream.target])
    raise InputError(f"{stream.name} must hold rows with a target, got none")


def _read(stream: ParquetStream, task: Task, first: int, progress: Progress) -> _GroupStatistics | None:
    """The statistics of this process's row group among those from ``first`` on; None if it has none left."""
    numbers = range(rank(), len(stream.groups), world_size())
    done = first // world_size()
    if done == len(numbers):
        return None
    group = _statistics(stream, task, numbers[done])
    progress(f"reading {stream.name}", done + 1, len(numbers))
    return group


def _statistics(stream: ParquetStream, task: Task, number: int) -> _GroupStatistics:
    frame, parts = stream.group(number)
    statistics = _GroupStatistics({part: int((parts == part).sum()) for part in PARTS})
    frame = frame[parts == "train"]
    if not len(frame):
        return statistics
    if task == "regression":
        numbers = column_numbers(frame[stream.target], stream.target)
        statistics.columns.numbers[stream.target] = Moments.of(numbers)
    else:
        statistics.classes = set(plain_values(frame[stream.target]))
    for name in stream.columns:
        statistics.columns.add(name, frame[name])
    _check_categories(statistics.columns)
    return statistics


def _check_categories(columns: ColumnStatistics) -> None:
    for name, words in columns.words.items():
        if len(words - {None}) > MOST_CATEGORIES:
            got = f"text: more than {MOST_CATEGORIES} distinct values"
            raise unusable_column(name, "numbers or categories", got)


def _target(name: str, task: Task, moments: Moments, classes: set[Any]) -> ClassTarget | NumberTarget:
    if task == "regression":
        if not moments.std > 0:
            raise InputError(f"target {name!r} must vary, got {moments.mean} in every row")
        return NumberTarget(name=name, mean=moments.mean, std=moments.std)
    if len(classes) < 2:
        raise InputError(f"target {name!r} must have at least 2 classes, got {sorted(map(str, classes))}")
    return ClassTarget(name=name, classes=sorted_classes(classes))
