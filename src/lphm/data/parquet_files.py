"""Parquet files and their row groups: no more than a few row groups are in memory at a time."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lphm.data.columns import require_distinct
from lphm.data.tables import data_frame
from lphm.errors import InputError, ReadError


class RowGroup(NamedTuple):
    """Some consecutive rows of a Parquet file."""

    file: int  # place of the file in ``ParquetIndex.files``
    place: int  # place of the row group in its file
    offset: int  # rows before it in its file
    first: int  # rows before it in all files
    rows: int


class ParquetIndex:
    """The row groups of a Parquet file, or of the Parquet files of a directory in the order of their names.

    The files of a directory are those that end in ``.parquet``, in upper or lower case, and do not begin with
    a dot or an underscore (other programs hide files so, such as those that are still being written). Folders
    inside it are not searched. All files must have the columns of the first, in any order, and with
    ``same_types`` their types too. Raises ``InputError`` if they have not, if a file cannot be read, or if
    there is none.
    """

    def __init__(self, path: Path, same_types: bool = False) -> None:
        inside = [path] if path.is_file() else sorted(path.glob("[!._]*"))
        self.files = [file for file in inside if file.suffix.lower() == ".parquet" and file.is_file()]
        if not self.files:
            raise InputError(
                f"{path} must hold .parquet files, got none; those in folders inside it are not read"
            )
        self.groups: list[RowGroup] = []  # of all files
        self.schemas: list[pa.Schema] = []  # of each file
        self.rows = 0  # of all files
        for number, file in enumerate(self.files):
            with _open(file) as opened:
                schema, metadata = opened.schema_arrow, opened.metadata
            require_distinct(str(file), schema.names)
            self.schemas.append(schema)
            columns = [f"{field.name} {field.type}" if same_types else field.name for field in schema]
            if number == 0:
                self.schema, first = schema, sorted(columns)
            elif sorted(columns) != first:
                what, got = "types" if same_types else "columns", ", ".join(columns)
                raise InputError(f"{file} must have the {what} of {self.files[0].name}, got {got}")
            offset = 0
            for place in range(metadata.num_row_groups):
                rows = metadata.row_group(place).num_rows
                self.groups.append(RowGroup(number, place, offset, self.rows, rows))
                offset += rows
                self.rows += rows

    def read(self, group: RowGroup, columns: list[str], words: Collection[str] = ()) -> pd.DataFrame:
        """The rows of a row group, as ``data_frame`` has it, with rows numbered as in their file."""
        frame = data_frame(self.table(group, columns), words)
        frame.index = pd.RangeIndex(group.offset, group.offset + group.rows)
        return frame[columns]

    def table(self, group: RowGroup, columns: list[str]) -> pa.Table:
        """The rows of a row group, with the types of their file."""
        with _open(self.files[group.file]) as opened:
            return opened.read_row_group(group.place, columns=columns)

    @contextmanager
    def naming(self, group: RowGroup) -> Iterator[None]:
        """Let an error say in which file a row is."""
        try:
            yield
        except InputError as error:
            file = self.files[group.file].name
            message = str(error) if file in str(error) else f"{file}: {error}"
            raise type(error)(message, error.option, error.value, error.fixes) from error

    def batches(self, group: RowGroup, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of a row group, at most ``rows`` at a time."""
        with _open(self.files[group.file]) as opened:
            yield from opened.iter_batches(rows, row_groups=[group.place], columns=columns, use_threads=False)


@contextmanager
def _open(path: Path) -> Iterator[pq.ParquetFile]:
    """The open file; everything that goes wrong while it is read is an ``InputError``."""
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as opened:
            yield opened
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ReadError(f"{path} must be a readable Parquet file, got: {reason}; check the file") from error
