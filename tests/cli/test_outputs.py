"""What a command writes is none of its inputs, and a place that cannot take a file is one line."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.__main__ import main
from lphm._memory import memory_limit

ROWS = np.random.default_rng(0).standard_normal((64, 3))


@pytest.fixture
def inputs(tmp_path: Path, run_folder: Path) -> Path:
    """Inputs of every command, under several names."""
    np.save(tmp_path / "x.npy", ROWS)
    np.save(tmp_path / "w.npy", np.ones(4))
    table = pd.DataFrame(ROWS, columns=list("abc"))
    table.to_parquet(tmp_path / "x.parquet")
    (tmp_path / "many").mkdir()
    table.to_parquet(tmp_path / "many" / "x.parquet")
    os.link(tmp_path / "x.parquet", tmp_path / "hard.parquet")
    os.link(tmp_path / "x.parquet", tmp_path / "many" / "hard.parquet")
    (tmp_path / "soft.npy").symlink_to("x.npy")
    (tmp_path / "linked").symlink_to("many")
    (tmp_path / "table.csv").symlink_to("x.npy")
    (tmp_path / "file").touch()
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("apply", "x.npy", "-o", "x.npy"),
        ("apply", "x.npy", "-o", "soft.npy"),
        ("apply", "soft.npy", "-o", "./x.npy"),
        ("apply", "x.parquet", "-o", "hard.parquet"),
        ("apply", "many", "-o", "many/new.parquet"),
        ("apply", "many", "-o", "linked/new.npy"),
        ("apply", "many", "-o", "x.parquet"),
        ("apply", "x.npy", "-o", "y.npy", "--matrix", "table.csv"),
        ("apply", "x.npy", "-o", "w.npy", "--weights", "w.npy"),
        ("apply", "x.npy", "-o", "new.npy", "--weights", "new.npy"),
        ("predict", "run", "t.csv", "-o", "t.csv"),
        ("report", "run", "-o", "run/config.json"),
        ("report", "run", "-o", "run/weights.safetensors"),
    ],
)
def test_an_output_that_is_an_input_is_refused(inputs: Path, failing, arguments: tuple[str, ...]) -> None:
    before = {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
    assert "must not be an input, got " in failing(*arguments)
    assert {path: path.read_bytes() for path in inputs.rglob("*") if path.is_file()} == before


def test_the_folder_of_a_job_is_not_its_input(inputs: Path, failing) -> None:
    (inputs / "many").rename(inputs / "y.parquet.partial")
    line = failing("apply", "y.parquet.partial", "-o", "y.parquet")
    assert "the input must not be the folder of the job" in line


COMMANDS = {
    "apply": (("apply", "x.npy", "-o"), ".npy"),
    "export": (("export", "run", "-o"), ".onnx"),
    "matrix": (("apply", "x.npy", "-o", "y.npy", "--matrix"), ".csv"),
    "predict": (("predict", "run", "t.csv", "-o"), ".csv"),
    "report": (("report", "run", "-o"), ".html"),
    "train": (("train", "iris", "--epochs", "1", "-o"), ""),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", ["folder", "device", "below a file", "long name", "long folder", "null"])
def test_a_place_that_cannot_take_a_file_is_one_line(inputs: Path, failing, command: str, place: str) -> None:
    arguments, suffix = COMMANDS[command]
    (inputs / f"folder{suffix}").mkdir()
    (inputs / f"folder{suffix}" / "content").touch()
    (inputs / f"full{suffix}").symlink_to("/dev/full")
    path = {
        "folder": f"folder{suffix}",
        "device": f"full{suffix}",
        "below a file": f"file/out{suffix}",
        "long name": "a" * 300 + suffix,
        "long folder": "a" * 300 + f"/out{suffix}",
        "null": f"a\0b{suffix}",
    }[place]
    line = failing(*arguments, path)
    assert "must be" in line


@pytest.mark.parametrize("command", ["predict", "evaluate", "info", "report", "export", "apply", "train"])
@pytest.mark.parametrize("path", ["a" * 300, "file/x", "loop", "a\0b"])
def test_an_input_that_cannot_be_there_is_one_line(inputs: Path, failing, command: str, path: str) -> None:
    (inputs / "loop").symlink_to("loop")
    more = {"predict": ("t.csv", "-o", "o.csv"), "apply": ("-o", "o.npy"), "train": ("--target", "y")}
    line = failing(command, path, *more.get(command, ("t.csv",) if command == "evaluate" else ()))
    assert "must" in line


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may be larger, which fails as a full disk does."""
    limit, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, action)


