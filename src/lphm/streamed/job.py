"""``xi`` applied to the rows of a file that need not fit into memory: two passes, each can be gone on with.

Beside the output, ``NAME.partial`` holds what is there already: ``job.json``, that it is of the same job;
``sums.safetensors``, what the rows of the first pass add up to so far; then the output block by block, each
part whole. They are put together at the end, and the folder is deleted.
"""

import json
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lphm._io import write_atomically, write_json
from lphm.errors import InputError
from lphm.learn.progress import bars
from lphm.nn.init import initialize_
from lphm.ops.checks import Kind, Normalize
from lphm.streamed import Mixing, Reduction
from lphm.streamed.files import RowFile, join_parts, write_part
from lphm.structures import Structure

#: Seconds between two times that the sums of the first pass are written down.
SAVED_EVERY = 5.0


@dataclass(frozen=True)
class Applied:
    """What was done: sizes, and seconds of the passes that this process did."""

    rows: int
    columns: int
    parameters: int
    seconds: dict[str, float]


def read_weights(file: Path | None, structure: Structure, seed: int) -> Tensor:
    """``w`` ``(l,)`` in float64: from a ``.npy`` or ``.safetensors`` file with one tensor, or drawn.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    size = structure.num_parameters
    if file is None:
        drawn = torch.empty(size, dtype=torch.float64)
        return initialize_(structure, drawn, generator=torch.Generator().manual_seed(seed))
    try:
        tensors = [torch.from_numpy(np.load(file))] if file.suffix == ".npy" else [*load_file(file).values()]
    except (OSError, ValueError, EOFError, TypeError, SafetensorError) as error:
        raise InputError(
            f"--weights must be a readable .npy or .safetensors file, got {file}: {error}"
        ) from error
    if len(tensors) != 1 or tensors[0].numel() != size or not bool(tensors[0].isfinite().all()):
        got = ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "none"
        raise InputError(
            f"--weights must hold one tensor of l={size} finite numbers for {structure}, got {got} in {file}"
        )
    return tensors[0].reshape(-1).double()


def apply_file(
    source: RowFile,
    output: Path,
    structure: Structure,
    w: Tensor,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    matrix: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> Applied:
    """Write ``X @ xi`` (attribute) or ``xiᵀ @ X`` (instance) of the rows of a file.

    Args:
        source: the rows; fewer than ``n`` count as followed by zeros.
        output: ``.parquet`` or ``.npy``; written whole or not at all.
        structure: what ``W`` is.
        w: parameters, ``(l,)``.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: ``None``, ``"scale"`` or ``"softmax"``.
        matrix: where ``xi`` of the attribute kind goes, a ``.csv`` file.
        resume: go on with what an earlier, interrupted call left.
        console: where the progress bar goes; none is shown if not given.

    Raises:
        InputError: the data or the files cannot be used, or what an earlier call left is not of this job.
    """
    work = output.with_name(output.name + ".partial")
    job = {
        "source": source.identity,
        "names": source.names,
        "structure": structure.to_config(),
        "kind": kind,
        "normalize": str(normalize),
        "w": zlib.crc32(w.numpy().tobytes()),
        "output": output.name,
    }
    try:
        reduction = Reduction(structure, w, len(source.columns), kind, normalize)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    output.parent.mkdir(parents=True, exist_ok=True)
    _begin(work, job, resume)
    seconds: dict[str, float] = {}
    try:
        with bars(console) as progress, torch.no_grad():
            with _timed(seconds, "reducing"):
                _reduce(reduction, source, work / "sums.safetensors", progress)
            mix = reduction.finish(partial=True)
            if matrix is not None and mix.xi is not None:
                _write_matrix(mix.xi, source.columns, matrix)
            with _timed(seconds, "mixing"):
                parts = _mix(mix, source, work, output.suffix, progress)
            with _timed(seconds, "joining"):
                _join(parts, source.rows, output, work, progress)
    except InputError:
        shutil.rmtree(work)  # nobody can go on with it
        raise
    shutil.rmtree(work)
    return Applied(source.rows, len(source.columns), structure.num_parameters, seconds)


def _begin(work: Path, job: dict[str, Any], resume: bool) -> None:
    file = work / "job.json"
    if work.exists() and not resume:
        raise InputError(
            f"{work} must not be there for a new job, got one that was interrupted; "
            "--resume goes on with it, or delete the folder"
        )
    if not file.exists():
        write_json(file, job)
        return
    begun = json.loads(file.read_text(encoding="utf-8"))
    other = sorted(key for key in job if begun.get(key) != json.loads(json.dumps(job[key])))
    if other:
        raise InputError(
            f"--resume must come with the same job, which differs in {', '.join(other)}: see {file}"
        )


def _reduce(reduction: Reduction, source: RowFile, file: Path, progress: Progress) -> None:
    """The first pass, from where it was left."""
    if file.exists():
        with safe_open(file, "pt") as saved:
            reduction.rows = int(saved.metadata()["rows"])
            reduction.sums = [saved.get_tensor(str(i)) for i in range(len(reduction.sums))]
    bar = progress.add_task("reducing", total=source.rows, completed=reduction.rows, status="")
    if reduction.rows == source.rows:
        return
    written = time.monotonic()
    for block in source.blocks(reduction.rows):
        reduction.add(block.rows)
        progress.update(bar, completed=reduction.rows)
        if time.monotonic() - written > SAVED_EVERY:
            _save(reduction, file)
            written = time.monotonic()
    _save(reduction, file)


def _save(reduction: Reduction, file: Path) -> None:
    with write_atomically(file) as temporary:
        tensors = {str(i): tensor.contiguous() for i, tensor in enumerate(reduction.sums)}
        save_file(tensors, temporary, {"rows": str(reduction.rows)})


def _mix(mix: Mixing, source: RowFile, work: Path, suffix: str, progress: Progress) -> list[Path]:
    """The second pass, from the first block whose part is not there."""
    parts = sorted(path for path in work.glob(f"part-*{suffix}"))
    begin = (
        int(parts.pop().stem.removeprefix("part-")) if parts else 0
    )  # the last one again: its rows are not known
    bar = progress.add_task("mixing", total=source.rows, completed=begin, status="")
    for block in source.blocks(begin):
        part = work / f"part-{block.first:015}{suffix}"
        write_part(part, source, mix(block.rows), block.kept)
        parts.append(part)
        progress.update(bar, advance=len(block.rows))
    return parts


def _write_matrix(xi: Tensor, names: list[str], file: Path) -> None:
    with write_atomically(file) as temporary:
        pd.DataFrame(xi.numpy(), names, names).to_csv(temporary)


def _join(parts: list[Path], rows: int, output: Path, work: Path, progress: Progress) -> None:
    bar, joined = progress.add_task("joining", total=rows, status=""), work / f"joined{output.suffix}"
    for done in join_parts(parts, rows, joined):
        progress.update(bar, advance=done)
    joined.replace(output)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - begun, 2)
