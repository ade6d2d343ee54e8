"""Training over several processes: real ones, beside one that does it alone."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from lphm import distributed
from lphm.data import parquet_batches
from lphm.data.batches import MemoryBatches
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.errors import InputError
from lphm.learn.lightning import CHECKPOINT
from support.processes import finish, start

OPTIONS = ["--target", "y", "--dropout", "0", "--width", "8", "--members", "1", "--batch-size", "50"]
RNG = np.random.default_rng(0)
ROWS = 1800
TABLE = pd.DataFrame(RNG.standard_normal((ROWS, 4)), columns=list("abcd"))
TABLE["k"] = RNG.choice(["u", "v", "w"], ROWS)
TABLE["y"] = np.where(TABLE["a"] * TABLE["b"] + (TABLE["k"] == "u") > 0.3, "yes", "no")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "flows"
    path.mkdir()
    for i in range(3):
        TABLE[i * 600 : (i + 1) * 600].to_parquet(path / f"{i}.parquet", row_group_size=110, index=False)
    return path


def torchrun(size: int, arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size), "-m", "lphm"]
    if size == 1:
        command = ["-m", "lphm"]
    done = subprocess.run(
        [sys.executable, *command, *arguments],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done


def same_training(found: Path, expected: Path) -> None:
    """Weights and metrics but for rounding: in float32, and AdamW divides small gradients by themselves."""
    weights, wanted = (load_file(path / "weights.safetensors") for path in (found, expected))
    assert weights.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(
            weights[name], tensor, rtol=0, atol=5e-3 * max(0.1, float(tensor.abs().max()))
        )
    metrics, others = (json.loads((path / "metrics.json").read_text()) for path in (found, expected))
    assert metrics["rows"] == others["rows"]
    assert metrics["test"] == pytest.approx(others["test"], abs=2e-3)
    for line, other in zip(metrics["history"], others["history"], strict=True):
        assert line == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("size", [2, 4])
def test_a_training_in_float64_is_that_of_one_process(tmp_path: Path, size: int) -> None:
    worker = str(Path(__file__).parents[1] / "support" / "ranks_worker.py")
    for many in (1, size):
        for code, _, err in finish(
            start(many, ["-W", "error::UserWarning", worker, f"{many}.safetensors"], tmp_path)
        ):
            assert code == 0, err
    one, several = (load_file(tmp_path / f"{many}.safetensors") for many in (1, size))
    assert one.keys() == several.keys()
    assert "val_loss 2" in one
    for name, tensor in one.items():
        torch.testing.assert_close(several[name], tensor, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The run of one process."""
    torchrun(1, ["train", "flows", *OPTIONS, "--epochs", "4", "--quiet", "-o", "one"], folder.parent)
    return folder.parent / "one"


def test_two_ranks_read_their_own_rows_and_learn_the_same(folder: Path, alone: Path) -> None:
    done = torchrun(2, ["train", "flows", *OPTIONS, "--epochs", "4", "--early-stopping"], folder.parent)
    assert done.stdout.count("test accuracy") == 1
    assert done.stderr.count("epoch 4 of 4") >= 1  # one bar, however often it is drawn
    run = folder.parent / "runs" / "flows-1"
    assert [path.name for path in run.parent.iterdir()] == ["flows-1"]
    assert not (run / CHECKPOINT).exists()
    assert (run / "report.html").exists()
    torchrun(
        1, ["train", "flows", *OPTIONS, "--epochs", "4", "--early-stopping", "-o", "stopped"], folder.parent
    )
    same_training(run, folder.parent / "stopped")


def test_a_file_in_memory_is_shared_out_too(folder: Path) -> None:
    TABLE[:301].to_csv(folder.parent / "t.csv", index=False)
    for size in (1, 4):
        torchrun(
            size, ["train", "t.csv", *OPTIONS, "--epochs", "2", "--quiet", "-o", f"t{size}"], folder.parent
        )
    same_training(folder.parent / "t4", folder.parent / "t1")


def interrupted(
    size: int, folder: Path, output: str, epochs: int, how: signal.Signals, **more: Any
) -> list[Any]:
    """A training of which the last rank is lost after its first epochs."""
    arguments = ["train", "flows", *OPTIONS, "--epochs", str(epochs), "--quiet", "-o", output]
    if "timeout" in more:
        arguments += ["--timeout", str(more["timeout"])]
    processes = start(size, ["-m", "lphm", *arguments], folder.parent)
    file, deadline = folder.parent / output / CHECKPOINT, time.monotonic() + 120
    while not file.exists() and time.monotonic() < deadline and processes[0].poll() is None:
        time.sleep(0.01)
    processes[-1].send_signal(how)
    begun = time.monotonic()
    try:
        ended = finish(processes[:-1], 60)
    finally:
        processes[-1].kill()
        processes[-1].communicate()
    return [*ended, time.monotonic() - begun]


