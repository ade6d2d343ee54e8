"""The training loop: Lightning's, over batches from anywhere, with a checkpoint after every epoch.

An epoch depends on its number, the seed and the state at its start, and on nothing else. The checkpoint holds
all of these: a training that is resumed after a kill ends with the weights of one that was not interrupted.

Several processes share every batch, and DDP averages their gradients. Each process multiplies the mean loss
of its samples by their share of the weight of the whole batch, and by the number of processes. So the average
is the gradient of the whole batch, however it is shared. Dropout differs from process to process.

With a time limit, the learning rate follows the share of the steps or the share of the time, whichever is
larger: it has fallen to zero when the training ends, and the weights of that moment are usable (Izsak et al.,
2021, arXiv:2104.07705).
"""

import logging
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from lphm._io import write_atomically
from lphm.data.batches import Batch, Batches, epoch_seed
from lphm.data.progress import Progress, no_progress
from lphm.distributed import all_reduce_sum, gather_results, launch_info, rank, world_size
from lphm.errors import InputError
from lphm.learn.clock import Clock
from lphm.learn.devices import available_device
from lphm.learn.options import DeviceName
from lphm.learn.run import RunConfig, TrainingConfig
from lphm.nn.network import Ensemble

CHECKPOINT = "checkpoint.ckpt"


@dataclass(frozen=True)
class History:
    """The losses of a training."""

    #: A dictionary per epoch: "epoch", "train_loss" and, with a validation part, "val_loss" and "val_score".
    #: If the time limit ended the last epoch early, its line has "share_of_epoch", the share of its batches.
    lines: list[dict[str, float]] = field(default_factory=list)
    #: The epoch whose weights were kept; None without a validation part: the last.
    best_epoch: int | None = None
    #: Whether the time limit ended the training before its last step.
    out_of_time: bool = False


@dataclass(frozen=True)
class Execution:
    """How a training is carried out, which does not change what is learned; see ``training.train``."""

    device: DeviceName = "cpu"
    folder: Path | None = None
    resume: bool = False
    progress: Progress | None = None
    name: str = "training"  # of the task that is reported


def fit(
    network: Ensemble,
    config: RunConfig,
    train: Batches,
    validation: Batches | None = None,
    execution: Execution | None = None,
) -> History:
    """Train in place, and leave the weights of the best epoch, or of the last without a validation part.

    Raises:
        InputError: the loss is not finite, the device is not available, or the checkpoint is damaged.
    """
    execution = execution or Execution()
    checkpoint = _checkpoint(execution)
    learner = _Learner(network, config, config.training.epochs * len(train))
    held_out = None if validation is None else _Epochs(validation, learner)
    recorder = _Recorder(learner, execution, math.inf if validation is None else config.training.patience)
    with _quiet_lightning(), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        trainer = _trainer(execution.device, config.training, recorder, len(network.members))
        trainer.fit(learner, _Epochs(train, learner), held_out, ckpt_path=checkpoint)
    if not math.isfinite(recorder.lines[-1]["train_loss"] if validation is None else recorder.best_loss):
        raise InputError(
            "training must keep a finite loss, got none; choose a smaller learning rate",
            option="learning_rate",
            value=f"{config.training.learning_rate / 10:g}",
        )
    if recorder.best_weights is not None:
        network.load_state_dict(recorder.best_weights)
    network.to("cpu").eval()
    out_of_time = learner.clock.share == 1 and trainer.global_step < learner.steps
    return History(recorder.lines, recorder.best_epoch or None, out_of_time)


def _checkpoint(execution: Execution) -> Path | None:
    """The checkpoint to continue from, which must be whole."""
    if execution.folder is None or not execution.resume:
        return None
    file = execution.folder / CHECKPOINT
    if file.is_file() and not zipfile.is_zipfile(file):
        raise InputError(f"{file} must be a whole checkpoint, got a damaged file; delete it to start again")
    return file if file.is_file() else None


class _Epochs:
    """The batches of the epoch that the trainer is at."""

    def __init__(self, batches: Batches, learner: "_Learner") -> None:
        self.batches, self.learner = batches, learner

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        # The body runs when the first batch is asked for: before that, a resumed trainer still says epoch 0.
        epoch = self.learner.current_epoch
        torch.manual_seed(epoch_seed(self.learner.config.training.seed, epoch) + rank() * 2**51)  # of dropout
        yield from self.batches.epoch(epoch)


