"""The command ``predict``."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lphm.cli.arguments import (
    RunFolder,
    loading,
    require_exists,
    require_output,
    require_run_first,
    when_interrupted,
)
from lphm.errors import InputError, one_line
from lphm.learn.options import DeviceName

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def predict(
    run: RunFolder,
    file: Path,
    /,
    *,
    output: Annotated[Path, Parameter(alias="-o", allow_leading_hyphen=True)] = Path("-"),
    keep: list[str] | None = None,
    device: DeviceName = "auto",
    spreadsheet: bool = False,
    quiet: bool = False,
) -> None:
    """Predict the target of every sample, with class probabilities for classification.

    **Examples**

        lphm predict runs/houses-1 new.csv
        lphm predict runs/houses-1 new.csv --keep id -o predicted.csv
        lphm predict runs/flows-1 flows/ -o predicted.parquet

    Args:
        file: Data with the columns of the training data, or a directory of .parquet files; no target is
            needed, and other columns are ignored.
        output: The .csv, .csv.gz or .parquet file to write. Default: standard output, as CSV.
        keep: A column of the data to write before the predictions; may be repeated.
        device: Where the network predicts. auto: on a GPU (cuda, then mps) if there is one.
        spreadsheet: Put a ' before text that a spreadsheet would run as a formula. Default: as it is, for
            programs.
        quiet: No progress bar, and nothing but errors and what is asked for.
    """
    path = None if str(output) == "-" else output
    require_exists(run, file)
    require_run_first(run, file)
    if path is not None:
        _check_output(path, run, file, spreadsheet)
    with when_interrupted(lambda: "" if path is None else "nothing was written"):
        with loading():
            from lphm.cli.printing import say_unknown
            from lphm.cli.progress import bars
            from lphm.data.outputs import write_table
            from lphm.learn.predictions import Predictions
            from lphm.learn.run import load_run

        predictions = Predictions(replace(load_run(run), device=device), tuple(keep or ()), spreadsheet)
        with bars(not quiet) as progress:
            rows = write_table(predictions.of(file, progress), path)
    if quiet:
        return
    say_unknown(predictions.unknown, run, predictions.run.config.input)
    name = predictions.run.config.target.name
    where, stream = ("standard output", sys.stderr) if path is None else (path, sys.stdout)
    print(one_line(f"{rows} predictions of {name!r} in {where}"), file=stream)


def _check_output(path: Path, run: Path, file: Path, spreadsheet: bool) -> None:
    """Raise ``InputError`` unless the file can be written, and is none that is needed."""
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(
            f"the output must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, got {path}"
        )
    if spreadsheet and path.suffix.lower() == ".parquet":
        raise InputError(
            f"the output must be a .csv file for --spreadsheet, got {path}; leave one of them out"
        )
    require_output(path, file)
    if path.exists() and path.resolve().parent == run.resolve():
        raise InputError(f"the output must not be a file of the run, got {path}")
