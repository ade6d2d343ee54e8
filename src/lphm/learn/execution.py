"""What a training is given beside data and choices, and what it tells beside weights."""

from dataclasses import dataclass, field
from pathlib import Path

from lphm.data.progress import Progress
from lphm.learn.monitor import Monitor
from lphm.learn.options import DeviceName


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
    monitor: Monitor = field(default_factory=Monitor)
