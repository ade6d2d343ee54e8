"""Every test starts from the same seed and runs on one thread (pytest-xdist is what runs in parallel)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

import lphm.ops.cpp
import lphm.ops.dispatch
from lphm.__main__ import main

pytest.register_assert_rewrite("support")

torch.set_num_threads(1)
os.environ["LPHM_NATIVE"] = "0"  # tests that need the compiled operator ask for it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def forget() -> None:
    """Clear the choices that were made under other settings."""
    lphm.ops.cpp.operator.cache_clear()
    lphm.ops.dispatch.plan.cache_clear()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled operator, built by its command."""
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        pytest.skip("no C++ compiler is installed")
    in_worker = "PYTEST_XDIST_WORKER" in os.environ
    folder = (
        tmp_path_factory.getbasetemp().parent if in_worker else tmp_path_factory.getbasetemp()
    ) / "native"
    folder.mkdir(mode=0o755, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # one worker compiles, the others wait for it
        subprocess.run(
            [sys.executable, "-W", "error", "-m", "lphm.ops.cpp"],
            env={**os.environ, "LPHM_CACHE": str(folder)},
            capture_output=True,
            check=True,
        )
    return folder


@pytest.fixture
def native(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiled operator is used wherever it applies."""
    monkeypatch.setenv("LPHM_CACHE", str(cache))
    monkeypatch.setenv("LPHM_NATIVE", "1")
    forget()
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture
def fresh_choices() -> Iterator[None]:
    """Choices are made anew under the settings of this test, and again after it."""
    forget()
    yield
    forget()


@pytest.fixture
def succeeding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run ``lphm`` in this process; assert that it ends well; return what it prints."""

    def run(*arguments: object) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["lphm", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run
