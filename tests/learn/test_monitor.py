"""Callbacks and loggers: what they are given, how they stop a training, and that they change nothing else."""

import json
import random
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.bundled import bundled
from lphm.data.dataset import Dataset
from lphm.errors import InputError
from lphm.learn.checkpoint import CHECKPOINT
from lphm.learn.monitor import Callback, Epoch, Logger, Monitor
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import Trained, learn, prepare, train
from support.children import train_with_recorders
from support.forked import start_ranks
from support.loggers import Recorder

TABLE = pd.DataFrame(np.random.default_rng(0).standard_normal((120, 3)), columns=list("abc"))
DATA = Dataset("product", TABLE, pd.Series((TABLE["a"] * TABLE["b"] > 0).map({True: "same", False: "not"})))
SERIES = replace(DATA, inputs=TABLE.to_numpy().repeat(8, axis=1).reshape(120, 12, 2))
SMALL = NetworkOptions(width=8, members=2)
#: Of 40 epochs, every third is validated.
FORTY = TrainingOptions(epochs=40, batch_size=30, learning_rate=0.02, early_stopping=True, patience=40)


def learned(
    callbacks: list[Callback] | None = None,
    logger: Logger | None = None,
    options: TrainingOptions = FORTY,
    **more: object,
) -> Trained:
    return learn(DATA, SMALL, options, monitor=Monitor(callbacks, logger), **more)


def same_weights(one: Trained, other: Trained) -> bool:
    weights, others = (each.run.network.state_dict() for each in (one, other))
    assert weights.keys() == others.keys()
    return all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_callback_is_given_what_the_history_says_and_the_network() -> None:
    epochs: list[Epoch] = []
    history = learned([epochs.append], options=replace(FORTY, epochs=18)).history
    assert [each.epoch for each in epochs] == list(range(1, 19))
    for line, each in zip(history.lines, epochs, strict=True):
        assert line == {name: each.metrics[name] for name in line.keys() - {"epoch"}} | {"epoch": each.epoch}
        assert (each.epochs, each.score_name, each.share_of_epoch) == (18, "accuracy", 1.0)
        assert ("val_loss" in line) == (each.val_loss is not None) == (each.epoch % 2 == 0)
        assert not each.network.training
    seconds, rates = ([getattr(each, name) for each in epochs] for name in ("seconds", "learning_rate"))
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert max(rates) == pytest.approx(0.02, rel=0.1)
    assert rates[-1] < 1e-3 * max(rates)
    with pytest.raises(FrozenInstanceError):
        epochs[0].epoch = 2


def meddle(epoch: Epoch) -> None:
    """What a callback may do: draw numbers, compute with the network and its gradients, leave its mode."""
    torch.manual_seed(epoch.epoch)
    random.seed(epoch.epoch)
    torch.rand(3)
    epoch.network.train()
    epoch.network(torch.randn(5, 3)).sum().backward()


def test_the_weights_are_the_same_bit_for_bit_with_callbacks_and_loggers_and_without() -> None:
    plain, watched = learned(), learned([meddle], Recorder())
    assert same_weights(plain, watched)
    assert plain.history == watched.history


@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_callback_that_returns_true_stops_and_its_epoch_may_be_the_best(early_stopping: bool) -> None:
    logger, options = Recorder(), replace(FORTY, early_stopping=early_stopping)
    stopped = learned([lambda epoch: np.bool_(epoch.epoch == 4), lambda _: None], logger, options)
    assert len(stopped.history.lines) == 4
    validated = [line["epoch"] for line in stopped.history.lines if "val_loss" in line]
    assert validated == ([3, 4] if early_stopping else [])
    assert stopped.history.best_epoch in ({3, 4} if early_stopping else {None})
    assert not stopped.history.out_of_time
    step, last = logger.of("metrics")[-1]
    assert step == 4
    assert ("val_loss" in last) == early_stopping
    assert logger.of("status") == ["success"]


