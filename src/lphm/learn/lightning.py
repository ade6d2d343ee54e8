"""The training loop: Lightning's, over batches from anywhere, with a checkpoint after every epoch.

An epoch depends on nothing but its number, the seed, and the state at its start, all of which the checkpoint
holds. So a training that was killed goes on as if it had not been.

Several ranks share every batch. DDP averages their gradients, so each one's loss is its sum over its samples,
over what all samples of the batch count, times the number of ranks: the average is the gradient of the whole
batch, however it is shared. What is random within the network differs from rank to rank.
"""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from lphm._io import write_atomically
from lphm.data.batches import Batch, Batches, epoch_seed
from lphm.distributed import gathered, launched, rank, ranks, total
from lphm.errors import InputError
from lphm.learn.objective import SMOOTHING, combine, loss, score, training_loss
from lphm.learn.progress import bars
from lphm.learn.run import RunConfig
from lphm.nn.network import Ensemble

CHECKPOINT = "checkpoint.ckpt"


@dataclass(frozen=True)
class History:
    """What a training was like.

    Args:
        lines: a dictionary per epoch: ``epoch``, ``train_loss`` and, with a validation part, ``val_loss``
            and ``val_score``.
        best_epoch: the epoch whose weights were kept; None without a validation part: the last.
    """

    lines: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None


class _Epochs:
    """The batches of the epoch that the training is at."""

    def __init__(self, batches: Batches, learner: "_Learner") -> None:
        self.batches, self.learner = batches, learner

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """The epoch begins with the first batch that is asked for; before, a resumed trainer is at epoch 0.

        Dropout, too, is a function of the seed and the epoch, and of the rank.
        """
        seed = epoch_seed(self.learner.config.training.seed, self.learner.current_epoch)
        torch.manual_seed(seed + rank() * 2**51)
        yield from self.batches.epoch(self.learner.current_epoch)


