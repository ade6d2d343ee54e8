"""The arguments that the commands share."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

Structures = Enum("Structures", {name: name for name in ("lphm", "full", "low-rank", "hm", "dual-lphm")})  # type: ignore[misc]
Kinds = Enum("Kinds", {name: name for name in ("attribute", "instance", "both", "none")})  # type: ignore[misc]
SidedKinds = Enum("SidedKinds", {name: name for name in ("attribute", "instance")})  # type: ignore[misc]
Normalizes = Enum("Normalizes", {name: name for name in ("none", "scale", "softmax")})  # type: ignore[misc]
Tasks = Enum("Tasks", {name: name for name in ("classification", "regression")})  # type: ignore[misc]
Devices = Enum("Devices", {name: name for name in ("auto", "cpu", "cuda", "mps")})  # type: ignore[misc]

Source = Annotated[
    str,
    typer.Argument(
        help="A .csv, .parquet or .npz file, a directory of .parquet files, or the name of a bundled set: "
        "digits, iris, wine, breast-cancer, diabetes.",
        metavar="DATA",
    ),
]
SeriesOption = Annotated[
    str | None, typer.Option(help="Of a long table: the column that says which series a row belongs to.")
]
StepOption = Annotated[str | None, typer.Option(help="Of a long table: the column that orders a series.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder that 'lphm train' wrote.", metavar="RUN")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar, and nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
