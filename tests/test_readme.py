"""The README's commands exist and its blocks do what they say."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import lphm, summary

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.picture import PICTURE, first_words, words_of  # noqa: E402

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line[2:] for kind, block in BLOCKS if kind == "console" for line in block.splitlines() if line[:2] == "$ "
]


def test_python_blocks_print_what_stands_below_them() -> None:
    names: dict[str, object] = {}
    python = [(block, BLOCKS[i + 1]) for i, (kind, block) in enumerate(BLOCKS) if kind == "python"]
    assert len(python) == 3
    for block, (kind, printed) in python:
        assert kind == "text"
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(block, names)
        assert out.getvalue() == printed


def test_make_knows_the_two_commands() -> None:
    assert {"make train", "make test"} <= set(COMMANDS)
    for target, does in (("train", "lphm train"), ("test", "-W error -m pytest -n")):
        plan = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert does in plan.stdout


def test_files_that_the_pages_name_exist() -> None:
    pages = [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
    ]
    for page in pages:
        for name in re.findall(r"`([\w./]+/[\w./]*\.py)`", page.read_text()):
            folders = (ROOT, ROOT / "src", ROOT / "src" / "lphm")
            assert any((folder / name).exists() for folder in folders), f"{page.name}: {name}"


def test_links_lead_somewhere() -> None:
    pages = [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
    ]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.slow
def test_the_closing_table_is_the_one_shown(tmp_path: Path) -> None:
    """What does not depend on the length of the training is the same to the letter."""
    shown = next(block for kind, block in BLOCKS if kind == "console" and block.startswith("$ lphm train\n"))
    cells = [line.strip("│ ").split("│") for line in shown.splitlines() if line.startswith("│")]
    wanted = {key.strip(): value.strip() for key, value in cells}
    table = summary(lphm("train", "--epochs", 1, cwd=tmp_path))
    assert list(table) == list(wanted)
    steady = [key for key in wanted if "parameters" in key or "Full" in key or "folder" in key]
    assert len(steady) == 4
    assert {key: table[key] for key in steady} == {key: wanted[key] for key in steady}


@pytest.mark.slow
def test_the_picture_is_of_the_report_that_is_written_today(tmp_path: Path) -> None:
    """If it is stale, ``python -m benchmarks.picture`` makes it anew."""
    assert f"({PICTURE.relative_to(ROOT)})" in README
    summary(lphm("train", "-o", "run", cwd=tmp_path))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert words_of(PICTURE) == first_words(page)
    assert {"accuracy", "interval", "trivial", "drives", "row", "shuffled"} <= set(words_of(PICTURE).split())