class _Learner(L.LightningModule):
    """The network, its losses and the optimizer, in the form that Lightning asks for."""

    def __init__(self, network: Ensemble, config: RunConfig, steps: int) -> None:
        super().__init__()
        self.network, self.config, self.steps = network, config, steps
        self.clock = Clock(config.training.time_limit)
        self.losses: list[tuple[Tensor, Tensor]] = []  # of the epoch so far: loss times weight, and weight
        self.validated: list[tuple[Tensor, Tensor, Tensor]] = []  # of the epoch so far: outputs, y, weight
        self.validation: dict[str, float] = {}  # of the last epoch

    def training_step(self, batch: Batch, _batch_index: int) -> Tensor:
        x, y, weight = batch
        loss, total = self.config.target.training_loss(self.network(x), y, weight), weight.sum()
        self.losses.append((loss.detach() * total, total))
        if world_size() > 1:
            share = float(total)
            loss = loss * (share * world_size() / max(all_reduce_sum(share)[0], 1e-30))
        return loss

    def epoch_loss(self) -> float:
        """The mean loss of a member over the samples of the epoch, of all processes."""
        sums = (float(torch.stack(part).sum()) for part in zip(*self.losses, strict=True))
        loss, total = all_reduce_sum(*sums)
        self.losses.clear()
        return loss / total / len(self.network.members)

    def validation_step(self, batch: Batch, _batch_index: int) -> None:
        x, y, weight = batch
        with torch.autocast(self.device.type, enabled=False):  # as in predictions
            combined = self.config.target.combine(self.network(x))
        self.validated.append((combined.cpu(), y.cpu(), weight.cpu()))

    def on_validation_epoch_end(self) -> None:
        batches = [batch for share in gather_results(lambda: self.validated) for batch in share]
        combined, y, weight = (torch.cat(part) for part in zip(*batches, strict=True))
        self.validated.clear()
        target = self.config.target
        self.validation = {  # the ensemble is judged by the loss that a member is trained with
            "val_loss": target.training_loss(combined.unsqueeze(1), y, weight).item(),
            "val_score": target.score(combined, y, weight).item(),
        }

    def configure_optimizers(self) -> Any:
        options = self.config.training
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        rising = 0.2 if self.steps > 5 else 0.3  # OneCycleLR divides by zero if it rises for exactly one step
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, options.learning_rate, total_steps=max(self.steps, 2), pct_start=rising
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def position(self) -> int:
        """The steps done, or as many as the time used up corresponds to, whichever are more."""
        return max(self.trainer.global_step, int(self.clock.share * self.steps))

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:  # noqa: ARG002
        """Set the learning rate for the position."""
        self.clock.update()
        scheduler.last_epoch = self.position - 1
        scheduler.step()


class _Recorder(Callback):
    """What happens after an epoch: history, best weights, checkpoint, progress, the end of training."""

    def __init__(self, learner: _Learner, execution: Execution, patience: float) -> None:
        self.learner, self.execution, self.patience = learner, execution, patience
        self.progress = execution.progress or no_progress
        self.status = ""
        self.lines: list[dict[str, float]] = []
        self.best_loss, self.best_epoch = math.inf, 0
        self.best_weights: dict[str, Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        names = ("lines", "best_loss", "best_epoch", "best_weights")
        return {"seconds": self.learner.clock.seconds} | {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        clock = self.learner.clock
        clock.before = clock.seconds = state_dict.pop("seconds")
        vars(self).update(state_dict)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        self.learner.clock.update()
        # A resumed training may have been stopped early; at least one step is always done.
        trainer.should_stop = bool(self.lines) and self.is_over

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.progress(self.execution.name, self.learner.position, self.learner.steps, self.status)
        trainer.should_stop = self.learner.clock.share == 1  # within an epoch, only time ends the training

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        self.learner.clock.update()
        epoch = trainer.current_epoch + 1
        batches, done = self.learner.steps // self.learner.config.training.epochs, len(self.learner.losses)
        line = {"epoch": epoch, "train_loss": self.learner.epoch_loss(), **self.learner.validation}
        if done < batches:
            line["share_of_epoch"] = done / batches
        self.lines.append(line)
        if line.get("val_loss", math.inf) < self.best_loss:
            self.best_loss, self.best_epoch = line["val_loss"], epoch
            self.best_weights = {name: t.clone() for name, t in self.learner.network.state_dict().items()}
        if self.execution.folder is not None:
            file = self.execution.folder / CHECKPOINT
            # Every process takes part in saving; the first one writes a file that is always whole.
            with write_atomically(file) if trainer.is_global_zero else nullcontext(file) as place:
                trainer.save_checkpoint(place)
        self.status = f"epoch {epoch} of {trainer.max_epochs}  loss {line['train_loss']:.4f}"
        if "val_score" in line:
            score_name = self.learner.config.target.score_name
            self.status += f"  validation {score_name} {line['val_score']:.4f}"
        self.on_train_batch_end(trainer)
        trainer.should_stop = self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the time is up, or the validation loss has not fallen for ``patience`` epochs."""
        return self.learner.clock.share == 1 or len(self.lines) - self.best_epoch >= self.patience


def _trainer(device: DeviceName, training: TrainingConfig, recorder: _Recorder, members: int) -> L.Trainer:
    accelerator = available_device(device)
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    options: dict[str, Any] = {"devices": 1, **dict.fromkeys(silent, False)}
    if world_size() > 1:
        local = launch_info().local_world_size
        options |= {"devices": local, "num_nodes": world_size() // local, "use_distributed_sampler": False}
        options["strategy"] = DDPStrategy(cluster_environment=TorchElasticEnvironment())
    return L.Trainer(
        accelerator=accelerator,
        precision=training.precision,
        **options,
        max_epochs=training.epochs,
        callbacks=[recorder],
        gradient_clip_val=math.sqrt(members),  # of all gradients together: 1 for each member
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice on hardware and on worker processes, which these batches do not need."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Without early stopping there is no validation part; Lightning 2.6 uses torch's pytree in a way
            # that torch 2.13 deprecates.
            for advice in (
                "does not have many workers",
                "have no `val_dataloader`",
                "LeafSpec.*is deprecated",
                "GPU available but not used",
            ):
                warnings.filterwarnings("ignore", message=f".*{advice}")
            yield
    finally:
        logger.setLevel(level)
