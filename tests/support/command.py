"""The command line in a process of its own, and its closing table."""

import os
import subprocess
import sys
from pathlib import Path


def lphm(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m lphm`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lphm", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def summary(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The closing table as a dictionary."""
    assert result.returncode == 0, result.stderr
    cells = [line.strip("│ ").split("│") for line in result.stdout.splitlines() if line.startswith("│")]
    return {key.strip(): value.strip() for key, value in cells}
