"""The examples run and reach the results that they describe."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_interdependence_is_recovered() -> None:
    error = runpy.run_path(str(EXAMPLES / "recover_interdependence.py"))["main"](steps=300)
    assert error < 1e-4  # a random W has an error of 1.4


def test_rows_on_ranks_are_learned() -> None:
    assert runpy.run_path(str(EXAMPLES / "rows_over_ranks.py"))["main"]() < 0.1


def test_every_example_is_tested() -> None:
    tested = {"recover_interdependence.py", "rows_over_ranks.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