class _Learner(L.LightningModule):
    """What Lightning needs to know: the losses and the optimiser."""

    def __init__(self, network: Ensemble, config: RunConfig, steps: int) -> None:
        super().__init__()
        self.network, self.config, self.steps = network, config, steps
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []
        self.losses: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Batch, _batch_index: int) -> Tensor:
        x, y, weight = batch
        value, counts = training_loss(self.config.target, self.network(x), y, weight), weight.sum()
        self.losses.append((value.detach() * counts, counts))
        if ranks() > 1:
            own = float(counts)
            value = value * (own * ranks() / max(total(own)[0], 1e-30))
        return value

    def epoch_loss(self) -> float:
        """The mean loss of a member over the samples of the epoch, of all ranks."""
        loss, counts = total(*(float(torch.stack(part).sum()) for part in zip(*self.losses, strict=True)))
        self.losses.clear()
        return loss / counts / len(self.network.members)

    def validation_step(self, batch: Batch, _batch_index: int) -> None:
        x, y, weight = batch
        self.seen.append((combine(self.config.target, self.network(x)).cpu(), y.cpu(), weight.cpu()))

    def on_validation_epoch_end(self) -> None:
        seen = [batch for of_rank in gathered(self.seen) for batch in of_rank]
        outputs, y, weight = (torch.cat(part) for part in zip(*seen, strict=True))
        self.seen.clear()
        target = self.config.target
        self.log("val_loss", loss(target, outputs, y, weight, SMOOTHING), sync_dist=ranks() > 1)
        self.log("val_score", score(target, outputs, y, weight), sync_dist=ranks() > 1)

    def configure_optimizers(self) -> Any:
        options = self.config.training
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        rising = 0.2 if self.steps > 5 else 0.3  # a rise of exactly one step divides by zero in torch
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, options.learning_rate, total_steps=max(self.steps, 2), pct_start=rising
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Record(Callback):
    """One line per epoch, and the weights of the best; both are part of a checkpoint."""

    def __init__(self, learner: _Learner) -> None:
        self.learner = learner
        self.lines: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"loss": math.inf, "epoch": None, "weights": None}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        keys = [key for key in ("val_loss", "val_score") if key in trainer.callback_metrics]
        line: dict[str, float] = {"epoch": trainer.current_epoch + 1, "train_loss": self.learner.epoch_loss()}
        line |= {key: float(trainer.callback_metrics[key]) for key in keys}
        self.lines.append(line)
        if line.get("val_loss", math.inf) < self.best["loss"]:
            weights = {name: t.clone() for name, t in self.learner.network.state_dict().items()}
            self.best = {"loss": line["val_loss"], "epoch": line["epoch"], "weights": weights}

    def state_dict(self) -> dict[str, Any]:
        return {"lines": self.lines, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lines, self.best = list(state_dict["lines"]), state_dict["best"]


class _Checkpoint(Callback):
    """The whole state of the training after every epoch, in one file that is always whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        file = self.folder / CHECKPOINT
        if not trainer.is_global_zero:
            trainer.save_checkpoint(file)  # every rank takes part; the first writes
            return
        with write_atomically(file) as temporary:
            trainer.save_checkpoint(temporary)


class _Bar(Callback):
    """The progress bar: a step per batch, the losses after each epoch."""

    def __init__(self, progress: Progress, record: _Record, what: str, score_name: str, total: int) -> None:
        self.progress, self.record, self.score_name = progress, record, score_name
        self.bar = progress.add_task(what, total=total, status="")

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.progress.update(self.bar, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        line = self.record.lines[-1]
        status = f"epoch {int(line['epoch'])} of {trainer.max_epochs}  loss {line['train_loss']:.4f}"
        if "val_score" in line:
            status += f"  validation {self.score_name} {line['val_score']:.4f}"
        self.progress.update(self.bar, status=status)


def fit(
    network: Ensemble,
    config: RunConfig,
    train: Batches,
    validation: Batches | None = None,
    *,
    console: Console | None = None,
    device: str = "cpu",
    folder: Path | None = None,
    resume: bool = False,
    what: str = "training",
) -> History:
    """Train in place, and leave the weights of the best epoch, or of the last without a validation part.

    Args:
        network: is trained.
        config: the target and the training options are taken from it.
        train: what it is trained on.
        validation: what the epoch is chosen by, and training stopped.
        console: where the progress bar goes; none is shown if not given.
        device: "auto", "cpu", "cuda" or "mps".
        folder: where ``checkpoint.ckpt`` is written after every epoch; nowhere if not given.
        resume: go on from the checkpoint in ``folder``, if there is one.
        what: the words before the bar.

    Raises:
        InputError: the loss is not finite, or there is no such device.
    """
    options = config.training
    steps = options.epochs * len(train)
    learner = _Learner(network, config, steps)
    record = _Record(learner)
    callbacks: list[Callback] = [record]
    if validation is not None:
        callbacks.append(EarlyStopping("val_loss", patience=options.patience, check_finite=False))
    start = None
    if folder is not None:
        callbacks.append(_Checkpoint(folder))
        start = folder / CHECKPOINT if resume and (folder / CHECKPOINT).is_file() else None
    with bars(console) as progress, _quiet_lightning(), _own_randomness():
        if console is not None:
            callbacks.append(_Bar(progress, record, what, config.target.score, steps))
        trainer = _trainer(device, options.epochs, callbacks, math.sqrt(len(network.members)))
        held_out = None if validation is None else _Epochs(validation, learner)
        trainer.fit(
            learner, _Epochs(train, learner), held_out, ckpt_path=None if start is None else str(start)
        )
    return _finished(record, network, options.learning_rate)


def _trainer(device: str, epochs: int, callbacks: list[Callback], clip: float) -> L.Trainer:
    """``clip`` bounds the norm of all gradients together: 1 for a member, so √members for all."""
    several: dict[str, Any] = {"devices": 1}
    if ranks() > 1:
        here = launched()[2]
        several = {"devices": here, "num_nodes": ranks() // here, "use_distributed_sampler": False}
        several["strategy"] = DDPStrategy(cluster_environment=TorchElasticEnvironment())
    try:
        return L.Trainer(
            accelerator={"cuda": "gpu"}.get(device, device),
            **several,
            max_epochs=epochs,
            callbacks=callbacks,
            gradient_clip_val=clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
    except Exception as error:  # Lightning has a type of its own for each accelerator that is not there
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"device must be one that is here, got {device!r}: {reason}") from error


def _finished(record: _Record, network: Ensemble, learning_rate: float) -> History:
    """The history; the best weights are put back."""
    key = "val_loss" if "val_loss" in record.lines[-1] else "train_loss"
    finite = record.best["weights"] is not None if key == "val_loss" else math.isfinite(record.lines[-1][key])
    if not finite:
        raise InputError(
            f"training must keep a finite loss, got none; try --learning-rate {learning_rate / 10:g}"
        )
    if record.best["weights"] is not None:
        network.load_state_dict(record.best["weights"])
    network.to("cpu").eval()
    return History(record.lines, record.best["epoch"])


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Torch's generator afterwards is where it was before."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice on hardware and loader workers: the data need none."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Without early stopping there is no validation part.
            warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
            # Lightning 2.6 asks torch's pytree in the way that torch 2.13 deprecates.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            yield
    finally:
        logger.setLevel(level)
