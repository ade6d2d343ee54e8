"""Where a network is trained and predicts, and in which precision."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits, load_iris

from lphm.data.dataset import Dataset
from lphm.data.splits import split_rows
from lphm.distributed import LaunchInfo
from lphm.errors import InputError
from lphm.learn import devices
from lphm.learn.calibration import calibrate
from lphm.learn.devices import available_device
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import learn
from support.runs import FRAME, make_run

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with so many GPUs, perhaps with mps, on which so many processes train."""

    def pretend(gpus: int = 0, mps: bool = False, processes: int = 1) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(devices, "world_size", lambda: processes)
        monkeypatch.setattr(devices, "launch_info", lambda: LaunchInfo(0, processes, processes))

    return pretend


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({}, "cpu"),
        ({"mps": True}, "mps"),
        ({"gpus": 1, "mps": True}, "cuda"),
        ({"gpus": 1, "processes": 2}, "cpu"),
        ({"gpus": 2, "processes": 2}, "cuda"),
        ({"mps": True, "processes": 2}, "cpu"),
    ],
)
def test_auto_is_the_best_device_that_is_there(machine: Machine, there: dict, chosen: str) -> None:
    machine(**there)
    assert available_device("auto") == chosen
    assert available_device("cpu") == "cpu"


def test_a_device_that_is_not_there(machine: Machine) -> None:
    machine(mps=True)
    with pytest.raises(InputError, match="got 'cuda'; torch can use mps, cpu here; choose auto or one of"):
        available_device("cuda")
    machine(gpus=1, processes=2)
    with pytest.raises(InputError, match="got 'cuda'; torch can use cpu here for 2 processes"):
        available_device("cuda")
    with pytest.raises(InputError, match="device must be available, got 'mps'") as caught:
        available_device("mps")
    assert caught.value.option == "device"


def test_a_run_predicts_where_it_is_told(machine: Machine) -> None:
    machine()
    with pytest.raises(InputError, match="device must be available, got 'cuda'"):
        replace(make_run(), device="cuda").predict(FRAME)


def test_predictions_are_computed_in_float32_which_every_device_has() -> None:
    model, seen = make_run(), []
    model.network.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    outputs = replace(model, device="cpu").outputs(FRAME)
    assert (outputs.dtype, outputs.device.type) == (torch.float32, "cpu")
    assert set(seen) == {torch.float32}


# Precision.


def data(name: str, rows: int) -> Dataset:
    load = {"iris": load_iris, "digits": load_digits}[name]
    loaded = load(as_frame=True)
    every = Dataset(name, loaded.data, pd.Series(loaded.target.to_numpy(), name="target"))
    return every.take(np.random.default_rng(0).permutation(len(every))[:rows])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows", "epochs"), [("iris", 150, 25), ("digits", 500, 5)])
def test_bfloat16_learns_as_float32_does(name: str, rows: int, epochs: int) -> None:
    rest, test = split_rows(data(name, rows), "classification", 0)
    network = NetworkOptions(members=1, width=16)
    scores, losses = {}, {}
    for precision in ("32-true", "bf16-mixed"):
        options = TrainingOptions(
            epochs=epochs, learning_rate=0.01, precision=precision, early_stopping=False
        )
        trained = learn(rest, network, options)
        losses[precision] = np.array([line["train_loss"] for line in trained.history.lines])
        scores[precision] = evaluate(trained.run, test).score
        assert {tensor.dtype for tensor in trained.run.network.state_dict().values()} == {torch.float32}
    assert np.isfinite(losses["bf16-mixed"]).all()
    assert not np.array_equal(*losses.values())
    first, last = (np.array([each[i] for each in losses.values()]) for i in (0, -1))
    assert first[1] == pytest.approx(first[0], rel=2e-3)
    assert last[1] == pytest.approx(last[0], rel=0.2)
    assert scores["32-true"] > 0.9
    assert scores["bf16-mixed"] == pytest.approx(scores["32-true"], abs=0.04)


def test_a_validation_part_is_predicted_in_float32() -> None:
    rest, held_out = split_rows(data("iris", 150), "classification", 0, 0.15)
    small = NetworkOptions(members=1, width=8, channels=2)
    options = TrainingOptions(epochs=2, precision="bf16-mixed")
    trained = learn(rest, small, options, validation=held_out)
    best = trained.history.lines[trained.history.best_epoch - 1]
    outputs, y = trained.run.outputs(held_out.inputs), trained.run.config.target.encode(held_out.target)
    loss, _ = calibrate(trained.run.config.target, outputs, y, torch.ones(len(y)))
    assert best["val_loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("kind", ["attribute", "instance", "none"])
def test_every_kind_and_a_regression_in_bfloat16(kind: str, tmp_path: Path) -> None:
    numbers = pd.DataFrame(np.random.default_rng(0).standard_normal((60, 3)), columns=list("abc"))
    samples = Dataset("sum", numbers, pd.Series(numbers.sum(axis=1), name="sum"))
    small = NetworkOptions(members=1, width=8, channels=2, kind=kind)
    trained = learn(samples, small, TrainingOptions(epochs=2, precision="bf16-mixed"), folder=tmp_path)
    assert np.isfinite([line["train_loss"] for line in trained.history.lines]).all()
    assert trained.run.outputs(numbers).dtype == torch.float32


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives freed memory back, and only there is it kept"
)
def test_freed_memory_is_kept() -> None:
    """Without the call it takes 20,000 page faults, unless something happens to keep the end of the heap."""
    code = """
import resource, torch
from lphm.learn.devices import keep_freed_memory
keep_freed_memory()
def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        [torch.ones(2**18) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(10)
print(faults(10))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert int(found) < 1000
