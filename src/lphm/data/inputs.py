"""Samples for a trained run, from a file or a directory; what only training needs is not imported."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lphm.data.columns import require_named, table_with
from lphm.data.conversions import convert
from lphm.data.long_tables import one_of_each, stacked
from lphm.data.parquet_files import ParquetIndex
from lphm.data.schema import FeatureSchema, GridSchema, InputSchema, SeriesSchema
from lphm.data.tables import read_table, reading, require_separated
from lphm.data.targets import ClassTarget, TargetSchema
from lphm.data.text_files import content_suffix
from lphm.data.ts_files import read_ts
from lphm.data.wide_tables import wide_series
from lphm.errors import InputError

T = TypeVar("T")


class Inputs(NamedTuple):
    """Samples, and the columns beside them: the names of series from a long table, and those to keep."""

    samples: pd.DataFrame | np.ndarray
    beside: pd.DataFrame
    before: int = 0  # rows before these
    total: int = 0  # rows of all files; 0 if these are all


def read_inputs(path: Path, schema: InputSchema, keep: Sequence[str] = ()) -> Inputs:
    """The samples of a file; a target is not needed.

    The columns ``keep`` have the types of a Parquet file, or are the text of a CSV file. Of a long table of
    series each must have one value in every series; of an ``.npz`` file these are arrays ``(N,)``.

    Raises:
        InputError: the file cannot be read, or lacks something that is named.
    """
    if not isinstance(schema, SeriesSchema):
        frame = read_table(path, columns_of_words(schema))
        names = schema.columns_of_table
        require_separated(path, frame, names)
        return Inputs(table_with(frame, names, path.name), _kept(path, keep))
    if schema.wide is not None:
        frame = convert(read_table(path, columns_of_words(schema)), schema.conversions)
        return Inputs(wide_series(frame, schema.wide, path.name), _kept(path, keep))
    if content_suffix(path) == ".ts" and schema.series is None:
        if keep:
            raise InputError(
                f"{path} must have columns to keep some, got a .ts file; leave it out", option="keep"
            )
        return Inputs(read_ts(path)[0], pd.DataFrame())
    if schema.series is None or schema.step is None:
        arrays = read_arrays(path, "X", *keep)
        wrong = [name for name in keep if arrays[name].shape != arrays["X"].shape[:1]]
        if wrong:
            got = f"{arrays[wrong[0]].shape}"
            raise InputError(f"{path} must hold {wrong[0]} ({len(arrays['X'])},) to keep it, got {got}")
        return Inputs(arrays["X"], pd.DataFrame({name: arrays[name] for name in keep}))
    frame = read_table(path, columns_of_words(schema))
    frame = table_with(frame, [schema.series, schema.step, *schema.column_labels], path.name)
    frame = convert(frame, schema.conversions)
    array, names = stacked(frame, schema.series, schema.step, schema.column_labels)
    others = _kept(path, [name for name in keep if name != schema.series])
    beside = one_of_each(others, frame[schema.series])
    beside.insert(0, schema.series, names)
    return Inputs(array, beside)


def map_directory(
    folder: Path,
    schema: InputSchema,
    function: Callable[[Inputs], T],
    keep: Sequence[str] = (),
    target: TargetSchema | None = None,
) -> Iterator[T]:
    """``function`` of the rows of each row group of a directory of Parquet files, in their order.

    The samples have the column of the target too, if one is given. No more than one row group is in memory.

    Raises:
        InputError: a file cannot be read, or lacks a column; an error of ``function`` names the file.
    """
    if isinstance(schema, SeriesSchema):
        raise InputError(f"series must come from one file, got the directory {folder}; join its files")
    index = ParquetIndex(folder)
    if not index.rows:
        raise InputError(f"{folder} must hold rows, got files without any")
    names = [*schema.columns_of_table, *([target.name] if target else [])]
    table_with(pd.DataFrame(columns=index.schema.names), names, folder.name)
    require_named(folder.name, keep, index.schema.names)
    types = _common_types(index, keep)
    for group in index.groups:
        if group.rows:
            with index.naming(group):
                frame = index.read(group, names, columns_of_words(schema, target))
                kept = _frame(index.table(group, [*keep]).select(keep), types)
                value = function(Inputs(frame, kept, group.first, index.rows))
            yield value


def columns_of_words(inputs: InputSchema, target: TargetSchema | None = None) -> list[str]:
    """The columns that a run has as words or converts, or that name its series."""
    words = [] if isinstance(inputs, GridSchema) else [*inputs.conversions]
    if isinstance(inputs, SeriesSchema):
        words += [] if inputs.series is None else [inputs.series]
    elif isinstance(inputs, FeatureSchema):
        words += [column.name for column in inputs.categorical]
    if isinstance(target, ClassTarget):
        return [*words, target.name] if target.are_words else words
    return words if target is None or target.conversion is None else [*words, target.name]


def read_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file, which must hold those with these names."""
    with reading(path, ".npz file"), np.load(path, allow_pickle=False) as file:
        # pandas takes no rows from numbers in another byte order.
        arrays = {key: array.astype(array.dtype.newbyteorder("="), copy=False) for key, array in file.items()}
    for name in names:
        if name not in arrays:
            raise InputError(f"{path} must hold an array {name!r}, got {', '.join(arrays) or 'none'}")
    return arrays


def _kept(path: Path, keep: Sequence[str]) -> pd.DataFrame:
    """The columns of a file with every value as it is: types of a Parquet file, or the text of others."""
    if not keep:
        return pd.DataFrame()
    if path.suffix.lower() != ".parquet":
        frame = read_table(path, keep)
        require_named(path.name, keep, list(frame.columns))
        return frame[[*keep]]
    with reading(path, "table"):
        require_named(path.name, keep, pq.read_schema(path).names)
        table = pq.read_table(path, columns=[*keep]).select(keep)
    return _frame(table, _plain(table.schema))


def _frame(table: pa.Table, types: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = table.cast(types).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _plain(schema: pa.Schema) -> pa.Schema:
    """The types without metadata, and those of the values in place of dictionaries."""
    types = ((f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in schema)
    return pa.schema(list(types))


def _common_types(index: ParquetIndex, keep: Sequence[str]) -> pa.Schema:
    """The types that hold the values of all files."""
    schemas = [_plain(pa.schema([schema.field(name) for name in keep])) for schema in index.schemas]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"columns to keep must have one type in all files, got: {error}") from error
