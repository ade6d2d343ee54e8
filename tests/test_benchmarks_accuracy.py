"""The benchmark of accuracy: its sets and folds, what is fitted and written, scores, ranks and the report."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import KFold, StratifiedKFold

# The package is not part of the distribution; it is in the root of the repository.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.accuracy import fits, ranks, report, series, tables
from benchmarks.accuracy.scores import calibration, class_scores, regression_scores
from benchmarks.accuracy.table_models import Categories
from benchmarks.peers import AbsentError, load

from lphm.data.readers import labelled_table
from lphm.data.roles import without_misleading
from support.contenders import print_series_fit, waves
from support.forked import start

QUICK = {"members": 1, "epochs": 1, "width": 8, "channels": 2}


@contextmanager
def skipped_if_absent() -> Iterator[None]:
    """What needs a package of the extras ``[bench]`` or ``[bench-series]`` is skipped where it is missing."""
    try:
        yield
    except AbsentError as reason:
        pytest.skip(str(reason))


def problem_of(suite: fits.Suite, name: str) -> fits.Problem:
    with skipped_if_absent():
        return suite.sets[name]()


def skip_without(package: str) -> None:
    with skipped_if_absent():
        load(package)


# The sets.

#: Rows, columns, those of text, cells that are missing, and classes (0: a regression).
TABLES = {
    "concrete": (1030, 8, 0, 0, 0),
    "Wage": (3000, 9, 7, 0, 0),
    "Computers": (6259, 9, 3, 0, 0),
    "make_classification": (3000, 20, 0, 0, 3),
    "german": (1000, 20, 13, 0, 2),
    "vowel": (990, 13, 0, 0, 11),
    "tic-tac-toe": (958, 9, 9, 0, 2),
    "attrition": (1470, 30, 14, 0, 2),
    "phoneme": (5404, 5, 0, 0, 2),
    "australian": (690, 14, 0, 0, 2),
    "sonar": (208, 60, 0, 0, 2),
    "yeast1": (1484, 8, 0, 0, 2),
    "monk-2": (432, 6, 0, 0, 2),
    "car_prices": (804, 17, 0, 0, 0),
    "friedman1": (2000, 10, 0, 0, 0),
    "hotel_rates": (10_000, 26, 9, 105, 0),
    "pima": (768, 8, 0, 0, 2),
    "hpc_data": (4331, 7, 2, 0, 4),
    "mlc_churn": (5000, 19, 4, 0, 2),
    "ionosphere": (351, 33, 0, 0, 2),
    "spambase": (4597, 57, 0, 0, 2),
    "satimage": (6435, 36, 0, 0, 6),
    "heart": (270, 13, 0, 0, 2),
    "ring": (7400, 20, 0, 0, 2),
    "mammographic": (830, 5, 0, 0, 2),
    "page-blocks0": (5472, 10, 0, 0, 2),
}
#: Training and test series, channels, steps, classes.
SERIES = {
    "PickupGestureWiimoteZ": (50, 50, 1, 361, 10),
    "ACSF1": (100, 100, 1, 1460, 10),
    "ArrowHead": (36, 175, 1, 251, 3),
    "BasicMotions": (40, 40, 6, 100, 4),
    "GunPoint": (50, 150, 1, 150, 2),
    "ItalyPowerDemand": (67, 1029, 1, 24, 2),
    "JapaneseVowels": (270, 370, 12, 25, 9),
    "OSULeaf": (200, 242, 1, 427, 6),
}


def test_the_sets_are_those_that_are_listed_here() -> None:
    assert [*tables.SUITE.sets] == [*TABLES]
    assert [*series.SUITE.sets] == [*SERIES]
    assert len(tables.DEVELOPMENT) == len(tables.REPORTING) == 13


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_its_shape_and_nothing_tells_its_target(name: str) -> None:
    problem = problem_of(tables.SUITE, name)
    X, y = problem.X, problem.y
    text = X.select_dtypes(object)
    classes = 0 if problem.regression else len(np.unique(y))
    assert (*X.shape, text.shape[1], int(X.isna().sum().sum()), classes) == TABLES[name]
    assert all(X.dtypes.isin([np.dtype(float), np.dtype(object)]))
    assert all(isinstance(cell, str) for column in text for cell in text[column].dropna())
    for column in X:
        if problem.regression and column not in text:
            assert abs(X[column].corr(pd.Series(y), method="spearman")) < 0.99, column
        elif not problem.regression:
            pairs = pd.crosstab(X[column], y).to_numpy() > 0
            assert (pairs.sum(0) > 1).any() or (pairs.sum(1) > 1).any(), column  # no class has its own values
    assert not {"rownames", "logwage", "arrival_date", "target"} & {*X.columns}


@pytest.mark.parametrize("name", TABLES)
def test_of_a_table_no_column_is_called_misleading_and_none_is_written_for_people(name: str) -> None:
    problem = problem_of(tables.SUITE, name)
    data = labelled_table(name, problem.X.assign(truth=problem.y), "truth")
    assert data.conversions == {}
    data = without_misleading(data)
    assert (data.left_out, data.hint) == ({}, {})


@pytest.mark.parametrize("name", ["concrete", "german", "make_classification", "friedman1"])
def test_five_folds_test_every_row_once_with_equal_shares_of_the_classes(name: str) -> None:
    problem = problem_of(tables.SUITE, name)
    assert sorted(np.concatenate([test for _, test in problem.folds])) == [*range(len(problem.y))]
    for train, test in problem.folds:
        assert {*train} | {*test} == {*range(len(problem.y))}
        assert not {*train} & {*test}
        if not problem.regression:
            assert np.bincount(problem.y[test]) == pytest.approx(np.bincount(problem.y) / 5, abs=1)
    split = (KFold if problem.regression else StratifiedKFold)(5, shuffle=True, random_state=1)
    expected = [test.tolist() for _, test in split.split(problem.X, problem.y)]
    assert [test.tolist() for _, test in problem.folds] == expected


def test_a_frame_becomes_floats_and_text() -> None:
    frame = pd.DataFrame(
        {
            "count": np.arange(30),
            "flag": [True, False, True] * 10,
            "code": pd.Categorical([1, 2, None] * 10),
            "ordered": pd.Categorical(["low", "high", "low"] * 10, ordered=True),
            "y": ["b", "a", "b"] * 10,
        }
    )
    problem = tables.from_frame(frame, "y", regression=False)
    assert [*problem.X.columns] == ["count", "flag", "code", "ordered"]
    assert problem.X["count"].dtype == float
    assert [*problem.X.loc[1, ["flag", "ordered"]]] == ["False", "high"]
    assert {*problem.X["code"].dropna()} == {"1", "2"} or {*problem.X["code"].dropna()} == {"1.0", "2.0"}
    assert problem.X["code"].isna().sum() == 10
    assert [*problem.y[:3]] == [1, 0, 1]


def test_of_a_large_table_ten_thousand_rows_are_kept() -> None:
    frame = pd.DataFrame({"x": np.arange(12_000), "y": np.arange(12_000)})
    problem = tables.from_frame(frame, "y", regression=True)
    assert len(problem.X) == len(problem.y) == 10_000
    assert (problem.X["x"] == problem.y).all()  # a row keeps its target
    assert [*problem.X.index[:2]] == [0, 1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SERIES)
def test_series_have_their_official_split(name: str) -> None:
    problem = problem_of(series.SUITE, name)
    ((train, test),) = problem.folds
    assert (len(train), len(test), *problem.X.shape[1:], len(np.unique(problem.y))) == SERIES[name]
    assert [*train, *test] == [*range(len(problem.y))]
    assert np.isfinite(problem.X).all()


def test_a_channel_is_set_beside_its_delays() -> None:
    X = np.arange(20.0).reshape(2, 1, 10)
    delayed = series.with_delays(X)
    assert delayed.shape == (2, 8, 3)
    assert delayed[1].tolist() == [[10 + k, 11 + k, 12 + k] for k in range(8)]
    assert series.with_delays(np.zeros((2, 3, 10))).shape == (2, 3, 10)


# The models.


def mixed_table(regression: bool) -> fits.Problem:
    """Text and numbers that tell the target, with missing cells and a word that only the test part has."""
    generator = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = pd.DataFrame({"number": y + 0.1 * generator.normal(size=120), "noise": generator.normal(size=120)})
    X["word"] = pd.Series(np.where(y, "yes", "no"), dtype=object)
    X.loc[3:5, "number"] = np.nan
    X.loc[6:8, "word"] = np.nan
    X.loc[119, "word"] = "never seen"
    rows = np.arange(120)
    return fits.Problem(X, y.astype(float) if regression else y, regression, [(rows[:90], rows[90:])])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("regression", [False, True], ids=["classes", "numbers"])
@pytest.mark.parametrize("name", tables.PEERS)
def test_a_peer_fits_a_mixed_table(name: str, regression: bool) -> None:
    model = tables.PEERS[name]
    skip_without(model.package)
    line = fits.measure(model, mixed_table(regression), 0, seed=0)
    assert line["score"] > 0.8
    assert line["fit_cpu"] > 0
    assert ("mae" in line) == regression
    assert ("logloss" in line) != regression


@pytest.mark.slow
@pytest.mark.parametrize("regression", [False, True], ids=["classes", "numbers"])
def test_the_library_fits_a_mixed_table(regression: bool) -> None:
    line = fits.measure(tables.library(QUICK), mixed_table(regression), 0, seed=0)
    assert np.isfinite(line["score"])


@pytest.mark.slow
@pytest.mark.parametrize("name", series.PEERS)
def test_a_peer_fits_series(name: str, tmp_path: Path) -> None:
    model = series.PEERS[name]
    skip_without(model.package)
    # In Python it takes less time than compiling, and numba must be told before it is imported.
    ended = start(print_series_fit, name, cwd=tmp_path, NUMBA_DISABLE_JIT=1).wait()
    assert ended.returncode == 0, ended.stderr
    line = json.loads(ended.stdout.splitlines()[-1])
    assert line["score"] > 0.8
    assert ("logloss" in line) == model.probabilities


@pytest.mark.slow
def test_the_library_fits_series() -> None:
    line = fits.measure(series.library(QUICK), waves(), 0, seed=0)
    assert np.isfinite(line["score"])
    assert "logloss" in line


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*tables.PEERS, *series.PEERS])
def test_a_peer_has_the_seed_and_one_thread(name: str) -> None:
    model = (tables.PEERS | series.PEERS)[name]
    skip_without(model.package)
    arguments = model.build(mixed_table(False).X, False, 7).get_params()
    seeds = {arguments[key] for key in arguments if key.endswith(("random_state", "random_seed"))} - {None}
    threads = {arguments[key] for key in arguments if key.endswith(("n_jobs", "thread_count"))} - {None}
    assert seeds == ({7} if model.seeded else set())
    assert threads == (
        {1} if name in ("RandomForest", "LightGBM", "CatBoost") or model.package == "aeon" else set()
    )


def test_the_library_gets_steps_before_channels() -> None:
    first = series.library({}).build(waves().X, False, 0)[0]
    assert first.transform(np.zeros((5, 3, 32))).shape == (5, 32, 3)


def test_categories_are_those_of_the_training_part() -> None:
    train = pd.DataFrame({"a": ["y", "x", np.nan], "b": [1.0, 2.0, 3.0]}, dtype=object).astype({"b": float})
    test = train.assign(a=pd.Series(["x", "z", np.nan], dtype=object))
    found = Categories().fit(train).transform(test)
    assert [*found["a"].cat.codes] == [0, -1, -1]
    assert [*found["a"].cat.categories] == ["x", "y"]
    assert found["b"].dtype == float


# Fits and their lines.


class Recorder:
    """Guesses class 0 and keeps what it was fitted on."""

    fitted: list[Any]
    threads: set[int]

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: Any, y: Any) -> None:
        Recorder.threads.add(torch.get_num_threads())
        Recorder.fitted.append((self.seed, [*X["x"]], [*y]))
        if self.seed == 13:
            raise RuntimeError("no luck")

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.tile([0.75, 0.25], (len(X), 1))


def ten_rows() -> fits.Problem:
    rows = np.arange(10)
    folds = [(rows[5:], rows[:5]), (rows[:5], rows[5:])]
    return fits.Problem(pd.DataFrame({"x": rows}), rows % 2, False, folds)


def absent() -> fits.Problem:
    raise AbsentError("nowhere is not installed: pip install nowhere")


@pytest.fixture
def suite() -> fits.Suite:
    Recorder.fitted = []
    Recorder.threads = set()

    def recorder(_options: dict[str, Any]) -> fits.Model:
        return fits.Model(lambda _X, _regression, seed: Recorder(seed))

    peers = {"peer": recorder({}), "once": fits.Model(recorder({}).build, seeded=False)}
    peers["away"] = fits.Model(recorder({}).build, package="nowhere")
    sets = {"ten": ten_rows, "absent": absent}
    return fits.Suite("few", sets, {"other": ten_rows}, peers, recorder, folds=2)


def lines_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return [*csv.DictReader(text)]


def test_what_is_in_the_file_is_not_run_again(suite: fits.Suite, tmp_path: Path) -> None:
    file = tmp_path / "new" / "few.csv"
    words = ["--models", "peer", "--output", str(file)]
    assert fits.main(suite, None, [*words, "--seeds", "1", "--folds", "0"]) == 0
    assert [(one["set"], one["model"], one["seed"], one["fold"]) for one in lines_of(file)] == [
        ("ten", "peer", "1", "0")
    ]
    Recorder.fitted.clear()
    assert fits.main(suite, None, [*words, "--seeds", "1", "2"]) == 0
    fitted = [seed for seed, rows, _ in Recorder.fitted[1:]]  # the first is the warm-up
    assert fitted == [1, 2, 2]
    done = [(one["seed"], one["fold"]) for one in lines_of(file)]
    assert done == [("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")]
    Recorder.fitted.clear()
    assert fits.main(suite, None, [*words, "--seeds", "1", "2"]) == 0
    assert not Recorder.fitted


def test_a_line_has_the_scores_and_seconds_of_one_fit(suite: fits.Suite, tmp_path: Path) -> None:
    fits.main(suite, None, ["--models", "peer", "--seeds", "1", "--output", str(tmp_path / "few.csv")])
    first, second = lines_of(tmp_path / "few.csv")
    assert (float(first["score"]), float(second["score"])) == (0.6, 0.4)
    assert float(first["logloss"]) == pytest.approx(-(3 * np.log(0.75) + 2 * np.log(0.25)) / 5, rel=1e-5)
    assert float(first["overconfidence"]) == pytest.approx(0.15)
    assert float(first["fit_cpu"]) >= 0
    assert first["mae"] == ""
    assert first["version"].startswith("sklearn 1.")


def test_a_model_is_fitted_on_the_training_part_of_its_fold(suite: fits.Suite, tmp_path: Path) -> None:
    fits.main(suite, None, ["--models", "peer", "--seeds", "1", "--output", str(tmp_path / "few.csv")])
    assert Recorder.fitted[1:] == [
        (1, [5, 6, 7, 8, 9], [1, 0, 1, 0, 1]),
        (1, [0, 1, 2, 3, 4], [0, 1, 0, 1, 0]),
    ]
    assert {*Recorder.fitted[0][1]} == {5, 6, 7, 8, 9}  # the warm-up


def test_one_seed_is_enough_for_a_model_without_one(suite: fits.Suite, tmp_path: Path) -> None:
    fits.main(suite, None, ["--models", "once", "peer", "--output", str(tmp_path / "few.csv")])
    assert Counter(one["model"] for one in lines_of(tmp_path / "few.csv")) == {"once": 2, "peer": 6}


def test_what_is_not_installed_is_left_out(
    suite: fits.Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fits.main(suite, None, ["--models", "away", "peer", "--output", str(tmp_path / "few.csv")]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "away is left out: nowhere is not installed: pip install -c constraints.txt -e '.[bench]'",
        "absent is left out: nowhere is not installed: pip install nowhere",
    ]
    assert {one["model"] for one in lines_of(tmp_path / "few.csv")} == {"peer"}


def test_a_failed_fit_has_no_line_and_does_not_stop_the_others(
    suite: fits.Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--models", "peer", "--folds", "0", "--seeds", "13", "1", "--output", str(tmp_path / "few.csv")]
    assert fits.main(suite, None, words) == 1
    assert "FAILED: ten, peer, 13, 0: RuntimeError('no luck')" in capsys.readouterr().err
    assert [one["seed"] for one in lines_of(tmp_path / "few.csv")] == ["1"]


def test_variants_with_options_have_names_of_their_own(suite: fits.Suite, tmp_path: Path) -> None:
    words = ["--models", "peer", "lphm", "none", "--option", "epochs=3", "--option", "kind=both"]
    fits.main(suite, None, [*words, "--seeds", "0", "--folds", "0", "--output", str(tmp_path / "few.csv")])
    assert [one["model"] for one in lines_of(tmp_path / "few.csv")] == [
        "peer",
        "lphm epochs=3 kind=both",
        "none epochs=3 kind=both",
    ]
    assert fits.is_ours("lphm epochs=3 kind=both")
    assert not fits.is_ours("peer")


def test_the_arguments_of_a_variant_and_the_options_reach_the_estimator() -> None:
    built = tables.SUITE.models({"epochs": 3})["none epochs=3"].build(None, True, 7)
    assert (built.kind, built.epochs, built.random_state, built.threads) == ("none", 3, 7, 1)


@pytest.mark.parametrize(
    ("words", "sets"),
    [
        ([], ["ten", "absent"]),
        (["--development"], ["ten", "absent"]),
        (["--reporting"], ["other"]),
        (["--development", "--reporting"], ["ten", "absent", "other"]),
        (["--sets", "other", "ten"], ["other", "ten"]),
    ],
)
def test_the_sets_of_the_arguments(suite: fits.Suite, words: list[str], sets: list[str]) -> None:
    assert [*fits.chosen_sets(suite, fits.parser(suite, None).parse_args(words))] == sets


def test_a_file_with_other_columns_is_refused(
    suite: fits.Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="2"):
        fits.main(suite, None, ["--output", str(file)])
    assert f"--output: {file} must have the columns set, model, seed" in capsys.readouterr().err
    assert file.read_text() == "a,b\n1,2\n"


def test_fits_have_one_thread(suite: fits.Suite, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    fits.main(suite, None, ["--models", "peer", "--output", str(tmp_path / "few.csv")])
    assert Recorder.threads == {1}
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# Scores.


def test_the_calibration_error_by_hand() -> None:
    # Four samples of confidence .9, three of them right; two of .6, one of them right.
    p = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 2)
    y = np.array([0, 0, 0, 1, 1, 0])
    error, direction = calibration(y, p)
    assert error == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert direction == pytest.approx((4 * 0.9 + 2 * 0.6) / 6 - 4 / 6)
    modest = calibration(np.zeros(4, int), np.array([[0.7, 0.3]] * 4))
    assert modest == pytest.approx((0.3, -0.3))
    assert calibration(np.zeros(2, int), np.array([[1.0, 0.0]] * 2)) == (0, 0)


def test_gaps_of_one_bin_cancel_and_those_of_two_bins_do_not() -> None:
    p = np.array([[0.81, 0.19], [0.85, 0.15]])  # both in the bin from .8 to .867
    assert calibration(np.array([1, 0]), p)[0] == pytest.approx(abs((0.81 + 0.85) / 2 - 0.5))
    apart = np.array([[0.81, 0.19], [0.89, 0.11]])  # one of 15 bins begins at .867
    assert calibration(np.array([1, 0]), apart)[0] == pytest.approx((0.81 + 0.11) / 2)


def test_class_scores_by_hand() -> None:
    scores = class_scores(np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [0.0, 1.0]]))
    assert scores["score"] == pytest.approx(2 / 3)
    assert scores["auc"] == 1
    assert scores["logloss"] == pytest.approx(-(np.log(0.8) + np.log(0.4)) / 3)
    three = class_scores(np.array([2, 0, 1]), np.full((3, 3), 1 / 3, dtype=np.float32))
    assert three["logloss"] == pytest.approx(np.log(3))
    assert "auc" not in three


def test_a_right_class_of_probability_0_costs_no_infinity() -> None:
    scores = class_scores(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert scores["logloss"] == pytest.approx(-np.log(1e-12) / 2)


def test_regression_scores_by_hand() -> None:
    scores = regression_scores(np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0]))
    assert scores == pytest.approx({"score": 1 - 1 / 8, "mae": 1 / 3})


# Ranks.

FIGURES = pd.DataFrame({"a": [0.9, 0.8, 0.7], "b": [0.9, 0.6, 0.8], "c": [0.1, 0.7, 0.6]})


def test_mean_ranks_by_hand() -> None:
    higher = ranks.mean_ranks(FIGURES, higher_is_better=True)
    assert [*higher.index] == ["a", "b", "c"]
    assert [*higher] == pytest.approx([(1.5 + 1 + 2) / 3, (1.5 + 3 + 1) / 3, (3 + 2 + 3) / 3])
    lower = ranks.mean_ranks(FIGURES, higher_is_better=False)
    assert [*lower.index] == ["c", "b", "a"]
    assert lower["a"] == pytest.approx((2.5 + 3 + 2) / 3)


def test_holm_by_hand() -> None:
    assert ranks.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert ranks.holm([0.04, 0.01, 0.02, 0.9]) == pytest.approx([0.08, 0.04, 0.06, 0.9])
    assert ranks.holm([0.6, 0.7]) == [1, 1]
    assert ranks.holm([]) == []


def test_pairs_are_compared_by_wilcoxon() -> None:
    better = pd.DataFrame({"a": np.arange(6.0), "b": np.arange(6.0)})
    better["c"] = better["a"] + np.arange(1, 7) / 100  # above a and b on all six: p = 2 / 2**6
    p = ranks.compare(better)
    assert p[frozenset("ab")] == 1
    assert p[frozenset("ac")] == p[frozenset("bc")] == pytest.approx(3 * 2 / 2**6)


def test_models_that_do_not_differ_are_joined() -> None:
    differ = {frozenset(pair) for pair in ("ac", "ad", "bd")}
    p = {frozenset((a, b)): 0.01 if {a, b} in differ else 0.5 for a in "abcd" for b in "abcd" if a != b}
    assert ranks.cliques([*"abcd"], p) == [(0, 1), (1, 2), (2, 3)]
    assert ranks.cliques([*"abc"], dict.fromkeys(p, 0.5)) == [(0, 2)]
    assert ranks.cliques([*"abc"], dict.fromkeys(p, 0.01)) == []


# The report.


def csv_of(rows: list[tuple[str, str, int, int, float, float]]) -> pd.DataFrame:
    """Lines with a score, a log-loss and fixed other figures."""
    columns = ["set", "model", "seed", "fold", "score", "logloss"]
    fixed = {"auc": 0.5, "calibration_error": 0.1, "overconfidence": -0.05, "mae": np.nan}
    seconds = {"fit_cpu": 1.5, "predict_cpu": 0.25, "version": "package 1.0"}
    return pd.DataFrame(rows, columns=columns).assign(**fixed, **seconds)


LINES = csv_of(
    [
        ("heart", "CatBoost", 0, 0, 0.9, 0.3),
        ("heart", "CatBoost", 1, 0, 0.8, 0.5),
        ("heart", "CatBoost", 0, 1, 0.5, 0.9),  # a fold that lphm does not have
        ("heart", "lphm", 0, 0, 0.8, 0.5),
        ("pima", "CatBoost", 0, 0, 0.75, 0.5),
        ("pima", "lphm", 0, 0, 0.5, 0.625),
        ("german", "lphm", 0, 0, 0.7, 0.5),
    ]
)


def test_means_are_over_seeds_and_the_folds_that_all_models_have() -> None:
    found = report.means(LINES)
    assert found.loc[("heart", "CatBoost"), "score"] == pytest.approx(0.85)
    assert found.loc[("heart", "lphm"), "score"] == pytest.approx(0.8)
    assert len(found) == 5


def test_means_weigh_every_fold_alike() -> None:
    fitted = [(0, 0), (1, 0), (2, 0), (0, 1)]  # seed and fold
    lines = csv_of([("heart", "lphm", seed, fold, fold, 0) for seed, fold in fitted])
    assert report.means(lines).loc[("heart", "lphm"), "score"] == 0.5


def test_the_report_shows_losses_ranks_and_seconds() -> None:
    text = report.report(LINES)
    development, reporting = text.split("## tables, reporting")
    assert "## tables, development" in development
    assert "| german | **0.700**, 1.75 s |" in development
    assert "two sets at least are needed" in development
    assert "| set | CatBoost | lphm |" in reporting
    assert "| pima | **0.750**, 1.75 s | 0.500 (-0.250), 1.75 s |" in reporting
    assert "| heart | **0.850**, 1.75 s | 0.800 (-0.050), 1.75 s |" in reporting
    assert "| heart | **0.400** | 0.500 (+0.100) |" in reporting
    assert "| pima | **0.500** | 0.625 (+0.125) |" in reporting
    assert "| heart | 0.100 (-0.050) | 0.100 (-0.050) |" in reporting
    assert "lphm better, equal, worse" in reporting
    assert "| CatBoost | 1.00 | 1.00 | 0.800 | 1.75 s | 0, 0, 2 | 0.500 |" in reporting
    assert "| lphm | 2.00 | 2.00 | 0.650 | 1.75 s |  |  |" in reporting
    assert "Seeds: 0, 1." in reporting
    assert "- lphm: package 1.0" in reporting
    assert reporting.index("| pima") < reporting.index("| heart")  # the order of the suite


def test_sets_that_not_every_model_has_are_named_and_not_ranked() -> None:
    more = csv_of([("ring", "CatBoost", 0, 0, 0.1, 0.9), ("ring", "lphm", 0, 1, 0.1, 0.9)])
    more = pd.concat([more, csv_of([("spambase", "CatBoost", 0, 0, 0.1, 0.9)])])
    text = report.report(pd.concat([LINES, more]))
    assert "left out: spambase" in text
    assert "| spambase | **0.100**, 1.75 s |  |" in text
    assert "| CatBoost | 1.00 | 1.00 | 0.800 |" in text  # as without spambase
    assert "Left out, without a fold that all their models have: ring." in text


def test_models_without_probabilities_have_no_rank_by_log_loss() -> None:
    rows = [(name, "MiniRocket", 0, 0, 0.9, np.nan) for name in ("GunPoint", "OSULeaf")]
    rows += [(name, model, 0, 0, 0.8, 0.5) for name in ("GunPoint", "OSULeaf") for model in ("lphm", "none")]
    text = report.report(csv_of(rows))
    assert "| MiniRocket | 1.00 |  | 0.900 |" in text
    assert "| lphm | 2.50 | 1.50 | 0.800 |" in text


def test_differences_are_of_pairs_and_their_errors_of_folds() -> None:
    steps = {0: (0.1, 0.3), 1: (0.4,), 2: (0.6,)}  # of each fold, those of its seeds
    rows = []
    for fold, seeds in steps.items():
        for seed, step in enumerate(seeds):
            rows += [
                ("pima", "lphm", seed, fold, 0.3 * fold, 0.5),
                ("pima", "none", seed, fold, 0.3 * fold + step, 0.5),
            ]
    rows += [("pima", "none", 5, 0, 100.0, 100.0), ("heart", "lphm", 0, 0, 0.0, 0.0)]  # no pair
    found = report.differences(csv_of(rows))
    assert [*found] == ["none - lphm, accuracy or R²", "none - lphm, log-loss"]
    score = found["none - lphm, accuracy or R²"]
    assert [*score.index] == ["pima"]
    assert score.loc["pima", "mean"] == pytest.approx(0.4)  # of 0.2, 0.4 and 0.6
    assert score.loc["pima", "sem"] == pytest.approx(0.2 / 3**0.5)
    assert [*found["none - lphm, log-loss"].loc["pima"]] == [0, 0]


def test_the_report_marks_differences_beyond_two_standard_errors() -> None:
    rows = []
    for fold, step in enumerate((0.1, 0.4)):  # 0.25 ± 0.15, which is not beyond
        rows += [
            ("pima", "lphm", 0, fold, 0.5, 0.5),
            ("pima", "none", 0, fold, 0.5 + step, 0.5 - step - 0.1),
        ]
    rows += [("Wage", model, 0, 0, score, np.nan) for model, score in (("lphm", 0.5), ("none", 0.25))]
    rows += [("sonar", model, 0, 0, 0.5, 0.5) for model in ("lphm", "none")]
    text = report.report(csv_of(rows)).split("## tables, in all")[1]
    assert "| set | none - lphm, accuracy or R² | none - lphm, log-loss |" in text
    assert "| Wage | -0.2500 |  |\n| sonar | +0.0000 | +0.0000 |\n" in text
    assert "| pima | +0.2500 ± 0.1500 | -0.3500 ± 0.1500 * |" in text
    assert "| all | 1 above, 1 below | 0 above, 1 below |" in text
    assert "| beyond two standard errors | 0 above, 0 below | 0 above, 1 below |" in text
    assert "heart" not in text
    assert "differences" not in report.report(LINES[LINES["model"] == "CatBoost"])


def test_the_report_adds_the_seconds_up_on_the_sets_that_every_model_has() -> None:
    more = csv_of([("ring", "CatBoost", 0, 0, 0.1, 0.9)])  # lphm does not have it
    more = pd.concat([LINES[LINES["set"] != "german"], more], ignore_index=True)
    more.loc[(more["model"] == "CatBoost") & (more["seed"] == 1), "fit_cpu"] = 2.5  # the mean of heart: 2
    text = report.report(more).split("## tables, in all")[1]
    assert "one fit of each of the 2 sets that every model has" in text
    assert "| model | fit_cpu | predict_cpu |" in text
    assert "| CatBoost | 3.50 s | 0.50 s |" in text
    assert "| lphm | 3.00 s | 0.50 s |" in text


def test_the_command_writes_the_report_and_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    LINES.to_csv(tmp_path / "a.csv", index=False)
    out = tmp_path / "out"
    assert report.main([str(tmp_path / "a.csv"), "--output", str(out)]) == 0
    assert capsys.readouterr().out == (out / "accuracy.md").read_text()
    pictures = ["tables_reporting_logloss.png", "tables_reporting_score.png"]
    assert sorted(path.name for path in out.iterdir()) == ["accuracy.md", *pictures]
    for name in pictures:
        assert (out / name).read_bytes().startswith(b"\x89PNG")


def test_a_report_can_be_of_some_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LINES.to_csv(tmp_path / "a.csv", index=False)
    assert report.main([str(tmp_path / "a.csv"), "--models", "CatBoost", "--sets", "heart"]) == 0
    text = capsys.readouterr().out
    assert "| set | CatBoost |" in text
    assert "pima" not in text
    assert "| heart | **0.675**, 1.75 s |" in text  # both folds, as no other model is asked for
