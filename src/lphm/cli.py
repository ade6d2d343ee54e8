"""The command line: arguments in, tables and messages out. What it does is done elsewhere."""

from contextlib import nullcontext
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from lphm.bench import bench
from lphm.comparison import compare, cross_validate
from lphm.contraction import Kind
from lphm.data import Dataset, check_target, infer_task
from lphm.errors import InputError
from lphm.evaluation import evaluate
from lphm.files import read_dataset, read_inputs
from lphm.loop import CHECKPOINT
from lphm.options import KindName, NetworkOptions, StructureName, TrainingOptions, structure_for
from lphm.printing import bench_table, comparison_table, grid, say, summary
from lphm.report import write_report
from lphm.run_folder import read_options, run_folder
from lphm.runs import load_run, read_metrics, save_run, write_atomically, write_json
from lphm.stream import ParquetStream
from lphm.streaming import open_stream, train_any
from lphm.summary import summarize
from lphm.targets import Task
from lphm.training import check_network

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Train and use networks of low-rank hierarchical interdependence (LPHM), on your own data.",
)

#: What a run is not repeated by.
NOT_OPTIONS = {"output", "resume", "quiet", "json_output", "config"}
Structures = Enum("Structures", {name: name for name in ("lphm", "full", "low-rank", "hm", "dual-lphm")})  # type: ignore[misc]
Kinds = Enum("Kinds", {name: name for name in ("attribute", "instance", "both", "none")})  # type: ignore[misc]
Tasks = Enum("Tasks", {name: name for name in ("classification", "regression")})  # type: ignore[misc]
Devices = Enum("Devices", {name: name for name in ("auto", "cpu", "cuda", "mps")})  # type: ignore[misc]


def _use_config(context: typer.Context, file: Path | None) -> Path | None:
    """Let the options of a file be the defaults of this command."""
    if file is None:
        return None
    known = {p.name for p in context.command.params if p.name} - NOT_OPTIONS
    context.default_map = {**(context.default_map or {}), **read_options(file, known)}
    return file


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


