"""Tables: read from files or bundled, checked, and split.

What cannot be learned from is refused here, with one line that says why.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lphm.columns import column_numbers, is_text, missing_words_to_nan, plain_values
from lphm.errors import InputError
from lphm.schema import Task

__all__ = [
    "Table",
    "bundled_digits",
    "check_target",
    "infer_task",
    "labelled_table",
    "read_table",
    "split_rows",
]

#: A table with fewer rows than this cannot be split into three parts that say anything.
FEWEST_ROWS = 20
FEWEST_PER_CLASS = 3


@dataclass(frozen=True)
class Table:
    """Rows with a target; ``grid`` is ``(rows, columns)`` where each row of the table is such a matrix."""

    name: str
    features: pd.DataFrame
    target: pd.Series
    grid: tuple[int, int] | None = None


def bundled_digits() -> Table:
    """Scikit-learn's digits: 1797 images, each 8 rows of 8 columns, 10 classes."""
    features, target = load_digits(return_X_y=True, as_frame=True)
    return Table("digits", features, target.rename("digit"), grid=(8, 8))


# Reading.


def read_table(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file as a data frame.

    In CSV only an empty cell is missing: a category may be called ``NA``.

    Raises:
        InputError: there is no such file, it is of another kind, cannot be read, or is empty.
    """
    readers = {
        ".csv": lambda: pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False),
        ".parquet": lambda: pd.read_parquet(path),
    }
    if not path.is_file():
        raise InputError(f"the table must be a file, got {path}, which {_what_is(path)}; check the path")
    if path.suffix.lower() not in readers:
        raise InputError(f"the table must be a .csv or .parquet file, got {path.name}; convert it first")
    try:
        frame = readers[path.suffix.lower()]()
    except Exception as error:  # each reader has its own family of exceptions; every one means this file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} must be a readable table, got: {reason}; check the file") from error
    if frame.empty:
        raise InputError(f"{path} must hold rows, got {len(frame)} rows of {frame.shape[1]} columns")
    frame.columns = [str(column) for column in frame.columns]
    return frame.reset_index(drop=True)


def _what_is(path: Path) -> str:
    return "is a directory" if path.is_dir() else "does not exist"


def labelled_table(name: str, frame: pd.DataFrame, target: str, drop: Sequence[str] = ()) -> Table:
    """Split a data frame in features and target; rows without a target are left out.

    Raises:
        InputError: a named column is not there, the target is empty, or no feature is left.
    """
    for column in (target, *drop):
        if column not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            raise InputError(f"{name} must have the column {column!r}, got the columns {known}")
    labels = missing_words_to_nan(frame[target])
    present = labels.notna()
    features = frame.drop(columns=[target, *drop])[present]
    if features.empty:
        raise InputError(
            f"{name} must have a feature and a row with a target, got {features.shape[1]} columns beside "
            f"{target!r} and {int(present.sum())} rows in which it is not missing"
        )
    return Table(name, features.reset_index(drop=True), labels[present].reset_index(drop=True))


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
    table: Table, task: Task, seed: int, test: float = 0.2, validation: float = 0.15
) -> tuple[Table, Table, Table]:
    """Training, validation and test part; stratified by class for classification.

    ``validation`` is a share of what is left after the test part is taken.
    """
    classes = table.target.nunique() if task == "classification" else 1
    labels = np.array([str(c) for c in plain_values(table.target)]) if task == "classification" else None

    def split(rows: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        held_out = max(round(share * len(rows)), classes)
        with warnings.catch_warnings():
            # Classes of a few rows in many: said by check_target, where it is an error.
            warnings.filterwarnings("ignore", message=".*number of unique classes.*")
            kept, out = train_test_split(
                rows, test_size=held_out, random_state=seed, stratify=None if labels is None else labels[rows]
            )
        return np.sort(kept), np.sort(out)

    rest, test_rows = split(np.arange(len(table.target)), test)
    train_rows, validation_rows = split(rest, validation)
    train, val, held = (
        replace(
            table,
            features=table.features.iloc[rows].reset_index(drop=True),
            target=table.target.iloc[rows].reset_index(drop=True),
        )
        for rows in (train_rows, validation_rows, test_rows)
    )
    return train, val, held
