"""What is done with a run: ``lphm predict``, ``evaluate``, ``report`` and ``info``."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lphm._io import write_atomically
from lphm.cli.arguments import Json, Quiet, RunFolder, Source
from lphm.cli.printing import grid, say
from lphm.cli.progress import Bars
from lphm.data.readers import read_dataset, read_inputs
from lphm.errors import InputError
from lphm.learn.evaluation import evaluate
from lphm.learn.run import load_run
from lphm.report import write_report


def predict_command(
    run: RunFolder,
    file: Annotated[Path, typer.Argument(help="Data as at training; no target is needed.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv file to write.")],
) -> None:
    """Predict the target of every sample, with class probabilities for classification.

    Example: **lphm predict runs/houses-1 new.csv -o predicted.csv**
    """
    if output.suffix.lower() != ".csv":
        raise InputError(f"the output must be a .csv file, got {output}")
    model = load_run(run)
    console = Console(stderr=True)
    with console.status(f"reading {file}"):
        inputs = read_inputs(file, model.config.input)
    with Bars() as bars:
        predicted = model.predict(inputs)
        bars(f"predicting {file}", len(inputs), len(inputs))
    with write_atomically(output) as temporary:
        predicted.to_csv(temporary, index=False)
    Console().print(
        f"{len(predicted)} predictions of {model.config.target.name!r} in {output}", soft_wrap=True
    )


def evaluate_command(run: RunFolder, source: Source, quiet: Quiet = False, json_output: Json = False) -> None:
    """Score a run on data whose target is known.

    Example: **lphm evaluate runs/houses-1 next_year.csv**
    """
    model = load_run(run)
    schema = model.config.input
    series, step = getattr(schema, "series", None), getattr(schema, "step", None)
    with nullcontext() if quiet else Console(stderr=True).status(f"evaluating {source}"):
        data = read_dataset(source, model.config.target.name, [], series, step)
        found = evaluate(model, data, interdependence=False)
    values = {found.score_name: found.score, "loss": found.loss, "samples": len(data)}
    table = grid(f"{run} on {data.name}", {name: f"{value:.6g}" for name, value in values.items()})
    say(table, values, quiet, json_output)


def report_command(
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="RUN/report.html if not given.")
    ] = None,
) -> None:
    """Write a run's report again: one HTML page that needs no network.

    Example: **lphm report runs/digits-1 -o digits.html**
    """
    Console().print(f"{write_report(run, output)}", soft_wrap=True)


def info_command(run: RunFolder, json_output: Json = False) -> None:
    """Say what a run is: its data, network, structures and scores.

    Example: **lphm info runs/digits-1**
    """
    model = load_run(run)
    config = model.config.model_dump(mode="json")
    shown = {
        "source": config["source"],
        "target": f"{config['target']['name']} ({config['target']['task']})",
        "input": config["input"]["layout"],
        **{key: str(value) for key, value in config["network"].items()},
        **{key: str(value) for key, value in config["training"].items()},
        "parameters": f"{sum(t.numel() for t in model.network.parameters()):,}",
    }
    say(grid(str(run), shown), config, False, json_output)
