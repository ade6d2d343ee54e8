"""Builds of the site, each from a copy of its pages: two builds of one folder would write the same files."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.sources import ROOT

PROJECT = ROOT.parent


@dataclass(frozen=True)
class Built:
    """What a build wrote to ``folder``, and what it said."""

    folder: Path
    returncode: int
    said: str

    def page(self, name: str) -> str:
        """The HTML of a page."""
        return (self.folder / f"{name}.html").read_text(encoding="utf-8")


def copied(folder: Path) -> Path:
    """A copy of the pages and what they include, beside the sources."""
    shutil.copytree(
        PROJECT / "docs", folder / "docs", ignore=shutil.ignore_patterns("generated", "tutorials")
    )
    shutil.copytree(PROJECT / "tutorials", folder / "tutorials")
    for page in PROJECT.glob("*.md"):
        shutil.copy(page, folder)
    (folder / "src").symlink_to(ROOT)
    return folder


def with_one_tutorial(repository: Path, code: str) -> Path:
    """The same copy, where the only tutorial runs this code."""
    for path in (repository / "tutorials").glob("plot_*.py"):
        path.unlink()
    (repository / "tutorials/plot_it.py").write_text(f'"""\nTitle\n=====\n\nText.\n"""\n\n{code}\n')
    return repository


def build(repository: Path) -> Built:
    """Build the site of a copy with the command of the Makefile."""
    makefile = (PROJECT / "Makefile").read_text()
    (command,) = (line for line in makefile.splitlines() if " -m sphinx " in line)
    arguments = command.split(" -m ")[1].split()
    ended = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=repository, capture_output=True, text=True, check=False
    )
    return Built(repository / arguments[-1], ended.returncode, ended.stdout + ended.stderr)
