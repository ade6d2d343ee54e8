"""The training loop, over batches from anywhere, with checkpoints after epochs.

An epoch depends on its number, the seed and the state at its start, and on nothing else. The checkpoint holds
all of these: a training that is resumed after a kill ends with the weights of one that was not interrupted.

Several processes share every batch, and DDP averages their gradients. Each process multiplies the mean loss
of its samples by their share of the weight of the whole batch, and by the number of processes. So the average
is the gradient of the whole batch, however it is shared. Dropout differs from process to process.

The weights that are kept are a running average over the last few hundredths of the steps: at every time it is
as good as a training whose learning rate has fallen to zero (Izmailov et al., 2018, arXiv:1803.05407). With a
validation part they are those of the epoch with the lowest loss on it, after the best temperature was found
for the probabilities, and the outputs are scaled by that temperature: an epoch is not judged by a confidence
that is mended afterwards (Berta et al., 2025, arXiv:2501.19195).

With a time limit, the learning rate follows the share of the steps or the share of the time, whichever is
larger: it has fallen to zero when the training ends, and the weights of that moment are usable (Izsak et al.,
2021, arXiv:2104.07705).
"""

import math
import time
from dataclasses import field
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lphm.data.batches import Batch, Batches, epoch_seed
from lphm.data.progress import no_progress
from lphm.data.schema import FeatureSchema
from lphm.distributed import all_reduce_sum, broadcast_choice, rank, world_size
from lphm.errors import InputError
from lphm.learn.checkpoint import CHECKPOINT, damaged, read_checkpoint, save_checkpoint
from lphm.learn.clock import Clock
from lphm.learn.config import NetworkRunConfig
from lphm.learn.devices import keep_freed_memory, training_device
from lphm.learn.execution import Execution, History
from lphm.learn.monitor import Epoch
from lphm.learn.validation import validate
from lphm.learn.weights import FlatParameters
from lphm.nn.network import InterdependenceNetwork

#: Label smoothing, but for tables: without it, digits are told apart less well.
SMOOTHING = 0.05
#: Seconds from which on a checkpoint is not written after every epoch.
SLOW_SAVE = 0.5
#: The running average of the weights goes over the last of so many parts of the steps.
AVERAGES = 32
#: About how often the validation part is predicted.
VALIDATIONS = 16
#: The name of the training where its progress is shown.
TASK = "training"


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
    loop.weights.release(loop.weights.average if state.best is None else state.best)
    network.to("cpu").eval()
    network.scale_outputs(state.factor)
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
    stopped: bool = False  # by a callback
    factor: float = 1.0  # of the outputs, by the validation of the best epoch
    best: Tensor | None = None  # weights of the best epoch


