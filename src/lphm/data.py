"""Samples with a target: bundled, checked, and split.

What cannot be learned from is refused here, with one line that says why.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lphm.columns import column_numbers, is_text, plain_values
from lphm.errors import InputError
from lphm.schema import Task

__all__ = [
    "Dataset",
    "bundled_digits",
    "check_target",
    "infer_task",
    "split_rows",
]

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
    """

    name: str
    inputs: pd.DataFrame | np.ndarray
    target: pd.Series
    weight: np.ndarray | None = None
    grid: tuple[int, int] | None = None
    channels: tuple[str, ...] | None = None

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


def bundled_digits() -> Dataset:
    """Scikit-learn's digits: 1797 images, each 8 rows of 8 columns, 10 classes."""
    features, target = load_digits(return_X_y=True, as_frame=True)
    return Dataset("digits", features, target.rename("digit"), grid=(8, 8))


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


# The split.


def split_rows(
    data: Dataset, task: Task, seed: int, test: float = 0.2, validation: float = 0.15
) -> tuple[Dataset, Dataset, Dataset]:
    """Training, validation and test part; stratified by class for classification.

    ``validation`` is a share of what is left after the test part is taken.
    """
    classes = data.target.nunique() if task == "classification" else 1
    labels = np.array([str(c) for c in plain_values(data.target)]) if task == "classification" else None

    def split(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        held_out = max(round(share * len(rows)), classes)
        with warnings.catch_warnings():
            # Classes of a few rows in many: said by check_target, where it is an error.
            warnings.filterwarnings("ignore", message=".*number of unique classes.*")
            kept, out = train_test_split(
                rows, test_size=held_out, random_state=seed, stratify=None if labels is None else labels[rows]
            )
        return np.sort(kept), np.sort(out)

    rest, test_rows = split(np.arange(len(data.target)), test)
    train_rows, validation_rows = split(rest, validation)
    return data.take(train_rows), data.take(validation_rows), data.take(test_rows)
