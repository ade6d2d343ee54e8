"""Samples with a target: bundled, checked, and split.

What cannot be learned from is refused here, with one line that says why.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from lphm.data.columns import column_numbers, is_text, plain_values
from lphm.data.schema import InputSchema, fit_features, fit_grid, fit_series
from lphm.data.targets import Task
from lphm.errors import InputError

#: A table with fewer rows than this cannot be split into three parts that say anything.
FEWEST_ROWS = 20
FEWEST_PER_CLASS = 3


@dataclass(frozen=True)
class Dataset:
    """Samples with a target, in memory.

    Args:
        name: what it is called in messages and in the run folder.
        inputs: a table with a row per sample, or an array ``(N, steps, channels)`` of series.
        target: one value per sample.
        weight: what each sample counts in training, or None where they count alike.
        grid: ``(rows, columns)`` where each row of a table is such a matrix, row by row.
        channels: names of the last dimension of an array.
        columns: series and step column of the long table that an array was made from.
    """

    name: str
    inputs: pd.DataFrame | np.ndarray
    target: pd.Series
    weight: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    channels: tuple[str, ...] | None = None
    columns: tuple[str, str] | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.target)

    def take(self, rows: np.ndarray) -> "Dataset":
        """The samples with these numbers, in this order."""
        inputs = self.inputs
        return replace(
            self,
            inputs=inputs[rows]
            if isinstance(inputs, np.ndarray)
            else inputs.iloc[rows].reset_index(drop=True),
            target=self.target.iloc[rows].reset_index(drop=True),
            weight=None if self.weight is None else self.weight[rows],
        )


BUNDLED: dict[str, Callable[..., Any]] = {
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
    "breast-cancer": load_breast_cancer,
    "diabetes": load_diabetes,
}


def bundled(name: str) -> Dataset:
    """A data set that comes with scikit-learn; digits are images of 8 rows and 8 columns.

    Raises:
        InputError: there is none of that name.
    """
    if name not in BUNDLED:
        raise InputError(f"a bundled data set must be one of {', '.join(BUNDLED)}, got {name!r}")
    bunch = BUNDLED[name](as_frame=True)
    if name == "digits":
        return Dataset(name, bunch.data, bunch.target.rename("digit"), grid=(8, 8))
    if name == "diabetes":
        return Dataset(name, bunch.data, bunch.target.rename("progression"))
    classes = np.array([str(c) for c in bunch.target_names])[bunch.target.to_numpy()]
    return Dataset(name, bunch.data, pd.Series(classes, name="class"))


# What can be learned from a table.


def infer_task(target: pd.Series) -> Task:
    """Regression for numbers with fractions or with many distinct values, else classification.

    Whole numbers are classes if there are at most 20 of them and at most one for every 5 rows.
    """
    if is_text(target) or pd.api.types.is_bool_dtype(target.dtype):
        return "classification"
    values = target.to_numpy(dtype=float, na_value=np.nan)
    distinct = np.unique(values)
    few = len(distinct) <= min(20, len(values) / 5)
    return "classification" if few and bool((distinct == np.round(distinct)).all()) else "regression"


def check_target(target: pd.Series, task: Task) -> None:
    """Raise ``InputError`` unless a model can be trained and tested on this target."""
    name = str(target.name)
    if len(target) < FEWEST_ROWS:
        raise InputError(f"training needs at least {FEWEST_ROWS} rows with a target, got {len(target)}")
    if task == "regression":
        if column_numbers(target, name).std() == 0:
            raise InputError(f"target {name!r} must vary, got {target.iloc[0]} in every row")
        return
    counts = pd.Series(plain_values(target)).value_counts()
    if len(counts) < 2:
        raise InputError(f"target {name!r} must have at least 2 classes, got only {counts.index[0]!r}")
    if counts.min() < FEWEST_PER_CLASS:
        raise InputError(
            f"every class of {name!r} must have at least {FEWEST_PER_CLASS} rows, got {counts.min()} of "
            f"{counts.idxmin()!r} ({len(counts)} classes in {len(target)} rows); if it is a quantity, "
            "use --task regression"
        )


def fit_inputs(data: Dataset) -> InputSchema:
    """The schema of the samples, from the training part: series, matrices laid out in rows, or features."""
    if isinstance(data.inputs, np.ndarray):
        return fit_series(data.inputs, data.channels, *(data.columns or ()))
    return fit_grid(data.inputs, *data.grid) if data.grid else fit_features(data.inputs)


# The split.


def split_rows(data: Dataset, task: Task, seed: int, test: float = 0.2) -> tuple[Dataset, Dataset]:
    """Training and test part; stratified by class for classification."""
    classes = [str(c) for c in plain_values(data.target)] if task == "classification" else None
    held_out = max(round(test * len(data)), len(set(classes)) if classes else 1)
    with warnings.catch_warnings():
        # Classes of a few rows in many: said by check_target, where it is an error.
        warnings.filterwarnings("ignore", message=".*number of unique classes.*")
        kept, out = train_test_split(
            np.arange(len(data)), test_size=held_out, random_state=seed, stratify=classes
        )
    return data.take(np.sort(kept)), data.take(np.sort(out))


def split_validation(data: Dataset, task: Task, seed: int, share: float) -> tuple[Dataset, Dataset]:
    """Training and validation part; every class keeps a sample for training.

    Raises:
        InputError: there are too few samples.
    """
    try:
        return split_rows(data, task, seed, share)
    except ValueError as error:
        raise InputError(
            f"early stopping must hold {share:.0%} of the samples out, two of every class at the least, "
            f"got {len(data)} samples: {error}; train without it"
        ) from error


def folds(data: Dataset, task: Task, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of training and test part of every fold; stratified by class for classification.

    Raises:
        InputError: a class, or the data, has fewer samples than there are folds.
    """
    classes = np.array([str(c) for c in plain_values(data.target)]) if task == "classification" else None
    fewest = len(data) if classes is None else int(pd.Series(classes).value_counts().min())
    if not 2 <= k <= fewest:
        what = "samples" if classes is None else "samples of the smallest class"
        raise InputError(f"folds must be at least 2 and at most the {fewest} {what}, got {k}")
    splitter = (KFold if classes is None else StratifiedKFold)(k, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(data)), classes))
