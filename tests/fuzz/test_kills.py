"""Killed at any moment, a command leaves its output whole, absent or as it was, and goes on when repeated.

``make soak`` kills 200 times: half at random moments, half before chosen file operations; the suite kills
20 times.
"""

import json
import os
import signal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load

from fuzz.bases import RESUMED, base, data
from fuzz.calls import Files, call, snapshot, write
from fuzz.kills import kill_after, kill_at_operation
from fuzz.promises import without_seconds
from support.forked import Ended, start

SOAK = "LPHM_SOAK" in os.environ
#: Kills of each command and sort, in ``make soak``; the suite takes two of them.
MANY = 20
COMMANDS = {kind: (arguments, output) for kind, (arguments, output, _) in RESUMED.items()}
COMMANDS["predict"] = (("predict", "run", "many.csv", "-o", "out.csv"), "out.csv")
NUMBERS = range(MANY) if SOAK else (7, 14)
OLD = b"old"


@cache
def before(kind: str) -> Files:
    """The files that the command finds, among them an output that is there already."""
    files = base() if kind == "predict" else data()
    output = COMMANDS[kind][1]
    return files | ({output: OLD} if "." in output else {})


@cache
def uninterrupted(kind: str, folder: Path) -> tuple[Files, int, float]:
    """What the command leaves, its file operations and its seconds."""
    write(before(kind), folder)
    ended = start(kill_at_operation, 0, signal.SIGKILL, *_quiet(kind), cwd=folder).wait(120)
    assert ended.returncode == 0, ended
    operations, seconds = ended.stdout.split()[-2:]
    return snapshot(folder), int(operations), float(seconds)


def _quiet(kind: str) -> tuple[str, ...]:
    arguments = COMMANDS[kind][0]
    return arguments if kind == "predict" else (*arguments, "--quiet")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("sort", ["random", "aimed"])
@pytest.mark.parametrize("kind", COMMANDS)
def test_after_a_kill_everything_is_whole_and_the_work_goes_on(
    kind: str, sort: str, number: int, reference: Path, tmp_path: Path, record_property: Any
) -> None:
    expected, operations, seconds = uninterrupted(kind, reference / kind)
    sent = signal.SIGTERM if number % 5 == 4 else signal.SIGKILL
    write(before(kind), tmp_path)
    at = 1 + number * (operations - 1) // (MANY - 1)
    moment = np.random.default_rng([number, len(kind)]).uniform(0.01, seconds)
    call_and_kill, when = (kill_at_operation, at) if sort == "aimed" else (kill_after, moment)
    child = start(call_and_kill, when, sent, *_quiet(kind), cwd=tmp_path)
    ended = child.wait(120)
    record_property("figures", ["killed", {"kills": 1, f"exit {ended.returncode}": 1}])
    _check_end(ended, sent, sort)
    if sort == "aimed" and ended.returncode == 0:  # a checkpoint that is due by the clock may not have been
        assert int(ended.stdout.split()[-2]) < at
    _check_whole(kind, snapshot(tmp_path), expected)
    _go_on(kind, tmp_path)
    after = snapshot(tmp_path)
    assert sorted(after) == sorted(expected)
    for name, content in after.items():
        assert without_seconds(name, content) == without_seconds(name, expected[name]), name


def _check_end(ended: Ended, sent: signal.Signals, sort: str) -> None:
    """A kill is a kill, unless the command was faster; SIGTERM is answered by its exit code and one line."""
    if sent == signal.SIGKILL:
        codes = {0, -signal.SIGKILL if sort == "aimed" else -signal.SIGALRM}
    else:
        codes = {0, 143, -signal.SIGTERM}
    assert ended.returncode in codes, ended
    lines = [line for line in ended.stderr.splitlines() if "━" not in line]
    assert len(lines) == (ended.returncode == 143), ended
    assert all(line.startswith("lphm: error: stopped by SIGTERM; ") for line in lines)


def _check_whole(kind: str, files: Files, expected: Files) -> None:
    """What has its final name is whole; a single output may be the old one."""
    output = COMMANDS[kind][1]
    for name, content in files.items():
        if content is None or not name.startswith(output) or ".partial/" in name or "/." in name:
            continue
        if name == output:
            assert content in (OLD, expected[name]), name
        elif name.endswith(".json"):
            json.loads(content)
        elif name.endswith(".safetensors"):
            load(content)
        elif name.endswith(".html"):
            assert content.endswith(b"</html>")
        elif not name.endswith(".ckpt"):  # going on from it shows whether it is whole
            assert content == expected[name], name


def _go_on(kind: str, folder: Path) -> None:
    """Resume the work; a training of which nothing was written is started anew."""
    arguments = _quiet(kind)
    ended = call(arguments if kind == "predict" else (*arguments, "--resume"), folder)
    if ended.code == 2 and kind in ("train", "folds"):
        ended = call(arguments, folder)
    assert ended.code == 0, ended
