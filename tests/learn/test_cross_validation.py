"""Folds are trained once, resumed, and read back; damaged results are one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.data.columns import as_numbers_or_words
from lphm.data.dataset import Dataset
from lphm.data.splits import folds
from lphm.errors import InputError
from lphm.learn import cross_validation
from lphm.learn.checkpoint import CHECKPOINT
from lphm.learn.cross_validation import CHECKPOINTS, RESULTS, CrossValidation, cross_validate
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import learn
from lphm.nn.network import interdependence_parameters

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.standard_normal((60, 3)), columns=list("abc"))
DATA = Dataset("t", TABLE, pd.Series(np.where(TABLE["a"] > 0, "yes", "no"), name="y"))
NETWORK = NetworkOptions(width=8, channels=2, members=1)
TRAINING = TrainingOptions(epochs=2, batch_size=20)


@pytest.fixture(scope="module")
def whole() -> CrossValidation:
    return cross_validate(DATA, NETWORK, TRAINING, 3)


def test_every_fold_is_scored_on_the_rows_that_it_was_not_trained_on(whole: CrossValidation) -> None:
    parts = folds(DATA, "classification", 3, TRAINING.seed)
    for score, loss, (train_rows, test_rows) in zip(whole.scores, whole.losses, parts, strict=True):
        run = learn(DATA.take(train_rows), NETWORK, TRAINING).run
        evaluation = evaluate(run, DATA.take(test_rows))
        assert (evaluation.score, evaluation.loss) == (score, loss)
        assert whole.interdependence_parameters == interdependence_parameters(run.network)
    assert whole.score_name == "accuracy"
    assert whole.mean == pytest.approx(np.mean(whole.scores))
    assert whole.spread == pytest.approx(np.std(whole.scores))


def test_one_slow_training_does_not_change_the_typical_seconds(whole: CrossValidation) -> None:
    seconds = {2: [9.0, 1.0], 5: [9.0, 1.0, 1.2, 1.3, 1.1]}
    assert [replace(whole, seconds=each).typical_seconds for each in seconds.values()] == [1.0, 1.2]


def test_what_a_fold_cannot_learn_from_is_found_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [test for _, test in folds(DATA, "classification", 3, TRAINING.seed)][2]
    words = pd.Series(["a"] * 60)
    words[np.setdiff1d(np.arange(60), rows)] = [
        f"w{i % 21}" for i in range(60 - len(rows))
    ]  # many outside it
    data = Dataset("t", as_numbers_or_words(TABLE.assign(c=words)), DATA.target)
    monkeypatch.setattr(cross_validation, "learn", None)  # no fold may be trained
    with pytest.raises(InputError, match="column 'c' must hold numbers or categories"):
        cross_validate(data, NETWORK, TRAINING, 3, folder=tmp_path)


def test_checkpoints_of_folds_that_are_done_do_not_stay(tmp_path: Path) -> None:
    cross_validate(DATA, NETWORK, TRAINING, 3, folder=tmp_path)
    (tmp_path / CHECKPOINTS / "fold-3").mkdir(parents=True)
    cross_validate(DATA, NETWORK, TRAINING, 3, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]


class KilledError(Exception):
    """Stands for kill -9: nothing is tidied up."""


def test_folds_that_are_done_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: CrossValidation
) -> None:
    trained: list[str] = []

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        if task not in trained:
            trained.append(task)
        if task == "fold 2" and status.startswith("epoch 1") and "fold 3" not in trained and stop:
            raise KilledError

    stop = True
    with pytest.raises(KilledError):
        cross_validate(DATA, NETWORK, TRAINING, 3, progress=progress, folder=tmp_path)
    assert list(json.loads((tmp_path / RESULTS).read_text())) == ["fold 1"]
    assert (tmp_path / "checkpoints" / "fold-2" / CHECKPOINT).exists()
    stop = False
    trained.clear()
    again = cross_validate(DATA, NETWORK, TRAINING, 3, progress=progress, folder=tmp_path)
    assert trained == ["fold 2", "fold 3"]
    assert (again.scores, again.losses) == (whole.scores, whole.losses)
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]
    monkeypatch.setattr(cross_validation, "learn", None)  # nothing is left to train
    assert cross_validate(DATA, NETWORK, TRAINING, 3, folder=tmp_path) == again


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"fold 1": ', "must be a JSON file, got: "),
        ("[1, 2]", "must hold a JSON object, got list"),
        ('{"fold 1": {"score": 1.0}}', "must hold the results of folds, got at score_name: Field required"),
        ('{"fold 1": 0.5}', "must hold the results of folds, got at "),
    ],
)
def test_damaged_results_are_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / RESULTS).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        cross_validate(DATA, NETWORK, TRAINING, 3, folder=tmp_path)
    assert RESULTS in str(caught.value)
    assert "\n" not in str(caught.value)
