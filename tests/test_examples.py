"""The examples run and reach the results that they describe."""

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


def test_every_example_is_tested() -> None:
    tested = {"character_model.py", "recover_interdependence.py", "rows_over_ranks.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
