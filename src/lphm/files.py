"""Files with data: read, checked, and made into a dataset.

What cannot be read is refused here, with one line that says why.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lphm.columns import missing_words_to_nan
from lphm.data import Dataset
from lphm.errors import InputError

__all__ = ["labelled_table", "read_table"]


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


def labelled_table(name: str, frame: pd.DataFrame, target: str, drop: Sequence[str] = ()) -> Dataset:
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
    return Dataset(name, features.reset_index(drop=True), labels[present].reset_index(drop=True))
