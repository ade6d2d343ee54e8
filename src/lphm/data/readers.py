"""Data from files and by name: read, checked, and made into a dataset.

Everything that cannot be read raises ``InputError`` with one line that says why.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from lphm.data.columns import column_numbers, missing_words_to_nan, require_named, table_with
from lphm.data.dataset import BUNDLED, Dataset, bundled
from lphm.data.parquet import ParquetStream
from lphm.data.schema import InputSchema, SeriesSchema
from lphm.errors import InputError


def read_dataset(
    source: str | Path,
    target: str | None,
    drop: Sequence[str] = (),
    series: str | None = None,
    step: str | None = None,
) -> Dataset:
    """Samples with a target: a bundled set by its name, a table, an ``.npz`` file or a long table of series.

    ``target`` is the column to predict, or the array of an ``.npz`` file; columns in ``drop`` are left out.
    In a long table the column ``series`` says which series a row belongs to, and ``step`` orders a series.
    """
    if str(source) in BUNDLED and not Path(source).exists():
        if series or step or drop:
            raise InputError(f"{source} must be read without series, step and drop; leave them out")
        data = bundled(str(source))
        if target not in (None, data.target.name):
            raise InputError(f"the target of {source} is {data.target.name!r}, got {target!r}; leave it out")
        return data
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return _labelled_arrays(path, target or "y")
    target = _require_target(target, path)
    if (series is None) != (step is None):
        raise InputError("a long table of series needs both series and step, got one of them")
    frame = read_table(path)
    if series is None or step is None:
        return labelled_table(path.name, frame, target, drop)
    return _labelled_series(path.name, frame, target, drop, series, step)


def read_inputs(path: Path, schema: InputSchema) -> pd.DataFrame | np.ndarray:
    """Samples for a trained run; a target is not needed."""
    if not isinstance(schema, SeriesSchema):
        return read_table(path)
    if schema.series is None or schema.step is None:
        return _arrays(path, "X")["X"]
    frame = table_with(read_table(path), [schema.series, schema.step, *schema.column_labels])
    return _stacked(frame, schema.series, schema.step, schema.column_labels)[0]


def open_directory(
    folder: Path, target: str | None, drop: Sequence[str] = (), seed: int = 0, validation: float = 0.0
) -> ParquetStream:
    """The rows of a directory of Parquet files; arguments as ``ParquetStream``."""
    return ParquetStream(folder, _require_target(target, folder), tuple(drop), seed, validation=validation)


def _require_target(target: str | None, path: Path) -> str:
    if target is None:
        message = f"a table must come with a target, got {path} alone; name the column to predict"
        raise InputError(message, option="target", value="COLUMN")
    return target


def read_table(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file as a data frame; in CSV only an empty cell is missing, not ``NA``."""
    with _reading(path, "table"):
        if path.suffix.lower() == ".csv":
            frame = pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False)
        elif path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            raise InputError(f"the table must be a .csv or .parquet file, got {path.name}; convert it first")
    if frame.empty:
        raise InputError(f"{path} must hold rows, got {len(frame)} rows of {frame.shape[1]} columns")
    frame.columns = [str(column) for column in frame.columns]
    return frame.reset_index(drop=True)


def labelled_table(name: str, frame: pd.DataFrame, target: str, drop: Sequence[str] = ()) -> Dataset:
    """Split a data frame in features and target; rows without a target are left out."""
    require_named(name, [target, *drop], list(frame.columns))
    labels = missing_words_to_nan(frame[target])
    present = labels.notna()
    features = frame.drop(columns=[target, *drop])[present]
    if features.empty:
        raise InputError(
            f"{name} must have a feature and a row with a target, got {features.shape[1]} columns beside "
            f"{target!r} and {int(present.sum())} rows in which it is not missing"
        )
    return Dataset(name, features, labels[present])


def _arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """All arrays of a file, which must hold those with these names."""
    with _reading(path, ".npz file"), np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    for name in names:
        if name not in arrays:
            raise InputError(f"{path} must hold an array {name!r}, got {', '.join(arrays) or 'none'}")
    return arrays


def _labelled_arrays(path: Path, target: str) -> Dataset:
    """``X`` ``(N, steps, channels)``, a target ``(N,)`` and, if given, ``channels``, their names."""
    arrays = _arrays(path, "X", target)
    x, y = arrays["X"], arrays[target]
    if x.ndim != 3 or y.shape != x.shape[:1]:
        shapes = f"{x.shape} and {y.shape}"
        raise InputError(f"{path} must hold X (N, steps, channels) and {target} (N,), got {shapes}")
    names = tuple(map(str, arrays["channels"])) if "channels" in arrays else None
    return Dataset(path.name, x, pd.Series(y, name=target), channels=names)


def _labelled_series(
    name: str, frame: pd.DataFrame, target: str, drop: Sequence[str], series: str, step: str
) -> Dataset:
    """Series and their target, which has one value in each; series without a target are left out."""
    require_named(name, [target, series, step, *drop], list(frame.columns))
    channels = [c for c in frame.columns if c not in {target, series, step, *drop}]
    if not channels:
        raise InputError(f"{name} must have a channel beside {series!r}, {step!r} and {target!r}, got none")
    _check_keys(frame, series, step)
    labelled = frame[frame[target].notna()]
    counts = labelled.groupby(series, sort=False)[target].nunique()
    if len(counts) == 0 or (counts > 1).any():
        got = "no series with a target" if len(counts) == 0 else f"{counts.max()} in {counts.idxmax()!r}"
        raise InputError(f"target {target!r} must have one value in every series, got {got}")
    array, ids = _stacked(frame[frame[series].isin(counts.index)], series, step, channels)
    values = labelled.drop_duplicates(series).set_index(series)[target].loc[ids].reset_index(drop=True)
    labels = missing_words_to_nan(values.rename(target))
    return Dataset(name, array, labels, channels=tuple(channels), columns=(series, step))


def _stacked(
    frame: pd.DataFrame, series: str, step: str, channels: Sequence[str]
) -> tuple[np.ndarray, pd.Index]:
    """``(N, steps, channels)`` in order of the step, and the series; shorter ones end in ``nan``."""
    _check_keys(frame, series, step)
    twice = frame.duplicated([series, step])
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(f"a step must occur once in a series, got {step} {row[step]} twice in {row[series]}")
    ordered = frame.sort_values([series, step], kind="stable")
    numbers, ids = pd.factorize(ordered[series], sort=False)
    position = ordered.groupby(series, sort=False).cumcount().to_numpy()
    array = np.full((len(ids), position.max() + 1, len(channels)), np.nan)
    for j, channel in enumerate(channels):
        array[numbers, position, j] = column_numbers(ordered[channel], channel)
    return array, pd.Index(ids)


def _check_keys(frame: pd.DataFrame, series: str, step: str) -> None:
    if frame[[series, step]].isna().any(axis=None):
        raise InputError(f"{series!r} and {step!r} must be there in every row, got a missing one")


@contextmanager
def _reading(path: Path, content: str) -> Iterator[None]:
    """Everything that goes wrong when ``path`` is read is an ``InputError``."""
    if not path.is_file():
        state = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"the data must be a file, got {path}, which {state}; check the path")
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every reader has exception types of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} must be a readable {content}, got: {reason}; check the file") from error
