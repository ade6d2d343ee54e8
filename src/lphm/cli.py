"""The command line: arguments in, tables and messages out. What it does is done elsewhere."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as Grid

from lphm.data import bundled_digits
from lphm.errors import InputError
from lphm.evaluation import evaluate
from lphm.files import labelled_table, read_table
from lphm.options import NetworkOptions, TrainingOptions
from lphm.report import write_report
from lphm.runs import load_run, save_run, write_atomically, write_json
from lphm.summary import summarize
from lphm.training import Outcome, train

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Train and use networks of low-rank hierarchical interdependence (LPHM), on your own table.",
)


class TaskName(str, Enum):
    """What ``--task`` takes."""

    classification = "classification"
    regression = "regression"


class StructureName(str, Enum):
    """What ``--structure`` takes."""

    lphm = "lphm"
    full = "full"
    none = "none"


@app.callback()
def _commands() -> None:
    """Keep every command a subcommand."""


@app.command("train")
def train_command(
    file: Annotated[
        Path | None, typer.Argument(help="A .csv or .parquet table; scikit-learn's digits if not given.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    task: Annotated[TaskName | None, typer.Option(help="Decided from the target if not given.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder; runs/NAME-1, -2, ... if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of split, weights and order.")] = 0,
    structure: Annotated[StructureName, typer.Option(help="Structure of W.")] = StructureName.lphm,
    rank: Annotated[int, typer.Option(min=1, help="r of LPHM.")] = NetworkOptions.rank,
    width: Annotated[
        int | None, typer.Option(min=1, help="Columns inside the network; chosen from the rows.")
    ] = None,
    blocks: Annotated[int, typer.Option(min=1, help="Blocks of the network.")] = NetworkOptions.blocks,
    channels: Annotated[
        int, typer.Option(min=1, help="Interdependences side by side.")
    ] = NetworkOptions.channels,
    dropout: Annotated[float | None, typer.Option(min=0.0, max=0.99, help="Chosen from the rows.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most; chosen from the rows.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Chosen from the rows.")] = None,
    learning_rate: Annotated[float, typer.Option(min=1e-12)] = TrainingOptions.learning_rate,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Epochs without gain before it stops; half of --epochs.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="More pay for wide networks.")
    ] = TrainingOptions.threads,
) -> None:
    """Train on a table (or on digits), test, and write a run folder.

    Examples: **lphm train** · **lphm train houses.csv --target price** ·
    **lphm train flows.parquet --target label --drop id --seed 1 -o runs/flows**
    """
    if file is None and target is not None:
        raise InputError(f"--target must come with a table, got --target {target} alone; name the FILE")
    if file is not None and target is None:
        raise InputError(
            f"a table must come with --target COLUMN, got {file} alone; name the column to predict"
        )
    if file is None or target is None:
        table = bundled_digits()
    else:
        table = labelled_table(file.name, read_table(file), target, drop or [])
    folder = _new_folder(output, table.name)
    console = Console(stderr=True)
    outcome = train(
        table,
        NetworkOptions(structure.value, rank, width, blocks, channels, dropout),
        TrainingOptions(seed, epochs, batch_size, learning_rate, patience=patience, threads=threads),
        task.value if task else None,
        console,
    )
    evaluate(outcome.run, outcome.test).save(folder)
    write_json(folder / "summary.json", summarize(table, outcome.run.config.target.task))
    save_run(outcome.run, folder, outcome.metrics)
    write_report(folder)
    Console().print(_summary(outcome, table.name, folder))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder that 'lphm train' wrote.")],
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet table with the columns of training.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .csv file to write.")],
) -> None:
    """Predict the target of every row of a table, with class probabilities for classification.

    Example: **lphm predict runs/houses-1 new.csv -o predicted.csv**
    """
    if output.suffix.lower() != ".csv":
        raise InputError(f"the output must be a .csv file, got {output}")
    model = load_run(run)
    predicted = model.predict(read_table(file))
    with write_atomically(output) as temporary:
        predicted.to_csv(temporary, index=False)
    Console().print(
        f"{len(predicted)} predictions of {model.config.target.name!r} in {output}", soft_wrap=True
    )


def _new_folder(wanted: Path | None, name: str) -> Path:
    """An empty folder for a run."""
    if wanted is None:
        base = Path("runs") / Path(name).stem
        number = next(i for i in range(1, 10**6) if not base.with_name(f"{base.name}-{i}").exists())
        return base.with_name(f"{base.name}-{number}")
    if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
        raise InputError(f"--output must be a new or empty folder, got {wanted}, which holds something")
    return wanted


def _summary(outcome: Outcome, name: str, folder: Path) -> Grid:
    """The table that closes a training."""
    metrics: dict[str, Any] = outcome.metrics
    score = outcome.run.config.target.score
    own, full = metrics["interdependence_parameters"], metrics["interdependence_parameters_full"]
    fewer = f"  ({full / own:.1f} times fewer)" if 0 < own < full else ""
    grid = Grid(title=f"{name}: {metrics['task']}", show_header=False, title_justify="left")
    rows = {
        f"test {'R²' if score == 'r2' else score}": f"{metrics['test'][score]:.4f}",
        f"validation {'R²' if score == 'r2' else score}": f"{metrics['validation'][score]:.4f}",
        "interdependence parameters": f"{own:,}{fewer}",
        "the same network with Full": f"{full:,}",
        "parameters in all": f"{metrics['parameters']:,}",
        "epochs": f"{len(metrics['history'])}, best {metrics['best_epoch']}",
        "seconds": f"{metrics['seconds']:.0f}",
        "run folder": str(folder),
    }
    for label, value in rows.items():
        grid.add_row(label, value, end_section=label == "epochs")
    return grid
