"""The verdict on interdependence: its statistics, its words, and what it is computed from."""

import json
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lphm.data.dataset import Dataset
from lphm.data.splits import folds
from lphm.errors import InputError
from lphm.learn.comparison import compare, paired_difference, variants, verdict
from lphm.learn.cross_validation import CrossValidation, cross_validate
from lphm.learn.options import NetworkOptions, TrainingOptions

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(RNG.standard_normal((60, 3)), columns=list("abc"))
CLASSES = pd.Series(np.where(TABLE["a"] > 0, "up", "down"), name="y")
NUMBERS = pd.Series(TABLE["a"] * TABLE["b"] + TABLE["c"], name="y")
NETWORK = NetworkOptions(members=1, width=8, structure="lphm", p=2, q=4)
TRAINING = TrainingOptions(epochs=2, batch_size=20)

#: From a table of the distribution: the 97.5 % quantile of t, by the number of folds.
QUANTILES = {2: 12.7062, 5: 2.7764, 10: 2.2622}


@pytest.mark.parametrize("k", [2, 5, 10])
@pytest.mark.parametrize("effect", [-0.2, 0.01, 0.3])
def test_the_interval_and_the_p_value_allow_for_training_parts_that_overlap(k: int, effect: float) -> None:
    random = np.random.default_rng(k)
    others = random.uniform(0.7, 0.9, k)
    values = others + effect + 0.05 * random.standard_normal(k)
    found = paired_difference(values.tolist(), others.tolist(), 1 / (k - 1))
    d = values - others
    error = np.sqrt((1 / k + 1 / (k - 1)) * np.sum((d - d.mean()) ** 2) / (k - 1))
    assert found.mean == pytest.approx(d.mean())
    assert found.interval == pytest.approx(
        (d.mean() - QUANTILES[k] * error, d.mean() + QUANTILES[k] * error), rel=1e-4
    )
    plain = stats.ttest_rel(values, others)  # its variance is var(d) / k
    corrected = plain.statistic * np.sqrt((1 / k) / (1 / k + 1 / (k - 1)))
    assert found.p_value == pytest.approx(2 * stats.t.cdf(-abs(corrected), k - 1))
    assert (found.p_value < 0.05) == (found.sign != 0)
    assert found.sign in (0, np.sign(effect))


def test_folds_that_all_differ_by_the_same_give_no_interval() -> None:
    same = paired_difference([0.9, 0.8], [0.9, 0.8], 1)
    assert (same.mean, same.interval, same.p_value, same.sign) == (0, None, None, 0)
    constant = paired_difference([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], 1 / 2)  # not equal in binary
    assert constant.mean == pytest.approx(0.1)
    assert (constant.interval, constant.p_value, constant.sign) == (None, None, 0)


def row(name: str, scores: list[float], parameters: int = 0, seconds: float = 1.0) -> CrossValidation:
    losses = [1 - score for score in scores]
    times = [seconds] * len(scores)
    return CrossValidation(name, "accuracy", scores, losses, parameters, times, fmean(scores), pstdev(scores))


def rows(lphm: list[float], full: list[float], none: list[float]) -> dict[str, CrossValidation]:
    table = [row("none", none), row("full", full, 6144, 2.5), row("lphm", lphm, 832, 1.9)]
    return {each.name: each for each in table}


HIGH, LOW, VARIED = [0.92, 0.91, 0.93, 0.92, 0.9], [0.81, 0.8, 0.81, 0.82, 0.8], [0.8, 0.98, 0.9, 0.99, 0.85]


def test_interdependence_that_helps() -> None:
    found = verdict(rows(HIGH, VARIED, LOW), "lphm", 1 / 4)
    assert found.text == (
        "LPHM scores 0.1080 higher than no interdependence (95 % interval 0.0924 to 0.1236) and takes "
        "1.9 times as long to train: interdependence helps here. "
        "With 832 interdependence parameters, LPHM scores 0.0120 higher than Full with 6,144 (95 % interval "
        "-0.1407 to 0.1647): these folds cannot tell which of them is better."
    )
    assert found.beside_none.score == paired_difference(HIGH, LOW, 1 / 4)
    assert found.beside_none.loss.mean == pytest.approx(-found.beside_none.score.mean)  # of a lower loss
    assert found.beside_none.loss.sign == -1
    assert found.beside_full.score == paired_difference(HIGH, VARIED, 1 / 4)
    assert found.beside_none.times_as_long == 1.9
    assert found.beside_full.times_as_long == 1.9 / 2.5


def test_interdependence_that_hurts() -> None:
    text = verdict(rows(LOW, HIGH, HIGH), "lphm", 1 / 4).text
    assert "LPHM scores 0.1080 lower than no interdependence (95 % interval -0.1236 to -0.0924)" in text
    assert "as long to train: interdependence hurts here; train with --kind none. With" in text
    assert text.endswith(
        "LPHM scores 0.1080 lower than Full with 6,144 (95 % interval -0.1236 to -0.0924): "
        "Full is better here."
    )


