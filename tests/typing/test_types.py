"""What ``mypy --strict`` says of programs that use the package, as it is installed for their author."""

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from support.sources import ROOT

HERE = Path(__file__).parent
USER, MISTAKES = HERE / "user.py", HERE / "mistakes.py"
#: mypy treats packages on PYTHONPATH as installed: they have types only if ``py.typed`` is there.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

pytestmark = pytest.mark.slow


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, cwd=HERE, capture_output=True, text=True, check=False)


def reported() -> dict[str, dict[int, str]]:
    """For each file and line, the errors that mypy reports there. Both files are read in one run."""
    cache = ROOT.parent / ".mypy_cache" / "user"
    done = run("-m", "mypy", "--strict", "--config-file=", "--cache-dir", cache, USER.name, MISTAKES.name)
    errors: dict[str, dict[int, str]] = defaultdict(lambda: defaultdict(str))
    for file, line, text in re.findall(r"^(.+?):(\d+): error: (.*)$", done.stdout, re.MULTILINE):
        errors[file][int(line)] += text + "\n"
    assert errors, done.stdout + done.stderr
    return errors


def test_a_program_without_a_mistake_has_no_error_and_each_mistake_has_one_where_it_stands() -> None:
    errors = reported()
    assert errors.keys() == {MISTAKES.name}, dict(errors[USER.name])
    expected = {
        number: line.split("  # error: ")[1].split("; ")
        for number, line in enumerate(MISTAKES.read_text().splitlines(), start=1)
        if "  # error: " in line
    }
    assert len(expected) > 30
    assert errors[MISTAKES.name].keys() == expected.keys()
    for number, texts in expected.items():
        for text in texts:
            assert text in errors[MISTAKES.name][number], f"line {number}"


def test_the_program_runs() -> None:
    done = run(USER)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([12, 5]) (40, 2)" in done.stdout
