"""Every test starts from the same seed and runs on one thread (pytest-xdist is what runs in parallel)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import lphm.ops.cpp
import lphm.ops.dispatch

pytest.register_assert_rewrite("support")

torch.set_num_threads(1)
os.environ["LPHM_NATIVE"] = "0"  # whether the C++ operator is built here or not, who wants it asks for it


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def forget() -> None:
    """What was chosen under other settings."""
    lphm.ops.cpp.operator.cache_clear()
    lphm.ops.dispatch.plan.cache_clear()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the C++ operator, built by its command."""
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler is installed")
    folder = tmp_path_factory.mktemp("native")
    subprocess.run(
        [sys.executable, "-W", "error", "-m", "lphm.ops.cpp"],
        env={**os.environ, "LPHM_CACHE": str(folder)},
        capture_output=True,
        check=True,
    )
    return folder


@pytest.fixture
def native(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The C++ operator is used wherever it applies."""
    monkeypatch.setenv("LPHM_CACHE", str(cache))
    monkeypatch.setenv("LPHM_NATIVE", "1")
    forget()
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture
def fresh_choices() -> Iterator[None]:
    """What is chosen under the settings of this test is chosen anew, and forgotten after it."""
    forget()
    yield
    forget()
