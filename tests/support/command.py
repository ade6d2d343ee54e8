"""The command line in a process of its own, and its closing table."""

from pathlib import Path

from support import forked
from support.forked import Ended


def lphm(*arguments: object, cwd: Path) -> Ended:
    """Run ``lphm`` in a process of its own, which is forked: it need not import anything."""
    return forked.start(forked.lphm, *arguments, cwd=cwd).wait(600)


def summary(result: Ended) -> dict[str, str]:
    """The closing table as a dictionary."""
    assert result.returncode == 0, result.stderr
    closing = result.stdout[result.stdout.rindex("┌") :].splitlines()
    cells = [line.strip("│ ").split("│") for line in closing if line.startswith("│")]
    return {key.strip(): value.strip() for key, value in cells}
