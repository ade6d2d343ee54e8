"""The commands for a run that is there: ``evaluate``, ``report`` and ``info``; ``predict`` is beside them."""

import sys
from dataclasses import replace
from pathlib import Path

from lphm.cli.arguments import Output, Printing, RunFolder, Source, require_exists, require_output
from lphm.errors import one_line
from lphm.learn.options import DeviceName


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
    from lphm.cli.printing import grid, say
    from lphm.cli.progress import bars
    from lphm.learn.run import load_run
    from lphm.learn.scores import score

    printing = printing or Printing()
    model = replace(load_run(run), device=device)
    with bars(not printing.quiet) as progress:
        scores, unknown = score(model, source, progress)
    if str(unknown) and not printing.quiet:
        print(one_line(str(unknown)), file=sys.stderr)
    table = grid(f"{run} on {Path(source).name}", {name: f"{value:.6g}" for name, value in scores.items()})
    say(table, scores, printing)


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
    from lphm.report import write_report

    print(one_line(str(write_report(run, output))))


def info(run: RunFolder, /, *, json: bool = False) -> None:
    """Say what a run is: its data, network, structures and scores.

    **Example**

        lphm info runs/digits-1

    Args:
        json: Print the result as JSON, for scripts.
    """
    require_exists(run)
    from lphm.cli.printing import grid, say
    from lphm.learn.run import load_run

    model = load_run(run)
    config = model.config.model_dump(mode="json")
    choices = {"method": config["method"]}
    for part in ("network", "training", "patterns"):
        choices |= config.get(part, {})
    rows = {
        "source": config["source"],
        "target": f"{config['target']['name']} ({config['target']['task']})",
        "input": config["input"]["layout"],
        **{key: str(value) for key, value in choices.items()},
        "parameters": f"{sum(t.numel() for t in model.network.parameters()):,}",
    }
    say(grid(str(run), rows), config, Printing(json=json))