@pytest.mark.parametrize(
    ("command", "size", "resumed"),
    [
        ("apply", 100, False),
        ("apply", 1500, True),
        ("matrix", 100, False),
        ("report", 100, False),
        ("predict", 100, False),
    ],
)
def test_a_full_disk_is_one_line_and_the_old_file_stays(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys, command: str, size: int, resumed: bool
) -> None:
    arguments, suffix = COMMANDS[command]
    (inputs / f"out{suffix}").write_text("old")
    monkeypatch.chdir(inputs)
    monkeypatch.setattr(sys, "argv", ["lphm", *arguments, f"out{suffix}"])
    with small_disk(size), pytest.raises(SystemExit) as caught:
        main()
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert caught.value.code == 2
    assert line.startswith("lphm: error: ")
    assert "must be a file that can be written, got: File too large" in line
    assert line.endswith("; --resume") == resumed
    assert bool(list(inputs.glob("*.partial"))) == resumed
    assert (inputs / f"out{suffix}").read_text() == "old"
    assert not list(inputs.rglob("*-lphm-*"))


# Errors that no command expects.


def ending(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int | str | None, str]:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lphm.__main__.app", fail)
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            PermissionError(13, "Permission denied", "/root/x"),
            "/root/x must be usable, got: Permission denied",
        ),
        (OSError("no disk"), "the output must be usable, got: no disk"),
        (MemoryError(), "memory must hold what is computed, got MemoryError(); choose smaller sizes"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 TB"),
            "memory must hold what is computed",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), "memory must hold what is computed"),
        (
            UnicodeEncodeError("utf-8", "d\udcff", 1, 2, "surrogates not allowed"),
            r"the name of a file must be text in UTF-8, got d\udcff; rename it",
        ),
    ],
)
def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, message: str
) -> None:
    code, printed = ending(error, monkeypatch, capsys)
    assert code == 2
    assert message in printed
    assert printed.startswith("lphm: error: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("a fault"), ValueError("a fault"), KeyError("a fault")])
def test_a_fault_of_the_package_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lphm.__main__.app", fail)
    with pytest.raises(type(error), match="a fault"):
        main()


@pytest.mark.parametrize("name", ["WORLD_SIZE", "RANK"])
def test_a_variable_of_a_launcher_that_is_no_number_is_one_line(failing, monkeypatch, name: str) -> None:
    for variable in ("WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setenv(name, "many")
    assert f"the environment variable {name} must be a whole number, got 'many'" in failing("train", "iris")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirected", "code", "errors"),
    [
        ("> /dev/full", 2, "lphm: error: the output must be usable, got: No space left on device\n"),
        ("| true", 141, ""),
        (">&-", 0, ""),
        ("> /dev/full 2>&-", 2, ""),
    ],
)
def test_a_standard_output_that_takes_nothing(inputs: Path, redirected: str, code: int, errors: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m lphm info run {redirected}"
    done = subprocess.run(["bash", "-c", command], cwd=inputs, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, errors)


# Sizes that memory cannot hold.


def test_memory_is_that_of_the_machine_or_less_by_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = memory_limit()
    assert 2**28 < everything < 2**50
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "bytes").write_text("1000000\n")
    for name, limit in {"absent": everything, "max": everything, "bytes": 1_000_000}.items():
        monkeypatch.setattr("lphm._memory.CONTAINER_LIMITS", (tmp_path / name,))
        assert memory_limit() == pytest.approx(limit, rel=10)
    assert memory_limit() == 1_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("apply", "x.npy", "-o", "y.npy", "--p", 10**6),
            "p=1000000, q=1000000, r=2) and xi of 3 columns must fit",
        ),
        (
            ("apply", "x.npy", "-o", "y.npy", "--r", 2**31 - 1),
            "r=2147483647) and xi of 3 columns must fit into",
        ),
        (("apply", "x.npy", "-o", "y.npy", "--p", 2**31 - 1, "--q", 2**31 - 2), "must fit into memory"),
        (
            ("apply", "x.npy", "-o", "y.npy", "--kind", "instance", "--r", 10**9),
            "choose smaller p, q, r or lags",
        ),
        (("bench", "--b", 2**31 - 1), "X, W and their gradients must fit into memory"),
        (("bench", "--b", 2**31 - 1, "--m", 2**31 - 1), "must fit into memory"),
        (("bench", "--r", 10**9), "choose smaller b, m, p, q, r or lags"),
        (("bench", "--kind", "instance", "--m", 10**6, "--b", 1), "must fit into memory"),
        (("bench", "--b", 10**12), "b must be a whole number of at least 1 and at most 2147483647"),
        (("bench", "--threads", 10**9), "threads must be a whole number of at least 1"),
        (
            ("train", "iris", "--threads", 10**9),
            "threads must be a whole number of at least 1",
        ),
        (
            ("train", "iris", "--batch-size", 10**20 - 1),
            "batch_size must be a whole number of at least 1 and at",
        ),
    ],
)
def test_sizes_beyond_memory_are_refused_before_they_are_allocated(
    inputs: Path, failing, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], message: str
) -> None:
    for module in ("lphm.streamed.weights", "lphm.nn.init"):  # where w is drawn
        monkeypatch.setattr(f"{module}.initialize_", None)
    assert message in failing(*arguments)


def test_what_memory_holds_is_not_refused(inputs: Path, succeeding) -> None:
    sizes = ("--p", 8, "--q", 16, "--r", 4000)  # 0.5 MB for w
    assert '"r": 4000' in succeeding("apply", "x.npy", "-o", "y.npy", *sizes, "--json")
