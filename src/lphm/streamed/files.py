"""Files of rows that are read block by block, and outputs that are put together from parts."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lphm.data.columns import require_named, unusable_column
from lphm.data.parquet_files import ParquetIndex
from lphm.data.tables import reading
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
        if (place := first_infinite(values)) is not None:
            got = f"{values[place]} in row {first + place[0] + 1}"
            remedy = "fill it, or leave the column out"
            raise unusable_column(self.columns[place[1]], "finite numbers", got, remedy)
        return torch.from_numpy(values)


def first_infinite(values: np.ndarray) -> tuple[int, int] | None:
    """Row and column of the first entry that is not a finite number; None if all are."""
    finite = np.isfinite(values)
    if finite.all():
        return None
    row, column = np.argwhere(~finite)[0]
    return int(row), int(column)


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
        # Not safe: integers above 2⁵³ are rounded, as those of an array are.
        columns = (batch.column(name).cast(pa.float64(), safe=False) for name in self.columns)
        numbers = [column.to_numpy(zero_copy_only=False) for column in columns]  # a missing value is nan
        kept = pa.Table.from_batches([batch.select(self.keep)]) if self.keep else None
        return Block(first, self._checked(first, np.stack(numbers, axis=1)), kept)


class NumpyRows(RowFile):
    """A two-dimensional array in a ``.npy`` file, read piece by piece."""

    def __init__(self, path: Path) -> None:
        with reading(path, ".npy file"):
            array = np.load(path, mmap_mode="r")
        if not isinstance(array, np.ndarray):
            raise InputError(f"{path} must be a .npy file, got an archive of arrays; save one of them alone")
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
            with np.errstate(over="ignore"):  # of a longer type; the check finds it
                numbers = rows.astype(np.float64)
            yield Block(start, self._checked(start, numbers), None)


def _identity(path: Path) -> list[Any]:
    about = path.stat()
    return [path.name, about.st_size, about.st_mtime_ns]


def part_content(source: RowFile, block: Block, out: Tensor, suffix: str) -> bytes:
    """The output of one block as a file: ``.npy``, or ``.parquet`` with the kept columns.

    Raises:
        InputError: the output has a number that its type cannot hold.
    """
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(out.numpy().astype(source.dtype))
    if (place := first_infinite(values)) is not None:
        got = f"{out[place].item()} in row {block.first + place[0] + 1}, column {source.columns[place[1]]!r}"
        raise InputError(
            f"the output must be finite numbers of the type {source.dtype}, got {got}; "
            "scale the columns, or the weights"
        )
    file = io.BytesIO()
    if suffix == ".npy":
        write_array_header(file, source.dtype, values.shape)
        file.write(values.data)
        return file.getvalue()
    columns = dict(zip(source.columns, np.ascontiguousarray(values.T), strict=True))
    kept = block.kept
    copied = {} if kept is None else dict(zip(kept.column_names, kept.columns, strict=True))
    table = pa.table({name: columns[name] if name in columns else copied[name] for name in source.names})
    pq.write_table(table, file, use_dictionary=list(copied) or False)
    return file.getvalue()


def write_array_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Begin a ``.npy`` file, of which the numbers follow row after row."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    write: Callable[..., None] = np.lib.format.write_array_header_1_0  # without types until numpy 2.4
    write(file, header)


def part_rows(path: Path) -> int:
    """The rows of a part."""
    if path.suffix == ".npy":
        return len(np.load(path, mmap_mode="r"))
    with path.open("rb") as file, pq.ParquetFile(file) as part:
        return int(part.metadata.num_rows)


def join_parts(parts: list[Path], rows: int, output: Path) -> Iterator[int]:
    """Write the parts, which have so many rows, to one file; yields the number of rows after every write."""
    return _join_arrays(parts, rows, output) if parts[0].suffix == ".npy" else _join_tables(parts, output)


def _join_arrays(parts: list[Path], rows: int, output: Path) -> Iterator[int]:
    first = np.load(parts[0], mmap_mode="r")
    with output.open("wb") as file:
        write_array_header(file, first.dtype, (rows, first.shape[1]))
        for part in parts:
            values = np.load(part)
            file.write(values.data)
            yield len(values)


def _join_tables(parts: list[Path], output: Path) -> Iterator[int]:
    first = _read_part(parts[0]).schema
    copied = [field.name for field in first if not pa.types.is_floating(field.type)]
    with output.open("wb") as file, pq.ParquetWriter(file, first, use_dictionary=copied or False) as writer:
        waiting: list[pa.Table] = []
        for part in parts:
            waiting.append(_read_part(part))
            if part is parts[-1] or sum(table.nbytes for table in waiting) >= GROUP_BYTES:
                group = pa.concat_tables(waiting).combine_chunks()
                writer.write_table(group)
                waiting.clear()
                yield len(group)


def _read_part(part: Path) -> pa.Table:
    try:
        with part.open("rb") as file:  # Arrow itself opens no file whose name is not UTF-8
            return pq.read_table(file, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise OSError(f"{part} cannot be read: {reason}; delete it") from error
