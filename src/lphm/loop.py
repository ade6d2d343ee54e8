"""The training loop: Lightning's, with a progress bar, early stopping and the best weights kept."""

import logging
import math
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler, TensorDataset

from lphm.errors import InputError
from lphm.network import InterdependenceNetwork
from lphm.runs import RunConfig
from lphm.schema import ClassTarget, TargetSchema

__all__ = ["fit", "loss_and_score"]

#: Label smoothing, in training and in choosing the epoch: without it a few confident errors on a small
#: validation part decide the loss, and an early, unfinished epoch is chosen.
SMOOTHING = 0.05


def loss_and_score(
    schema: TargetSchema, outputs: Tensor, target: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross entropy and accuracy, or mean squared error and R² (both on the standardised target)."""
    if isinstance(schema, ClassTarget):
        loss = F.cross_entropy(outputs, target, label_smoothing=smoothing)
        return loss, (outputs.argmax(dim=-1) == target).float().mean()
    loss = F.mse_loss(outputs[:, 0], target)
    return loss, 1 - loss / target.var(correction=0).clamp_min(torch.finfo(target.dtype).tiny)


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

    def training_step(self, batch: list[Tensor], _batch_index: int) -> Tensor:
        loss, _ = loss_and_score(self.config.target, self.network(batch[0]), batch[1], SMOOTHING)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[1]))
        return loss

    def validation_step(self, batch: list[Tensor], _batch_index: int) -> None:
        loss, score = loss_and_score(self.config.target, self.network(batch[0]), batch[1], SMOOTHING)
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


def fit(
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
        finite = [line for line in history.lines if math.isfinite(line["val_loss"])]
        if not finite:
            raise InputError(
                "training must keep a finite loss, got none; "
                f"try --learning-rate {options.learning_rate / 10:g}"
            )
        state = torch.load(best.best_model_path, weights_only=True)
        learner.load_state_dict(state["state_dict"])
    best_line = min(finite, key=lambda line: line["val_loss"])
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