@pytest.mark.parametrize(
    ("how", "more", "within"), [(signal.SIGKILL, {}, 15), (signal.SIGSTOP, {"timeout": 5}, 30)]
)
def test_a_rank_that_is_lost_ends_the_others_and_leaves_the_checkpoint_whole(
    folder: Path, how: signal.Signals, more: dict[str, int], within: float
) -> None:
    output = f"lost-{how.name}"
    *ended, seconds = interrupted(2, folder, output, 400, how, **more)
    assert seconds < within
    for code, _, err in ended:
        assert code == 1, err
        lines = [line for line in err.splitlines() if line.startswith("lphm")]
        assert len(lines) == 1
        assert lines[0].startswith("lphm (process 1 of 2): error: all 2 processes must answer")
        assert "Traceback" not in err
    state = torch.load(folder.parent / output / CHECKPOINT, weights_only=False)
    assert state["epoch"] >= 0
    assert not (folder.parent / output / "config.json").exists()


def test_one_process_goes_on_with_what_two_began_and_the_other_way_round(folder: Path, alone: Path) -> None:
    for begun_by, ended_by in ((2, 1), (1, 2)):
        output = f"resumed-{ended_by}"
        arguments = ["train", "flows", *OPTIONS, "--epochs", "4", "--quiet", "-o", output]
        processes = start(begun_by, ["-c", STOPS_AFTER_TWO, *arguments], folder.parent)
        assert [code for code, *_ in finish(processes)] == [7] * begun_by
        assert torch.load(folder.parent / output / CHECKPOINT, weights_only=False)["epoch"] == 1
        torchrun(ended_by, [*arguments, "--resume"], folder.parent)
        same_training(folder.parent / output, alone)


STOPS_AFTER_TWO = """
import os
from lphm.learn import lightning as loop
from lphm.__main__ import main
own = loop._Checkpoint.on_train_epoch_end
def stop(self, trainer, module):
    own(self, trainer, module)
    if trainer.current_epoch == 1:
        trainer.strategy.barrier()
        os._exit(7)
loop._Checkpoint.on_train_epoch_end = stop
main()
"""


def test_what_needs_one_process_says_so(folder: Path) -> None:
    for code, _, err in finish(start(2, ["-m", "lphm", "train", "iris", "--folds", "3"], folder.parent)):
        assert code == 2
        assert "--folds and --compare must be run by one process" in err


@dataclass
class Pretended:
    """A rank without a group."""

    number: int
    size: int


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_rank(number: int, size: int) -> None:
        monkeypatch.setattr(parquet_batches, "rank", lambda: number)
        monkeypatch.setattr(parquet_batches, "ranks", lambda: size)

    return set_rank


@pytest.mark.parametrize("batch_size", [1, 3, 50, 64, 5000])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_ranks_share_every_batch_of_a_stream(
    folder: Path, pretend: Any, size: int, batch_size: int
) -> None:
    stream = ParquetStream(folder, "y")
    fitted = fit_stream(stream)
    pretend(0, 1)
    whole = list(StreamBatches(stream, "train", fitted, batch_size, seed=3).epoch(2))
    shares = []
    for number in range(size):
        pretend(number, size)
        shares.append(list(StreamBatches(stream, "train", fitted, batch_size, seed=3).epoch(2)))
    assert {len(share) for share in shares} == {len(whole)}
    for at, (x, _, weight) in enumerate(whole):
        together = torch.cat([share[at][0][share[at][2] > 0] for share in shares])
        assert torch.equal(together[:, 0].sort().values, x[weight > 0][:, 0].sort().values)
    rows = torch.cat([x[weight > 0] for x, _, weight in whole])
    assert len(rows) == fitted.rows["train"]
    assert len(rows.unique(dim=0)) == len(rows)


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_the_ranks_share_every_batch_in_memory(size: int) -> None:
    x, y = torch.arange(23.0), torch.zeros(23)
    whole = list(MemoryBatches(x, y, None, 5, seed=1).epoch(4))
    shares = [list(MemoryBatches(x, y, None, 5, 1, True, number, size).epoch(4)) for number in range(size)]
    for at, (rows, _, _) in enumerate(whole):
        own = [share[at][0][share[at][2] > 0] for share in shares]
        assert torch.equal(torch.cat(own).sort().values, rows.sort().values)
        assert all(len(share[at][1]) for share in shares)


def test_more_ranks_than_row_groups_are_refused(folder: Path, pretend: Any) -> None:
    stream = ParquetStream(folder, "y")
    pretend(0, 19)
    with pytest.raises(
        InputError, match="a row group with rows of the train part for each of 19 processes, got 18"
    ):
        StreamBatches(stream, "train", fit_stream(stream), 50, seed=0)


def test_without_a_launcher_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # of something else that this process is a part of
    assert (distributed.rank(), distributed.ranks(), distributed.gathered(3), distributed.total(1.5)) == (
        0,
        1,
        [3],
        [1.5],
    )
