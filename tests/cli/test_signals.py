"""Ctrl-C and SIGTERM: a line that says how to go on, the exit code of the signal, nothing half-written."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.__main__ import main
from lphm.distributed import LaunchInfo, launch_info
from lphm.errors import InputError
from lphm.learn.checkpoint import CHECKPOINT
from support.children import signal_whose_error_is_ignored
from support.forked import lphm, start

TRAIN = ["train", "t.csv", "--target", "y", "--epochs", "30", "--members", "1", "--width", "8"]
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, and the run of a training that was not interrupted."""
    path = tmp_path_factory.mktemp("signals")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((600, 4)), columns=list("abcd"))
    table["y"] = np.where(table["a"] * table["b"] > 0, "p", "n")
    table.to_csv(path / "t.csv", index=False)
    assert start(lphm, *TRAIN, "-o", "whole", "--quiet", cwd=path).wait().returncode == 0
    return path


def heed() -> None:
    """Ctrl-C ends the process: what a shell starts in the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(
    arguments: list[str], number: signal.Signals, begun: Callable[[], bool], cwd: Path
) -> tuple[int, str]:
    """Exit code and errors of the command, which gets the signal as soon as it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lphm", *arguments],
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed,  # noqa: PLW1509 - no threads here
    )
    while not begun() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_training_says_how_it_goes_on(folder: Path, number: signal.Signals) -> None:
    run = f"run-{number.name}"
    code, errors = interrupted(
        [*TRAIN, "-o", run, "--quiet"], number, (folder / run / CHECKPOINT).exists, folder
    )
    assert code == SIGNALS[number]
    go_on = f"lphm train -o {run} --resume"
    assert errors == f"lphm: error: stopped by {number.name}; {go_on} continues the run\n"
    assert {path.name for path in (folder / run).iterdir()} == {"options.json", CHECKPOINT}
    assert start(lphm, *go_on.split()[1:], "--quiet", cwd=folder).wait().returncode == 0
    weights = [(folder / name / "weights.safetensors").read_bytes() for name in (run, "whole")]
    assert weights[0] == weights[1]


def test_a_training_that_is_interrupted_before_its_folder_says_that_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lphm", "train", "iris", "-o", "run"])
    for at in ("lphm.data.readers.read_dataset", "lphm.learn.training.prepare"):
        with monkeypatch.context() as patched:
            patched.setattr(at, interrupt)
            with pytest.raises(SystemExit) as caught:
                main()
        assert caught.value.code == 130
        assert capsys.readouterr().err == "lphm: error: stopped by SIGINT; nothing was written\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_cross_validation_goes_on_too(folder: Path, number: signal.Signals) -> None:
    run = f"folds-{number.name}"
    arguments = [*TRAIN, "--folds", "3", "-o", run, "--quiet"]
    code, errors = interrupted(arguments, number, (folder / run / "options.json").exists, folder)
    assert code == SIGNALS[number]
    assert errors.count("\n") == 1
    assert f"lphm train -o {run} --resume continues the run" in errors


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_place_that_ignores_errors_is_heeded_later(
    folder: Path, number: signal.Signals
) -> None:
    arguments = [*TRAIN, "-o", f"ignored-{number.name}", "--quiet"]
    ended = start(signal_whose_error_is_ignored, number, *arguments, cwd=folder).wait()
    assert ended.returncode == SIGNALS[number]
    assert ended.stderr.startswith(f"lphm: error: stopped by {number.name}; ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_that_writes_one_file_leaves_none(folder: Path, number: signal.Signals) -> None:
    rows = pd.read_csv(folder / "t.csv")
    pd.concat([rows] * 500).to_csv(folder / "many.csv", index=False)
    output = f"out-{number.name}.csv"
    arguments = ["predict", "whole", "many.csv", "-o", output]
    code, errors = interrupted(arguments, number, lambda: any(folder.glob(f".out-{number.name}*")), folder)
    assert code == SIGNALS[number]
    assert errors.splitlines()[-1].startswith(f"lphm: error: stopped by {number.name}; nothing was written")
    assert not [
        path.name
        for path in folder.iterdir()
        if path.name.startswith((f".out-{number.name}", f"out-{number.name}"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_apply_says_how_it_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    x = np.random.default_rng(0).standard_normal((400_000, 16), dtype=np.float32)
    np.save(tmp_path / "some rows.npy", x)
    arguments = ["apply", "some rows.npy", "--r", "4", "--seed", "3", "--quiet", "-o", "out.npy"]
    begun = tmp_path / "out.npy.partial" / "sums.safetensors"
    code, errors = interrupted(arguments, number, begun.exists, tmp_path)
    assert code == SIGNALS[number]
    go_on = "lphm apply 'some rows.npy' --r 4 --seed 3 --quiet -o out.npy --resume"
    assert errors == f"lphm: error: stopped by {number.name}; {go_on} continues the job\n"
    assert not (tmp_path / "out.npy").exists()
    assert start(lphm, *shlex.split(go_on)[1:], cwd=tmp_path).wait().returncode == 0
    assert start(lphm, *arguments[:-1], "whole.npy", cwd=tmp_path).wait().returncode == 0
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"some rows.npy", "out.npy", "whole.npy"}


@pytest.mark.parametrize(("size", "handled"), [("1", True), ("2", False)])
def test_one_of_several_processes_is_ended_at_once(
    monkeypatch: pytest.MonkeyPatch, size: str, handled: bool
) -> None:
    found = []
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.unraisablehook
    monkeypatch.setenv("WORLD_SIZE", size)
    monkeypatch.setattr(
        "lphm.__main__.app", lambda *_, **__: found.append(signal.getsignal(signal.SIGTERM) != before[0])
    )
    main()
    assert found == [handled]
    after = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.unraisablehook
    assert after == before


def test_a_second_signal_ends_what_does_not_end(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    found = []

    def stopped(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        finally:
            found.append(signal.getsignal(signal.SIGTERM))

    monkeypatch.setattr("lphm.__main__.app", stopped)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 143
    assert (
        capsys.readouterr().err == "lphm: error: stopped by SIGTERM; every file that was written is whole\n"
    )
    assert found == [signal.SIG_DFL]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_became_another_error_is_still_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def renamed(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise InputError("t.csv must be a readable table") from None

    monkeypatch.setattr("lphm.__main__.app", renamed)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == SIGNALS[number]
    assert capsys.readouterr().err.startswith(f"lphm: error: stopped by {number.name}; ")


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_WORLD_SIZE"])
def test_an_empty_variable_of_a_launcher_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(variable, value)
    assert launch_info() == LaunchInfo(1, 2, 2)
    monkeypatch.setenv(name, "")
    assert launch_info() == (LaunchInfo(1, 2, 2) if name == "LOCAL_WORLD_SIZE" else LaunchInfo())


def test_an_error_with_an_empty_world_size_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lphm", "info", "nowhere"],
        cwd=tmp_path,
        env=os.environ | {"WORLD_SIZE": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "lphm: error: nowhere must exist, got no such file or folder; check the path\n"


@pytest.mark.slow
def test_variables_of_a_cluster_do_not_matter(folder: Path) -> None:
    """A script of one task, or one task of several that train a model each."""
    slurm = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "lphm", *TRAIN, "-o", "slurm", "--quiet"],
        cwd=folder,
        env=os.environ | slurm | {"SLURM_JOB_NAME": "train", "SLURM_NODELIST": "n01", "SLURM_NODEID": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    weights = [(folder / name / "weights.safetensors").read_bytes() for name in ("slurm", "whole")]
    assert weights[0] == weights[1]
