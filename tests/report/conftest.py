"""Run folders and pages that the tests of the report share. A test changes only a copy of them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lphm.report import write_report
from support.report_cases import write_run
from support.report_reader import Element, page_of

TASKS = ("classification", "regression")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder with its report, by task."""
    made = {}
    for task in TASKS:
        torch.manual_seed(2)  # every class is predicted
        made[task] = tmp_path_factory.mktemp(task)
        write_run(made[task], task)
        write_report(made[task])
    return made


@pytest.fixture(scope="session")
def pages(folders: dict[str, Path]) -> dict[str, Element]:
    """The report of each task, parsed."""
    return {task: page_of(folder) for task, folder in folders.items()}


@pytest.fixture(scope="session")
def classified(folders: dict[str, Path]) -> Path:
    """The run folder of the classification."""
    return folders["classification"]


@pytest.fixture(scope="session")
def regressed(folders: dict[str, Path]) -> Path:
    """The run folder of the regression."""
    return folders["regression"]


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    """Each task in turn."""
    return request.param


@pytest.fixture
def page(task: str, pages: dict[str, Element]) -> Element:
    """The report of each task in turn."""
    return pages[task]


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """Copies a run folder without its report."""

    def copied(task: str = "classification") -> Path:
        ignored = shutil.ignore_patterns("report.html")
        return shutil.copytree(folders[task], tmp_path / "copy", ignore=ignored)

    return copied