class _Loop:
    """A training between its steps."""

    def __init__(
        self, network: InterdependenceNetwork, config: NetworkRunConfig, batches: int, execution: Execution
    ) -> None:
        self.config, self.options, self.execution = config, config.training, execution
        self.batches, self.steps = batches, config.training.epochs * batches
        self.smoothing = 0.0 if isinstance(config.input, FeatureSchema) else SMOOTHING
        self.device = training_device(execution.device)
        self.network = network.to(self.device)
        self.weights = FlatParameters(self.network)
        self.synchronised: nn.Module = network
        if world_size() > 1:
            self.synchronised = DistributedDataParallel(network)
        fused = self.device.type in ("cpu", "cuda")  # one operator, where there is one
        rate, decay = self.options.learning_rate, self.options.weight_decay
        self.optimizer = torch.optim.AdamW([self.weights.values], rate, weight_decay=decay, fused=fused)
        rising = 0.2 if self.steps > 5 else 0.3  # OneCycleLR divides by zero if it rises for exactly one step
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, rate, total_steps=max(self.steps, 2), pct_start=rising
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
        """Whether the epochs or the time are used up, a callback stops, or ``patience`` epochs do."""
        epochs = len(self.lines)
        return (
            epochs >= self.options.epochs
            or self.clock.share == 1
            or self.state.stopped
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
            self.progress(TASK, self.position, self.steps, self.status)
            if self.clock.share == 1:
                break

    def _step(self, batch: Batch) -> None:
        x, y, weight = (part.to(self.device) for part in batch)
        low = self.options.precision == "bf16-mixed"
        # Without the cache: it would keep the weights of the first step as long as an outer context is open.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            loss = self.config.target.training_loss(self.synchronised(x), y, weight, self.smoothing)
        total = weight.sum()
        self.losses.append((loss.detach() * total, total))
        if world_size() > 1:
            share = float(total)
            loss = loss * (share * world_size() / max(all_reduce_sum(share)[0], 1e-30))
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()  # type: ignore[no-untyped-call]
        # The norm of all gradients together: 1 for each member.
        nn.utils.clip_grad_norm_(self.weights.values, math.sqrt(self.network.members))
        self.optimizer.step()
        before = self.position
        self.state.steps += 1
        self.clock.update()
        self.weights.update_average(AVERAGES * (self.position - before) / self.steps)
        self.schedule.last_epoch = self.position - 1
        self.schedule.step()

    def end_epoch(self, validation: Batches | None, file: Path | None) -> None:
        """Validate, note the losses, keep the best weights, and write the checkpoint."""
        self.clock.update()
        epoch, done = len(self.lines) + 1, len(self.losses)
        line = {"epoch": epoch, "train_loss": self._epoch_loss()}
        if done < self.batches:
            line["share_of_epoch"] = done / self.batches
        self.lines.append(line)
        every = math.ceil(self.options.epochs / VALIDATIONS)
        if validation is not None and (epoch % every == 0 or self.is_over(self.options.patience)):
            self._judge(line, validation)
        self._report(line, validation)
        if file is not None:
            self._save(file)
        self.status = f"epoch {epoch} of {self.options.epochs}  loss {line['train_loss']:.4f}"
        if "val_score" in line:
            self.status += f"  validation {self.config.target.score_name} {line['val_score']:.4f}"
        self.progress(TASK, self.position, self.steps, self.status)

    def _epoch_loss(self) -> float:
        """The mean loss of a member over the samples of the epoch, of all processes."""
        sums = (float(torch.stack(part).sum()) for part in zip(*self.losses, strict=True))
        loss, total = all_reduce_sum(*sums)
        self.losses.clear()
        return loss / total / self.network.members

    def _judge(self, line: dict[str, float], validation: Batches) -> None:
        """Note loss and score of the validation part, and keep the weights if they are the best so far."""
        state, epoch = self.state, len(self.lines)
        with self.weights.averaged():
            loss, score, factor = validate(self.network, self.config.target, validation, self.device)
        line["val_loss"], line["val_score"] = loss, score
        if loss < state.best_loss:
            state.best_loss, state.best_epoch, state.factor = loss, epoch, factor
            state.best = self.weights.average.clone()

    def _report(self, line: dict[str, float], validation: Batches | None) -> None:
        """Call the callbacks, and log. If one stops the training, the weights of this epoch are validated."""
        monitor = self.execution.monitor
        try:
            self.state.stopped = monitor.stops(self._epoch(line))
            if self.state.stopped and validation is not None and "val_loss" not in line:
                self._judge(line, validation)
        finally:
            monitor.log(self._epoch(line).metrics, len(self.lines))

    def _epoch(self, line: dict[str, Any]) -> Epoch:
        return Epoch(
            **line,
            epochs=self.options.epochs,
            score_name=self.config.target.score_name,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=self.clock.seconds,
            network=self.network.eval(),
        )

    # The checkpoint.

    def _save(self, file: Path) -> None:
        """Write a file that is always whole; the first process does, and the others wait for it.

        Where a checkpoint takes long, epochs are left out, so that a tenth of the time goes into checkpoints.
        """
        begun, over = time.monotonic(), self.is_over(math.inf)
        if not broadcast_choice(lambda: over or begun >= self.next_save):
            return
        group = self.optimizer.param_groups[0]
        self.state.learning_rate, (self.state.momentum, _) = group["lr"], group["betas"]
        self.state.seconds = self.clock.seconds
        state = vars(self.state) | {"best": None}
        moments = self.optimizer.state_dict()["state"][0]
        tensors = {"values": self.weights.values.detach(), "average": self.weights.average, **moments}
        if self.state.best is not None:
            tensors["best"] = self.state.best
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
        optimizer: dict[str, Any] = self.optimizer.state_dict()
        try:
            if any(t.shape != self.weights.average.shape for name, t in tensors.items() if name != "step"):
                raise damaged(file)
            self.weights.values.data.copy_(tensors.pop("values"))
            self.weights.average.copy_(tensors.pop("average"))
            best = tensors.pop("best", None)
            self.state = _State(**(state | {"best": None if best is None else best.to(self.device)}))
            optimizer["state"] = {0: tensors}
            self.optimizer.load_state_dict(optimizer)
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            raise damaged(file) from error
        for group in self.optimizer.param_groups:
            group["lr"], group["betas"] = self.state.learning_rate, (self.state.momentum, group["betas"][1])
        self.clock.before = self.clock.seconds = self.state.seconds
