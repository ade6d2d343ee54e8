"""Fixtures: run folders with their reports, made once for each module that asks for them as a plugin."""

from pathlib import Path

import pytest
import torch

from lphm.report import write_report
from support.report_cases import write_run


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a classification, with its report."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classified")
    write_run(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def regressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a regression, with its report."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("regressed")
    write_run(folder, "regression")
    write_report(folder)
    return folder
