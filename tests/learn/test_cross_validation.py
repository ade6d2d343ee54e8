"""Folds are trained once, resumed, and read back; damaged results are one line."""

import json
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
from lphm.learn.cross_validation import (
    CHECKPOINTS,
    RESULTS,
    CrossValidation,
    compare,
    cross_validate,
    variants,
)
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
    for score, (train_rows, test_rows) in zip(
        whole.scores, folds(DATA, "classification", 3, TRAINING.seed), strict=True
    ):
        run = learn(DATA.take(train_rows), NETWORK, TRAINING).run
        assert evaluate(run, DATA.take(test_rows)).score == score
        assert whole.interdependence_parameters == interdependence_parameters(run.network)
    assert whole.score_name == "accuracy"
    assert whole.mean == pytest.approx(np.mean(whole.scores))
    assert whole.spread == pytest.approx(np.std(whole.scores))


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
    assert again.scores == whole.scores
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


def test_the_comparison_has_the_same_folds_for_every_variant(tmp_path: Path, whole: CrossValidation) -> None:
    rows = compare(DATA, NETWORK, TRAINING, 3, folder=tmp_path)
    assert [row.name for row in rows] == ["none", "full", "low-rank", "lphm"]
    assert rows[0].interdependence_parameters == 0
    assert rows[3].scores == whole.scores
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert (content["folds"], content["seed"]) == (3, 0)
    assert [row["scores"] for row in content["table"]] == [row.scores for row in rows]
    assert content["table"][1]["mean"] == rows[1].mean


def test_the_variants_keep_what_they_have_in_common() -> None:
    network = NetworkOptions(kind="both", p=2, q=4, r=1, width=16)
    assert {name: (o.kind, o.structure, o.p, o.q, o.r) for name, o in variants(network).items()} == {
        "none": ("none", "lphm", None, None, None),
        "full": ("both", "full", None, None, None),
        "low-rank": ("both", "low-rank", None, None, 1),
        "lphm": ("both", "lphm", 2, 4, 1),
    }
    assert all(options.width == 16 for options in variants(network).values())
    stationary = NetworkOptions(structure="toeplitz", lags=5)
    assert all(options.lags is None for options in variants(stationary).values())
    open_kind = variants(NetworkOptions())  # which then follows from the data, for every variant alike
    assert [options.kind for options in open_kind.values()] == ["none", None, None, None]
