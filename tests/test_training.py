"""What a training decides by itself, and that it keeps the best epoch."""

import numpy as np
import pandas as pd
import pytest

from lphm.data import Dataset
from lphm.errors import InputError
from lphm.options import NetworkOptions, TrainingOptions
from lphm.training import train

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.standard_normal((120, 3)), columns=list("abc"))
PRODUCT = Dataset(
    "product", NUMBERS, pd.Series((NUMBERS["a"] * NUMBERS["b"] > 0).map({True: "same", False: "not"}))
)
SMALL = NetworkOptions(width=8, channels=2, members=2)


@pytest.mark.slow
def test_sizes_follow_the_rows_unless_given() -> None:
    config = train(PRODUCT, NetworkOptions(), TrainingOptions(epochs=1)).run.config
    assert config.network.width == 32
    assert config.network.attribute == {"name": "lphm", "n": 8, "p": 2, "q": 2, "r": 2}
    assert config.training.batch_size == 16
    given = train(PRODUCT, SMALL, TrainingOptions(epochs=2, batch_size=50, patience=1)).run.config
    assert (given.network.width, given.network.blocks, given.network.channels) == (8, 1, 2)
    assert (given.training.batch_size, given.training.patience) == (50, 1)


@pytest.mark.slow
def test_the_weights_are_those_of_the_epoch_with_the_lowest_validation_loss() -> None:
    outcome = train(PRODUCT, SMALL, TrainingOptions(epochs=12, learning_rate=0.05, batch_size=16))
    history = outcome.metrics["history"]
    best = min(history, key=lambda line: line["val_loss"])
    assert outcome.metrics["best_epoch"] == best["epoch"] < len(history)  # so late that it over-fits
    assert outcome.metrics["validation"]["accuracy"] == pytest.approx(best["val_score"])
    assert [line["epoch"] for line in history] == list(range(1, len(history) + 1))


@pytest.mark.slow
def test_training_stops_early() -> None:
    noise = Dataset("noise", NUMBERS, pd.Series(RNG.choice(["u", "v"], 120)))
    outcome = train(noise, SMALL, TrainingOptions(epochs=200, learning_rate=0.02, patience=3))
    assert len(outcome.metrics["history"]) == outcome.metrics["best_epoch"] + 3 < 200


@pytest.mark.slow
def test_a_diverging_training_says_so() -> None:
    huge = Dataset("huge", NUMBERS, pd.Series(np.linspace(0, 1, 120)))
    with pytest.raises(InputError, match="training must keep a finite loss, got none; try --learning-rate"):
        train(huge, SMALL, TrainingOptions(epochs=3, learning_rate=1e38))


@pytest.mark.slow
def test_the_schema_is_fitted_on_the_training_part_only() -> None:
    outcome = train(PRODUCT, SMALL, TrainingOptions(epochs=1))
    means = [column.mean for column in outcome.run.config.input.numeric]
    assert not np.allclose(means, NUMBERS.mean(), atol=1e-9)  # of all rows
    np.testing.assert_allclose(means, NUMBERS.mean(), atol=0.3)
