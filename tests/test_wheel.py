"""The wheel that users install."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.sources import ROOT


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ROOT.parent,
    ]
    subprocess.run(command, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("lphm-*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("lphm/")}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "lphm").rglob("*") if path.is_file()}
    assert packed == {name for name in files if "__pycache__" not in name}
    assert "lphm/py.typed" in packed
    assert {Path(name).suffix for name in packed} >= {".py", ".html", ".cpp"}
