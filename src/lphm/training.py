"""Training a network on a table: from a table and choices to a tested run.

A network is trained on the training part, chosen by its loss on the validation part, and scored once
on the test part. One seed decides the split, the first weights, the order of rows and the dropout.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import lightning as L
import torch
from rich.console import Console

from lphm.data import Dataset, check_target, infer_task, split_rows
from lphm.loop import fit, loss_and_score
from lphm.network import interdependence_parameters, structure_for
from lphm.runs import NetworkConfig, Run, RunConfig, TrainingConfig, build_embedding, build_network
from lphm.schema import InputSchema, Task, fit_features, fit_grid, fit_target
from lphm.structures import Full

__all__ = ["NetworkOptions", "Outcome", "TrainingOptions", "train"]

#: Length of a training where the number of epochs is not given: as many steps as there are rows, but within
#: these bounds, and no fewer than 20 epochs. A small table is learned by heart if it is given longer.
FEWEST_STEPS, MOST_STEPS, FEWEST_EPOCHS = 500, 1500, 20
#: Fewer training rows than this are learned by heart by a wide network with little dropout.
SMALL = 1000


@dataclass(frozen=True)
class NetworkOptions:
    """What a user may choose about the network; None leaves a size to the number of rows."""

    structure: Literal["lphm", "full", "none"] = "lphm"
    rank: int = 2
    width: int | None = None
    blocks: int = 2
    channels: int = 4
    dropout: float | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may choose about the training; None leaves a size to the number of rows.

    ``patience`` is half the epochs if not given: the learning rate falls to the end, and so does the loss.

    One thread is the default: the products of a small network are shorter than the hand-over to a
    second thread, which on a busy machine takes many times as long as the product.
    """

    seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    patience: int | None = None
    threads: int = 1


@dataclass(frozen=True)
class Outcome:
    """A trained run, its metrics, and the part of the table it was tested on."""

    run: Run
    metrics: dict[str, Any]
    test: Dataset


def train(
    table: Dataset,
    network: NetworkOptions | None = None,
    training: TrainingOptions | None = None,
    task: Task | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train a network on a table and test it on rows that it never saw.

    Args:
        table: features and target.
        network: choices about the network.
        training: choices about the training.
        task: decided from the target if not given.
        console: where the progress bar goes; none is shown if not given.

    Raises:
        InputError: the table cannot be learned from, or the sizes of the network do not fit.
    """
    started = time.perf_counter()
    training = training or TrainingOptions()
    task = task or infer_task(table.target)
    check_target(table.target, task)
    parts = split_rows(table, task, training.seed)
    config = _configure(table, parts[0], network or NetworkOptions(), training, task)
    L.seed_everything(config.training.seed, verbose=False)
    torch.set_num_threads(training.threads)
    model = build_network(config)
    encoded = [(config.input.encode(p.inputs), config.target.encode(p.target)) for p in parts]
    history, best_epoch = fit(model, config, encoded[0], encoded[1], console)
    run = Run(config, model.eval())
    scores = {
        name: _evaluate(run, part) for name, part in zip(("train", "validation", "test"), parts, strict=True)
    }
    metrics = {
        "task": task,
        **scores,
        "rows": {name: len(part.target) for name, part in zip(scores, parts, strict=True)},
        "best_epoch": best_epoch,
        "seconds": round(time.perf_counter() - started, 2),
        "parameters": sum(p.numel() for p in model.parameters()),
        "interdependence_parameters": interdependence_parameters(model),
        "interdependence_parameters_full": interdependence_parameters(build_network(_with_full(config))),
        "history": history,
    }
    return Outcome(run, metrics, parts[2])


def _configure(
    table: Dataset, part: Dataset, network: NetworkOptions, training: TrainingOptions, task: Task
) -> RunConfig:
    """Fit the schemas on the training part and settle every size that was left open."""
    schema: InputSchema = fit_grid(part.inputs, *table.grid) if table.grid else fit_features(part.inputs)
    small = len(part.target) < SMALL
    width = network.width or (32 if small else 64)
    dropout = network.dropout if network.dropout is not None else (0.4 if small else 0.25)
    with torch.device("meta"):
        rows = build_embedding(schema, width).rows
    batch_size = training.batch_size or min(256, max(16, 2 ** round(math.log2(len(part.target) / 20))))
    epochs = training.epochs or _epochs(len(part.target), batch_size)

    def structure(n: int) -> dict[str, Any] | None:
        return (
            None
            if network.structure == "none"
            else structure_for(network.structure, n, network.rank).to_config()
        )

    return RunConfig(
        source=table.name,
        input=schema,
        target=fit_target(part.target, task),
        network=NetworkConfig(
            width=width,
            blocks=network.blocks,
            channels=network.channels,
            dropout=dropout,
            attribute=structure(rows),
            instance=structure(width),
        ),
        training=TrainingConfig(
            seed=training.seed,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            patience=training.patience or math.ceil(epochs / 2),
        ),
    )


def _epochs(rows: int, batch_size: int) -> int:
    steps = min(max(rows, FEWEST_STEPS), MOST_STEPS)
    return max(FEWEST_EPOCHS, math.ceil(steps / math.ceil(rows / batch_size)))


def _with_full(config: RunConfig) -> RunConfig:
    """The same network with ``Full`` in place of every structure."""
    network = config.network
    full = {
        kind: None if own is None else Full(n=own["n"]).to_config()
        for kind, own in (("attribute", network.attribute), ("instance", network.instance))
    }
    return config.model_copy(update={"network": network.model_copy(update=full)})


def _evaluate(run: Run, part: Dataset) -> dict[str, float]:
    """Loss and score on a part of the table."""
    outputs, target = run.outputs(part.inputs), run.config.target.encode(part.target)
    loss, score = loss_and_score(run.config.target, outputs, target)
    return {"loss": loss.item(), run.config.target.score: score.item()}
