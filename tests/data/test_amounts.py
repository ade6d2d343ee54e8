"""Numbers and scores as people read them."""

import pytest

from lphm.data.amounts import amount, labelled


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12_300.0, "12,300"),
        (12_345.6, "12,346"),
        (97_400_000.0, "97,400,000"),
        (9_999.7, "10,000"),
        (123.456, "123.5"),
        (1.5, "1.500"),
        (0.0123456, "0.01235"),
        (-4321.0, "-4,321"),
        (0.0, "0"),
        (2.5e-9, "2.5e-09"),
        (1e20, "1e+20"),
    ],
)
def test_an_amount_is_written_as_people_do(value: float, words: str) -> None:
    assert amount(value) == words


def test_scores_have_four_places_and_errors_those_of_an_amount() -> None:
    scores = {"loss": 0.5, "r2": 0.93333, "mae": 12_300.4, "rmse": 0.5}
    assert labelled(scores) == {
        "loss": "0.5000",
        "R²": "0.9333",
        "mean absolute error": "12,300",
        "root mean squared error": "0.5000",
    }
