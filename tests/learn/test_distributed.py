"""Training by several processes: real ones, compared with one process that does it alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from lphm import distributed
from lphm.data import parquet_batches
from lphm.data.batches import MemoryBatches
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.errors import InputError, RankLostError
from lphm.learn.checkpoint import CHECKPOINT, read_checkpoint
from support.children import exit_after_two_epochs, train_in_float64
from support.forked import Ended, lphm, start, start_ranks

OPTIONS = ["--target", "y", "--dropout", "0", "--width", "8", "--members", "1", "--batch-size", "50"]
FLOWS = ["train", "flows", *OPTIONS, "--epochs", "3"]
RNG = np.random.default_rng(0)
ROWS = 900
TABLE = pd.DataFrame(RNG.standard_normal((ROWS, 4)), columns=list("abcd"))
TABLE["k"] = RNG.choice(["u", "v", "w"], ROWS)
TABLE["y"] = np.where(TABLE["a"] * TABLE["b"] + (TABLE["k"] == "u") > 0.3, "yes", "no")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of 18 row groups."""
    path = tmp_path_factory.mktemp("data") / "flows"
    path.mkdir()
    for i in range(3):
        TABLE[i * 300 : (i + 1) * 300].to_parquet(path / f"{i}.parquet", row_group_size=55, index=False)
    return path


def command(size: int, arguments: list[str], cwd: Path) -> list[Ended]:
    """The command line in so many processes, all of which succeed."""
    if size == 1:
        children = [start(lphm, *arguments, cwd=cwd)]
    else:
        children = start_ranks(size, lphm, *arguments, cwd=cwd)
    ended = [child.wait() for child in children]
    assert [one.returncode for one in ended] == [0] * size, ended
    return ended


def same_training(run: Path, expected: Path) -> None:
    """Weights and metrics but for rounding in float32, which AdamW makes larger where gradients are small."""
    weights, wanted = (load_file(path / "weights.safetensors") for path in (run, expected))
    assert weights.keys() == wanted.keys()
    for name, tensor in wanted.items():
        tolerance = 5e-3 * max(0.1, float(tensor.abs().max()))
        torch.testing.assert_close(weights[name], tensor, rtol=0, atol=tolerance)
    metrics, others = (json.loads((path / "metrics.json").read_text()) for path in (run, expected))
    assert metrics["rows"] == others["rows"]
    assert metrics["test"] == pytest.approx(others["test"], abs=2e-3)
    for line, other in zip(metrics["history"], others["history"], strict=True):
        assert line == pytest.approx(other, abs=1e-4)


