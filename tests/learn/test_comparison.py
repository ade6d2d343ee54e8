"""The verdict on interdependence: its statistics, its words, and what it is computed from."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lphm.data.dataset import Dataset
from lphm.data.splits import folds
from lphm.errors import InputError
from lphm.learn import cross_validation
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


def row(
    name: str,
    scores: list[float],
    parameters: int = 0,
    seconds: float = 1.0,
    mae: list[float] | None = None,
) -> CrossValidation:
    """The wall clock says something else than the CPU seconds."""
    return CrossValidation(
        name=name,
        score_name="r2" if mae else "accuracy",
        scores=scores,
        losses=[1 - score for score in scores],
        details={"mae": mae} if mae else {"baseline": [0.5] * len(scores)},
        interdependence_parameters=parameters,
        seconds=[7.0] * len(scores),
        cpu_seconds=[seconds] * len(scores),
        mean=fmean(scores),
        spread=pstdev(scores),
    )


def rows(
    lphm: list[float], full: list[float], none: list[float], seconds: float = 1.9
) -> dict[str, CrossValidation]:
    table = [row("none", none), row("full", full, 6144, 2.5), row("lphm", lphm, 832, seconds)]
    return {each.name: each for each in table}


HIGH, LOW, VARIED = [0.92, 0.91, 0.93, 0.92, 0.9], [0.81, 0.8, 0.81, 0.82, 0.8], [0.8, 0.98, 0.9, 0.99, 0.85]


def test_interdependence_that_helps() -> None:
    found = verdict(rows(HIGH, VARIED, LOW), "lphm", 1 / 4)
    assert found.text == (
        "Interdependence helps here: accuracy 0.9160 against 0.8080 without it, in 5 folds (95 % interval of "
        "the difference +0.0924 to +0.1236); LPHM takes 1.9 times as long to train. "
        "Keep it, unless time counts more: --kind none trains in 53 % of the time. "
        "LPHM, with 832 interdependence parameters, and Full, with 6,144, cannot be told apart by these "
        "folds: accuracy 0.9160 against 0.9040 (95 % interval of the difference -0.1407 to +0.1647)."
    )
    assert found.advice in found.text
    beside_none = found.beside_none
    assert (beside_none.structure, beside_none.other, beside_none.effect) == ("lphm", "none", "better")
    assert (beside_none.mean, beside_none.other_mean) == pytest.approx((0.916, 0.808))
    assert beside_none.score == paired_difference(HIGH, LOW, 1 / 4)
    assert beside_none.loss.mean == pytest.approx(-beside_none.score.mean)  # of a lower loss
    assert beside_none.loss.sign == -1
    assert found.beside_full.score == paired_difference(HIGH, VARIED, 1 / 4)
    assert (found.beside_full.other, found.beside_full.effect) == ("full", "unclear")
    assert beside_none.times_as_long == 1.9
    assert found.beside_full.times_as_long == 1.9 / 2.5


def test_interdependence_that_hurts() -> None:
    found = verdict(rows(LOW, HIGH, HIGH), "lphm", 1 / 4)
    assert found.text.startswith(
        "Interdependence hurts here: accuracy 0.8080 against 0.9160 without it, in 5 folds (95 % interval of "
        "the difference -0.1236 to -0.0924); LPHM takes 1.9 times as long to train. "
        "Train with --kind none, which trains in 53 % of the time. LPHM, with"
    )
    assert found.beside_none.effect == found.beside_full.effect == "worse"
    assert found.text.endswith(
        "LPHM, with 832 interdependence parameters, is worse here than Full, with 6,144: accuracy 0.8080 "
        "against 0.9160 (95 % interval of the difference -0.1236 to -0.0924)."
    )


def test_folds_that_cannot_tell() -> None:
    found = verdict(rows(HIGH, LOW, VARIED), "lphm", 1 / 4)
    assert found.text.startswith(
        "These 5 folds cannot tell whether interdependence helps: accuracy 0.9160 against 0.9040 without it "
        "(95 % interval of the difference -0.1407 to +0.1647); LPHM takes 1.9 times as long to train. "
        "Train with --kind none, which trains in 53 % of the time, or compare again with --folds 10. LPHM,"
    )
    assert found.beside_none.effect == "unclear"
    assert "LPHM, with 832 interdependence parameters, is better here than Full, with 6,144: " in found.text
    many = verdict(rows(HIGH * 2, LOW * 2, VARIED * 2), "lphm", 1 / 9)
    assert many.advice.endswith("of the time, or compare again on more rows.")


def test_a_loss_that_tells_where_the_score_does_not() -> None:
    table = rows(HIGH, LOW, VARIED)
    table["lphm"] = replace(table["lphm"], losses=[0.1, 0.11, 0.1, 0.09, 0.1])
    table["none"] = replace(table["none"], losses=[0.3, 0.3, 0.31, 0.3, 0.3])
    found = verdict(table, "lphm", 1 / 4)
    assert found.beside_none.effect == "unclear"
    low, high = paired_difference(table["lphm"].losses, table["none"].losses, 1 / 4).interval
    assert found.advice == (
        f"Keep it if the loss counts, which is lower with it (95 % interval of the difference {low:.4f} to "
        f"{high:.4f}); else train with --kind none, which trains in 53 % of the time."
    )
    table["lphm"] = replace(table["lphm"], losses=[0.5] * 4 + [0.51])  # higher: no reason to keep it
    assert verdict(table, "lphm", 1 / 4).advice.startswith("Train with --kind none")


@pytest.mark.parametrize(
    ("lphm", "none", "advice"),
    [
        (HIGH, LOW, "Keep it."),
        (LOW, HIGH, "Train with --kind none."),
        (HIGH, VARIED, "Train with --kind none, or compare again with --folds 10."),
        (LOW, LOW, "Train with --kind none."),
    ],
)
def test_no_time_is_promised_that_is_not_saved(lphm: list[float], none: list[float], advice: str) -> None:
    found = verdict(rows(lphm, HIGH, none, seconds=1.04), "lphm", 1 / 4)
    assert found.advice == advice
    assert "LPHM takes 1.0 times as long" in found.text


def test_networks_that_differ_by_the_same_in_every_fold() -> None:
    found = verdict(rows([0.9, 0.8], [0.8, 0.7], [0.9, 0.8]), "lphm", 1)
    same = "(the same difference in every fold, which gives no interval)"
    assert found.text == (
        f"Interdependence makes no difference here: accuracy 0.8500 against 0.8500 without it, in 2 folds "
        f"{same}; LPHM takes 1.9 times as long to train. "
        "Train with --kind none, which trains in 53 % of the time. "
        "LPHM, with 832 interdependence parameters, and Full, with 6,144, cannot be told apart by these "
        f"folds: accuracy 0.8500 against 0.7500 {same}."
    )
    assert (found.beside_none.effect, found.beside_full.effect) == ("the same", "unclear")


def test_numbers_that_round_to_zero_have_no_minus() -> None:
    scores = [1e-5, -1e-5, 1e-5]
    text = verdict(rows(scores, scores, [0.0] * 3), "lphm", 1 / 2).text
    assert "against 0.0000 without it (95 % interval of the difference +0.0000 to +0.0000)" in text


def test_of_numbers_the_error_is_compared_in_their_unit() -> None:
    table = {
        "none": row("none", LOW, 0, 1.0, [13_000.0, 13_200.0]),
        "full": row("full", LOW, 9, 1.0, [0.5, 0.7]),
        "lphm": row("lphm", HIGH, 4, 2.0, [12_300.0, 12_301.0]),
    }
    text = verdict(table, "lphm", 1 / 4).text
    assert "R² 0.9160 against 0.8080 without it, in 5 folds (95 %" in text
    assert "+0.1236), mean absolute error 12,300 against 13,100; LPHM takes 2.0 times as long" in text
    assert text.endswith("mean absolute error 12,300 against 0.6000.")


def test_the_structure_that_is_asked_for_is_judged() -> None:
    table = rows(HIGH, VARIED, LOW)
    full = verdict(table, "full", 1 / 4)
    assert "accuracy 0.9040 against 0.8080 without it" in full.text
    assert "Full takes 2.5 times as long to train" in full.text
    assert full.beside_none.structure == "full"
    assert full.beside_full == verdict(table, "lphm", 1 / 4).beside_full
    stationary = verdict(table | {"toeplitz": row("toeplitz", LOW, 25)}, "toeplitz", 1 / 4)
    assert stationary.text.startswith("Interdependence makes no difference here: accuracy 0.8080")
    assert "Toeplitz, with 25 interdependence parameters, and Full, with 6,144, cannot" in stationary.text


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


def test_a_comparison_of_ridge_regression_is_refused() -> None:
    with pytest.raises(
        InputError, match="method must be network for a comparison of structures, got 'ridge'"
    ):
        variants(NetworkOptions(method="ridge"))


def test_a_structure_that_cannot_be_built_is_found_before_any_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cross_validation, "learn", None)  # no fold may be trained
    network = NetworkOptions(members=1, structure="lphm", budget=4)  # of 12 parameters, low-rank takes 8
    with pytest.raises(InputError, match="budget must be at least 8 parameters"):
        compare(Dataset("t", TABLE, CLASSES), network, TRAINING, 3)
