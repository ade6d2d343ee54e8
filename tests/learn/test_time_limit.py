"""A training that ends when its time is up: the clock of most tests ticks once a step, and so is exact."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.dataset import Dataset
from lphm.data.splits import split_rows
from lphm.estimators import LPHMClassifier
from lphm.learn.clock import Clock
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import Trained, learn
from support.children import train_by_clocks_that_differ
from support.command import lphm, summary
from support.forked import start_ranks

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.standard_normal((120, 3)), columns=list("abc"))
DATA = Dataset("sum", NUMBERS, pd.Series(np.where(NUMBERS.sum(axis=1) > 0, "more", "less"), name="sum"))
SMALL = NetworkOptions(width=8, channels=2, members=2)
STEPS = 8  # in an epoch


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes at the start, at every step and at the end of every epoch."""

    def tick(self: Clock) -> None:
        self.seconds += 1

    monkeypatch.setattr(Clock, "update", tick)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of a training, one for each step and one after the last."""
    schedule, seen = torch.optim.lr_scheduler.OneCycleLR, []
    step = schedule.step

    def recorded(self: torch.optim.lr_scheduler.OneCycleLR) -> None:
        step(self)
        seen.append(self.get_last_lr()[0])

    monkeypatch.setattr(schedule, "step", recorded)
    return seen


def options(**choices: object) -> TrainingOptions:
    return TrainingOptions(**{"epochs": 4, "batch_size": 15, "early_stopping": False, **choices})


def steps(trained: Trained) -> float:
    return sum(STEPS * line.get("share_of_epoch", 1) for line in trained.history.lines)


@pytest.mark.parametrize(
    ("limit", "done"),
    [
        (0.1, 1),  # one step is always done
        (2, 1),
        (3, 2),
        (9, 8),  # at the end of an epoch
        (10, 8),  # after an epoch
        (13, 11),
        (35, 31),
    ],
)
def test_a_training_ends_when_the_time_is_up(ticks: None, limit: float, done: int) -> None:
    calls: list[tuple[int, int]] = []

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        calls.append((done, total))

    trained = learn(DATA, SMALL, options(time_limit=limit), progress=progress)
    assert steps(trained) == done
    assert trained.history.out_of_time
    assert len(trained.history.lines) == -(-done // STEPS)
    assert all("share_of_epoch" not in line for line in trained.history.lines[:-1])
    assert calls[-1] == (4 * STEPS, 4 * STEPS)  # the bar of a training that is over is full
    assert torch.isfinite(trained.run.outputs(NUMBERS)).all()


@pytest.mark.parametrize("limit", [36, 37, 1000, None])
def test_a_training_with_enough_time_does_all_steps(ticks: None, limit: float | None) -> None:
    trained = learn(DATA, SMALL, options(time_limit=limit))
    assert steps(trained) == 4 * STEPS
    assert not trained.history.out_of_time
    assert "share_of_epoch" not in trained.history.lines[-1]


def test_the_learning_rate_has_fallen_when_the_time_is_up(ticks: None, rates: list[float]) -> None:
    learn(DATA, SMALL, options(epochs=1000, time_limit=100, learning_rate=0.01))
    assert len(rates) < 100
    rates = rates[1:]  # the first is that of the schedule when it is built
    highest = int(np.argmax(rates))
    assert 0.009 < rates[highest] <= 0.01
    assert highest == pytest.approx(20, abs=5)
    assert all(np.diff(rates[:highest]) > 0)
    assert all(np.diff(rates[highest:]) < 0)
    assert rates[-1] < 1e-5


@pytest.mark.parametrize("limit", [None, 1000.0])
def test_the_learning_rate_follows_the_steps_if_there_is_time(
    ticks: None, rates: list[float], limit: float | None
) -> None:
    learn(DATA, SMALL, options(time_limit=limit, learning_rate=0.01))
    got, rates[:] = list(rates), []
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=4 * STEPS, pct_start=0.2)
    for _ in range(4 * STEPS):
        optimizer.step()
        schedule.step()
    assert got == rates


def test_early_stopping_validates_the_epoch_that_is_cut(ticks: None) -> None:
    rest, held_out = split_rows(DATA, "classification", 0, 0.15)
    limited = options(epochs=1000, time_limit=60, learning_rate=0.02)
    trained = learn(rest, SMALL, limited, validation=held_out)
    *lines, last = trained.history.lines
    assert last["share_of_epoch"] < 1
    assert not any("val_loss" in line for line in lines)  # of 1000 epochs every 63rd is validated
    assert trained.history.best_epoch == last["epoch"]
    assert evaluate(trained.run, held_out).score == pytest.approx(last["val_score"])


class KilledError(Exception):
    """Stands for kill -9."""


@pytest.mark.parametrize(("epoch", "line"), [(2, (4, 1 / STEPS)), (4, (4, 2 / STEPS))])
def test_a_resumed_training_has_the_time_that_was_left(
    ticks: None, tmp_path: Path, epoch: int, line: tuple[int, float]
) -> None:
    """Uninterrupted, 30 seconds are enough for two steps of epoch 4; to start again takes one second."""

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        if status.startswith(f"epoch {epoch} of"):
            raise KilledError

    with pytest.raises(KilledError):
        learn(DATA, SMALL, options(time_limit=30), folder=tmp_path, progress=progress)
    trained = learn(DATA, SMALL, options(time_limit=30), folder=tmp_path, resume=True)
    last = trained.history.lines[-1]
    assert (last["epoch"], last["share_of_epoch"]) == line
    assert trained.history.out_of_time


def test_a_training_whose_last_epoch_was_cut_goes_on_with_the_next_if_it_gets_more_time(
    ticks: None, tmp_path: Path
) -> None:
    for limit in (13, 100):
        trained = learn(DATA, SMALL, options(time_limit=limit), folder=tmp_path, resume=True)
    shares = [line.get("share_of_epoch") for line in trained.history.lines]
    assert shares == [None, 3 / STEPS, None, None]


def test_the_clock_counts_seconds_and_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("lphm.learn.clock.time.perf_counter", lambda: now)
    clock = Clock(8)
    clock.before, now = 3.0, 102.0
    clock.update()
    assert (clock.seconds, clock.share) == (5.0, 5 / 8)
    now = 200.0
    clock.update()
    assert clock.share == 1
    without = Clock(None)
    now = 1e9
    without.update()
    assert without.share == 0


@pytest.mark.slow
def test_a_time_limit_on_the_command_line(tmp_path: Path) -> None:
    limited = ("iris", "--epochs", 10**6, "--time-limit", 1, "--early-stopping", "--patience", 10**6)
    table = summary(lphm("train", *limited, "-o", "run", cwd=tmp_path))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["out_of_time"]
    epochs = f"{len(metrics['history'])}, best {metrics['best_epoch']}"
    assert table["epochs"] == f"{epochs}, stopped by the time limit"
    assert metrics["seconds"] >= 1
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["training"]["time_limit"] == 1


@pytest.mark.slow
def test_processes_whose_clocks_differ_stop_at_the_same_step(tmp_path: Path) -> None:
    DATA.inputs.assign(y=DATA.target).to_csv(tmp_path / "t.csv", index=False)
    arguments = ("train", "t.csv", "--target", "y", "--epochs", 10**6, "--time-limit", 3, "--quiet", "--json")
    children = start_ranks(2, train_by_clocks_that_differ, *arguments, "--timeout", 30, cwd=tmp_path)
    ended = [child.wait() for child in children]
    assert [one.returncode for one in ended] == [0, 0], ended
    assert json.loads(ended[0].stdout)["out_of_time"]


def test_a_time_limit_of_an_estimator() -> None:
    model = LPHMClassifier(members=1, width=8, channels=2, epochs=10**6, time_limit=1.0, random_state=0)
    model.fit(NUMBERS, DATA.target)
    assert model.n_iter_ == len(model.history_) < 10**6
    assert model.score(NUMBERS, DATA.target) > 0.9
