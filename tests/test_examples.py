"""The examples run and reach the results that they describe."""

import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.children import print_accuracies
from support.forked import start
from support.optional import optional

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_interdependence_is_recovered() -> None:
    error = runpy.run_path(str(EXAMPLES / "recover_interdependence.py"))["main"](steps=300)
    assert error < 1e-4  # a random W has an error of 1.4


def test_rows_on_ranks_are_learned() -> None:
    assert runpy.run_path(str(EXAMPLES / "rows_over_ranks.py"))["main"]() < 0.1


@pytest.mark.slow
def test_characters_are_predicted_with_each_attention(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["character_model.py", "--quick"])
    runpy.run_path(str(EXAMPLES / "character_model.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()[1:]
    bits = {line[:26].strip(): float(line[26:].split()[0]) for line in lines}
    without_context = bits.pop("frequencies of characters")
    assert len(bits) == 5
    assert max(bits.values()) < without_context - 0.1
    assert abs(bits["LowRank(n=64, r=16)"] - bits["nn.MultiheadAttention"]) < 0.05


@pytest.mark.slow
def test_a_training_is_logged_in_lines_and_stopped(tmp_path: Path) -> None:
    epochs = runpy.run_path(str(EXAMPLES / "training_log.py"))["main"]("lines", tmp_path)
    assert epochs < 20
    lines = list(map(json.loads, (tmp_path / "cancer.jsonl").read_text().splitlines()))
    assert [line.get("step") for line in lines] == [None, *range(1, epochs + 1), None]
    assert lines[-2]["val_score"] >= 0.95
    assert lines[-1] == {"status": "success"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Lightning and what it imports
def test_a_training_is_logged_in_tensorboard(tmp_path: Path) -> None:
    optional("lightning.pytorch.loggers")
    accumulator = optional("tensorboard.backend.event_processing.event_accumulator")
    epochs = runpy.run_path(str(EXAMPLES / "training_log.py"))["main"]("tensorboard", tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "cancer" / "version_0")).Reload()
    assert [event.step for event in events.Scalars("train_loss")] == [*range(1, epochs + 1)]
    assert events.Scalars("val_score")[-1].value >= 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of MLflow, Lightning and what they import
def test_a_training_is_logged_in_mlflow(tmp_path: Path) -> None:
    optional("lightning.pytorch.loggers")
    for package in ("alembic", "sqlalchemy"):
        optional(package)
    mlflow = optional("mlflow")
    epochs = runpy.run_path(str(EXAMPLES / "training_log.py"))["main"]("mlflow", tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("cancer").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["members"] == "1"
    losses = client.get_metric_history(run.info.run_id, "train_loss")
    assert [each.step for each in losses] == [*range(1, epochs + 1)]
    assert client.get_metric_history(run.info.run_id, "val_score")[-1].value >= 0.95


@pytest.mark.slow
def test_features_of_series_in_company(tmp_path: Path) -> None:
    # Compiling takes longer than MiniRocket in Python, and numba must be told before it is imported.
    example = str(EXAMPLES / "series_features.py")
    ended = start(print_accuracies, example, cwd=tmp_path, NUMBA_DISABLE_JIT=1).wait()
    assert ended.returncode == 0, ended.stderr
    accuracies = json.loads(ended.stdout.splitlines()[-1])
    installed = {"aeon": "beside_minirocket", "pyriemann": "before_tangent_space"}
    assert set(accuracies) == {"searched", *(installed[name] for name in installed if find_spec(name))}
    assert min(accuracies.values()) > 0.9  # a guess has a third


def test_every_example_is_tested() -> None:
    tested = {
        "character_model",
        "recover_interdependence",
        "rows_over_ranks",
        "series_features",
        "training_log",
    }
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested
