"""Folds are trained once, resumed, and read back; damaged results are one line."""

import json
from dataclasses import replace
from itertools import pairwise
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
    PARTS,
    RESULTS,
    CrossValidation,
    cross_validate,
    cross_validate_each,
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
    parts = folds(DATA, "classification", 3, TRAINING.seed)
    scored = zip(whole.scores, whole.losses, parts, strict=True)
    for number, (score, loss, (train_rows, test_rows)) in enumerate(scored):
        run = learn(DATA.take(train_rows), NETWORK, TRAINING).run
        evaluation = evaluate(run, DATA.take(test_rows))
        assert (evaluation.score, evaluation.loss) == (score, loss)
        assert evaluation.details["baseline"] == whole.details["baseline"][number]
        assert whole.interdependence_parameters == interdependence_parameters(run.network)
    assert whole.score_name == "accuracy"
    assert whole.mean == pytest.approx(np.mean(whole.scores))
    assert whole.spread == pytest.approx(np.std(whole.scores))


def test_one_slow_training_does_not_change_the_typical_seconds(whole: CrossValidation) -> None:
    for seconds, typical in (([9.0, 1.0], 1.0), ([9.0, 1.0, 1.2, 1.3, 1.1], 1.2)):
        assert replace(whole, seconds=seconds).typical_seconds == typical
        assert replace(whole, cpu_seconds=seconds).typical_cpu_seconds == typical


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
    reports: list[tuple[str, int, int, str]] = []

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        reports.append((task, done, total, status))
        if status == "fold 2 of 3, epoch 1 of 2" and stop:
            raise KilledError

    stop = True
    with pytest.raises(KilledError):
        cross_validate(DATA, NETWORK, TRAINING, 3, progress=progress, folder=tmp_path)
    assert list(json.loads((tmp_path / RESULTS).read_text())) == ["fold 1"]
    assert (tmp_path / "checkpoints" / "fold-2" / CHECKPOINT).exists()
    stop = False
    reports.clear()
    again = cross_validate(DATA, NETWORK, TRAINING, 3, progress=progress, folder=tmp_path)
    assert {status[:11] for *_, status in reports} == {"fold 2 of 3", "fold 3 of 3"}
    assert reports[0][1] > PARTS  # what was done before counts as done
    assert (again.scores, again.losses) == (whole.scores, whole.losses)
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]
    monkeypatch.setattr(cross_validation, "learn", None)  # nothing is left to train
    assert cross_validate(DATA, NETWORK, TRAINING, 3, folder=tmp_path) == again


def test_a_training_that_stops_early_counts_as_a_whole_one() -> None:
    done: list[int] = []
    training = replace(TRAINING, epochs=40, early_stopping=True, patience=1, learning_rate=0.3)
    cross_validate(DATA, NETWORK, training, 2, progress=lambda *report: done.append(report[1]))
    assert PARTS in done
    assert done[-1] == 2 * PARTS
    assert max(b - a for a, b in pairwise(done)) > PARTS / 40  # more than the steps of an epoch: a jump


def test_all_trainings_are_one_task_that_goes_fold_by_fold() -> None:
    reports: list[tuple[str, int, int, str]] = []

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        reports.append((task, done, total, status))

    networks = {"none": replace(NETWORK, kind="none"), "lphm": NETWORK}
    found = cross_validate_each(DATA, networks, TRAINING, 2, progress=progress)
    assert {report[0::2][:2] for report in reports} == {("4 trainings", 4 * PARTS)}
    done = [report[1] for report in reports]
    assert done == sorted(done)
    assert done[-1] == 4 * PARTS
    each = dict.fromkeys(status.removesuffix(", epoch 1 of 2") for *_, status in reports)
    order = [f"fold {fold} of 2, {name}" for fold in (1, 2) for name in networks]
    assert [status for status in each if "epoch" not in status] == order
    assert [result.name for result in found.values()] == list(networks)
    assert found["lphm"].scores == cross_validate(DATA, NETWORK, TRAINING, 2).scores


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
