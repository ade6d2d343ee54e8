"""``xi`` applied to the rows of a file that need not fit into memory: two passes, which can be resumed.

The folder ``NAME.partial`` beside the output holds what is done so far. ``job.json`` says of which job it is,
``sums.safetensors`` holds the sums of the first pass, and ``part-FIRSTROW-CRC32`` the output of one block of
the second pass. In the end the parts, which must be those of all rows in order, are joined to the output, and
the folder is deleted: first ``job.json``, without which a folder is not that of a job.
"""

import json
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lphm._io import read_json, write_atomically, write_json
from lphm._memory import require_memory
from lphm.data.formulas import guard_formulas
from lphm.data.progress import Progress, no_progress
from lphm.errors import InputError, ReadError, WriteError
from lphm.ops.checks import Kind, Normalize
from lphm.streamed import Mixing, Reduction
from lphm.streamed.files import RowFile, first_infinite, join_parts, part_content, part_rows
from lphm.streamed.functional import kept_numbers
from lphm.structures import Structure

#: Seconds between two times that the sums of the first pass are written.
SAVED_EVERY = 5.0
#: Names of the files in the folder of a job, and of their temporaries.
WRITTEN = re.compile(
    r"job\.json|sums\.safetensors|part-\d{15}-[0-9a-f]{8}\.(npy|parquet)|\.(job|sums|part)-.*lphm-.*"
)


@dataclass(frozen=True)
class Applied:
    """The sizes of a job that is done, and the seconds that each pass took in this process."""

    rows: int
    columns: int
    parameters: int
    seconds: dict[str, float]


def require_fits(structure: Structure, columns: int, kind: Kind) -> None:
    """Raise ``InputError`` unless memory holds ``w``, the sums of the first pass and ``xi``, in float64."""
    numbers = structure.num_parameters + kept_numbers(structure, columns, kind)
    require_memory(f"{structure} and xi of {columns} columns", 8 * numbers, "choose smaller p, q, r or lags")


