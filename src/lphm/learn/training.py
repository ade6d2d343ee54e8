"""Training a network on data: from samples and choices to a trained run, and to a tested one.

The seed decides the split, the initial weights, the order of the samples and the dropout.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lphm._memory import require_memory
from lphm.data.batches import MemoryBatches
from lphm.data.conversions import sources
from lphm.data.dataset import Dataset, infer_task
from lphm.data.parquet import ParquetStream
from lphm.data.progress import Progress
from lphm.data.schema import FeatureSchema, InputSchema
from lphm.data.tables import CONSTANT
from lphm.data.targets import Task
from lphm.errors import InputError
from lphm.learn.config import PatternRunConfig, build_network
from lphm.learn.evaluation import Evaluation
from lphm.learn.execution import Execution, History
from lphm.learn.explanation import explained
from lphm.learn.loop import fit
from lphm.learn.monitor import Callback, Logger, Monitor
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.preparation import Prepared, TrainingData, encode, prepare_stream, prepare_table
from lphm.learn.ridge import fit_ridge
from lphm.learn.run import Run
from lphm.learn.torch_state import plain_torch, usable_threads
from lphm.nn.network import InterdependenceNetwork, full_parameters, interdependence_parameters
from lphm.nn.pattern_network import PatternNetwork


@dataclass(frozen=True)
class Trained:
    """A trained run, the losses of its training, and how long that took."""

    run: Run
    history: History
    seconds: float
    cpu_seconds: float  # of all threads of this process


@dataclass(frozen=True)
class Outcome:
    """A trained and tested run."""

    run: Run
    metrics: dict[str, Any]  # the content of metrics.json
    evaluation: Evaluation  # of the test part; of data that are not in memory, of its first rows
    sample: Dataset  # describes the data; all samples if they are in memory


@plain_torch()
def prepare(
    data: Dataset | ParquetStream,
    network: NetworkOptions | None = None,
    training: TrainingOptions | None = None,
    task: Task | None = None,
    *,
    progress: Progress | None = None,
) -> Prepared:
    """Split the data, fit the schemas on the training part, settle every size, and check that all fits.

    Args:
        data: samples and target, in memory or in a directory of Parquet files.
        network: choices about the network.
        training: choices about the training.
        task: decided from the target if not given.
        progress: called after every row group that is read.

    Raises:
        InputError: the data cannot be learned from, or the sizes of the network do not fit.
    """
    network, training = network or NetworkOptions(), training or TrainingOptions()
    if isinstance(data, ParquetStream):
        prepared = prepare_stream(data, network, training, task, progress)
    else:
        prepared = prepare_table(data, network, training, task)
    _require_memory(prepared)
    return prepared


@plain_torch()
def train(
    prepared: Prepared,
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Callback | Sequence[Callback] | None = None,
    logger: Logger | Sequence[Logger] | None = None,
) -> Outcome:
    """Train on the training part, and test once on the test part.

    Args:
        prepared: from ``prepare``.
        progress: called after every batch.
        folder: where checkpoints are written after epochs; nowhere if not given.
        resume: continue from the checkpoint there, if there is one.
        callbacks: a function, or a list of them, called with an ``Epoch`` after every epoch, before its
            checkpoint is written. One that returns True stops the training, as early stopping does; an
            exception ends it, and a resumed training then repeats this epoch.
        logger: a logger, or a list of them, with the methods of ``Logger``, such as those of Lightning. They
            are given the choices of the network and the training, the ``metrics`` of every epoch, and the
            scores of the test part, as ``test_loss`` and so on.

    Raises:
        InputError: the loss is not finite, the device is not available, the checkpoint is damaged, or a
            callback or logger cannot be called.
    """
    monitor = Monitor(callbacks, logger)
    with monitor.training(prepared.config):
        trained = _fit(prepared, Execution(prepared.options.device, folder, resume, progress, monitor))
        tested, evaluation, samples = prepared.test(trained.run, progress)
        scores = {f"test_{name}": score for name, score in tested["test"].items()}
        monitor.log(scores, len(trained.history.lines))
    network = trained.run.network
    metrics = {
        "task": trained.run.config.target.task,
        "unit": trained.run.config.target.unit,
        **tested,
        "best_epoch": trained.history.best_epoch,
        "out_of_time": trained.history.out_of_time,
        "seconds": round(trained.seconds, 2),
        "parameters": sum(p.numel() for p in network.parameters()),
        "interdependence_parameters": interdependence_parameters(network),
        "interdependence_parameters_full": full_parameters(network),
        "left_out": left_out(prepared.sample, trained.run.config.input),
        "row_columns": prepared.sample.row_options.columns,
        "read_as": prepared.sample.read_as,
        "history": trained.history.lines,
        **explained(trained.run, samples, len(trained.history.lines) * tested["rows"]["train"]),
    }
    return Outcome(trained.run, metrics, evaluation, prepared.sample)


def left_out(data: Dataset, schema: InputSchema) -> dict[str, str]:
    """Columns that are not used, and why: also those of a table with a single value in the training part."""
    if not isinstance(schema, FeatureSchema):
        return data.left_out
    columns = sources([str(name) for name in data.inputs], data.conversions)
    constant = [name for name in columns if name not in schema.sources]
    return data.left_out | dict.fromkeys(constant, CONSTANT)


@plain_torch()
def learn(
    data: Dataset,
    network: NetworkOptions | None = None,
    training: TrainingOptions | None = None,
    task: Task | None = None,
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
    resume: bool = False,
    monitor: Monitor | None = None,
    start: Run | None = None,
    validation: Dataset | None = None,
) -> Trained:
    """Train a network on ``data``; with early stopping, each member on all but a part of it.

    Arguments as ``prepare`` and ``train``, whose callbacks and loggers ``monitor`` has. The training begins
    with the weights, schemas and sizes of ``start`` if it is given. If ``validation`` is given, it decides
    which epoch is the best, and no part of ``data`` is held out for that.

    Raises:
        InputError: the data cannot be learned from, or the sizes of the network do not fit.
    """
    network, training = network or NetworkOptions(), training or TrainingOptions()
    encoded = encode(data, network, training, task or infer_task(data.target), start, validation)
    _require_memory(encoded)
    monitor = monitor or Monitor()
    with monitor.training(encoded.config):
        return _fit(encoded, Execution(training.device, folder, resume, progress, monitor), start)


def _require_memory(data: TrainingData) -> None:
    """Raise ``InputError`` unless the network can be built, and memory holds its training.

    That takes at least seven numbers for each parameter (its gradient, two moments, the average, the best
    value and a copy among them), and for each sample of a batch its embedded rows four times, and four times
    more for each block.
    """
    try:
        with torch.device("meta"):
            network = build_network(data.config)
    except RuntimeError as error:  # torch cannot count so many numbers
        raise InputError(f"the network must fit into memory, got: {error}; choose smaller sizes") from error
    if isinstance(data.config, PatternRunConfig):
        assert isinstance(network, PatternNetwork)
        # Of each feature a float32, and two float64 for the decomposition.
        size = 20 * data.train.rows * network.patterns.num_features
        require_memory("the features of all series", size, "train the network, with the method network")
        return
    assert isinstance(network, InterdependenceNetwork)
    sample = network.members * network.embedding.rows * network.width
    batch = min(data.config.training.batch_size, data.train.rows) * sample
    parameters = sum(p.numel() for p in network.parameters())
    numbers = 7 * parameters + 4 * (1 + data.config.network.blocks) * batch
    remedy = "choose a smaller width, r or batch_size, or fewer members, channels or blocks"
    require_memory("the network and its training", 4 * numbers, remedy)


def _fit(data: TrainingData, execution: Execution, start: Run | None = None) -> Trained:
    """The network of the configuration, trained on the batches."""
    begun, begun_cpu, threads = time.perf_counter(), time.process_time(), torch.get_num_threads()
    torch.set_num_threads(usable_threads(data.options.threads))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(data.options.seed)
            network = build_network(data.config)
            if start is not None:
                network.load_state_dict(start.network.state_dict())
            history = _fit_method(network, data, execution)
    finally:
        torch.set_num_threads(threads)
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
    return Trained(Run(data.config, network, execution.device), history, seconds, cpu_seconds)


def _fit_method(
    network: InterdependenceNetwork | PatternNetwork, data: TrainingData, execution: Execution
) -> History:
    if isinstance(network, PatternNetwork):
        assert isinstance(data.train, MemoryBatches)  # series
        return fit_ridge(network, data.config.target, data.train, execution)
    assert not isinstance(data.config, PatternRunConfig)
    return fit(network, data.config, data.train, data.validation, execution)
