"""A table that is written part by part: to a CSV or Parquet file, whole or not at all, or printed as CSV."""

import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lphm._io import write_atomically
from lphm.errors import InputError


def write_table(frames: Iterator[pd.DataFrame], path: Path | None) -> int:
    """Write the rows of all frames, at least one, which have the same columns; return how many they are.

    The file is begun when the first frame is there, and ``None`` is standard output.

    Raises:
        InputError: the file cannot be written, or values of a column have no type in common.
    """
    first, rows = next(frames), 0
    with _writer(path, first) as write:
        for frame in chain([first], frames):
            write(frame)
            rows += len(frame)
    return rows


@contextmanager
def _writer(path: Path | None, first: pd.DataFrame) -> Iterator[Callable[[pd.DataFrame], None]]:
    if path is None:
        yield _csv_writer(sys.stdout)
        return
    with write_atomically(path) as temporary:
        if path.suffix.lower() == ".parquet":
            schema = _table(first).schema
            with pq.ParquetWriter(temporary, schema) as file:
                yield lambda frame: file.write_table(_table(frame, schema))
            return
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        with opened(temporary, "wt", encoding="utf-8", newline="") as text:
            yield _csv_writer(text)


def _csv_writer(file: TextIO) -> Callable[[pd.DataFrame], None]:
    """A function that writes a frame, the first one with the names of the columns."""
    headers = iter([True])
    return lambda frame: frame.to_csv(file, index=False, header=next(headers, False), lineterminator="\n")


def _table(frame: pd.DataFrame, schema: pa.Schema | None = None) -> pa.Table:
    try:
        table = pa.Table.from_pandas(frame, schema, preserve_index=False)
    except pa.ArrowException as error:
        raise InputError(f"a Parquet file must have a type for each column, got: {error}") from error
    return table.replace_schema_metadata()
