"""Training on a directory of Parquet files that need not fit into memory."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from lphm.data.dataset import Dataset
from lphm.data.parquet import ParquetStream, Part
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.data.targets import Task
from lphm.distributed import gathered, rank, ranks
from lphm.errors import InputError
from lphm.learn.config import configure
from lphm.learn.objective import loss, score
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.progress import bar
from lphm.learn.run import Run
from lphm.learn.training import Outcome, Trained, fit_network, metrics_of, train

#: Rows of the test part that are predicted in the report, and of the training part that it describes.
SHOWN = 10_000


def open_stream(
    folder: Path, target: str | None, drop: Sequence[str], training: TrainingOptions, more: object
) -> ParquetStream:
    """The stream of a directory, with a validation part if the training wants one.

    Args:
        folder: the directory.
        target: the column to predict.
        drop: columns to leave out.
        training: its seed decides the parts.
        more: anything that was asked for and does not go with a stream.

    Raises:
        InputError: there is something of that sort, or no target, or no file that can be read.
    """
    if target is None:
        raise InputError(f"a directory must come with --target COLUMN, got {folder} alone; name the column")
    if more:
        raise InputError("a directory takes no --folds, --compare, --series or --step; leave them out")
    held_out = training.validation if training.early_stopping else 0.0
    return ParquetStream(folder, target, tuple(drop), training.seed, validation=held_out)


def train_stream(
    stream: ParquetStream,
    network: NetworkOptions | None = None,
    training: TrainingOptions | None = None,
    task: Task | None = None,
    *,
    console: Console | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Outcome:
    """Train on the training part of a stream, and test once on the test part; arguments as ``train``.

    Memory holds a few row groups, and of the test part what the network says and the truth.

    Raises:
        InputError: the rows cannot be learned from, or an option does not go with a stream.
    """
    started = time.perf_counter()
    network, training = network or NetworkOptions(), training or TrainingOptions()
    if training.balanced:
        raise InputError("--balanced must be left out for a directory, whose rows are not weighed")
    with bar(console, f"reading {stream.name}", len(stream.groups) // ranks()) as advance:
        fitted = fit_stream(stream, task, advance)
    rows = fitted.rows["train"]
    config = configure(stream.name, fitted.input, fitted.target, rows, network, training)
    options = config.training
    batches = StreamBatches(stream, "train", fitted, options.batch_size, options.seed)
    held_out = None
    if training.early_stopping:
        held_out = StreamBatches(stream, "validation", fitted, 1024, options.seed, shuffle=False)
    run, history = fit_network(
        config, training, batches, held_out, console=console, folder=folder, resume=resume
    )
    trained = Trained(run, history, time.perf_counter() - started)
    with bar(console, "testing", fitted.rows["test"] // ranks()) as advance:
        tested, scores = _scores(run, stream, advance)
    metrics = metrics_of(trained, {"test": scores}, {"train": rows, "test": tested})
    return Outcome(run, metrics, _some(stream, "test"), _some(stream, "train"))


def train_any(
    data: Dataset | ParquetStream,
    network: NetworkOptions,
    training: TrainingOptions,
    task: Task | None,
    console: Console | None,
    folder: Path,
    resume: bool,
) -> Outcome:
    """``train`` or ``train_stream``, as the data are in memory or not."""
    if isinstance(data, ParquetStream):
        return train_stream(data, network, training, task, console=console, folder=folder, resume=resume)
    return train(data, network, training, task, console=console, folder=folder, resume=resume)


def _scores(run: Run, stream: ParquetStream, after: Callable[[int], None]) -> tuple[int, dict[str, float]]:
    """Rows of the test part, and the loss and score on all of them; each rank predicts a share."""
    target = run.config.target
    share = [
        (run.outputs(frame, after=after), target.encode(frame[stream.target]))
        for frame in stream.frames("test", range(rank(), len(stream.groups), ranks()))
        if len(frame)
    ]
    parts = [part for of_rank in gathered(share) for part in of_rank]
    if not parts:
        raise InputError(f"{stream.name} must hold rows enough for a test part, got none in it")
    outputs, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return len(y), {"loss": loss(target, outputs, y).item(), target.score: score(target, outputs, y).item()}


def _some(stream: ParquetStream, part: Part) -> Dataset:
    """The first rows of a part."""
    frames, count = [], 0
    for frame in stream.frames(part):
        frames.append(frame)
        count += len(frame)
        if count >= SHOWN:
            break
    shown = pd.concat(frames, ignore_index=True).iloc[:SHOWN]
    return Dataset(stream.name, shown[stream.columns], shown[stream.target])
