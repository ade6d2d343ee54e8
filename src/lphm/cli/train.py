"""The command ``train``."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from lphm._io import read_json, write_json
from lphm.cli.arguments import Printing, Source, require_exists, same_file, when_interrupted
from lphm.cli.run_folder import RunOptions, begin, chosen_folder, discarded_if_refused, going_on
from lphm.data.row_options import RowOptions
from lphm.errors import EDITED, InputError
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.unfinished import SUMMARY

if TYPE_CHECKING:
    from lphm.data.dataset import Dataset
    from lphm.data.parquet import ParquetStream
    from lphm.learn.config import RunConfig
    from lphm.learn.training import Outcome


@Parameter(name="*", group="Data")
@dataclass(kw_only=True)
class DataOptions:
    """How the data are read."""

    target: str | None = None
    """The column to predict."""
    task: Literal["classification", "regression"] | None = None
    """What is learned. Default: decided from the target."""
    drop: list[str] | None = None
    """A column to leave out; may be repeated."""
    keep: list[str] | None = None
    """A column to use, though it would be left out as an identifier or because it gives the target away;
    may be repeated."""
    category: list[str] | None = None
    """A column that holds categories, whatever its values look like, such as a code; may be repeated."""
    text: list[str] | None = None
    """A column of free text, whose words count; may be repeated."""
    series: str | None = None
    """In a long table of series: the column that says which series a row belongs to."""
    step: str | None = None
    """In a long table of series: the column that orders the rows of a series."""
    wide: str | None = None
    r"""In a wide table of series, with a row for each: a regular expression for the names of the columns of
    steps. A group is the number of the step, as in 'ch_(\d+)', a second one the channel; if the groups
    are named step and channel, their order is free."""


@dataclass(kw_only=True)
class TrainingArguments(TrainingOptions):
    """The same choices; what is done by default can be refused."""

    early_stopping: Annotated[bool | None, Parameter(negative="--no-early-stopping")] = None


def train(
    source: Source = "digits",
    /,
    *,
    data: DataOptions | None = None,
    rows: Annotated[RowOptions | None, Parameter(name="*", group="Rows")] = None,
    run: RunOptions | None = None,
    network: Annotated[NetworkOptions | None, Parameter(name="*", group="Network")] = None,
    training: Annotated[TrainingArguments | None, Parameter(name="*", group="Training")] = None,
    printing: Printing | None = None,
) -> None:
    r"""Train on data, test on a fifth of it, and write a run folder with a report.

    **Examples**

        lphm train
        lphm train houses.csv --target price
        lphm train houses.csv --target price --test new_houses.csv
        lphm train visits.csv --target ill --group patient --early-stopping
        lphm train sales.csv --target sold --time date --folds 5
        lphm train iris --compare
        lphm train flows.parquet --target label --series id --step time
        lphm train readings.csv --target state --wide 'ch_(\d+)'
        lphm train GunPoint_TRAIN.ts --test GunPoint_TEST.ts
        lphm train --config runs/digits-1/options.json -o again
        lphm train -o runs/digits-1 --resume
        torchrun --nproc-per-node 4 -m lphm train flows/ --target label
    """
    data, rows, run = data or DataOptions(), rows or RowOptions(), run or RunOptions()
    network, training = network or NetworkOptions(), training or TrainingArguments()
    printing = printing or Printing()
    for file in (source, rows.test or ""):
        if Path(file).suffix or os.sep in file:
            require_exists(Path(file))
    folder: Path | None = None
    with when_interrupted(lambda: going_on(folder)):
        from lphm.cli.columns import say_columns
        from lphm.cli.printing import comparison_table, say
        from lphm.cli.progress import bars
        from lphm.data.dataset import Dataset
        from lphm.distributed import broadcast_choice, process_group, rank
        from lphm.learn.comparison import Comparison, compare
        from lphm.learn.cross_validation import cross_validate
        from lphm.learn.evaluation import INTERDEPENDENCE, PREDICTIONS
        from lphm.learn.run import CONFIG, METRICS, WEIGHTS
        from lphm.learn.training import prepare, train

        samples = _read(source, data, rows, run, training)
        options = {"source": source, "folds": run.folds, "compare": run.compare}
        options |= asdict(data) | asdict(rows) | asdict(network) | asdict(training)
        validated, outcome = None, None
        written = PREDICTIONS, INTERDEPENDENCE, SUMMARY, WEIGHTS, METRICS, CONFIG
        with process_group(run.timeout), bars(rank() == 0 and printing.shows_bars) as progress:
            first = rank() == 0
            prepared = prepare(samples, network, training, data.task, progress=progress)
            folder = broadcast_choice(lambda: chosen_folder(run, samples.name))
            resumed = broadcast_choice(lambda: begin(folder, run, options))
            say_columns(prepared, printing)
            with discarded_if_refused(folder, resumed):
                if isinstance(samples, Dataset) and (run.compare or run.folds):
                    validate = compare if run.compare else cross_validate
                    k = run.folds or 5
                    validated = validate(
                        samples, network, training, k, data.task, progress=progress, folder=folder
                    )
                elif not broadcast_choice(lambda: all((folder / name).exists() for name in written)):
                    outcome = train(prepared, progress=progress, folder=folder, resume=run.resume)
        if validated is not None:
            if isinstance(validated, Comparison):
                table, text = validated.table, validated.verdict.text
            else:
                table, text = [validated], ""
            say(comparison_table(samples.name, table), asdict(validated), printing, text)
        elif first:
            _complete(folder, outcome)
            _close(folder, samples.name, prepared.config, printing)


def _close(folder: Path, name: str, config: "RunConfig", printing: Printing) -> None:
    """Print what the run folder says of the training, and a doubt about its score."""
    from lphm.cli.printing import say, summary, warning
    from lphm.learn.config import PatternRunConfig
    from lphm.learn.run import METRICS

    metrics = read_json(folder / METRICS)
    try:
        closing = summary(metrics, name, folder, isinstance(config, PatternRunConfig))
        doubt = warning(metrics, config.target.name)
    except EDITED as error:
        got = f"{type(error).__name__}: {error}"
        message = f"{folder / METRICS} must be as training wrote it, got {got}; train the run anew"
        raise InputError(message) from error
    say(closing, metrics, printing, doubt)


def _read(
    source: str, data: DataOptions, rows: RowOptions, run: RunOptions, training: TrainingOptions
) -> "Dataset | ParquetStream":
    """The data, once it is clear that what was asked for can be done with them."""
    from lphm.data.readers import open_directory, read_dataset
    from lphm.data.roles import without_misleading
    from lphm.distributed import launch_info
    from lphm.learn.preparation import first_rows

    if (run.folds or run.compare) and launch_info().world_size > 1:
        raise InputError("--folds and --compare must be run by one process, got several; leave torchrun out")
    if (run.folds or run.compare) and rows.test is not None:
        raise InputError(
            "--folds and --compare must test on the rows that they are given, got --test as well"
        )
    if rows.test is not None:
        _require_other(Path(rows.test), Path(source))
    drop, keep, categories = data.drop or [], data.keep or [], data.category or []
    if not Path(source).is_dir():
        columns = (data.series, data.step, categories, rows, data.wide, data.text or [], keep)
        samples = read_dataset(source, data.target, drop, *columns)
        return without_misleading(samples, keep, categories)
    if run.folds or run.compare or data.series or data.step or data.wide:
        wrong = "--folds, --compare, --series, --step or --wide"
        raise InputError(f"a directory takes no {wrong}; leave them out")
    validation = training.validation if training.early_stopping else 0.0
    options = (training.seed, validation, categories, rows, data.text or [])
    stream = open_directory(Path(source), data.target, drop, *options)
    first = without_misleading(first_rows(stream, "train"), keep, categories)
    without = [name for name in first.left_out if name not in stream.left_out]
    if without:
        stream = open_directory(Path(source), data.target, [*drop, *without], *options)
    stream.left_out, stream.hint = first.left_out, first.hint
    return stream


def _require_other(test: Path, source: Path) -> None:
    """Raise ``InputError`` if the rows of the test part are among those of the data."""
    if any(same_file(test, file) for file in (source, *source.glob("[!._]*"))):
        raise InputError(f"--test must be a file of rows that are not trained on, got {test}, which is")


def _complete(folder: Path, outcome: "Outcome | None") -> None:
    """Complete the run folder; of a run that was trained before, write only the report again."""
    from lphm.data.summary import summarize
    from lphm.learn.checkpoint import CHECKPOINT
    from lphm.learn.run import save_run
    from lphm.report import write_report

    if outcome is not None:
        outcome.evaluation.save(folder)
        write_json(folder / SUMMARY, summarize(outcome.sample, outcome.run.config.target.task))
        save_run(outcome.run, folder, outcome.metrics)
    write_report(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
