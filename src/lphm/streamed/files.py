"""Files of rows that are read block by block, and outputs that are put together from parts."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lphm._io import write_atomically
from lphm.data.columns import require_named, unusable_column
from lphm.data.parquet import ParquetIndex
from lphm.errors import InputError

#: Bytes of a block of rows in float64, and about those of a row group of the output.
BLOCK_BYTES, GROUP_BYTES = 2**23, 2**24


class Block(NamedTuple):
    """Consecutive rows: the columns of numbers ``(rows, m)``, and those that are copied unchanged."""

    first: int  # rows before it
    rows: Tensor
    kept: pa.Table | None


class RowFile(ABC):
    """Rows on disk."""

    rows: int
    columns: list[str]  # of numbers
    names: list[str]  # of all columns of the output, in the order of the file
    dtype: np.dtype[Any]  # of the output: float32 if all columns are, or float64
    identity: list[list[Any]]  # names, sizes and times of the files; it differs if the data have changed

    @abstractmethod
    def blocks(self, first: int = 0) -> Iterator[Block]:
        """The blocks from row ``first`` on, where a block begins; they are the same in every call."""

    @property
    def block_rows(self) -> int:
        """The most rows of a block."""
        return max(1, BLOCK_BYTES // (8 * len(self.columns)))

    def _checked(self, first: int, values: np.ndarray) -> Tensor:
        finite = np.isfinite(values)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            got = f"{values[row, column]} in row {first + row + 1}"
            remedy = "fill it, or leave the column out"
            raise unusable_column(self.columns[column], "finite numbers", got, remedy)
        return torch.from_numpy(values)


def open_rows(path: Path, drop: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> RowFile:
    """A Parquet file, a directory of Parquet files, or a two-dimensional array in a ``.npy`` file.

    Columns in ``drop`` are left out, those in ``keep`` are copied unchanged; the others must hold numbers.
    """
    if path.suffix.lower() == ".npy" and path.is_file():
        if drop or keep:
            raise InputError(f"drop and keep must name columns of a Parquet file, got the array {path}")
        return NumpyRows(path)
    if path.is_dir() or (path.suffix.lower() == ".parquet" and path.is_file()):
        return ParquetRows(path, drop, keep)
    raise InputError(f"rows must be a .parquet or .npy file or a directory of .parquet files, got {path}")


class ParquetRows(RowFile):
    """A Parquet file or a directory of them, in the order of their names; arguments as ``open_rows``."""

    def __init__(self, path: Path, drop: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> None:
        self.index = ParquetIndex(path, same_types=True)
        self.rows, self.identity = self.index.rows, [_identity(file) for file in self.index.files]
        schema = self.index.schema
        require_named(str(path), [*drop, *keep], schema.names)
        self.keep = list(keep)
        self.columns = [name for name in schema.names if name not in {*drop, *keep}]
        self.names = [name for name in schema.names if name not in drop or name in keep]
        types = [schema.field(name).type for name in self.columns]
        for name, kind in zip(self.columns, types, strict=True):
            if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
                raise unusable_column(name, "numbers", str(kind), "leave it out, or keep it to copy it")
        if not self.columns or not self.rows:
            sizes = f"{self.rows} rows, {len(self.columns)} columns"
            raise InputError(f"{path} must hold rows of numbers, got {sizes}")
        self.dtype = np.dtype(np.float32 if all(map(pa.types.is_float32, types)) else np.float64)

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """As ``RowFile.blocks``; a block lies in one row group."""
        for group in self.index.groups:
            start = group.first
            if start + group.rows > first:
                for batch in self.index.batches(group, [*self.columns, *self.keep], self.block_rows):
                    if start >= first:
                        yield self._block(start, batch)
                    start += len(batch)

    def _block(self, first: int, batch: pa.RecordBatch) -> Block:
        columns = (batch.column(name).cast(pa.float64()) for name in self.columns)
        numbers = [column.to_numpy(zero_copy_only=False) for column in columns]  # a missing value is nan
        kept = pa.Table.from_batches([batch.select(self.keep)]) if self.keep else None
        return Block(first, self._checked(first, np.stack(numbers, axis=1)), kept)


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
        self.dtype = np.dtype(np.float32 if array.dtype == np.float32 else np.float64)

    def blocks(self, first: int = 0) -> Iterator[Block]:
        """As ``RowFile.blocks``."""
        for start in range(first, self.rows, self.block_rows):
            # The file is mapped anew for each block: pages that were read stay in memory as long as the map.
            rows = np.load(self.path, mmap_mode="r")[start : start + self.block_rows]
            yield Block(start, self._checked(start, rows.astype(np.float64)), None)


def _identity(path: Path) -> list[Any]:
    about = path.stat()
    return [path.name, about.st_size, about.st_mtime_ns]


def write_part(path: Path, source: RowFile, out: Tensor, kept: pa.Table | None) -> None:
    """Write the output of one block, whole or not at all: ``.npy``, or ``.parquet`` with the kept columns."""
    values = out.numpy().astype(source.dtype)
    with write_atomically(path) as temporary:
        if path.suffix == ".npy":
            np.save(temporary, values)
            return
        columns = dict(zip(source.columns, np.ascontiguousarray(values.T), strict=True))
        copied = {} if kept is None else dict(zip(kept.column_names, kept.columns, strict=True))
        table = pa.table({name: columns[name] if name in columns else copied[name] for name in source.names})
        pq.write_table(table, temporary, use_dictionary=list(copied) or False)


def join_parts(parts: list[Path], rows: int, output: Path) -> Iterator[int]:
    """Write the parts to one file; yields the number of rows after every write."""
    return _join_arrays(parts, rows, output) if output.suffix == ".npy" else _join_tables(parts, output)


def _join_arrays(parts: list[Path], rows: int, output: Path) -> Iterator[int]:
    first = np.load(parts[0])
    header = {"descr": first.dtype.str, "fortran_order": False, "shape": (rows, first.shape[1])}
    with output.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            values = np.load(part)
            values.tofile(file)
            yield len(values)


def _join_tables(parts: list[Path], output: Path) -> Iterator[int]:
    schema = pq.read_schema(parts[0])
    copied = [name for name in schema.names if not pa.types.is_floating(schema.field(name).type)]
    with pq.ParquetWriter(output, schema, use_dictionary=copied or False) as writer:
        waiting: list[pa.Table] = []
        for part in parts:
            waiting.append(pq.read_table(part, use_threads=False))
            if part is parts[-1] or sum(table.nbytes for table in waiting) >= GROUP_BYTES:
                group = pa.concat_tables(waiting).combine_chunks()
                writer.write_table(group)
                waiting.clear()
                yield len(group)