@pytest.fixture(scope="module")
def in_float64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and losses of one process."""
    file = tmp_path_factory.mktemp("float64") / "1.safetensors"
    ended = start(train_in_float64, file, cwd=file.parent).wait()
    assert ended.returncode == 0, ended.stderr
    return file


@pytest.mark.parametrize("size", [2, 4])
def test_a_training_in_float64_is_that_of_one_process(tmp_path: Path, in_float64: Path, size: int) -> None:
    file = tmp_path / f"{size}.safetensors"
    for child in start_ranks(size, train_in_float64, file, cwd=tmp_path):
        ended = child.wait()
        assert ended.returncode == 0, ended.stderr
    one, several = load_file(in_float64), load_file(file)
    assert one.keys() == several.keys()
    assert "val_loss 2" in one
    for name, tensor in one.items():
        torch.testing.assert_close(several[name], tensor, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    """The run of one process."""
    command(1, [*FLOWS, "--quiet", "-o", "one"], folder.parent)
    return folder.parent / "one"


def test_a_directory_on_the_command_line(folder: Path, alone: Path) -> None:
    metrics = json.loads((alone / "metrics.json").read_text())
    stream = ParquetStream(folder, "y")
    assert metrics["rows"] == {part: len(pd.concat(stream.frames(part))) for part in ("train", "test")}
    assert len(metrics["history"]) == 3
    assert (alone / "report.html").exists()
    command(1, [*FLOWS, "--quiet", "-o", "again"], folder.parent)
    weights = [(folder.parent / name / "weights.safetensors").read_bytes() for name in ("one", "again")]
    assert weights[0] == weights[1]


def test_two_processes_of_a_launcher_learn_the_same(folder: Path) -> None:
    stopping = [*FLOWS, "--early-stopping"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "lphm", *stopping],
        cwd=folder.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "FORCE_COLOR": "1", "TERM": "dumb"},  # a terminal
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test accuracy") == 1
    assert done.stderr.count("epoch 3 of 3") >= 1  # one bar, drawn any number of times
    run = folder.parent / "runs" / "flows-1"
    assert [path.name for path in run.parent.iterdir()] == ["flows-1"]
    assert not (run / CHECKPOINT).exists()
    assert (run / "report.html").exists()
    command(1, [*stopping, "-o", "stopped"], folder.parent)
    same_training(run, folder.parent / "stopped")


def test_processes_share_a_file_in_memory_too(folder: Path) -> None:
    TABLE[:301].to_csv(folder.parent / "t.csv", index=False)
    for size in (1, 4):
        arguments = ["train", "t.csv", *OPTIONS, "--epochs", "2", "--quiet", "-o", f"t{size}"]
        command(size, arguments, folder.parent)
    same_training(folder.parent / "t4", folder.parent / "t1")


@pytest.mark.parametrize(
    ("number", "timeout", "within"), [(signal.SIGKILL, 300, 15), (signal.SIGSTOP, 5, 30)]
)
def test_a_lost_process_ends_the_others_and_leaves_the_checkpoint_whole(
    folder: Path, number: signal.Signals, timeout: int, within: float
) -> None:
    run = folder.parent / f"lost-{number.name}"
    arguments = ["train", "flows", *OPTIONS, "--epochs", "400", "--quiet", "-o", run.name]
    first, last = start_ranks(2, lphm, *arguments, "--timeout", timeout, cwd=folder.parent)
    try:
        deadline = time.monotonic() + 120
        while not (run / CHECKPOINT).exists() and time.monotonic() < deadline and first.is_alive():
            time.sleep(0.01)
        last.signal(number)
        begun = time.monotonic()
        ended = first.wait(60)
        assert time.monotonic() - begun < within
    finally:
        last.wait(0)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if line.startswith("lphm"))
    assert line.startswith(
        "lphm (process 1 of 2): error: all 2 processes must answer until the training ends"
    )
    assert len(read_checkpoint(run / CHECKPOINT)[1]["lines"]) >= 1
    assert not (run / "config.json").exists()


@pytest.mark.parametrize(("begun_by", "ended_by"), [(2, 1), (1, 2)])
def test_a_training_is_resumed_by_another_number_of_processes(
    folder: Path, alone: Path, begun_by: int, ended_by: int
) -> None:
    run = folder.parent / f"resumed-by-{ended_by}"
    arguments = [*FLOWS, "-o", run.name]
    children = start_ranks(begun_by, exit_after_two_epochs, *arguments, cwd=folder.parent)
    assert [child.wait().returncode for child in children] == [7] * begun_by
    assert len(read_checkpoint(run / CHECKPOINT)[1]["lines"]) == 2
    command(ended_by, [*arguments, "--quiet", "--resume"], folder.parent)
    same_training(run, alone)


def test_an_error_in_one_process_is_one_in_all(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    TABLE.to_parquet(folder / "0.parquet", row_group_size=300)
    content = bytearray((folder / "0.parquet").read_bytes())
    column = (
        pq.ParquetFile(folder / "0.parquet").metadata.row_group(1).column(0)
    )  # read by the second process
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + 40] = b"\xff" * 40
    (folder / "0.parquet").write_bytes(content)
    for arguments, message in (
        (["train", "iris", "--folds", "3"], "must be run by one process"),
        (["train", "flows", "--target", "y", "--drop", "none"], "must have the column 'none'"),
        (["train", "flows", "--target", "y"], "must be a readable Parquet file"),
    ):
        for child in start_ranks(2, lphm, *arguments, cwd=tmp_path):
            ended = child.wait()
            assert ended.returncode == 2
            assert message in ended.stderr
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "text",
    [
        "[/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 3000ms",
        "Application timeout caused pair closure",
        "Connection reset by peer",
        f"{300 * 'x'} NCCL communicator was aborted",
        "mat1 and mat2 shapes cannot be multiplied",
    ],
)
def test_errors_of_the_communication_mean_a_lost_process(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(distributed, "launch_info", lambda: distributed.LaunchInfo(0, 2, 2))
    monkeypatch.setattr(distributed.dist, "init_process_group", fail)
    kind = RuntimeError if "shapes" in text else RankLostError
    with pytest.raises(RuntimeError) as caught, distributed.process_group(1.0):
        pass
    assert type(caught.value) is kind


# One process that pretends to be several.


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    def be(rank: int, size: int) -> None:
        monkeypatch.setattr(parquet_batches, "rank", lambda: rank)
        monkeypatch.setattr(parquet_batches, "world_size", lambda: size)

    return be


@pytest.mark.parametrize("batch_size", [1, 3, 50, 64, 5000])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_processes_share_every_batch_of_a_stream(
    folder: Path, pretend: Any, size: int, batch_size: int
) -> None:
    stream = ParquetStream(folder, "y")
    fitted = fit_stream(stream)
    pretend(0, 1)
    whole = list(StreamBatches(stream, "train", fitted, batch_size, seed=3).epoch(2))
    shares = []
    for rank in range(size):
        pretend(rank, size)
        shares.append(list(StreamBatches(stream, "train", fitted, batch_size, seed=3).epoch(2)))
    assert {len(share) for share in shares} == {len(whole)}
    for at, (x, _, weight) in enumerate(whole):
        together = torch.cat([share[at][0][share[at][2] > 0] for share in shares])
        assert torch.equal(together[:, 0].sort().values, x[weight > 0][:, 0].sort().values)
    rows = torch.cat([x[weight > 0] for x, _, weight in whole])
    assert len(rows) == fitted.rows["train"]
    assert len(rows.unique(dim=0)) == len(rows)


@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_processes_share_every_batch_in_memory(size: int) -> None:
    x, y = torch.arange(23.0), torch.zeros(23)
    whole = list(MemoryBatches(x, y, None, 5, seed=1).epoch(4))
    shares = [
        list(MemoryBatches(x, y, None, 5, 1, rank=rank, world_size=size).epoch(4)) for rank in range(size)
    ]
    for at, (rows, _, _) in enumerate(whole):
        share = [each[at][0][each[at][2] > 0] for each in shares]
        assert torch.equal(torch.cat(share).sort().values, rows.sort().values)
        assert all(len(each[at][1]) for each in shares)


def test_more_processes_than_row_groups_are_refused(folder: Path, pretend: Any) -> None:
    stream = ParquetStream(folder, "y")
    pretend(0, 19)
    with pytest.raises(
        InputError, match="a row group with rows of the train part for each of 19 processes, got 18"
    ):
        StreamBatches(stream, "train", fit_stream(stream), 50, seed=0)


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # of a group that something else is a part of
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.launch_info() == (0, 1, 1)
    assert distributed.gather_results(lambda: 3) == [3]
    assert distributed.all_reduce_sum(1.5, 2) == [1.5, 2]
    assert distributed.broadcast_choice(lambda: "a") == "a"
