"""A checkpoint is read back whole, and holds nothing that runs."""

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save

from lphm.data.dataset import Dataset
from lphm.errors import InputError
from lphm.learn.checkpoint import CHECKPOINT, read_checkpoint, save_checkpoint
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import learn
from support import forked
from support.command import lphm

TABLE = pd.DataFrame(np.random.default_rng(0).standard_normal((60, 3)), columns=list("abc"))
DATA = Dataset("drawn", TABLE, pd.Series(np.arange(60) % 2, name="y"))
SMALL, ONE_EPOCH = NetworkOptions(width=8, members=1), TrainingOptions(epochs=1)
REFUSED = r"checkpoint\.ckpt must be a whole checkpoint of this training, got one that is damaged"


class Hostile:
    """Makes a folder, named as its pickle says, when that is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def signed(content: bytes) -> bytes:
    """A checkpoint with the right hash of what it holds."""
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def hostile_files(mark: Path) -> dict[str, bytes]:
    torch.save({"network": Hostile(mark)}, mark.with_name("saved"))
    saved, pickled = mark.with_name("saved").read_bytes(), pickle.dumps(Hostile(mark))
    return {
        "saved by torch": saved,
        "pickle": pickled,
        "saved by torch, signed": signed(b"{}\n" + saved),
        "pickle, signed": signed(b"{}\n" + pickled),
    }


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor(2.0), "c": torch.randn(4, 6).t()}
    state = {"steps": 3, "best": float("inf"), "lines": [{"epoch": 1, "loss": 0.1}]}
    save_checkpoint(tmp_path / CHECKPOINT, tensors, state)
    back, told = read_checkpoint(tmp_path / CHECKPOINT)
    assert told == state
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


@pytest.mark.slow
def test_a_hostile_checkpoint_runs_nothing_and_is_one_line(tmp_path: Path) -> None:
    """Also where the environment asks torch to read pickles."""
    mark = tmp_path / "ran"
    files = hostile_files(mark)
    pickle.loads(pickle.dumps(Hostile(mark)))
    mark.rmdir()  # it would be there
    options = ("train", "iris", "--epochs", 1, "--quiet", "-o", "run")
    assert lphm(*options, cwd=tmp_path).returncode == 0
    (tmp_path / "run" / "config.json").unlink()  # as if it had been interrupted
    for case, content in files.items():
        (tmp_path / "run" / CHECKPOINT).write_bytes(content)
        unsafe = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": 1}
        ended = forked.start(forked.lphm, *options, "--resume", cwd=tmp_path, **unsafe).wait()
        assert ended.returncode == 2, case
        assert ended.stderr.startswith(f"lphm: error: run/{CHECKPOINT} must be a whole checkpoint"), case
        assert ended.stderr.count("\n") == 1, case
        assert not mark.exists(), case


NUMBERS = save({"network/x": torch.zeros(1)})
FORGED = {
    "no state": NUMBERS,
    "a list": b"[1]\n" + NUMBERS,
    "nested": b"[" * 100_000 + b"\n" + NUMBERS,
    "no tensors": b"{}\n",
    "tensors of another": b"{}\n" + NUMBERS,
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_checkpoint_is_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / CHECKPOINT).write_bytes(signed(FORGED[case]))
    with pytest.raises(InputError, match=REFUSED):
        learn(DATA, SMALL, ONE_EPOCH, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": "many"},
        {"lines": "none"},
        {"lines": [1]},
        {"best_loss": None},
        {"best_epoch": 0.5},
        {"more": 1},
    ],
    ids=str,
)
def test_a_state_of_other_types_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    learn(DATA, SMALL, ONE_EPOCH, folder=tmp_path)
    tensors, state = read_checkpoint(tmp_path / CHECKPOINT)
    save_checkpoint(tmp_path / CHECKPOINT, tensors, state | change)
    with pytest.raises(InputError, match=REFUSED):
        learn(DATA, SMALL, ONE_EPOCH, folder=tmp_path, resume=True)


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    learn(DATA, SMALL, ONE_EPOCH, folder=tmp_path)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    for at in np.random.default_rng(0).integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        with pytest.raises(InputError, match=REFUSED):
            read_checkpoint(tmp_path / CHECKPOINT)


def test_its_state_is_plain_text(tmp_path: Path) -> None:
    learn(DATA, SMALL, ONE_EPOCH, folder=tmp_path)
    state = json.loads((tmp_path / CHECKPOINT).read_bytes().split(b"\n")[1])
    assert state["lines"][0]["epoch"] == 1


def test_slow_checkpoints_take_a_tenth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, saved = 0.0, []

    def save_slowly(file: Path, tensors: dict[str, torch.Tensor], state: dict[str, object]) -> None:
        nonlocal now
        now += 2
        saved.append(state["steps"])
        save_checkpoint(file, tensors, state)

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        nonlocal now
        now += 0.5  # after each of the 2 steps of an epoch, and after the epoch

    monkeypatch.setattr("lphm.learn.loop.save_checkpoint", save_slowly)
    monkeypatch.setattr("lphm.learn.loop.time.monotonic", lambda: now)
    learn(DATA, SMALL, TrainingOptions(epochs=30, batch_size=30), folder=tmp_path, progress=progress)
    # 1.5 seconds an epoch, and 18 between two checkpoints; the last epoch always has one.
    assert saved == [2, 26, 50, 60]
