"""Samples with a target, and the checks that a model can be trained on a target."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from lphm.data.columns import column_numbers, plain_values
from lphm.data.conversions import Conversions, NumberConversion
from lphm.data.fitting import fit_features, fit_grid, fit_series
from lphm.data.row_options import AT_RANDOM, RowOptions
from lphm.data.schema import InputSchema
from lphm.data.targets import Task
from lphm.data.words import is_category
from lphm.errors import InputError

#: Fewest rows, and fewest rows of a class, from which a test part and a validation part can be split off.
FEWEST_ROWS = 20
FEWEST_PER_CLASS = 3


@dataclass(frozen=True)
class Dataset:
    """Samples with a target, in memory: rows of a table, or an array ``(N, steps, channels)`` of series."""

    name: str  # for messages and the run folder
    inputs: pd.DataFrame | np.ndarray
    target: pd.Series
    weight: np.ndarray | None = None  # how much each sample counts; None if all count the same
    groups: np.ndarray | None = None  # samples of one group stay on one side of a split; None: all may part
    time: np.ndarray | None = None  # orders the samples for a split into earlier and later ones
    grid: tuple[int, int] | None = None  # rows and columns of the matrix that each row of a table holds
    channels: tuple[str, ...] | None = None  # names of the last dimension of an array
    left_out: dict[str, str] = field(default_factory=dict)  # columns that are no features, and why
    notes: dict[str, str] = field(default_factory=dict)  # lines about how columns were read
    hint: dict[str, str] = field(default_factory=dict)  # options about rows that columns suggest
    categories: tuple[str, ...] = ()  # columns that are said to hold categories, by type or by the user
    conversions: Conversions = field(default_factory=dict)  # that made columns of numbers
    number: NumberConversion | None = None  # that made the target a number
    columns: tuple[str, str] | None = None  # series and step column of the table that an array was made from
    wide: list[list[str | None]] | None = (
        None  # columns ``[step][channel]`` of the table that it was made from
    )
    read_as: str = ""  # separator, encoding and the like of a text file, where they are not the usual ones
    row_options: RowOptions = AT_RANDOM  # where the test part, groups, time and weight come from

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.target)

    @property
    def weights(self) -> np.ndarray:
        """How much each sample counts, ``(N,)``."""
        weight = 1.0 if self.weight is None else self.weight
        return np.full(len(self), weight, dtype=np.float64)

    def take(self, rows: np.ndarray) -> "Dataset":
        """The samples at these positions, in this order; rows of a table keep their labels for messages."""
        inputs = self.inputs[rows] if isinstance(self.inputs, np.ndarray) else self.inputs.iloc[rows]
        weight, groups, time = (
            None if array is None else array[rows] for array in (self.weight, self.groups, self.time)
        )
        target = self.target.iloc[rows]
        return replace(self, inputs=inputs, target=target, weight=weight, groups=groups, time=time)


def infer_task(target: pd.Series) -> Task:
    """Regression for numbers with fractions or with many distinct values, else classification.

    Whole numbers are classes if there are at most 20 of them and at most one for every 5 rows, or if they
    have the type for categories.
    """
    if is_category(target):
        return "classification"
    return task_of(Counter(plain_values(target.dropna())))


def task_of(counts: Counter[Any]) -> Task:
    """As ``infer_task``, from how often there is each value."""
    if any(isinstance(value, bool | str) for value in counts):
        return "classification"
    few = len(counts) <= min(20, counts.total() / 5)
    return "classification" if few and all(isinstance(value, int) for value in counts) else "regression"


def check_target(target: pd.Series, task: Task) -> None:
    """Raise ``InputError`` unless a model can be trained and tested on this target."""
    name = str(target.name)
    check_counts(name, Counter(plain_values(target)), task)
    if task == "regression":
        column_numbers(target, name)


def check_counts(name: str, counts: Counter[Any], task: Task) -> None:
    """As ``check_target``, from how often there is each value."""
    rows = counts.total()
    if rows < FEWEST_ROWS:
        raise InputError(f"training needs at least {FEWEST_ROWS} rows with a target, got {rows}")
    if task == "regression":
        if len(counts) < 2:
            raise InputError(f"target {name!r} must vary, got {next(iter(counts))} in every row")
        return
    if len(counts) < 2:
        raise InputError(f"target {name!r} must have at least 2 classes, got only {next(iter(counts))!r}")
    rarest = min(counts, key=lambda value: counts[value])
    if counts[rarest] < FEWEST_PER_CLASS:
        raise InputError(
            f"every class of {name!r} must have at least {FEWEST_PER_CLASS} rows, got {counts[rarest]} of "
            f"{rarest!r} ({len(counts)} classes in {rows} rows); if it is a quantity, "
            "choose the task regression",
            option="task",
            value="regression",
        )


def fit_inputs(data: Dataset) -> InputSchema:
    """The schema of the training part: of series, of matrices laid out in rows, or of features."""
    if isinstance(data.inputs, np.ndarray):
        series, step = data.columns or (None, None)
        schema = fit_series(data.inputs, data.channels, series, step, data.wide)
        return schema.model_copy(update={"conversions": data.conversions})
    if data.grid:
        return fit_grid(data.inputs, *data.grid)
    return fit_features(data.inputs, data.categories, data.conversions)
