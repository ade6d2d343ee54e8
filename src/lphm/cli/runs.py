"""The commands for a run that is there: ``evaluate``, ``report`` and ``info``; ``predict`` is beside them."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from lphm._io import read_json
from lphm.cli.arguments import (
    Output,
    Printing,
    RunFolder,
    Source,
    loading,
    require_exists,
    require_output,
    require_run_first,
    same_file,
)
from lphm.errors import EDITED, InputError, one_line
from lphm.learn.options import DeviceName
from lphm.learn.unfinished import OPTIONS


def evaluate(
    run: RunFolder, source: Source, /, *, device: DeviceName = "auto", printing: Printing | None = None
) -> None:
    """Score a run on data whose target is known.

    **Examples**

        lphm evaluate runs/houses-1 next_year.csv
        lphm evaluate runs/flows-1 flows/

    Args:
        device: Where the network predicts. auto: on a GPU (cuda, then mps) if there is one.
    """
    require_exists(run)
    require_run_first(run, Path(source))
    with loading():
        from lphm.cli.printing import grid, say, say_unknown
        from lphm.cli.progress import bars
        from lphm.data.amounts import labelled
        from lphm.learn.run import load_run
        from lphm.learn.scores import score

    printing = printing or Printing()
    model = replace(load_run(run), device=device)
    with bars(printing.shows_bars) as progress:
        scores, unknown = score(model, source, progress)
    if not printing.quiet:
        say_unknown(unknown, run, model.config.input)
        if note := _trained_on(run, Path(source)):
            print(one_line(note), file=sys.stderr)
    samples = scores.pop("samples")
    rows = labelled(scores, model.config.target.unit) | {"samples": f"{samples:,.0f}"}
    say(grid(f"{run} on {Path(source).name}", rows), scores | {"samples": samples}, printing)


def _trained_on(run: Path, source: Path) -> str:
    """A word on scores for the data that the run was trained on; empty for others."""
    options = read_json(run / OPTIONS) if (run / OPTIONS).exists() else {}
    if not same_file(Path(str(options.get("source", ""))), source):
        return ""
    rows = "its rows" if options.get("test") else "most of its rows"
    info = shlex.join(["lphm", "info", str(run)])
    return f"{source.name} is the data of the run: it was trained on {rows}; '{info}' shows the test score"


def report(run: RunFolder, /, *, output: Output | None = None) -> None:
    """Write a run's report again: one HTML page that needs no network.

    **Example**

        lphm report runs/digits-1 -o digits.html

    Args:
        output: The page to write. Default: RUN/report.html.
    """
    require_exists(run)
    if output is not None:
        require_output(output, *(path for path in run.glob("*") if path.name != "report.html"))
    with loading():
        from lphm.report import write_report

    print(one_line(str(write_report(run, output))))


def info(run: RunFolder, /, *, json: bool = False) -> None:
    """Say what a run is: its data, scores, features, network, structures and training.

    **Example**

        lphm info runs/digits-1

    Args:
        json: Print the result as JSON, for scripts.
    """
    require_exists(run)
    with loading():
        from lphm.cli.description import description
        from lphm.cli.printing import grid, say
        from lphm.learn.run import METRICS, WEIGHTS, load_run

    model, path = load_run(run), run / METRICS
    metrics = read_json(path) if path.exists() else {}
    weights = (run / WEIGHTS).stat().st_size
    try:
        rows = description(model, metrics, weights)
    except EDITED as error:
        got = f"{type(error).__name__}: {error}"
        raise InputError(f"{path} must be as training wrote it, got {got}; train the run anew") from error
    facts = {name: value for name, value in metrics.items() if name != "history"}
    values = model.config.model_dump(mode="json") | {"metrics": facts, "weights_bytes": weights}
    say(grid(str(run), rows), values, Printing(json=json))
