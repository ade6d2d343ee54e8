"""The examples run and reach the results that they describe."""

import json
import runpy
import sys
from pathlib import Path

import pytest

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
@pytest.mark.parametrize("kind", ["lines", "tensorboard", "mlflow"])
@pytest.mark.filterwarnings("default")  # of Lightning and what it imports
def test_a_training_is_logged_and_stopped(kind: str, tmp_path: Path) -> None:
    if kind != "lines":
        needed = f"not all packages of this logger are installed (pip install lightning {kind})"
        for package in ("lightning.pytorch.loggers", kind):
            pytest.importorskip(package, reason=needed)
    epochs = runpy.run_path(str(EXAMPLES / "training_log.py"))["main"](kind, tmp_path)
    assert epochs < 20
    if kind == "lines":
        lines = list(map(json.loads, (tmp_path / "cancer.jsonl").read_text().splitlines()))
        assert [line.get("step") for line in lines] == [None, *range(1, epochs + 1), None]
        assert lines[-2]["val_score"] >= 0.95
        assert lines[-1] == {"status": "success"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of aeon, pyriemann and what they import
def test_features_of_series_in_company() -> None:
    accuracies = runpy.run_path(str(EXAMPLES / "series_features.py"))["main"]()
    assert "searched" in accuracies
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
