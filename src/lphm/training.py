"""Training a network on a table: Lightning's loop, a progress bar, early stopping, the best weights.

A network is trained on the training part, chosen by its loss on the validation part, and scored once
on the test part. One seed decides the split, the first weights, the order of rows and the dropout.
"""

import logging
import math
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler, TensorDataset

from lphm.data import Table, check_target, infer_task, split_rows
from lphm.errors import InputError
from lphm.network import InterdependenceNetwork, interdependence_parameters, structure_for
from lphm.runs import NetworkConfig, Run, RunConfig, TrainingConfig, build_embedding, build_network
from lphm.schema import (
    ClassTarget,
    InputSchema,
    NumberTarget,
    TargetSchema,
    Task,
    fit_features,
    fit_grid,
    fit_target,
)
from lphm.structures import Full

__all__ = ["NetworkOptions", "Outcome", "TrainingOptions", "train"]

#: Length of a training in optimiser steps where the number of epochs is not given: enough for small
#: tables to settle, and early stopping ends what settles sooner.
STEPS = 1500


@dataclass(frozen=True)
class NetworkOptions:
    """What a user may choose about the network."""

    structure: Literal["lphm", "full", "none"] = "lphm"
    rank: int = 2
    width: int = 64
    blocks: int = 2
    channels: int = 4
    dropout: float = 0.25


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may choose about the training; None leaves a size to the number of rows.

    One thread is the default: the products of a small network are shorter than the hand-over to a
    second thread, which on a busy machine takes many times as long as the product.
    """

    seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    patience: int = 25
    threads: int = 1


@dataclass(frozen=True)
class Outcome:
    """A trained run, its metrics, and the part of the table it was tested on."""

    run: Run
    metrics: dict[str, Any]
    test: Table


def train(
    table: Table,
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
    encoded = [(config.input.encode(p.features), config.target.encode(p.target)) for p in parts]
    history, best_epoch = _fit(model, config, encoded[0], encoded[1], console)
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
    table: Table, part: Table, network: NetworkOptions, training: TrainingOptions, task: Task
) -> RunConfig:
    """Fit the schemas on the training part and settle every size that was left open."""
    schema: InputSchema = fit_grid(part.features, *table.grid) if table.grid else fit_features(part.features)
    with torch.device("meta"):
        rows = build_embedding(schema, network.width).rows
    batch_size = training.batch_size or min(256, max(16, 2 ** round(math.log2(len(part.target) / 20))))
    steps = math.ceil(len(part.target) / batch_size)

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
            width=network.width,
            blocks=network.blocks,
            channels=network.channels,
            dropout=network.dropout,
            attribute=structure(rows),
            instance=structure(network.width),
        ),
        training=TrainingConfig(
            seed=training.seed,
            epochs=training.epochs or math.ceil(STEPS / steps),
            batch_size=batch_size,
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            patience=training.patience,
        ),
    )


def _with_full(config: RunConfig) -> RunConfig:
    """The same network with ``Full`` in place of every structure."""
    network = config.network
    full = {
        kind: None if own is None else Full(n=own["n"]).to_config()
        for kind, own in (("attribute", network.attribute), ("instance", network.instance))
    }
    return config.model_copy(update={"network": network.model_copy(update=full)})


def _evaluate(run: Run, part: Table) -> dict[str, float]:
    """Loss and score on a part of the table."""
    outputs, target = run.outputs(part.features), run.config.target.encode(part.target)
    loss, score = _loss_and_score(run.config.target, outputs, target)
    return {"loss": loss.item(), run.config.target.score: score.item()}


def _loss_and_score(schema: TargetSchema, outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy and accuracy, or mean squared error and R² (both on the standardised target)."""
    if isinstance(schema, ClassTarget):
        return F.cross_entropy(outputs, target), (outputs.argmax(dim=-1) == target).float().mean()
    loss = F.mse_loss(outputs[:, 0], target)
    return loss, 1 - loss / target.var(correction=0).clamp_min(torch.finfo(target.dtype).tiny)


