"""The command ``apply``: ``xi`` over the rows of a file."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cyclopts import Parameter

from lphm.cli.arguments import (
    Output,
    Printing,
    Sided,
    Structure,
    loading,
    require_exists,
    require_output,
    same_file,
    when_interrupted,
)
from lphm.errors import InputError
from lphm.learn.options import Checked, Seed, StructureOptions, sizes_of

SUFFIXES = (".parquet", ".npy")


@Parameter(name="*", group="Interdependence")
@dataclass(kw_only=True)
class ApplyOptions(Checked):
    """Which interdependence is computed of which columns."""

    kind: Sided = "attribute"
    """Which interdependence: X xi of the columns (attribute), or xiᵀ X of the rows (instance)."""
    normalize: Literal["none", "scale", "softmax"] = "none"
    """How xi is normalised; scale divides it by n."""
    weights: Path | None = None
    """A .npy or .safetensors file with the parameters of W; one of 'lphm compress' has the structure, too.
    Default: drawn from the seed."""
    seed: Seed = 0
    """Seed for W where no weights are given."""
    drop: list[str] | None = None
    """A column to leave out; may be repeated."""
    keep: list[str] | None = None
    """A column to copy as it is; may be repeated."""
    matrix: Path | None = None
    """Also write xi of the columns, to this .csv file."""
    spreadsheet: bool = False
    """Put a ' before names in --matrix that a spreadsheet would run as a formula."""


def apply(
    file: Path,
    /,
    *,
    output: Output,
    options: ApplyOptions | None = None,
    structure: Structure = None,
    resume: bool = False,
    printing: Printing | None = None,
) -> None:
    """Apply xi to the rows of a file that need not fit into memory: X xi, or xiᵀ X.

    **Examples**

        lphm apply flows.parquet --r 8 -o mixed.parquet
        lphm apply flows.parquet --keep id --normalize softmax --matrix xi.csv -o mixed.parquet
        lphm apply x.npy --kind instance -o mixed.npy
        lphm apply flows.parquet --weights w.safetensors -o mixed.parquet

    Args:
        file: A .parquet or .npy file, or a directory of .parquet files.
        output: The .parquet or .npy file to write.
        resume: Continue an interrupted job, or begin it.
    """
    options, printing = options or ApplyOptions(), printing or Printing()
    _check_files(file, output, options)
    with loading():
        from lphm.cli.printing import grid, say
        from lphm.cli.progress import bars
        from lphm.streamed.files import open_rows
        from lphm.streamed.job import apply_file, job_folder, require_fits
        from lphm.streamed.weights import read_weights, structure_of_weights
        from lphm.structures.named import structure_for

    if same_file(job_folder(output), file):
        raise InputError(f"the input must not be the folder of the job, got {file}; choose another output")
    source = open_rows(file, tuple(options.drop or ()), tuple(options.keep or ()))
    kind = options.kind
    is_attribute = kind == "attribute"
    n = source.rows if is_attribute else len(source.columns)
    saved = None if options.weights is None else structure_of_weights(options.weights)
    chosen = structure or StructureOptions()
    try:
        W = saved or structure_for(chosen.structure, n, **sizes_of(chosen), larger=is_attribute)
    except ValueError as error:
        raise InputError(str(error)) from error
    if saved and structure:
        raise InputError(
            f"the structure and its sizes must be left out, got those of the weights, {W}, as well"
        )
    if is_attribute and n > W.n:
        raise InputError(f"{W} of the weights must have at least the n={n} rows of {file}", option="weights")
    require_fits(W, len(source.columns), kind)
    w = read_weights(options.weights, W, options.seed)
    normalize = None if options.normalize == "none" else options.normalize

    with (
        when_interrupted(lambda: _go_on(job_folder(output))),
        bars(printing.shows_bars) as progress,
    ):
        applied = apply_file(
            source,
            output,
            W,
            w,
            kind,
            normalize,
            matrix=options.matrix,
            spreadsheet=options.spreadsheet,
            resume=resume,
            progress=progress,
        )
    values = {"output": str(output), "structure": W.to_config(), **vars(applied)}
    rows = {
        "W": str(W),
        "parameters": f"{applied.parameters:,}",
        "rows x columns": f"{applied.rows:,} x {applied.columns}",
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in applied.seconds.items()),
    }
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        values["peak_memory_bytes"] = peak
        rows["peak memory"] = f"{peak / 2**20:,.0f} MiB"
    say(grid(str(output), rows), values, printing)


def _go_on(folder: Path) -> str:
    """What to do after an interruption: nothing if it has not begun, or is done but for the folder."""
    if not (folder / "job.json").exists():
        return ""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    return f"{shlex.join(['lphm', *arguments, '--resume'])} continues the job"


def _check_files(file: Path, output: Path, options: ApplyOptions) -> None:
    """Raise ``InputError`` unless the files can be what they are named as."""
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"the output must be a .parquet or .npy file, got {output}")
    if output.suffix.lower() == ".npy" and options.keep:
        raise InputError(f"the output must be a .parquet file for --keep, got {output}")
    matrix = options.matrix
    if matrix is not None and (options.kind != "attribute" or matrix.suffix.lower() != ".csv"):
        raise InputError(
            f"--matrix must be a .csv file, of the attribute kind, got {matrix} of the {options.kind} kind"
        )
    require_exists(file)
    require_output(output, file, options.weights)
    if matrix is not None:
        require_output(matrix, file, options.weights)
