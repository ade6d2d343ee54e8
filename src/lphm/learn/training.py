"""Training a network on data: from samples and choices to a trained run, and to a tested one.

One seed decides the split, the first weights, the order of rows and the dropout.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from sklearn.utils.class_weight import compute_sample_weight

from lphm.data.batches import Batches, MemoryBatches
from lphm.data.dataset import Dataset, check_target, fit_inputs, infer_task, split_rows, split_validation
from lphm.data.targets import Task, fit_target
from lphm.distributed import rank, ranks
from lphm.errors import InputError
from lphm.learn.config import configure, training_config
from lphm.learn.lightning import History, fit
from lphm.learn.objective import loss, score
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import Run, RunConfig, build_network
from lphm.nn.network import interdependence_parameters
from lphm.structures import Full


@dataclass(frozen=True)
class Trained:
    """A trained run and what its training was like."""

    run: Run
    history: History
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """A trained run, its metrics, the samples it was tested on, and those that describe the data.

    Of data that are not in memory, ``test`` and ``sample`` are a part.
    """

    run: Run
    metrics: dict[str, Any]
    test: Dataset
    sample: Dataset


def learn(
    data: Dataset,
    network: NetworkOptions | None = None,
    training: TrainingOptions | None = None,
    task: Task | None = None,
    *,
    console: Console | None = None,
    folder: Path | None = None,
    resume: bool = False,
    start: Run | None = None,
    what: str = "training",
) -> Trained:
    """Train a network on all of ``data``; with ``early_stopping``, on all but a validation part.

    Args:
        data: samples and target.
        network: choices about the network.
        training: choices about the training.
        task: decided from the target if not given.
        console: where the progress bar goes; none is shown if not given.
        folder: where a checkpoint is written after every epoch; nowhere if not given.
        resume: go on from the checkpoint there, if there is one.
        start: go on from these weights, schemas and sizes instead of fresh ones.
        what: the words before the progress bar.

    Raises:
        InputError: the data cannot be learned from, or the sizes of the network do not fit.
    """
    started = time.perf_counter()
    network, training = network or NetworkOptions(), training or TrainingOptions()
    task = task or infer_task(data.target)
    train_part, validation_part = data, None
    if training.early_stopping:
        train_part, validation_part = split_validation(data, task, training.seed, training.validation)
    if start is None:
        config = _configure(train_part, network, training, task)
    else:
        options = training_config(training, len(train_part))
        config = start.config.model_copy(update={"training": options})
    held_out = None if validation_part is None else _batches(config, validation_part, training, whole=True)
    batches = _batches(config, train_part, training)
    run, history = fit_network(
        config,
        training,
        batches,
        held_out,
        console=console,
        folder=folder,
        resume=resume,
        start=start,
        what=what,
    )
    return Trained(run, history, time.perf_counter() - started)


def fit_network(
    config: RunConfig,
    training: TrainingOptions,
    batches: Batches,
    held_out: Batches | None,
    *,
    console: Console | None = None,
    folder: Path | None = None,
    resume: bool = False,
    start: Run | None = None,
    what: str = "training",
) -> tuple[Run, History]:
    """The network of a configuration, trained on batches; arguments as ``learn``."""
    with _threads(training.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        model = build_network(config)
        if start is not None:
            model.load_state_dict(start.network.state_dict())
        history = fit(
            model,
            config,
            batches,
            held_out,
            console=console,
            device=training.device,
            folder=folder,
            resume=resume,
            what=what,
        )
    return Run(config, model), history


def train(
    data: Dataset,
    network: NetworkOptions | None = None,
    training: TrainingOptions | None = None,
    task: Task | None = None,
    *,
    console: Console | None = None,
    folder: Path | None = None,
    resume: bool = False,
) -> Outcome:
    """Train on four fifths of the samples and test, once, on the others; arguments as ``learn``."""
    training = training or TrainingOptions()
    task = task or infer_task(data.target)
    check_target(data.target, task)
    rest, test = split_rows(data, task, training.seed)
    trained = learn(rest, network, training, task, console=console, folder=folder, resume=resume)
    run = trained.run
    scores = {"train": _scores(run, rest), "test": _scores(run, test)}
    return Outcome(run, metrics_of(trained, scores, {"train": len(rest), "test": len(test)}), test, data)


def metrics_of(trained: Trained, scores: dict[str, dict[str, float]], rows: dict[str, int]) -> dict[str, Any]:
    """What ``metrics.json`` says of a training: scores and rows of each part, sizes, the history."""
    run = trained.run
    return {
        "task": run.config.target.task,
        **scores,
        "rows": rows,
        "best_epoch": trained.history.best_epoch,
        "seconds": round(trained.seconds, 2),
        "parameters": sum(p.numel() for p in run.network.parameters()),
        "interdependence_parameters": interdependence_parameters(run.network),
        "interdependence_parameters_full": full_parameters(run.config),
        "history": trained.history.lines,
    }


def check_network(data: Dataset, network: NetworkOptions, training: TrainingOptions, task: Task) -> None:
    """Raise ``InputError`` unless the data can be encoded and a network of these sizes be built for them."""
    with torch.device("meta"):
        build_network(_configure(data, network, training, task))


def full_parameters(config: RunConfig) -> int:
    """Interdependence parameters of the same network with ``Full`` in place of every structure."""
    network = config.network
    full = {
        kind: None if own is None else Full(n=own["n"]).to_config()
        for kind, own in (("attribute", network.attribute), ("instance", network.instance))
    }
    with torch.device("meta"):
        return interdependence_parameters(
            build_network(config.model_copy(update={"network": network.model_copy(update=full)}))
        )


def _configure(data: Dataset, network: NetworkOptions, training: TrainingOptions, task: Task) -> RunConfig:
    """Fit the schemas on the training part and settle every size that was left open."""
    return configure(data.name, fit_inputs(data), fit_target(data.target, task), len(data), network, training)


def _batches(
    config: RunConfig, part: Dataset, options: TrainingOptions, whole: bool = False
) -> MemoryBatches:
    """The encoded samples; weights have mean 1, so that the learning rate means the same."""
    weight = np.ones(len(part)) if part.weight is None else np.asarray(part.weight, dtype=np.float64)
    y = config.target.encode(part.target)
    if options.balanced and config.target.task == "classification":
        weight = weight * compute_sample_weight("balanced", y.numpy())
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise InputError("sample weights must be finite, not negative and not all zero")
    scaled = torch.as_tensor(weight / weight.mean(), dtype=torch.float32)
    size = 1024 if whole else config.training.batch_size
    seed, x = config.training.seed, config.input.encode(part.inputs)
    return MemoryBatches(x, y, scaled, size, seed, not whole, rank(), ranks())


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """So many threads of torch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scores(run: Run, part: Dataset) -> dict[str, float]:
    """Loss and score on samples."""
    target = run.config.target
    outputs, y = run.outputs(part.inputs), target.encode(part.target)
    return {"loss": loss(target, outputs, y).item(), target.score: score(target, outputs, y).item()}
