"""``lphm apply``."""

import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from lphm.cli.arguments import Json, Normalizes, Quiet, SidedKinds, Structures
from lphm.cli.printing import grid, say
from lphm.cli.progress import Bars
from lphm.errors import InputError
from lphm.learn.options import NetworkOptions, StructureName, structure_for, structure_for_rows
from lphm.ops.checks import Kind
from lphm.streamed.files import open_rows
from lphm.streamed.job import apply_file, read_weights

try:
    import resource
except ModuleNotFoundError:  # Windows has none
    resource = None  # type: ignore[assignment]


def apply_command(
    file: Annotated[
        Path,
        typer.Argument(help="A .parquet or .npy file, or a directory of .parquet files.", metavar="FILE"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .parquet or .npy file to write.")],
    kind: Annotated[SidedKinds, typer.Option(help="Which interdependence.")] = SidedKinds["attribute"],
    structure: Annotated[Structures, typer.Option(help="What W is.")] = Structures["lphm"],
    p: Annotated[int | None, typer.Option("--p", min=1, help="Row blocks of W; chosen if not given.")] = None,
    q: Annotated[int | None, typer.Option("--q", min=1, help="Column blocks of W; p if not given.")] = None,
    r: Annotated[int | None, typer.Option("--r", min=1, help="Rank of the factors; 2 if not given.")] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, help="Parameters of W, or a share of Full's, instead of sizes.")
    ] = None,
    normalize: Annotated[Normalizes, typer.Option(help="scale divides xi by n.")] = Normalizes["none"],
    weights: Annotated[
        Path | None, typer.Option(help="w, l numbers in a .npy or .safetensors file; drawn if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of a w that is drawn.")] = 0,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="A column to copy as it is; may be repeated.")
    ] = None,
    matrix: Annotated[Path | None, typer.Option(help="Write xi of the columns to this .csv file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted job.")] = False,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Apply xi to the rows of a file that need not fit into memory: X xi, or xiᵀ X.

    Examples: **lphm apply flows.parquet --r 8 -o mixed.parquet** · **lphm apply flows.parquet --keep id
    --normalize softmax --matrix xi.csv -o mixed.parquet** · **lphm apply x.npy --kind instance -o mixed.npy**
    """
    of_kind = cast(Kind, kind.value)
    if output.suffix.lower() not in (".parquet", ".npy"):
        raise InputError(f"the output must be a .parquet or .npy file, got {output}")
    if output.is_dir() or (output.exists() and file.exists() and output.samefile(file)):
        raise InputError(f"the output must be a file other than the input, got {output}")
    if matrix is not None and (of_kind != "attribute" or matrix.suffix.lower() != ".csv"):
        raise InputError(f"--matrix must be a .csv file, of the attribute kind, got {matrix} of {of_kind}")
    source = open_rows(file, tuple(drop or ()), tuple(keep or ()))
    if output.suffix.lower() == ".npy" and keep:
        raise InputError(f"the output must be a .parquet file for --keep, got {output}")
    options = NetworkOptions(cast(StructureName, structure.value), p=p, q=q, r=r, budget=budget)
    try:
        if of_kind == "instance":
            chosen = structure_for(options, len(source.columns))
        else:
            chosen = structure_for_rows(options, source.rows)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    w = read_weights(weights, chosen, seed)
    with Bars() as bars:
        done = apply_file(
            source,
            output,
            chosen,
            w,
            of_kind,
            {"none": None}.get(normalize.value, normalize.value),
            matrix=matrix,
            resume=resume,
            progress=None if quiet or json_output else bars,
        )
    values = {"output": str(output), "structure": chosen.to_config(), **vars(done)}
    shown = {
        "W": str(chosen),
        "parameters": f"{done.parameters:,}",
        "rows x columns": f"{done.rows:,} x {done.columns}",
        "seconds": ", ".join(f"{name} {value:.1f}" for name, value in done.seconds.items()),
    }
    if resource is not None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        values["peak_memory_bytes"] = peak
        shown["peak memory"] = f"{peak / 2**20:,.0f} MiB"
    say(grid(str(output), shown), values, quiet, json_output)
