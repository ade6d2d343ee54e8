"""Files of rows that are read block after block, and the parts that an output is put together from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lphm._io import write_atomically
from lphm.errors import InputError

#: Bytes of a block of rows in float64, and of a row group of the output.
BLOCK_BYTES, GROUP_BYTES = 2**23, 2**24


@dataclass(frozen=True)
class Block:
    """Rows that follow one another.

    Args:
        first: the number of the first, from 0.
        rows: their numbers, ``(rows, m)``.
        kept: columns that are copied as they are.
    """

    first: int
    rows: Tensor
    kept: pa.Table | None


class RowFile(ABC):
    """Rows on disk.

    Attributes:
        rows: their number.
        columns: names of the columns of numbers.
        names: names of all columns of the output, in the order of the file.
        dtype: type of the output, ``float32`` if all columns are, or ``float64``.
        identity: changes when the data do, as far as names, sizes and times of files tell.
    """

    rows: int
    columns: list[str]
    names: list[str]
    dtype: np.dtype[Any]
    identity: list[list[Any]]

    @abstractmethod
    def blocks(self, first: int = 0) -> Iterator[Block]:
        """The blocks from row ``first`` on, at which one begins; they are the same every time."""

    @property
    def block_rows(self) -> int:
        """The most rows of a block."""
        return max(1, BLOCK_BYTES // (8 * len(self.columns)))

    def _checked(self, first: int, values: np.ndarray) -> Tensor:
        good = np.isfinite(values)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise InputError(
                f"column {self.columns[column]!r} must hold finite numbers, got {values[row, column]} in row "
                f"{first + row + 1}; fill it, or leave the column out with --drop {self.columns[column]!r}"
            )
        return torch.from_numpy(values)


def open_rows(path: Path, drop: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> RowFile:
    """A Parquet file, a directory of such, or a two-dimensional array in ``.npy``.

    Args:
        path: the file or directory.
        drop: columns to leave out.
        keep: columns to copy as they are.

    Raises:
        InputError: it is none of these, cannot be read, or a column is not there or holds no numbers.
    """
    if path.suffix.lower() == ".npy" and path.is_file():
        if drop or keep:
            raise InputError(
                "--drop and --keep name columns of a Parquet file, got a .npy file, which has none"
            )
        return NumpyRows(path)
    if path.is_dir() or (path.suffix.lower() == ".parquet" and path.is_file()):
        return ParquetRows(path, drop, keep)
    raise InputError(f"rows must be a .parquet or .npy file or a directory of .parquet files, got {path}")


class ParquetRows(RowFile):
    """A Parquet file or a directory of them, in the order of their names; arguments as ``open_rows``."""

    def __init__(self, path: Path, drop: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> None:
        files = (
            [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix.lower() == ".parquet")
        )
        if not files:
            raise InputError(f"{path} must hold .parquet files, got none")
        self.keep, self.identity = list(keep), [_identity(file) for file in files]
        schema: pa.Schema | None = None
        self.groups: list[tuple[Path, int, int, int]] = []  # file, row group, first row, rows
        self.rows = 0
        for file in files:
            with _opened(file) as parquet:
                own, metadata = parquet.schema_arrow, parquet.metadata
            if schema is not None and not own.equals(schema):
                raise InputError(f"{file} must have the columns and types of {files[0].name}, got others")
            schema = own
            for group in range(metadata.num_row_groups):
                rows = metadata.row_group(group).num_rows
                self.groups.append((file, group, self.rows, rows))
                self.rows += rows
        assert schema is not None
        for name in (*drop, *keep):
            if name not in schema.names:
                raise InputError(f"{path} must have the column {name!r}, got {', '.join(schema.names)}")
        self.columns = [name for name in schema.names if name not in {*drop, *keep}]
        self.names = [name for name in schema.names if name not in drop or name in keep]
        types = pa.types
        for name in self.columns:
            kind = schema.field(name).type
            if not (types.is_floating(kind) or types.is_integer(kind) or types.is_boolean(kind)):
                raise InputError(
                    f"column {name!r} must hold numbers, got {kind}; leave it out with --drop {name!r}, "
                    f"or copy it with --keep {name!r}"
                )
        if not self.columns or not self.rows:
            raise InputError(
                f"{path} must hold rows of numbers, got {self.rows} rows, {len(self.columns)} columns"
            )
        single = all(types.is_float32(schema.field(name).type) for name in self.columns)
        self.dtype = np.dtype(np.float32 if single else np.float64)

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """As ``RowFile.blocks``; a block lies in one row group."""
        for file, group, start, rows in self.groups:
            if start + rows <= first:
                continue
            with _opened(file) as parquet:
                batches = parquet.iter_batches(
                    self.block_rows,
                    row_groups=[group],
                    columns=[*self.columns, *self.keep],
                    use_threads=False,
                )
                at = start
                for batch in batches:
                    if at >= first:
                        yield self._block(at, batch)
                    at += len(batch)

    def _block(self, at: int, batch: pa.RecordBatch) -> Block:
        values = np.empty((len(batch), len(self.columns)))
        for i, name in enumerate(self.columns):
            column = batch.column(name)
            column = column.cast(pa.float64()) if not pa.types.is_float64(column.type) else column
            values[:, i] = column.to_numpy(zero_copy_only=False)  # a missing value is nan
        kept = pa.Table.from_batches([batch.select(self.keep)]) if self.keep else None
        return Block(at, self._checked(at, values), kept)


class NumpyRows(RowFile):
    """A two-dimensional array in a ``.npy`` file, read piece by piece."""

    def __init__(self, path: Path) -> None:
        try:
            array = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} must be a readable .npy file, got: {error}") from error
        if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size:
            raise InputError(f"{path} must hold numbers (rows, columns), got {array.dtype} {array.shape}")
        self.path, self.rows, self.identity = path, len(array), [_identity(path)]
        self.names = self.columns = [str(i) for i in range(array.shape[1])]
        self._stored, self._offset, self._by_column = array.dtype, array.offset, not array.flags.c_contiguous
        self.dtype = np.dtype(np.float32 if array.dtype == np.float32 else np.float64)

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """As ``RowFile.blocks``."""
        with self.path.open("rb") as file:  # not mapped: pages that were read would stay in memory
            for at in range(first, self.rows, self.block_rows):
                values = self._read(file, at, min(self.block_rows, self.rows - at))
                yield Block(at, self._checked(at, values.astype(np.float64)), None)

    def _read(self, file: BinaryIO, at: int, count: int) -> np.ndarray:
        m, size = len(self.columns), self._stored.itemsize
        if not self._by_column:
            file.seek(self._offset + at * m * size)
            return np.fromfile(file, self._stored, count * m).reshape(count, m)
        values = np.empty((count, m), self._stored)
        for column in range(m):
            file.seek(self._offset + (column * self.rows + at) * size)
            values[:, column] = np.fromfile(file, self._stored, count)
        return values


def write_part(path: Path, source: RowFile, out: Tensor, kept: pa.Table | None) -> None:
    """The output of one block, whole or not at all: ``.npy``, or ``.parquet`` with the kept columns."""
    values = out.numpy().astype(source.dtype)
    with write_atomically(path) as temporary:
        if path.suffix == ".npy":
            with temporary.open("wb") as file:
                np.save(file, values)
            return
        columns = dict(zip(source.columns, np.ascontiguousarray(values.T), strict=True))
        copied = {} if kept is None else dict(zip(kept.column_names, kept.columns, strict=True))
        table = pa.table({name: columns[name] if name in columns else copied[name] for name in source.names})
        pq.write_table(table, temporary, use_dictionary=list(copied) or False)


def join_parts(parts: list[Path], rows: int, output: Path) -> Iterator[int]:
    """Put the parts together into ``output``, whole or not at all; yields the rows of each that is in it."""
    with write_atomically(output) as temporary:
        if output.suffix == ".npy":
            with temporary.open("wb") as file:
                for i, part in enumerate(parts):
                    values = np.load(part)
                    if i == 0:
                        header = {
                            "descr": values.dtype.str,
                            "fortran_order": False,
                            "shape": (rows, values.shape[1]),
                        }
                        np.lib.format.write_array_header_1_0(file, header)
                    values.tofile(file)
                    yield len(values)
            return
        with pq.ParquetFile(parts[0]) as one:
            schema = one.schema_arrow
            coded = [name for name in schema.names if not pa.types.is_floating(schema.field(name).type)]
        with pq.ParquetWriter(temporary, schema, use_dictionary=coded or False) as writer:
            waiting: list[pa.Table] = []
            for part in parts:
                waiting.append(pq.read_table(part, use_threads=False))
                if part is parts[-1] or sum(table.nbytes for table in waiting) >= GROUP_BYTES:
                    together = pa.concat_tables(waiting).combine_chunks()
                    writer.write_table(together)
                    waiting.clear()
                    yield len(together)


def _identity(path: Path) -> list[Any]:
    about = path.stat()
    return [path.name, about.st_size, about.st_mtime_ns]


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} must be a readable Parquet file, got: {reason}") from error
