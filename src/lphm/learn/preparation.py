"""Data made ready for a training: split, encoded by schemas of the training part alone, and sizes settled.

Both kinds of data, in memory and in a directory, say here how a trained run is tested on them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
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
from lphm.data.schema import FEW_ROWS, FeatureSchema, InputSchema, SeriesSchema
from lphm.data.splits import check_apart, split_rows, split_validation
from lphm.data.targets import TargetSchema, Task, fit_target
from lphm.distributed import gather_results, rank, world_size
from lphm.errors import InputError
from lphm.learn.evaluation import Evaluation, evaluate
from lphm.learn.options import NetworkOptions, Optimizer, Sizes, TrainingOptions, sizes_of
from lphm.learn.run import NetworkConfig, Run, RunConfig, TrainingConfig, build_embedding
from lphm.structures.named import structure_for

#: Samples of the validation part that are predicted at a time.
VALIDATION_BATCH = 1024
#: Rows of the test part whose predictions are kept, and of the training part that the summary describes.
MOST_ROWS = 10_000
#: Rows that defaults follow from. A network with little dropout learns fewer than SMALL rows by heart; LARGE
#: tables do what dropout and averaging do for smaller ones.
SMALL, LARGE = 1000, 5000
#: The most rows of X, such as the features of a table, of all members together, unless there is one member.
WIDE = 8192
#: Passes over the training part. A table of fewer than FEW_ROWS rows gets the fewest optimizer steps instead,
#: for it is soon learned by heart.
EPOCHS = 16
#: Optimizer steps; there is at least one pass.
FEWEST_STEPS, MOST_STEPS = 160, 20_000

Tested: TypeAlias = tuple[dict[str, Any], Evaluation]


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
    the evaluation of the test part.
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
    train_part = data
    if training.early_stopping and validation is None:
        train_part, validation = split_validation(data, task, training.seed, training.validation)
    rows = len(train_part)
    if start is None:
        schemas = fit_inputs(train_part), fit_target(train_part.target, task)
        config = configure(data.name, *schemas, rows, network, training)
    else:
        config = start.config.model_copy(
            update={"training": training_config(training, rows, start.config.input)}
        )
    held_out = None
    if validation is not None:
        held_out = _batches(config, validation, training, VALIDATION_BATCH, shuffle=False)
    train_batches = _batches(config, train_part, training, config.training.batch_size)
    return TrainingData(config, training, train_batches, held_out)


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
    return MemoryBatches(x, y, scaled, batch_size, config.training.seed, shuffle, rank(), world_size())


def _test_table(rest: Dataset, test: Dataset, run: Run, progress: Progress | None) -> Tested:
    target, (metrics, evaluation) = run.config.target, _test_rows(len(rest), test, run, progress)
    weight = torch.as_tensor(rest.weights)
    scores = _scores(target, run.outputs(rest.inputs), target.encode(rest.target), weight)
    return {"train": scores, **metrics}, evaluation


def _test_rows(trained_on: int, test: Dataset, run: Run, _progress: Progress | None) -> Tested:
    evaluation = evaluate(run, test)
    metrics = {
        "test": {"loss": evaluation.loss, evaluation.score_name: evaluation.score},
        "rows": {"train": trained_on, "test": len(test)},
    }
    return metrics, evaluation


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
    seed, validation = config.training.seed, None
    if training.early_stopping:
        validation = StreamBatches(stream, "validation", fitted, VALIDATION_BATCH, seed, shuffle=False)
    train_batches = StreamBatches(stream, "train", fitted, config.training.batch_size, seed)
    test: Callable[[Run, Progress | None], Tested] = partial(_test_stream, stream, fitted)
    if stream.options.test is not None:
        rows = read_test(stream.options.test, fitted.input, fitted.target, stream.options)
        _require_encoded(rows, fitted.input, fitted.target)
        test = partial(_test_rows, fitted.rows["train"], rows)
    return Prepared(config, training, train_batches, validation, _first_rows(stream, "train"), test)


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
    first = _first_rows(stream, "test")
    rows = {"train": fitted.rows["train"], "test": len(y)}
    metrics = {"test": _scores(run.config.target, outputs, y, weight), "rows": rows}
    return metrics, evaluate(run, first, outputs=outputs[: len(first)])


def _first_rows(stream: ParquetStream, part: Part) -> Dataset:
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
        left_out=tuple(stream.left_out),
        row_options=stream.options,
    )


def _scores(target: TargetSchema, outputs: Tensor, y: Tensor, weight: Tensor) -> dict[str, float]:
    loss, score = target.loss(outputs, y, weight), target.score(outputs, y, weight)
    return {"loss": loss.item(), target.score_name: score.item()}


def configure(
    source: str,
    schema: InputSchema,
    target: TargetSchema,
    rows: int,
    network: NetworkOptions,
    training: TrainingOptions,
) -> RunConfig:
    """Everything but the weights, for so many training rows; every size that was left open is settled.

    Raises:
        InputError: there is no ``W`` of the sizes that were asked for.
    """
    is_table, is_series = isinstance(schema, FeatureSchema), isinstance(schema, SeriesSchema)
    channels = network.channels or (1 if is_table else 4)
    with torch.device("meta"):
        embedded_rows = build_embedding(schema, network.width, 1, channels).rows
    kind = network.kind or ("attribute" if is_table else "both")
    dropout = 0.4 if rows < SMALL else 0.1 if rows < LARGE else 0.0
    sizes = NetworkConfig(
        **{field.name: getattr(network, field.name) for field in fields(Sizes)},
        channels=channels,
        instance_channels=network.instance_channels or math.gcd(4 if is_series else 1, network.width),
        members=network.members or max(min(4 if rows < LARGE else 2, WIDE // len(schema.labels)), 1),
        dropout=dropout if network.dropout is None else network.dropout,
        attribute=_structure("attribute", embedded_rows, network) if kind in ("attribute", "both") else None,
        instance=_structure("instance", network.width, network) if kind in ("instance", "both") else None,
    )
    settled = training_config(training, rows, schema)
    return RunConfig(source=source, input=schema, target=target, network=sizes, training=settled)


def _structure(kind: str, n: int, options: NetworkOptions) -> dict[str, Any]:
    try:
        return structure_for(options.structure, n, **sizes_of(options)).to_config()
    except ValueError as error:
        raise InputError(f"the {kind} interdependence, whose W is {n} x {n}: {error}") from error


def training_config(options: TrainingOptions, rows: int, schema: InputSchema) -> TrainingConfig:
    """The training on so many rows, encoded by the schema."""
    # A large batch leaves a small table too few steps; a small one costs more for each row.
    size = min(rows / 20, max(32, math.sqrt(rows)))
    batch_size = options.batch_size or min(256, max(16, 2 ** round(math.log2(max(size, 1)))))
    batches = math.ceil(rows / batch_size)
    passes = 0 if rows < FEW_ROWS else EPOCHS
    steps = min(max(passes * batches, FEWEST_STEPS), MOST_STEPS)
    epochs = options.epochs or math.ceil(steps / batches)
    chosen = {field.name: getattr(options, field.name) for field in fields(Optimizer)}
    chosen["learning_rate"] = options.learning_rate or (3e-3 if isinstance(schema, FeatureSchema) else 2e-3)
    return TrainingConfig(
        seed=options.seed,
        epochs=epochs,
        batch_size=batch_size,
        **chosen,
        patience=options.patience or math.ceil(epochs / 2),
    )