def test_a_training_that_was_stopped_goes_not_on_when_it_is_resumed(tmp_path: Path) -> None:
    stopped = learned([lambda epoch: epoch.epoch == 4], folder=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()
    resumed = learned([pytest.fail], folder=tmp_path, resume=True)
    assert same_weights(stopped, resumed)
    assert len(resumed.history.lines) == 4


class PrunedError(Exception):
    """As Optuna raises."""


def test_an_exception_passes_and_a_resumed_training_repeats_its_epoch(tmp_path: Path) -> None:
    def prune(epoch: Epoch) -> None:
        if epoch.epoch == 3:
            raise PrunedError

    logger, again = Recorder(), Recorder()
    with pytest.raises(PrunedError):
        learned([prune], logger, folder=tmp_path)
    assert [step for step, _ in logger.of("metrics")] == [1, 2, 3]
    assert logger.of("status") == ["failed"]
    seen: list[int] = []
    resumed = learned([lambda epoch: seen.append(epoch.epoch)], again, folder=tmp_path, resume=True)
    assert seen == list(range(3, 41)) == [step for step, _ in again.of("metrics")]
    assert same_weights(resumed, learned())


def test_loggers_get_the_choices_every_epoch_and_the_scores_of_the_test() -> None:
    one, other = Recorder(), Recorder()
    prepared = prepare(bundled("iris"), SMALL, TrainingOptions(epochs=2, seed=5))
    outcome = train(prepared, logger=[one, other])
    assert [name for name, _ in one.calls] == ["params", *["metrics"] * 3, "status"]
    assert [name for name, _ in other.calls] == [name for name, _ in one.calls]
    (params,) = one.of("params")
    expected = {"source": "iris", "method": "network", "width": 8, "members": 2, "epochs": 2, "seed": 5}
    assert params.items() >= expected.items()
    assert params["attribute"]["name"] == "lphm"
    *epochs, (step, scores) = one.of("metrics")
    assert [number for number, _ in epochs] == [1, 2]
    assert set(epochs[0][1]) == {"train_loss", "val_loss", "val_score", "learning_rate", "seconds"}
    assert (step, scores) == (2, {f"test_{name}": score for name, score in outcome.metrics["test"].items()})
    assert one.of("status") == ["success"]


def test_a_loss_that_is_not_finite_is_logged_as_a_failure() -> None:
    logger = Recorder()
    with pytest.raises(InputError, match="training must keep a finite loss"):
        learned(logger=logger, options=replace(FORTY, learning_rate=1e30))
    assert logger.of("status") == ["failed"]


def test_ridge_regression_is_one_epoch() -> None:
    logger, epochs = Recorder(), list[Epoch]()
    trained = learn(SERIES, monitor=Monitor(epochs.append, logger))
    ((step, metrics),) = logger.of("metrics")
    assert (step, epochs[0].epochs) == (1, 1)
    assert {"epoch": 1, **metrics} == {**trained.history.lines[0], "seconds": epochs[0].seconds}
    assert logger.of("params")[0].items() >= {"method": "ridge", "maps": 16, "groups": 4}.items()


class Silent:
    def log_hyperparams(self, params: dict[str, object]) -> None:
        pass


def test_what_cannot_be_called_is_refused_before_the_training() -> None:
    with pytest.raises(InputError, match=r"functions of an Epoch \(those of Lightning .*\), got Silent"):
        Monitor([print, Silent()])
    with pytest.raises(InputError, match=r"must have the methods .*, got Silent without log_metrics"):
        Monitor(logger=Silent())
    with pytest.raises(InputError, match=r"logger must have .*, got bool without log_hyperparams"):
        Monitor(logger=True)


@pytest.mark.slow
def test_the_first_of_several_processes_calls_and_stops_them_all(tmp_path: Path) -> None:
    for child in start_ranks(2, train_with_recorders, tmp_path, cwd=tmp_path):
        ended = child.wait()
        assert ended.returncode == 0, ended.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == {"epochs": 2, "callbacks": [1, 2], "logger": ["params", "metrics", "metrics", "status"]}
    assert second == {"epochs": 2, "callbacks": [], "logger": []}
