"""Data made ready for a training: split, encoded by schemas of the training part alone, and sizes settled.

Both kinds of data, in memory and in a directory, say here how a trained run is tested on them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor

from lphm.data.batches import Batch, Batches, MemoryBatches
from lphm.data.dataset import Dataset, check_target, fit_inputs, infer_task
from lphm.data.parquet import ParquetStream, Part
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import StreamFit, fit_stream
from lphm.data.progress import Progress, no_progress
from lphm.data.readers import read_test
from lphm.data.schema import InputSchema
from lphm.data.splits import check_apart, held_out, split_rows
from lphm.data.targets import TargetSchema, Task, fit_target
from lphm.distributed import gather_results, rank, world_size
from lphm.errors import InputError
from lphm.learn.config import NetworkRunConfig, RunConfig
from lphm.learn.defaults import configure, training_config
from lphm.learn.evaluation import Evaluation, evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import Run

#: Fewest rows of a table, or images, of which early stopping holds some out by default.
HELD_OUT_FROM = 100
#: Samples of the validation part that are predicted at a time.
VALIDATION_BATCH = 1024
#: Rows of the test part whose predictions are kept, and of the training part that the summary describes.
MOST_ROWS = 10_000

Tested: TypeAlias = tuple[dict[str, Any], Evaluation, Dataset]


@dataclass(frozen=True)
class TrainingData:
    """Encoded samples, and the configuration that was fitted on them."""

    config: RunConfig
    options: TrainingOptions
    train: Batches
    validation: Batches | None  # decides which epoch is the best; None without early stopping


@dataclass(frozen=True)
class Prepared(TrainingData):
    """Training data with a test part.

    ``test`` is called with the trained run. It returns scores and rows of each part for ``metrics.json``, and
    the evaluation of the test part and its samples, of a directory the first ones.
    """

    sample: Dataset  # describes the data; all samples if they are in memory
    test: Callable[[Run, Progress | None], Tested]


def prepare_table(
    data: Dataset, network: NetworkOptions, training: TrainingOptions, task: Task | None
) -> Prepared:
    """Split off the test part of data in memory and encode the rest; arguments as ``training.prepare``."""
    task = task or infer_task(data.target)
    check_target(data.target, task)
    options, rest, test = data.row_options, data, None
    if options.test is None:
        rest, test = split_rows(data, task, training.seed)
    encoded = encode(rest, network, training, task)
    schemas = encoded.config.input, encoded.config.target
    if test is None:
        test = read_test(str(options.test), *schemas, options)
        check_apart(data, test)
    _require_encoded(test, *schemas)
    return Prepared(**vars(encoded), sample=data, test=partial(_test_table, rest, test))


def _require_encoded(test: Dataset, schema: InputSchema, target: TargetSchema) -> None:
    """Raise ``InputError`` now, not after the training, if the test part cannot be scored."""
    schema.encode(test.inputs)
    target.encode(test.target)
    if not test.weights.sum() > 0:
        raise InputError(f"{test.name} must have rows whose weight is above 0, got none")


def encode(
    data: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    task: Task,
    start: Run | None = None,
    validation: Dataset | None = None,
) -> TrainingData:
    """Fit the schemas on the training part, unless those of ``start`` are used, and encode the samples.

    ``validation`` is the validation part, if it is not to be split off from ``data``.
    """
    stops, train_part = training.early_stopping, data
    if stops is None:
        stops = isinstance(data.inputs, pd.DataFrame) and len(data) >= HELD_OUT_FROM
    if stops and validation is None and data.time is not None:
        with _for_early_stopping():
            train_part, validation = split_rows(data, task, training.seed, training.validation)
    rows = len(train_part)
    if start is None:
        schemas = fit_inputs(train_part), fit_target(train_part.target, task, train_part.number)
        config = configure(data.name, *schemas, rows, network, training)
    else:
        config = start.config
        if isinstance(config, NetworkRunConfig):
            settled = training_config(training, rows, config.input)
            config = config.model_copy(update={"training": settled})
    if not isinstance(config, NetworkRunConfig):
        if validation is not None:
            message = "a validation part chooses epochs, which ridge regression has not"
            raise InputError(f"{message}; leave it out, or choose the method network")
        return TrainingData(config, training, _batches(config, train_part, training, rows), None)
    batches = _batches(config, train_part, training, config.training.batch_size)
    if validation is not None:
        validated = _batches(config, validation, training, VALIDATION_BATCH, shuffle=False)
        return TrainingData(config, training, batches, validated)
    if not stops:
        return TrainingData(config, training, batches, None)
    with _for_early_stopping():
        parts = held_out(data, task, training.seed, training.validation, config.network.members)
    return TrainingData(config, training, *_held_out_batches(batches, torch.as_tensor(parts)))


@contextmanager
def _for_early_stopping() -> Iterator[None]:
    """Let an error of rows that are held out say what they are for, and how to train without them."""
    try:
        yield
    except InputError as error:
        raise InputError(f"early stopping must hold rows out: {error}; train without it") from error


def _held_out_batches(batches: MemoryBatches, parts: Tensor) -> tuple[MemoryBatches, MemoryBatches]:
    """Samples that count for the members that do not hold them out, and those that a member holds out."""
    weight, held = batches.weight.unsqueeze(1), parts.any(dim=1)
    x, y, seed, shares = batches.x, batches.y, batches.seed, (batches.rank, batches.world_size)
    train = MemoryBatches(x, y, weight * ~parts, batches.batch_size, seed, True, *shares)
    held_out_weight = (weight * parts)[held]
    return train, MemoryBatches(x[held], y[held], held_out_weight, VALIDATION_BATCH, seed, False, *shares)


def _batches(
    config: RunConfig, part: Dataset, options: TrainingOptions, batch_size: int, shuffle: bool = True
) -> MemoryBatches:
    """The encoded samples; weights have mean 1, so that they do not change the learning rate."""
    weight = part.weights
    y = config.target.encode(part.target)
    if options.balanced and config.target.task == "classification":
        weight = weight * compute_sample_weight("balanced", y.numpy())
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise InputError("sample weights must be finite, not negative and not all zero")
    scaled = torch.as_tensor(weight / weight.mean(), dtype=torch.float32)
    x = config.input.encode(part.inputs)
    return MemoryBatches(x, y, scaled, batch_size, options.seed, shuffle, rank(), world_size())


def _test_table(rest: Dataset, test: Dataset, run: Run, progress: Progress | None) -> Tested:
    target = run.config.target
    metrics, evaluation, test = _test_rows(len(rest), test, run, progress)
    weight = torch.as_tensor(rest.weights)
    scores = _scores(target, run.outputs(rest.inputs), target.encode(rest.target), weight)
    return {"train": scores, **metrics}, evaluation, test


def _test_rows(trained_on: int, test: Dataset, run: Run, _progress: Progress | None) -> Tested:
    evaluation = evaluate(run, test)
    metrics = {
        "test": evaluation.scores,
        "rows": {"train": trained_on, "test": len(test)},
    }
    return metrics, evaluation, test


def prepare_stream(
    stream: ParquetStream,
    network: NetworkOptions,
    training: TrainingOptions,
    task: Task | None,
    progress: Progress | None,
) -> Prepared:
    """Fit the schemas in one pass over the files; arguments as ``training.prepare``."""
    if training.balanced:
        message = "balanced must be left out for a directory, whose classes have no weights"
        raise InputError(message, option="balanced")
    fitted = fit_stream(stream, task, progress)
    config = configure(stream.name, fitted.input, fitted.target, fitted.rows["train"], network, training)
    assert isinstance(config, NetworkRunConfig)  # for a table
    seed, validation = training.seed, None
    if training.early_stopping:
        validation = StreamBatches(stream, "validation", fitted, VALIDATION_BATCH, seed, shuffle=False)
    train_batches = StreamBatches(stream, "train", fitted, config.training.batch_size, seed)
    test: Callable[[Run, Progress | None], Tested] = partial(_test_stream, stream, fitted)
    if stream.options.test is not None:
        rows = read_test(stream.options.test, fitted.input, fitted.target, stream.options)
        _require_encoded(rows, fitted.input, fitted.target)
        test = partial(_test_rows, fitted.rows["train"], rows)
    return Prepared(config, training, train_batches, validation, first_rows(stream, "train"), test)


def _test_stream(stream: ParquetStream, fitted: StreamFit, run: Run, progress: Progress | None) -> Tested:
    """Predict all rows of the test part, each process a share of them; evaluate the first ones."""
    groups = [g for g in range(rank(), len(stream.groups), world_size()) if fitted.counts["test"][g]]
    total = sum(fitted.counts["test"][g] for g in groups)

    def share() -> dict[int, Batch]:
        """Outputs, truth and weights by row group."""
        parts, rows = {}, 0
        for group, frame in zip(groups, stream.frames("test", groups), strict=True):
            truth = run.config.target.encode(frame[stream.target])
            parts[group] = run.outputs(frame), truth, torch.as_tensor(stream.weights(frame))
            rows += len(frame)
            (progress or no_progress)("testing", rows, total)
        return parts

    parts = {group: part for of_process in gather_results(share) for group, part in of_process.items()}
    outputs, y, weight = map(torch.cat, zip(*(parts[group] for group in sorted(parts)), strict=True))
    first = first_rows(stream, "test")
    rows = {"train": fitted.rows["train"], "test": len(y)}
    metrics = {"test": _scores(run.config.target, outputs, y, weight), "rows": rows}
    return metrics, evaluate(run, first, outputs=outputs[: len(first)]), first


def first_rows(stream: ParquetStream, part: Part) -> Dataset:
    """The first rows of a part, at most ``MOST_ROWS``."""
    frames: list[pd.DataFrame] = []
    for frame in stream.frames(part):
        frames.append(frame)
        if sum(map(len, frames)) >= MOST_ROWS:
            break
    rows = pd.concat(frames, ignore_index=True).iloc[:MOST_ROWS]
    return Dataset(
        stream.name,
        rows[stream.columns],
        rows[stream.target],
        stream.weights(rows),
        left_out=stream.left_out,
        conversions=stream.conversions,
        hint=stream.hint,
        row_options=stream.options,
    )


def _scores(target: TargetSchema, outputs: Tensor, y: Tensor, weight: Tensor) -> dict[str, float]:
    loss, score = target.loss(outputs, y, weight), target.score(outputs, y, weight)
    details = target.details(outputs, y, weight)
    return {"loss": loss.item(), target.score_name: score.item(), **details}
