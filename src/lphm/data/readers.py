"""Data from files and by name: read, checked, and made into a dataset.

Everything that cannot be read raises ``InputError`` with one line that says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lphm.data.amounts import listed
from lphm.data.bundled import BUNDLED, bundled
from lphm.data.columns import (
    as_target,
    is_text,
    require_categories,
    require_distinct,
    require_named,
    table_with,
)
from lphm.data.conversions import NumberFormat, TextHash, convert, find_conversions, target_conversion
from lphm.data.dataset import Dataset
from lphm.data.decimal_marks import decimal_comma
from lphm.data.inputs import columns_of_words, read_arrays
from lphm.data.long_tables import labelled_series
from lphm.data.notes import notes
from lphm.data.parquet import ParquetStream
from lphm.data.problems import readable, require_one_form
from lphm.data.row_columns import row_arrays
from lphm.data.row_options import AT_RANDOM, RowOptions
from lphm.data.schema import InputSchema, SeriesSchema
from lphm.data.tables import UNNAMED, read_table, require_separated
from lphm.data.targets import TargetSchema
from lphm.data.text_files import content_suffix, described
from lphm.data.ts_files import labelled_ts
from lphm.data.wide_tables import labelled_wide, wide_series
from lphm.data.words import is_category
from lphm.errors import InputError

#: Files that hold series as arrays.
ARRAYS = (".npz", ".ts")
#: Columns of which it is said how a cell was read that can be read in two ways.
MOST_AMBIGUOUS = 5


def read_dataset(
    source: str | Path,
    target: str | None,
    drop: Sequence[str] = (),
    series: str | None = None,
    step: str | None = None,
    categories: Sequence[str] = (),
    options: RowOptions = AT_RANDOM,
    wide: str | None = None,
    texts: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> Dataset:
    """Samples with a target: a bundled set by its name, a table, an ``.npz`` or ``.ts`` file, or series.

    ``target`` is the column to predict, or the array of an ``.npz`` file; columns in ``drop`` are left out,
    those in ``categories`` hold categories, whatever their values look like, and those in ``texts`` free text
    whose words are hashed; only a table has them. Those in ``keep`` must be among its columns, too. In a long
    table the column ``series`` says which series a row belongs to, and ``step`` orders a series. In a wide
    one the names of the columns of steps are as the expression ``wide`` says. The columns or arrays that the
    ``options`` name say how samples are split and what they count.
    """
    path = Path(source)
    is_bundled = str(source) in BUNDLED and not path.exists()
    if is_bundled or content_suffix(path) in ARRAYS:
        if series or step or wide or drop or (is_bundled and options.columns):
            rows = ", drop, group, time and weight" if is_bundled else " and drop"
            wrong = f"series, step, wide{rows}"
            raise InputError(f"{source} must be read without {wrong}; leave them out")
        if is_bundled:
            return _read_bundled(str(source), target, categories, options)
        _require_table(path, not categories and not texts)
        return (labelled_ts if content_suffix(path) == ".ts" else _labelled_arrays)(path, target, options)
    if categories or texts:
        _require_table(path, series is None and wide is None)
    target = _require_target(target, path)
    if (series is None) != (step is None):
        raise InputError("a long table of series needs both series and step, got one of them")
    if series is not None and wide is not None:
        raise InputError("a table of series must be long (series and step) or wide, got both; leave one out")
    words = [*categories, *texts] if series is None else [series]
    frame = read_table(path, [*words, *options.words])
    require_separated(path, frame, [target])
    if series is not None and step is not None:
        data = labelled_series(path.name, frame, target, drop, series, step, options)
    elif wide is not None:
        data = labelled_wide(path.name, frame, target, drop, wide, options)
    else:
        data = labelled_table(path.name, frame, target, drop, categories, options, texts, keep)
    ambiguous = listed(_ambiguous(data, frame.attrs.get("ambiguous", {})), MOST_AMBIGUOUS)
    return replace(data, read_as=", ".join(filter(None, [described(frame.attrs), ambiguous])))


def _ambiguous(data: Dataset, cells: Mapping[str, str]) -> list[str]:
    """How cells that can be read in two ways are, of the columns that hold numbers."""
    conversions = data.conversions | ({} if data.number is None else {str(data.target.name): data.number})
    if isinstance(data.inputs, pd.DataFrame):
        plain = [str(label) for label in data.inputs if not is_text(data.inputs[label])]
    else:
        plain = [*(data.channels or ())]
    found = []
    for name, cell in cells.items():
        conversion = conversions.get(name)
        if isinstance(conversion, NumberFormat):
            found.append(f"{name} ({cell} read as {conversion.number(cell):.10g})")
        elif conversion is None and name in plain:
            found.append(f"{name} ({cell} read as {float(cell):.10g})")
    return found


def _read_bundled(name: str, target: str | None, categories: Sequence[str], options: RowOptions) -> Dataset:
    data = bundled(name)
    if target not in (None, data.target.name):
        raise InputError(f"the target of {name} is {data.target.name!r}, got {target!r}; leave it out")
    if categories:
        _require_table(name, data.grid is None)
        frame = pd.DataFrame(data.inputs).assign(**{str(data.target.name): data.target})
        data = labelled_table(data.name, frame, str(data.target.name), (), categories)
    return replace(data, row_options=options)


def read_test(
    source: str | Path, inputs: InputSchema, target: TargetSchema, options: RowOptions = AT_RANDOM
) -> Dataset:
    """Samples with a target for a run that was trained on such; the target is read as at training.

    With ``options``, the columns that they name are read too.
    """
    path, name = Path(source), target.name
    if content_suffix(path) in ARRAYS or (str(source) in BUNDLED and not path.exists()):
        return read_dataset(source, name, options=options)
    words = columns_of_words(inputs, target) + options.words
    frame = read_table(path, words)
    require_separated(path, frame, [name])
    if name in frame:
        frame = frame.assign(**{name: target.read(frame[name])})
    if isinstance(inputs, SeriesSchema):
        frame = convert(frame, inputs.conversions)
    if isinstance(inputs, SeriesSchema) and inputs.wide is None:
        if inputs.series is None or inputs.step is None:
            raise InputError(f"{path} must be an .npz or .ts file, for the run was trained on arrays")
        columns = [name, inputs.series, inputs.step, *inputs.column_labels, *options.columns.values()]
        frame = table_with(frame, columns, path.name)[list(dict.fromkeys(columns))]
        return labelled_series(path.name, frame, name, (), inputs.series, inputs.step, options)
    require_named(path.name, [name, *options.columns.values()], list(frame.columns))
    known = target.known(frame[name])
    if not known.any():
        raise InputError(f"{path.name} must have rows in which {name!r} is not missing, got none")
    frame = frame[known]
    wide = inputs.wide if isinstance(inputs, SeriesSchema) else None
    features = frame.drop(columns=name) if wide is None else wide_series(frame, wide, path.name)
    if not isinstance(inputs, SeriesSchema):
        table_with(frame, inputs.columns_of_table, path.name)
    return Dataset(path.name, features, frame[name], **row_arrays(frame, options))


def open_directory(
    folder: Path,
    target: str | None,
    drop: Sequence[str] = (),
    seed: int = 0,
    validation: float = 0.0,
    categories: Sequence[str] = (),
    options: RowOptions = AT_RANDOM,
    texts: Sequence[str] = (),
) -> ParquetStream:
    """The rows of a directory of Parquet files; arguments as ``ParquetStream``."""
    target = _require_target(target, folder)
    return ParquetStream(folder, target, tuple(drop), seed, 0.2, validation, categories, options, texts)


def _require_target(target: str | None, path: Path) -> str:
    if target is None:
        message = f"a table must come with a target, got {path} alone; name the column to predict"
        raise InputError(message, option="target", value="COLUMN")
    return target


def _require_table(source: str | Path, is_table: bool) -> None:
    """Raise ``InputError`` where a user names categories, unless the samples are rows of a table."""
    if not is_table:
        raise InputError(f"{source} must be a table where a column is a category, got series or images")


def labelled_table(
    name: str,
    frame: pd.DataFrame,
    target: str,
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    options: RowOptions = AT_RANDOM,
    texts: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> Dataset:
    """Split a data frame in features and target; rows without a target are left out.

    What each column holds is decided from all rows, unless it is named in ``categories``, or in ``texts`` for
    free text. The columns that the options name are no features.
    """
    apart = [target, *drop, *options.columns_beside(target)]
    require_named(name, [*apart, *categories, *texts, *keep], list(frame.columns))
    require_categories(name, categories, list(frame.columns), target, apart)
    comma = decimal_comma(frame)
    number = target_conversion(frame[target], comma)
    labels = as_target(frame[target] if number is None else number.column(frame[target]), target)
    require_one_form(labels)
    present = labels.notna()
    features = frame.drop(columns=apart)[present]
    conversions = find_conversions(features, [*categories, *texts], comma)
    conversions |= dict.fromkeys(texts, TextHash())
    lines = notes(features, conversions, [*categories, *texts])
    features = convert(features, conversions)
    if features.empty:
        raise InputError(
            f"{name} must have a feature and a row with a target, got {features.shape[1]} columns beside "
            f"{target!r} and {int(present.sum())} rows in which it is not missing"
        )
    words = tuple(c for c in features if c in categories or is_category(features[c]))
    return Dataset(
        name,
        readable(features, words),
        labels[present],
        left_out=dict.fromkeys(frame.attrs.get("left_out", ()), UNNAMED),
        categories=words,
        conversions=conversions,
        notes=lines,
        number=number,
        row_options=options,
        **row_arrays(frame[present], options),
    )


def _labelled_arrays(path: Path, target: str | None, options: RowOptions) -> Dataset:
    """``X`` ``(N, steps, channels)``, a target ``(N,)`` and, if given, ``channels``, their names.

    The options name arrays ``(N,)``.
    """
    target = target or "y"
    of_rows = options.columns_beside(target)
    arrays = read_arrays(path, "X", target, *of_rows)
    x, y = arrays["X"], arrays[target]
    if x.ndim != 3 or y.shape != x.shape[:1]:
        shapes = f"{x.shape} and {y.shape}"
        raise InputError(f"{path} must hold X (N, steps, channels) and {target} (N,), got {shapes}")
    if y.dtype.names is not None:
        raise InputError(f"{path} must hold {target} as numbers or text, got the type {y.dtype}")
    for name in of_rows:
        if arrays[name].shape != y.shape or arrays[name].dtype.names is not None:
            got = f"{arrays[name].shape} of type {arrays[name].dtype}"
            raise InputError(f"{path} must hold {name} ({len(y)},), a value for each of X, got {got}")
    labels = as_target(pd.Series(y, name=target), target)
    known = labels.notna().to_numpy()
    names = None
    if "channels" in arrays:
        if arrays["channels"].shape != x.shape[2:]:
            wanted = f"channels ({x.shape[2]},), a name for each"
            raise InputError(f"{path} must hold {wanted}, got {arrays['channels'].shape}")
        names = tuple(map(str, arrays["channels"]))
        require_distinct(f"the channels of {path}", names)
    frame = pd.DataFrame({name: arrays[name] for name in of_rows}, index=labels.index)
    data = Dataset(path.name, x[known], labels[known], channels=names, row_options=options)
    return replace(data, **row_arrays(frame[known], options))
