"""What is told of a training while it runs: callbacks after every epoch, and loggers such as Lightning's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

from torch import nn

from lphm.distributed import broadcast_choice, rank
from lphm.errors import InputError
from lphm.learn.config import PatternRunConfig, RunConfig


@dataclass(frozen=True)
class Epoch:
    """A training at the end of one of its epochs, as callbacks are given it.

    Attributes:
        epoch: the number of the epoch, from 1.
        epochs: the most epochs that there may be.
        train_loss: the mean loss over the samples of this epoch.
        score_name: what ``val_score`` is, "accuracy" or "r2".
        seconds: of the training so far, with those before it was resumed.
        network: what is trained, in evaluation mode, with the weights after the last step. These are not yet
            the weights that are kept, which are a running average. It may be read and called; it must not be
            changed.
        val_loss: the loss on the validation part; None without one, and in an epoch that is not validated.
        val_score: the score on the validation part, or None.
        learning_rate: that of the next step; None for ridge regression, which has none.
        share_of_epoch: less than 1 if the time limit ended the epoch early.
    """

    epoch: int
    epochs: int
    train_loss: float
    score_name: str
    seconds: float
    network: nn.Module
    val_loss: float | None = None
    val_score: float | None = None
    learning_rate: float | None = None
    share_of_epoch: float = 1.0

    @property
    def metrics(self) -> dict[str, float]:
        """The losses, the score, the learning rate and the seconds, as far as there are any, by name."""
        names = "train_loss", "val_loss", "val_score", "learning_rate", "seconds"
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


Callback: TypeAlias = Callable[[Epoch], bool | None]


class Logger(Protocol):
    """The part of the loggers of Lightning that is called."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Called once, before the first epoch."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Called after every epoch, whose number ``step`` is, and after the test with that of the last."""

    def finalize(self, status: str) -> None:
        """Called once, with "success", or "failed" if an exception ends the training."""


class Monitor:
    """The callbacks and loggers of one training. Only the first process of several calls them.

    Args:
        callbacks: one, or a list of them, called with an ``Epoch`` after every epoch.
        logger: one, or a list of them.

    Raises:
        InputError: a callback cannot be called, or a logger lacks a method of ``Logger``.
    """

    def __init__(
        self,
        callbacks: Callback | Sequence[Callback] | None = None,
        logger: Logger | Sequence[Logger] | None = None,
    ) -> None:
        self.callbacks: list[Callback] = _listed(callbacks)
        self.loggers: list[Logger] = _listed(logger)
        if wrong := [type(each).__name__ for each in self.callbacks if not callable(each)]:
            message = "callbacks must be functions of an Epoch (those of Lightning need its Trainer)"
            raise InputError(f"{message}, got {wrong[0]}")
        calls = "log_hyperparams", "log_metrics", "finalize"
        for each in self.loggers:
            if missing := [name for name in calls if not callable(getattr(each, name, None))]:
                message = f"logger must have the methods {', '.join(calls)}, as those of Lightning have"
                raise InputError(f"{message}, got {type(each).__name__} without {missing[0]}")

    @contextmanager
    def training(self, config: RunConfig) -> Iterator[None]:
        """Log the choices of the training, and at its end how it ended."""
        self._log("log_hyperparams", hyperparameters(config))
        try:
            yield
        except BaseException:
            self._log("finalize", "failed")
            raise
        self._log("finalize", "success")

    def stops(self, epoch: Epoch) -> bool:
        """Call every callback; whether one of them returned True, on every process."""
        return any(broadcast_choice(lambda: [bool(each(epoch)) for each in self.callbacks]))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log the metrics of an epoch, or of the test."""
        self._log("log_metrics", dict(metrics), step=step)

    def _log(self, call: str, *arguments: Any, **named: Any) -> None:
        if rank() == 0:
            for logger in self.loggers:
                getattr(logger, call)(*arguments, **named)


def hyperparameters(config: RunConfig) -> dict[str, Any]:
    """Everything that was chosen for the network and its training, by name; a structure is a dictionary."""
    chosen = {"source": config.source, "task": config.target.task, "method": config.method}
    if isinstance(config, PatternRunConfig):
        return {**chosen, **asdict(config.patterns), "seed": config.seed}
    return {**chosen, **asdict(config.network), **asdict(config.training)}


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