def apply_file(
    source: RowFile,
    output: Path,
    structure: Structure,
    w: Tensor,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    matrix: Path | None = None,
    spreadsheet: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> Applied:
    """Write ``X @ xi`` (attribute) or ``xiᵀ @ X`` (instance) of the rows of a file, whole or not at all.

    If the rows are fewer than ``n``, zero rows follow. ``w`` is ``(l,)``. ``output`` is a ``.parquet`` or
    ``.npy`` file, ``matrix`` a ``.csv`` file for ``xi`` of the attribute kind, in which ``spreadsheet``
    guards names that would be formulas. ``resume`` continues an interrupted job, or begins one if there is
    none. Every pass reports the rows that are done.

    Raises:
        InputError: a file cannot be read or written, the arguments are not those of the interrupted job, or
            ``xi`` or the output is not finite.
    """
    try:
        reduction = Reduction(structure, w, len(source.columns), kind, normalize)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    job = {
        "source": source.identity,
        "names": source.names,
        "columns": source.columns,
        "block_rows": source.block_rows,
        "structure": structure.to_config(),
        "kind": kind,
        "normalize": str(normalize),
        "w": zlib.crc32(w.numpy().data),
        "output": output.name,
    }
    passes = _Passes(source, output, progress or no_progress)
    passes.begin(job, resume)
    passes.load_sums(reduction)
    try:
        with torch.no_grad():
            passes.reduce(reduction)
            mixing = reduction.finish(partial=True)
            if mixing.xi is not None:
                _check_xi(mixing.xi, source.columns)
                if matrix is not None:
                    frame = pd.DataFrame(mixing.xi.numpy(), source.columns, source.columns)
                    with write_atomically(matrix) as temporary:
                        (guard_formulas(frame) if spreadsheet else frame).to_csv(temporary)
            passes.join(passes.mix(mixing))
    except (ReadError, WriteError) as error:
        if isinstance(error, ReadError) and not passes.sums.exists():
            passes.remove()  # nothing is lost
            raise
        message = f"{error}; what is done so far is kept, and the job can be resumed"
        raise type(error)(message, option="resume") from error
    except InputError:
        passes.remove()  # the rows have to be changed, so nothing can be resumed
        raise
    passes.remove()
    return Applied(source.rows, len(source.columns), structure.num_parameters, passes.seconds)


def _check_xi(xi: Tensor, columns: list[str]) -> None:
    if (place := first_infinite(xi.numpy())) is not None:
        row, column = place
        got = f"{xi[place].item()} for the columns {columns[row]!r} and {columns[column]!r}"
        raise InputError(f"xi must be finite numbers, got {got}; scale the columns, or the weights")


def job_folder(output: Path) -> Path:
    """Where a job keeps what is done so far."""
    return output.with_name(output.name + ".partial")


class _Passes:
    """The passes over a file, and the folder with what is done so far."""

    def __init__(self, source: RowFile, output: Path, progress: Progress) -> None:
        self.source, self.output, self.progress = source, output, progress
        self.folder = job_folder(output)
        self.job, self.sums = self.folder / "job.json", self.folder / "sums.safetensors"
        self.seconds: dict[str, float] = {}

    def begin(self, job: dict[str, Any], resume: bool) -> None:
        """Begin the job, or check that the folder belongs to it."""
        if not self.job.exists():
            self.remove()
            try:
                write_json(self.job, job)
            except InputError:
                self.remove()
                raise
            return
        if not resume:
            raise InputError(
                f"{self.folder} must not exist for a new job, got that of an interrupted one; "
                "resume that job, or delete the folder",
                option="resume",
            )
        begun = read_json(self.job)
        other = sorted(key for key in job if begun.get(key) != json.loads(json.dumps(job[key])))
        if other:
            raise InputError(
                f"a job must be resumed with the arguments that it was begun with, got another "
                f"{', '.join(other)}: see {self.job}"
            )

    def remove(self) -> None:
        """Delete the folder, but for files of others. What makes it that of a job goes first."""
        if not self.folder.is_dir():
            return
        self.job.unlink(missing_ok=True)
        for file in self.folder.iterdir():
            if WRITTEN.fullmatch(file.name):
                file.unlink()
        with suppress(OSError):  # it holds a file of others
            self.folder.rmdir()

    def load_sums(self, reduction: Reduction) -> None:
        """Take the sums of an interrupted first pass."""
        if not self.sums.exists():
            return
        wanted = [(*total.shape, total.dtype) for total in reduction.sums]
        try:
            with safe_open(self.sums, "pt") as saved:
                about = saved.metadata() or {}
                rows, sums = int(about["rows"]), [saved.get_tensor(str(i)) for i in range(len(wanted))]
            if (shapes := [(*total.shape, total.dtype) for total in sums]) != wanted:
                raise ValueError(f"{shapes} in place of {wanted}")
            if not 0 <= rows <= self.source.rows:
                raise ValueError(f"those of {rows} rows in place of at most {self.source.rows}")
            if about.get("crc32") != _crc32_of(rows, sums):
                raise ValueError("numbers that have changed")
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise InputError(
                f"{self.sums} must hold the sums of this job, got {error}; delete the folder to start again"
            ) from error
        reduction.rows, reduction.sums = rows, sums

    def reduce(self, reduction: Reduction) -> None:
        """The first pass, from where it was interrupted."""
        rows, written = self.source.rows, time.monotonic()
        with self._timed("reducing"):
            self.progress("reducing", reduction.rows, rows)
            for block in self.source.blocks(reduction.rows):
                reduction.add(block.rows)
                self.progress("reducing", reduction.rows, rows)
                if reduction.rows == rows or time.monotonic() - written > SAVED_EVERY:
                    sums = {str(i): total.contiguous() for i, total in enumerate(reduction.sums)}
                    with write_atomically(self.sums) as temporary:
                        about = {"rows": str(reduction.rows)}
                        about["crc32"] = _crc32_of(reduction.rows, reduction.sums)
                        temporary.write_bytes(save(sums, about))
                    written = time.monotonic()

    def mix(self, mixing: Mixing) -> list[Path]:
        """The second pass, from the first row that is in no part; returns the parts of all rows, in order."""
        suffix, rows = self.output.suffix.lower(), self.source.rows
        parts, done = self._parts(suffix)
        with self._timed("mixing"):
            self.progress("mixing", done, rows)
            for block in self.source.blocks(done):
                content = part_content(self.source, block, mixing(block.rows), suffix)
                parts.append(self.folder / f"part-{block.first:015}-{zlib.crc32(content):08x}{suffix}")
                with write_atomically(parts[-1]) as temporary:
                    temporary.write_bytes(content)
                done += len(block.rows)
                self.progress("mixing", done, rows)
        if done != rows:
            raise InputError(f"the parts in {self.folder} must have all {rows} rows, got {done}; start again")
        return parts

    def _parts(self, suffix: str) -> tuple[list[Path], int]:
        """The parts that follow one another from the first row on, and their rows; deletes what does not."""
        parts: list[Path] = []
        done = 0
        for part in sorted(file for file in self.folder.glob("part-*") if WRITTEN.fullmatch(file.name)):
            follows = part.name == f"part-{done:015}-{_crc32(part):08x}{suffix}"
            if follows:
                parts.append(part)
                done += part_rows(part)
            else:
                part.unlink()
        return parts, done

    def join(self, parts: list[Path]) -> None:
        """Put the parts together."""
        rows = 0
        with self._timed("joining"), write_atomically(self.output) as temporary:
            for written in join_parts(parts, self.source.rows, temporary):
                rows += written
                self.progress("joining", rows, self.source.rows)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 2)


def _crc32(file: Path) -> int:
    try:
        return zlib.crc32(file.read_bytes())
    except OSError:
        return -1


def _crc32_of(rows: int, sums: Iterable[Tensor]) -> str:
    """Of the sums of so many rows."""
    value = rows
    for total in sums:
        value = zlib.crc32(total.contiguous().numpy().tobytes(), value & 0xFFFFFFFF)
    return str(value)
