"""``lphm train``."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, cast

import typer

from lphm._io import write_json
from lphm.cli.arguments import (
    Devices,
    Json,
    Kinds,
    Quiet,
    SeriesOption,
    Source,
    StepOption,
    Structures,
    Tasks,
)
from lphm.cli.printing import comparison_table, say, summary
from lphm.cli.progress import Bars
from lphm.cli.run_folder import read_options, run_folder
from lphm.data.dataset import Dataset
from lphm.data.parquet import ParquetStream
from lphm.data.readers import open_directory, read_dataset
from lphm.data.summary import summarize
from lphm.data.targets import Task
from lphm.distributed import broadcast_choice, launch_info, process_group, rank
from lphm.errors import InputError
from lphm.learn.cross_validation import compare, cross_validate
from lphm.learn.lightning import CHECKPOINT
from lphm.learn.options import KindName, NetworkOptions, StructureName, TrainingOptions
from lphm.learn.run import read_metrics, save_run
from lphm.learn.training import prepare, train
from lphm.report import write_report

#: What a run is not repeated by.
NOT_OPTIONS = {"output", "resume", "timeout", "quiet", "json_output", "config"}


def _use_config(context: typer.Context, file: Path | None) -> Path | None:
    """Let the options of a file be the defaults of this command."""
    if file is None:
        return None
    known = {p.name for p in context.command.params if p.name} - NOT_OPTIONS
    context.default_map = {**(context.default_map or {}), **read_options(file, known)}
    return file


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
    timeout: Annotated[
        float, typer.Option(min=1, help="Of several processes: seconds that one waits for the others.")
    ] = 300.0,
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
    **torchrun --nproc-per-node 4 -m lphm train flows/ --target label** · **lphm train --config
    runs/digits-1/options.json -o again** · **lphm train -o runs/digits-1 --resume**
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
    if launch_info().world_size > 1 and (folds or comparison):
        raise InputError("--folds and --compare must be run by one process, got several; leave torchrun out")
    data: Dataset | ParquetStream
    if Path(source).is_dir():
        if folds or comparison or series or step:
            raise InputError("a directory takes no --folds, --compare, --series or --step; leave them out")
        share = training.validation if training.early_stopping else 0.0
        data = open_directory(Path(source), target, drop or [], seed, share)
    else:
        data = read_dataset(source, target, drop or [], series, step)
    options = {
        key: value.value if isinstance(value, Enum) else value
        for key, value in context.params.items()
        if key not in NOT_OPTIONS and value is not None
    }
    with process_group(timeout), Bars() as bars:
        first = rank() == 0
        progress = bars if first and not quiet else None
        prepared = prepare(data, network, training, of_task, progress=progress)
        folder = broadcast_choice(lambda: run_folder(output, data.name, options, resume))
        if comparison and isinstance(data, Dataset):
            rows = compare(data, network, training, folds or 5, of_task, progress=progress, folder=folder)
            told = {"table": [vars(row) for row in rows]}
            return say(comparison_table(data.name, rows), told, quiet, json_output)
        if folds and isinstance(data, Dataset):
            row = cross_validate(data, network, training, folds, of_task, progress=progress, folder=folder)
            return say(comparison_table(data.name, [row]), vars(row), quiet, json_output)
        outcome = None
        if not broadcast_choice((folder / "config.json").exists):
            outcome = train(prepared, progress=progress, folder=folder, resume=resume)
    if not first:
        return None
    if outcome is not None:
        outcome.evaluation.save(folder)
        write_json(folder / "summary.json", summarize(outcome.sample, outcome.run.config.target.task))
        save_run(outcome.run, folder, outcome.metrics)
    write_report(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    metrics = read_metrics(folder)
    return say(summary(metrics, data.name, folder), metrics, quiet, json_output)