@app.command("train")
def train_command(
    context: typer.Context,
    source: Source = "digits",
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    task: Annotated[Tasks | None, typer.Option(help="Decided from the target if not given.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    series: SeriesOption = None,
    step: StepOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder; runs/NAME-1, -2, ... if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of split, weights and order.")] = 0,
    kind: Annotated[Kinds, typer.Option(help="Which interdependences there are.")] = Kinds["both"],
    structure: Annotated[Structures, typer.Option(help="What W is.")] = Structures["lphm"],
    p: Annotated[int | None, typer.Option("--p", min=1, help="Row blocks of W.")] = None,
    q: Annotated[int | None, typer.Option("--q", min=1, help="Column blocks of W; p if not given.")] = None,
    r: Annotated[int | None, typer.Option("--r", min=1, help="Rank of the factors; 2 if not given.")] = None,
    budget: Annotated[
        float | None, typer.Option(min=0, help="Parameters of one W, or a share of Full's, instead of sizes.")
    ] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Columns inside the network; 32.")] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks of the network.")] = NetworkOptions.blocks,
    channels: Annotated[
        int, typer.Option(min=1, help="Interdependences side by side.")
    ] = NetworkOptions.channels,
    dropout: Annotated[float | None, typer.Option(min=0.0, max=0.99, help="Chosen from the rows.")] = None,
    members: Annotated[int, typer.Option(min=1, help="Networks that are averaged.")] = NetworkOptions.members,
    epochs: Annotated[int | None, typer.Option(min=1, help="Chosen from the rows.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Chosen from the rows.")] = None,
    learning_rate: Annotated[float, typer.Option(min=1e-12)] = TrainingOptions.learning_rate,
    weight_decay: Annotated[float, typer.Option(min=0)] = TrainingOptions.weight_decay,
    early_stopping: Annotated[
        bool, typer.Option("--early-stopping", help="Choose the epoch by a validation part.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Epochs without gain before it stops; half of --epochs.")
    ] = None,
    balanced: Annotated[bool, typer.Option("--balanced", help="Every class counts the same.")] = False,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate instead; no model is kept.")
    ] = None,
    comparison: Annotated[
        bool, typer.Option("--compare", help="Cross-validate without W, with full, low-rank and lphm.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    device: Annotated[Devices, typer.Option(help="Where it trains.")] = Devices["cpu"],
    threads: Annotated[
        int, typer.Option(min=1, help="More pay for wide networks.")
    ] = TrainingOptions.threads,
    config: Annotated[  # noqa: ARG001
        Path | None,
        typer.Option(callback=_use_config, is_eager=True, help="A run's options.json, to repeat it."),
    ] = None,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Train on data, test on a fifth of it, and write a run folder with a report.

    Examples: **lphm train** (on digits) · **lphm train houses.csv --target price** ·
    **lphm train iris --compare** · **lphm train flows.parquet --target label --series id --step time** ·
    **lphm train --config runs/digits-1/options.json -o again** · **lphm train -o runs/digits-1 --resume**
    """
    network = NetworkOptions(
        cast(StructureName, structure.value),
        cast(KindName, kind.value),
        p,
        q,
        r,
        budget,
        width,
        blocks,
        channels,
        dropout,
        members,
    )
    training = replace(
        TrainingOptions(seed, epochs, batch_size, learning_rate, weight_decay, early_stopping),
        patience=patience,
        balanced=balanced,
        threads=threads,
        device=device.value,
    )
    of_task = cast(Task, task.value) if task else None
    data: Dataset | ParquetStream
    if Path(source).is_dir():
        data = open_stream(Path(source), target, drop or [], training, folds or comparison or series or step)
    else:
        data = read_dataset(source, target, drop or [], series, step)
        of_task = of_task or infer_task(data.target)
        check_target(data.target, of_task)
        check_network(data, network, training, of_task)
    options = {
        key: value.value if isinstance(value, Enum) else value
        for key, value in context.params.items()
        if key not in NOT_OPTIONS and value is not None
    }
    folder = run_folder(output, data.name, options, resume)
    console = None if quiet else Console(stderr=True)
    if comparison and isinstance(data, Dataset):
        rows = compare(data, network, training, folds or 5, of_task, console=console, folder=folder)
        return say(
            comparison_table(data.name, rows), {"table": [vars(row) for row in rows]}, quiet, json_output
        )
    if folds and isinstance(data, Dataset):
        row = cross_validate(data, network, training, folds, of_task, console=console, folder=folder)
        return say(comparison_table(data.name, [row]), vars(row), quiet, json_output)
    if not (folder / "config.json").exists():
        outcome = train_any(data, network, training, of_task, console, folder, resume)
        evaluate(outcome.run, outcome.test).save(folder)
        write_json(folder / "summary.json", summarize(outcome.sample, outcome.run.config.target.task))
        save_run(outcome.run, folder, outcome.metrics)
    write_report(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    metrics = read_metrics(folder)
    return say(summary(metrics, data.name, folder), metrics, quiet, json_output)


@app.command()
def predict(
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
    with Console(stderr=True).status(f"predicting {file}"):
        predicted = model.predict(read_inputs(file, model.config.input))
    with write_atomically(output) as temporary:
        predicted.to_csv(temporary, index=False)
    Console().print(
        f"{len(predicted)} predictions of {model.config.target.name!r} in {output}", soft_wrap=True
    )


@app.command("evaluate")
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


@app.command()
def report(
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="RUN/report.html if not given.")
    ] = None,
) -> None:
    """Write a run's report again: one HTML page that needs no network.

    Example: **lphm report runs/digits-1 -o digits.html**
    """
    Console().print(f"{write_report(run, output)}", soft_wrap=True)


@app.command()
def info(run: RunFolder, json_output: Json = False) -> None:
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


@app.command("bench")
def bench_command(
    b: Annotated[int, typer.Option("--b", min=1, help="Rows of X.")] = 4096,
    m: Annotated[int, typer.Option("--m", min=1, help="Columns of X.")] = 128,
    kind: Annotated[Kinds, typer.Option(help="attribute or instance.")] = Kinds["attribute"],
    structure: Annotated[Structures, typer.Option(help="What W is.")] = Structures["lphm"],
    p: Annotated[int | None, typer.Option("--p", min=1, help="Row blocks of W.")] = None,
    q: Annotated[int | None, typer.Option("--q", min=1, help="Column blocks of W; p if not given.")] = None,
    r: Annotated[int | None, typer.Option("--r", min=1, help="Rank of the factors; 2 if not given.")] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="Parameters of W, instead of sizes.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    json_output: Json = False,
) -> None:
    """Time X @ xi on this machine beside a linear layer and a dense W, forward and backward.

    Example: **lphm bench --b 4096 --m 128 --p 64 --r 8** · **lphm bench --kind instance --json**
    """
    if kind.value not in ("attribute", "instance"):
        raise InputError(f"--kind must be attribute or instance for a bench, got {kind.value}")
    of_kind = cast(Kind, kind.value)
    options = NetworkOptions(cast(StructureName, structure.value), p=p, q=q, r=r, budget=budget)
    try:
        chosen = structure_for(options, b if of_kind == "attribute" else m)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    rows = bench(chosen, b, m, of_kind, threads=threads)
    say(
        bench_table(f"{chosen}, X {b} x {m}", rows),
        {"table": [vars(row) for row in rows]},
        False,
        json_output,
    )
