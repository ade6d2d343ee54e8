"""The loggers of Lightning, as they are; that of MLflow is in tests/test_examples.py."""

import csv
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from lphm.estimators import LPHMClassifier
from support.optional import optional

loggers = optional("lightning.pytorch.loggers")
pytestmark = pytest.mark.filterwarnings("default")  # of Lightning and what it imports

X, Y = load_iris(return_X_y=True)
QUICK: dict[str, Any] = {"members": 1, "epochs": 3, "width": 8, "random_state": 0}


def test_a_table_of_commas(tmp_path: Path) -> None:
    model = LPHMClassifier(**QUICK, logger=loggers.CSVLogger(tmp_path, name="iris"))
    for version in (0, 1):
        fitted = clone(model).fit(X, Y)
        folder = tmp_path / "iris" / f"version_{version}"
        with (folder / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows] == [1, 2, 3]
        assert [float(row["val_score"]) for row in rows] == [line["val_score"] for line in fitted.history_]
        assert "width: 8" in (folder / "hparams.yaml").read_text()


def test_tensorboard(tmp_path: Path) -> None:
    accumulator = optional("tensorboard.backend.event_processing.event_accumulator")
    fitted = LPHMClassifier(**QUICK, logger=loggers.TensorBoardLogger(tmp_path, name="iris")).fit(X, Y)
    events = accumulator.EventAccumulator(str(tmp_path / "iris" / "version_0")).Reload()
    assert [event.step for event in events.Scalars("train_loss")] == [1, 2, 3]
    expected = [line["train_loss"] for line in fitted.history_]
    assert [event.value for event in events.Scalars("train_loss")] == pytest.approx(expected)
    assert "width: 8" in (tmp_path / "iris" / "version_0" / "hparams.yaml").read_text()