def test_folds_that_cannot_tell() -> None:
    text = verdict(rows(HIGH, LOW, VARIED), "lphm", 1 / 4).text
    assert "LPHM scores 0.0120 higher than no interdependence (95 % interval -0.1407 to 0.1647)" in text
    assert "as long to train: these folds cannot tell whether interdependence helps. With" in text
    assert text.endswith("(95 % interval 0.0924 to 0.1236): LPHM is better here.")


def test_networks_that_differ_by_the_same_in_every_fold() -> None:
    text = verdict(rows([0.9, 0.8], [0.8, 0.7], [0.9, 0.8]), "lphm", 1).text
    assert text == (
        "LPHM scores the same as no interdependence in every fold and takes 1.9 times as long to train: "
        "it makes no difference here. "
        "With 832 interdependence parameters, LPHM scores 0.1000 higher than Full with 6,144 in every fold: "
        "the same difference in every fold gives no interval, so use more folds to be sure."
    )


def test_numbers_that_round_to_zero_have_no_sign() -> None:
    scores = [1e-5, -1e-5, 1e-5]
    text = verdict(rows(scores, scores, [0.0] * 3), "lphm", 1 / 2).text
    assert text.startswith(
        "LPHM scores on average the same as no interdependence (95 % interval 0.0000 to 0.0000) and takes"
    )


def test_the_structure_that_is_asked_for_is_judged() -> None:
    table = rows(HIGH, VARIED, LOW)
    full = verdict(table, "full", 1 / 4)
    assert full.text.startswith("Full scores 0.0960 higher than no interdependence")
    assert "and takes 2.5 times" in full.text
    assert full.beside_none.structure == "full"
    assert full.beside_full == verdict(table, "lphm", 1 / 4).beside_full
    stationary = verdict(table | {"toeplitz": row("toeplitz", LOW, 25)}, "toeplitz", 1 / 4)
    assert stationary.text.startswith("Toeplitz scores the same as no interdependence")
    assert "With 25 interdependence parameters, Toeplitz scores 0.0960 lower than Full" in stationary.text


def test_a_training_that_takes_no_time_is_no_division_by_zero() -> None:
    table = {
        "none": row("none", LOW, 0, 0.0),
        "full": row("full", LOW, 9, 0.0),
        "lphm": row("lphm", LOW, 4, 0.02),
    }
    assert verdict(table, "lphm", 1 / 4).beside_none.times_as_long == 2


@pytest.mark.parametrize("target", [CLASSES, NUMBERS], ids=["classes", "numbers"])
def test_the_comparison_has_the_same_folds_for_every_variant(tmp_path: Path, target: pd.Series) -> None:
    data = Dataset("t", TABLE, target)
    found = compare(data, NETWORK, TRAINING, 3, folder=tmp_path)
    table = {each.name: each for each in found.table}
    assert list(table) == ["none", "full", "low-rank", "lphm"]
    assert table["none"].interdependence_parameters == 0
    assert table["lphm"].scores == cross_validate(data, NETWORK, TRAINING, 3).scores
    assert found.verdict == verdict(table, "lphm", 1 / 2)
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert content == {"folds": 3, "seed": 0} | json.loads(json.dumps(asdict(found)))
    assert content["verdict"]["beside_none"]["structure"] == "lphm"


def test_folds_by_time_overlap_as_much_as_their_rows_do() -> None:
    data = Dataset("t", TABLE, CLASSES, time=np.arange(60.0))
    found = compare(data, NETWORK, TRAINING, 3)
    assert [len(test) / len(train) for train, test in folds(data, "classification", 3, 0)] == [
        1,
        1 / 2,
        1 / 3,
    ]
    assert found.verdict == verdict(
        {each.name: each for each in found.table}, "lphm", (1 + 1 / 2 + 1 / 3) / 3
    )


def test_the_variants_keep_what_they_have_in_common() -> None:
    network = NetworkOptions(kind="both", p=2, q=4, r=1, width=16)
    assert {name: (o.kind, o.structure, o.p, o.q, o.r) for name, o in variants(network).items()} == {
        "none": ("none", "lphm", None, None, None),
        "full": ("both", "full", None, None, None),
        "low-rank": ("both", "low-rank", None, None, 1),
        "lphm": ("both", "lphm", 2, 4, 1),
    }
    assert all(options.width == 16 for options in variants(network).values())
    stationary = variants(NetworkOptions(structure="toeplitz", lags=5))
    lags = {name: options.lags for name, options in stationary.items()}
    assert lags == {"none": None, "full": None, "low-rank": None, "lphm": None, "toeplitz": 5}
    for structure in ("full", "low-rank"):
        assert list(variants(NetworkOptions(structure=structure))) == ["none", "full", "low-rank", "lphm"]
    open_kind = variants(NetworkOptions())  # which then follows from the data, for every variant alike
    assert [options.kind for options in open_kind.values()] == ["none", None, None, None]
    assert {options.method for options in open_kind.values()} == {"network"}


def test_a_comparison_of_no_interdependence_with_none_is_refused() -> None:
    with pytest.raises(
        InputError, match="kind must be attribute, instance or both for a comparison with none"
    ):
        variants(NetworkOptions(kind="none"))
