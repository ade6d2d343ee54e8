"""What users install: the files of the wheel, its modules, and the lowest versions of what it depends on."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import lphm
from support.sources import ROOT, SOURCES

PROJECT = ROOT.parent


def run(*arguments: str | Path) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    run("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, PROJECT)
    (wheel,) = tmp_path.glob("lphm-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("lphm/")}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "lphm").rglob("*") if path.is_file()}
    assert packed == {name for name in files if "__pycache__" not in name}
    assert "lphm/py.typed" in packed
    assert {Path(name).suffix for name in packed} >= {".py", ".html", ".cpp"}


@pytest.mark.slow
def test_every_module_can_be_imported() -> None:
    modules = ", ".join(name for name in SOURCES if not name.endswith("__main__"))
    run("-c", f"import {modules}")


def test_every_dependency_has_one_lower_bound() -> None:
    """``make lowest`` installs what this prints; torch stays at its pin."""
    lines = run(PROJECT / ".ci/lowest.py").split()
    assert len(lines) > 20
    assert all(re.fullmatch(r"[\w-]+==\d[\d.]*", line) for line in lines)
    assert not [line for line in lines if line.startswith(("torch=", "lphm"))]


def test_every_place_names_one_version() -> None:
    citation = (PROJECT / "CITATION.cff").read_text()
    assert f"\nversion: {lphm.__version__}\n" in citation
    assert f"## {lphm.__version__}" in (PROJECT / "CHANGELOG.md").read_text()
    assert version("lphm") == lphm.__version__


def test_the_versions_of_python_that_are_named_are_tried() -> None:
    project = (PROJECT / "pyproject.toml").read_text()
    classified = re.findall(r"Python :: (3\.\d+)", project)
    workflow = (PROJECT / ".github/workflows/tests.yml").read_text()
    tried = set(re.findall(r'"(3\.\d+)"', workflow))
    assert set(classified) <= tried
    assert f'requires-python = ">={classified[0]}"' in project
