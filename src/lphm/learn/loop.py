"""The training loop, over batches from anywhere, with checkpoints after epochs.

An epoch depends on its number, the seed and the state at its start, and on nothing else. The checkpoint holds
all of these: a training that is resumed after a kill ends with the weights of one that was not interrupted.

Several processes share every batch, and DDP averages their gradients. Each process multiplies the mean loss
of its samples by their share of the weight of the whole batch, and by the number of processes. So the average
is the gradient of the whole batch, however it is shared. Dropout differs from process to process.

With a time limit, the learning rate follows the share of the steps or the share of the time, whichever is
larger: it has fallen to zero when the training ends, and the weights of that moment are usable (Izsak et al.,
2021, arXiv:2104.07705).
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lphm.data.batches import Batch, Batches, epoch_seed
from lphm.data.progress import Progress, no_progress
from lphm.distributed import all_reduce_sum, broadcast_choice, gather_results, rank, world_size
from lphm.errors import InputError
from lphm.learn.checkpoint import CHECKPOINT, damaged, read_checkpoint, save_checkpoint
from lphm.learn.clock import Clock
from lphm.learn.config import NetworkRunConfig
from lphm.learn.devices import available_device, keep_freed_memory
from lphm.learn.options import DeviceName
from lphm.nn.network import InterdependenceNetwork

#: Seconds from which on a checkpoint is not written after every epoch.
SLOW_SAVE = 0.5


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
    network: InterdependenceNetwork,
    config: NetworkRunConfig,
    train: Batches,
    validation: Batches | None = None,
    execution: Execution | None = None,
) -> History:
    """Train in place, and leave the weights of the best epoch, or of the last without a validation part.

    Raises:
        InputError: the loss is not finite, the device is not available, or the checkpoint is damaged.
    """
    keep_freed_memory()
    execution = execution or Execution()
    file = None if execution.folder is None else execution.folder / CHECKPOINT
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        loop = _Loop(network, config, len(train), execution)
        if file is not None and execution.resume and file.is_file():
            loop.load(file)
        loop.clock.update()
        patience = math.inf if validation is None else config.training.patience
        # A resumed training may have been stopped early; at least one step is always done.
        while not loop.lines or not loop.is_over(patience):
            loop.train_epoch(train)
            loop.end_epoch(validation, file)
    state = loop.state
    if not math.isfinite(loop.lines[-1]["train_loss"] if validation is None else state.best_loss):
        raise InputError(
            "training must keep a finite loss, got none; choose a smaller learning rate",
            option="learning_rate",
            value=f"{config.training.learning_rate / 10:g}",
        )
    if state.best_weights is not None:
        network.load_state_dict(state.best_weights)
    network.to("cpu").eval()
    return History(loop.lines, state.best_epoch or None, loop.clock.share == 1 and state.steps < loop.steps)


@validated(config=ConfigDict(arbitrary_types_allowed=True, strict=True, extra="forbid"))
class _State:
    """What a checkpoint holds beside the weights and the state of the optimizer."""

    steps: int = 0  # that are done
    seconds: float = 0.0
    learning_rate: float = 0.0  # of the next step, as the momentum
    momentum: float = 0.0
    lines: list[dict[str, int | float]] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] | None = None


class _Loop:
    """A training between its steps."""

    def __init__(
        self, network: InterdependenceNetwork, config: NetworkRunConfig, batches: int, execution: Execution
    ) -> None:
        self.config, self.options, self.execution = config, config.training, execution
        self.batches, self.steps = batches, config.training.epochs * batches
        self.device = _device(execution.device)
        self.network = network.to(self.device)
        self.parameters = list(network.parameters())
        self.synchronised: nn.Module = network
        if world_size() > 1:
            self.synchronised = DistributedDataParallel(network)
        groups = network.decay_groups(self.options.weight_decay)
        # All parameters in one operator, where there is one.
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(groups, lr=self.options.learning_rate, fused=fused)
        rising = 0.2 if self.steps > 5 else 0.3  # OneCycleLR divides by zero if it rises for exactly one step
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, self.options.learning_rate, total_steps=max(self.steps, 2), pct_start=rising
        )
        self.next_save = 0.0  # when the next checkpoint is due
        self.clock, self.state = Clock(self.options.time_limit), _State()
        self.progress, self.status = execution.progress or no_progress, ""
        self.losses: list[tuple[Tensor, Tensor]] = []  # of the epoch so far: loss times weight, and weight

    @property
    def lines(self) -> list[dict[str, float]]:
        """What the history says of the epochs so far."""
        return self.state.lines

    @property
    def position(self) -> int:
        """The steps done, or as many as the time used up corresponds to, whichever are more."""
        return max(self.state.steps, int(self.clock.share * self.steps))

    def is_over(self, patience: float) -> bool:
        """Whether the last epoch is over, or the time, or the loss has not fallen for ``patience`` epochs."""
        epochs = len(self.lines)
        return (
            epochs >= self.options.epochs
            or self.clock.share == 1
            or epochs - self.state.best_epoch >= patience
        )

    # An epoch.

    def train_epoch(self, batches: Batches) -> None:
        """The steps of the next epoch, or as many as there is time for."""
        epoch = len(self.lines)
        torch.manual_seed(epoch_seed(self.options.seed, epoch) + rank() * 2**51)  # of dropout
        self.network.train()
        for batch in batches.epoch(epoch):
            self._step(batch)
            self.progress(self.execution.name, self.position, self.steps, self.status)
            if self.clock.share == 1:
                break

    def _step(self, batch: Batch) -> None:
        x, y, weight = (part.to(self.device) for part in batch)
        low = self.options.precision == "bf16-mixed"
        # Without the cache: it would keep the weights of the first step as long as an outer context is open.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            loss, total = self.config.target.training_loss(self.synchronised(x), y, weight), weight.sum()
        self.losses.append((loss.detach() * total, total))
        if world_size() > 1:
            share = float(total)
            loss = loss * (share * world_size() / max(all_reduce_sum(share)[0], 1e-30))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        # The norm of all gradients together: 1 for each member.
        nn.utils.clip_grad_norm_(self.parameters, math.sqrt(self.network.members))
        self.optimizer.step()
        self.state.steps += 1
        self.clock.update()
        self.schedule.last_epoch = self.position - 1
        self.schedule.step()

    def end_epoch(self, validation: Batches | None, file: Path | None) -> None:
        """Validate, note the losses, keep the best weights, and write the checkpoint."""
        validated = {} if validation is None else self._validate(validation)
        self.clock.update()
        epoch, done, state = len(self.lines) + 1, len(self.losses), self.state
        line = {"epoch": epoch, "train_loss": self._epoch_loss(), **validated}
        if done < self.batches:
            line["share_of_epoch"] = done / self.batches
        self.lines.append(line)
        if line.get("val_loss", math.inf) < state.best_loss:
            state.best_loss, state.best_epoch = line["val_loss"], epoch
            state.best_weights = {name: t.clone() for name, t in self.network.state_dict().items()}
        if file is not None:
            self._save(file)
        self.status = f"epoch {epoch} of {self.options.epochs}  loss {line['train_loss']:.4f}"
        if "val_score" in line:
            self.status += f"  validation {self.config.target.score_name} {line['val_score']:.4f}"
        self.progress(self.execution.name, self.position, self.steps, self.status)

    def _epoch_loss(self) -> float:
        """The mean loss of a member over the samples of the epoch, of all processes."""
        sums = (float(torch.stack(part).sum()) for part in zip(*self.losses, strict=True))
        loss, total = all_reduce_sum(*sums)
        self.losses.clear()
        return loss / total / self.network.members

    @torch.inference_mode()
    def _validate(self, validation: Batches) -> dict[str, float]:
        """Loss and score of the combined outputs, in float32 as in predictions."""
        target = self.config.target
        self.network.eval()

        def outputs() -> list[Batch]:  # with target and weight, of this process's share
            batches = validation.epoch(0)
            return [(target.combine(self.network(x.to(self.device))).cpu(), y, w) for x, y, w in batches]

        batches = [batch for share in gather_results(outputs) for batch in share]
        combined, y, weight = (torch.cat(part) for part in zip(*batches, strict=True))
        return {  # the ensemble is judged by the loss that a member is trained with
            "val_loss": target.training_loss(combined.unsqueeze(1), y, weight).item(),
            "val_score": target.score(combined, y, weight).item(),
        }

    # The checkpoint.

    def _save(self, file: Path) -> None:
        """Write a file that is always whole; the first process does, and the others wait for it.

        Where a checkpoint takes long, epochs are left out, so that a tenth of the time goes into checkpoints.
        """
        begun, over = time.monotonic(), self.is_over(math.inf)
        if not broadcast_choice(lambda: over or begun >= self.next_save):
            return
        group = self.optimizer.param_groups[0]  # they differ in the weight decay alone
        self.state.learning_rate, (self.state.momentum, _) = group["lr"], group["betas"]
        self.state.seconds = self.clock.seconds
        state = vars(self.state) | {"best_weights": None}
        parts = {"network": self.network.state_dict(), "best": self.state.best_weights or {}}
        parts |= {f"moments {i}": each for i, each in self.optimizer.state_dict()["state"].items()}
        tensors = {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}
        if rank() == 0:
            save_checkpoint(file, tensors, state)
        all_reduce_sum(0)
        ended = time.monotonic()
        self.next_save = ended + 9 * (ended - begun) if ended - begun > SLOW_SAVE else ended

    def load(self, file: Path) -> None:
        """Continue from the checkpoint.

        Raises:
            InputError: the file is damaged, or of another training.
        """
        tensors, state = read_checkpoint(file)
        parts: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = tensor
        optimizer: dict[str, Any] = self.optimizer.state_dict()
        optimizer["state"] = {i: parts.get(f"moments {i}", {}) for i in range(len(self.parameters))}
        try:
            self.network.load_state_dict(parts["network"])
            self.optimizer.load_state_dict(optimizer)
            self.state = _State(**(state | {"best_weights": parts.get("best")}))
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            raise damaged(file) from error
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = self.state.learning_rate, (self.state.momentum, group["betas"][1])
        self.clock.before = self.clock.seconds = self.state.seconds


def _device(name: DeviceName) -> torch.device:
    """The device of this process; of several that use GPUs, each has the one that its group was made with."""
    device = torch.device(available_device(name))
    return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device