# The loop.


class _EpochSampler(Sampler[list[int]]):
    """Batches of shuffled rows; the order of an epoch is known from the seed and its number alone."""

    def __init__(self, rows: int, batch_size: int, seed: int) -> None:
        self.rows, self.batch_size, self.seed, self.epoch = rows, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch  # Lightning calls this at the start of every epoch

    def __len__(self) -> int:
        return math.ceil(self.rows / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.rows, generator=generator)
        return (batch.tolist() for batch in torch.split(order, self.batch_size))


class _Learner(L.LightningModule):
    """What Lightning needs to know: the losses and the optimiser."""

    def __init__(self, network: InterdependenceNetwork, config: RunConfig, steps: int) -> None:
        super().__init__()
        self.network, self.config, self.steps = network, config, steps

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        outputs, target = self.network(batch[0]), batch[1]
        loss = (
            F.mse_loss(outputs[:, 0], target)
            if isinstance(self.config.target, NumberTarget)
            else F.cross_entropy(outputs, target, label_smoothing=0.05)
        )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(target))
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        loss, score = _loss_and_score(self.config.target, self.network(batch[0]), batch[1])
        self.log_dict({"val_loss": loss, "val_score": score}, batch_size=len(batch[1]))

    def configure_optimizers(self) -> Any:
        options = self.config.training
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, options.learning_rate, total_steps=max(self.steps, 2), pct_start=0.2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _History(Callback):
    """One line per epoch, kept and shown."""

    def __init__(self, progress: Progress | None, epochs: int, score: str) -> None:
        self.lines: list[dict[str, float]] = []
        self.progress, self.score = progress, score
        self.bar = progress.add_task("training", total=epochs, status="") if progress else None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        line = {key: float(trainer.callback_metrics[key]) for key in ("train_loss", "val_loss", "val_score")}
        self.lines.append({"epoch": trainer.current_epoch + 1, **line})
        if self.progress is not None and self.bar is not None:
            status = f"loss {line['train_loss']:.4f}  validation {self.score} {line['val_score']:.4f}"
            self.progress.update(self.bar, advance=1, status=status)


def _fit(
    network: InterdependenceNetwork,
    config: RunConfig,
    train_part: tuple[Tensor, Tensor],
    validation_part: tuple[Tensor, Tensor],
    console: Console | None,
) -> tuple[list[dict[str, float]], int]:
    """Train in place; leave the weights of the best epoch; return the history and that epoch."""
    options = config.training
    sampler = _EpochSampler(len(train_part[1]), options.batch_size, options.seed)
    loader = DataLoader(TensorDataset(*train_part), batch_size=None, sampler=sampler)
    everything = DataLoader(TensorDataset(*validation_part), batch_size=len(validation_part[1]))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
    )
    progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=console is None)
    with progress, tempfile.TemporaryDirectory() as folder, _quiet_lightning():
        history = _History(progress, options.epochs, config.target.score)
        best = ModelCheckpoint(folder, "best", monitor="val_loss", save_weights_only=True)
        stop = EarlyStopping("val_loss", patience=options.patience)
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=options.epochs,
            callbacks=[history, stop, best],
            gradient_clip_val=1.0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=folder,
        )
        learner = _Learner(network, config, options.epochs * len(sampler))
        trainer.fit(learner, loader, everything)
        if not best.best_model_path:
            raise InputError(
                "training must keep a finite loss, got none; "
                f"try --learning-rate {options.learning_rate / 10:g}"
            )
        state = torch.load(best.best_model_path, weights_only=True)
        learner.load_state_dict(state["state_dict"])
    best_line = min(history.lines, key=lambda line: line["val_loss"])
    return history.lines, int(best_line["epoch"])


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice on hardware and loader workers: the data are in memory."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6 asks torch's pytree in the way that torch 2.13 deprecates.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            yield
    finally:
        logger.setLevel(level)
