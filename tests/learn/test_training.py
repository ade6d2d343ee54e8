"""What a training decides by itself, and that it keeps the best epoch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.dataset import Dataset, split_validation
from lphm.errors import InputError
from lphm.learn import lightning as loop
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import learn, train

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.standard_normal((120, 3)), columns=list("abc"))
PRODUCT = Dataset(
    "product",
    NUMBERS,
    pd.Series((NUMBERS["a"] * NUMBERS["b"] > 0).map({True: "same", False: "not"}), name="product"),
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
    noise = Dataset("noise", NUMBERS, pd.Series(RNG.choice(["u", "v"], 120)))
    options = TrainingOptions(epochs=20, learning_rate=0.02, patience=20, early_stopping=True)
    trained = learn(noise, SMALL, options)
    best = min(trained.history.lines, key=lambda line: line["val_loss"])
    assert trained.history.best_epoch == best["epoch"] < len(trained.history.lines)  # what follows over-fits
    _, held_out = split_validation(noise, "classification", options.seed, options.validation)
    assert evaluate(trained.run, held_out).score == pytest.approx(best["val_score"])
    assert [line["epoch"] for line in trained.history.lines] == list(range(1, 21))


class KilledError(Exception):
    """Stands for kill -9: nothing is tidied up."""


@pytest.mark.slow
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_training_that_goes_on_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, early_stopping: bool
) -> None:
    options = TrainingOptions(epochs=6, early_stopping=early_stopping)
    whole = learn(PRODUCT, SMALL, options)
    write = loop._Checkpoint.on_train_epoch_end

    def killed(self, trainer, module) -> None:
        write(self, trainer, module)
        if trainer.current_epoch + 1 == at:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(loop._Checkpoint, "on_train_epoch_end", killed)
        with pytest.raises(KilledError):
            learn(PRODUCT, SMALL, options, folder=tmp_path)
    again = learn(PRODUCT, SMALL, options, folder=tmp_path, resume=True)
    assert again.history == whole.history
    for name, tensor in whole.run.network.state_dict().items():
        assert torch.equal(again.run.network.state_dict()[name], tensor), name


@pytest.mark.slow
def test_training_leaves_the_random_state_and_the_threads_as_they_were() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    learn(PRODUCT, SMALL, TrainingOptions(epochs=1, threads=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_weights_decide() -> None:
    """Where the samples of one class weigh nothing, the network answers the other."""
    weight = (PRODUCT.target == "same").to_numpy(dtype=float)
    trained = learn(replace(PRODUCT, weight=weight), SMALL, TrainingOptions(epochs=10))
    assert set(trained.run.predict(NUMBERS)["product"]) == {"same"}


@pytest.mark.slow
def test_training_stops_early() -> None:
    noise = Dataset("noise", NUMBERS, pd.Series(RNG.choice(["u", "v"], 120)))
    outcome = train(
        noise, SMALL, TrainingOptions(epochs=200, learning_rate=0.02, patience=3, early_stopping=True)
    )
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
