"""The estimators: scikit-learn's own checks, and what a user does with them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from lphm.errors import InputError
from lphm.estimators import LPHMClassifier, LPHMRegressor, verbose
from lphm.nn.network import interdependence_parameters
from support.lagged import lagged_series

QUICK = {"members": 1, "epochs": 20, "width": 8, "channels": 2, "learning_rate": 0.02, "random_state": 0}
#: What scikit-learn expects and a network trained in batches does not do.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a weight of 2 is not a sample in two batches",
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("cls", [LPHMClassifier, LPHMRegressor])
def test_scikit_learns_own_checks(cls: type) -> None:
    quickest = {**QUICK, "epochs": 8, "learning_rate": 0.05}
    results = check_estimator(cls(**quickest), expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert {r["check_name"] for r in results if r["status"] == "xfail"} == set(EXPECTED)
    assert sum(r["status"] == "passed" for r in results) > 45


def test_a_seed_repeats_a_fit_bit_for_bit_and_another_does_not() -> None:
    X, y = load_iris(return_X_y=True)
    first, again, other = (
        LPHMClassifier(**{**QUICK, "random_state": seed, "epochs": 2}).fit(X, y).predict_proba(X)
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert not np.allclose(first, other)


@pytest.mark.parametrize("columns", [1, 4, 13])
@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("cls", [LPHMClassifier, LPHMRegressor])
def test_a_sample_gets_the_same_answer_bit_for_bit(cls: type, columns: int, members: int) -> None:
    X, y = load_wine(return_X_y=True)
    X = X[:, :columns]
    model = cls(**{**QUICK, "members": members, "epochs": 3, "kind": "both"}).fit(X, y)
    answers = [model.predict, model.predict_proba] if cls is LPHMClassifier else [model.predict]
    order = np.random.default_rng(0).permutation(len(X))
    for answer in answers:
        every = answer(X)
        assert len(np.unique(every, axis=0)) > 1
        assert np.array_equal(answer(X[order]), every[order])
        assert np.array_equal(answer(X[50:57]), every[50:57])
        assert np.array_equal(answer(np.repeat(X[3:4], 1100, axis=0)), np.repeat(every[3:4], 1100, axis=0))
        for i in (0, 100, 177):
            assert np.array_equal(answer(X[i : i + 1]), every[i : i + 1])


def test_save_and_load(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = LPHMClassifier(**QUICK).fit(X, names)
    model.save(tmp_path / "model")
    back = LPHMClassifier.load(tmp_path / "model")
    assert (back.predict_proba(X) == model.predict_proba(X)).all()
    assert list(back.predict(X[:3])) == list(model.predict(X[:3]))
    assert back.get_params() == model.get_params()
    assert list(back.feature_names_in_) == list(X.columns)
    with pytest.raises(
        InputError, match=r"must hold a regressor, got a classifier; use LPHMClassifier\.load$"
    ):
        LPHMRegressor.load(tmp_path / "model")


def test_an_interdependence_matrix_with_names_has_the_features_and_no_row_that_fills_up() -> None:
    X, y = load_wine(return_X_y=True, as_frame=True)
    model = LPHMClassifier(**QUICK, kind="instance").fit(X, y)
    some = X.iloc[[7, 3]]
    xi = model.interdependence_matrix(some)
    assert xi.shape == (2, 13, 13)  # the network has 16 rows
    frame = model.interdependence_matrix(some, names=True)
    assert list(frame.columns) == list(X.columns)
    assert frame.index.names == ["sample", "input"]
    for place, sample in enumerate(some.index):
        assert np.array_equal(frame.loc[sample].to_numpy(), xi[place])
        assert list(frame.loc[sample].index) == list(X.columns)
    arrays = LPHMClassifier(**QUICK, kind="instance").fit(X.to_numpy(), y)
    numbered = arrays.interdependence_matrix(some.to_numpy(), names=True)
    assert list(numbered.index.unique("sample")) == [0, 1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    X = np.random.default_rng(0).standard_normal((30, 2))
    folder = tmp_path_factory.mktemp("saved") / "model"
    LPHMClassifier(**QUICK).fit(X, X[:, 0] > 0).save(folder)
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": 3},
        {"attributes": {}},
        {"parameters": [1]},
        {"parameters": {"nothing": 1}},
        {"classes_dtype": "words"},
        {"classes_dtype": 3},
        {"feature_names": 3},
        {"history": None},
        {"parameters": None},
    ],
    ids=str,
)
def test_a_saved_estimator_with_damaged_parameters_is_one_error(
    saved: Path, change: dict[str, object], tmp_path: Path
) -> None:
    shutil.copytree(saved, tmp_path / "model")
    file = tmp_path / "model" / "metrics.json"
    content = json.loads(file.read_text()) | change
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(InputError, match=r"model must hold metrics\.json as it was written, got "):
        LPHMClassifier.load(tmp_path / "model")


def test_a_saved_estimator_replaces_no_method(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "model")
    file = tmp_path / "model" / "metrics.json"
    content = json.loads(file.read_text())
    content["attributes"] |= {"predict": 1, "run_": 2}
    file.write_text(json.dumps(content))
    assert len(LPHMClassifier.load(tmp_path / "model").predict(np.zeros((3, 2)))) == 3


def test_pipeline_grid_search_and_cross_validation() -> None:
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LPHMClassifier(**QUICK))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    grid = {"lphmclassifier__structure": ["lphm", "full"], "lphmclassifier__kind": ["both", "none"]}
    search = GridSearchCV(clone(pipeline), grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.9
    assert set(search.best_params_) == set(grid)


def test_categories_and_missing_values_of_a_data_frame() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kind": rng.choice(["a", "b"], 200), "x": rng.standard_normal(200)})
    y = np.where(frame["kind"] == "a", 1, 0)
    frame.loc[::5, "x"] = np.nan
    model = LPHMClassifier(**QUICK).fit(frame, y)
    assert model.score(frame, y) == 1.0
    assert list(model.feature_names_in_) == ["kind", "x"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"x": "z"}))


def test_class_weight_and_sample_weight() -> None:
    X, y = load_iris(return_X_y=True)
    rare = np.r_[0:50, 50:55, 100:150]
    quick = {**QUICK, "early_stopping": False}
    weighted = LPHMClassifier(**quick, class_weight={0: 1.0, 1: 0.0, 2: 1.0}).fit(X[rare], y[rare])
    assert 1 not in weighted.predict(X)
    assert (
        LPHMClassifier(**quick, class_weight="balanced").fit(X[rare], y[rare]).predict(X) == 1
    ).sum() >= 40
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        LPHMClassifier(**QUICK).fit(X, y, sample_weight=-np.ones(150))


def test_warm_start_goes_on_and_early_stopping_stops() -> None:
    X, y = load_iris(return_X_y=True)
    model = LPHMClassifier(**{**QUICK, "epochs": 3, "warm_start": True}).fit(X, y)
    first = model.history_[0]["train_loss"]
    assert model.fit(X, y).history_[0]["train_loss"] < 0.3 * first
    noise = np.random.default_rng(0).integers(0, 2, 150)
    stopped = LPHMClassifier(**{**QUICK, "epochs": 100, "early_stopping": True, "patience": 3}).fit(X, noise)
    assert stopped.n_iter_ < 100


def test_interdependence_matrix() -> None:
    X, y = load_iris(return_X_y=True)
    model = LPHMClassifier(**QUICK, kind="both").fit(X, y)
    xi = model.interdependence_matrix(X[:5])
    assert xi.shape == (5, 4, 4)
    np.testing.assert_allclose(xi.sum(axis=1), 1, atol=1e-5)  # softmax over what is looked at
    assert model.interdependence_matrix(X[:5], "attribute").shape == (5, 8, 8)
    assert np.array_equal(model.interdependence_matrix(X[:5], "instance"), xi)
    table = LPHMClassifier(**QUICK).fit(X, y)  # which has the attribute kind alone
    default = table.interdependence_matrix(X[:5])
    assert table.interdependence_matrix(X[:1], names=True).columns[0] == "channel 1"
    assert np.array_equal(table.interdependence_matrix(X[:5], "attribute"), default)
    with pytest.raises(ValueError, match="kind must be one that the network was fitted with, got None"):
        LPHMClassifier(**QUICK, kind="none").fit(X, y).interdependence_matrix(X)
    with pytest.raises(
        ValueError, match="kind must be one that the network was fitted with, got 'attribute'"
    ):
        LPHMClassifier(**QUICK, kind="instance").fit(X, y).interdependence_matrix(X, "attribute")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "rows"}, "kind must be one of 'attribute', 'instance', 'both', 'none', got 'rows'"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1 and at most 2147483647, got 0"),
        ({"epochs": "3"}, "epochs must be a whole number of at least 1 and at most 2147483647, got '3'"),
        ({"dropout": 1.0}, "dropout must be a number of at least 0 and below 1, got 1.0"),
        ({"structure": "dense"}, "structure must be one of 'lphm', 'full', .*, got 'dense'"),
        ({"time_limit": 0}, "time_limit must be a number above 0, got 0"),
        ({"precision": "16"}, "precision must be one of '32-true', 'bf16-mixed', got '16'"),
        ({"validation": 0.0}, "validation must be a number above 0 and below 1, got 0.0"),
        ({"random_state": -1}, "seed must be a whole number of at least 0 and at most 2147483647, got -1"),
    ],
)
def test_what_is_no_valid_choice_is_refused_at_fit(arguments: dict, message: str) -> None:
    X, y = load_iris(return_X_y=True)
    model = LPHMClassifier(**{**QUICK, **arguments})  # as scikit-learn asks, the constructor checks nothing
    assert model.get_params() == LPHMClassifier(**QUICK).get_params() | arguments
    with pytest.raises(InputError, match=f"^{message}$"):
        model.fit(X, y)
    with pytest.raises(InputError, match=f"^{message}$"):
        LPHMRegressor(**QUICK).set_params(**arguments).fit(X, y)


def test_numbers_of_numpy_are_numbers() -> None:
    X, y = load_iris(return_X_y=True)
    numbers = {"epochs": np.int64(2), "learning_rate": np.float32(0.5), "members": np.int32(1)}
    model = LPHMClassifier(**{**QUICK, **numbers, "random_state": np.int64(3)}).fit(X, y)
    assert model.n_iter_ == 2


def test_verbose_prints_a_line_for_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = load_iris(return_X_y=True)
    LPHMClassifier(**{**QUICK, "epochs": 3}).fit(X, y)
    assert capsys.readouterr().err == ""
    LPHMClassifier(**{**QUICK, "epochs": 3, "verbose": True}).fit(X, y)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"training: epoch {i} of 3" for i in (1, 2, 3)]


def test_verbose_says_once_how_long_a_fit_will_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbose, "ESTIMATED_AFTER", 0.0)
    X, y = load_iris(return_X_y=True)
    LPHMClassifier(**{**QUICK, "epochs": 2, "batch_size": 50, "verbose": 1}).fit(X, y)
    first, *lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"training: about \d+ seconds left after 2 of 6 steps", first)
    assert [line.split("  ")[0] for line in lines] == [f"training: epoch {i} of 2" for i in (1, 2)]


def test_series_of_three_dimensions() -> None:
    X, y = lagged_series(40, seed=0)
    model = LPHMClassifier(**{**QUICK, "epochs": 2}).fit(X, y)
    assert model.predict_proba(X).shape == (40, 2)
    assert model.interdependence_matrix(X, "attribute").shape == (40, 4, 4)
    assert model.interdependence_matrix(X, "instance").shape == (40, 64, 64)
    with pytest.raises(InputError, match=r"series must be \(N, 64 steps or fewer, 4 channels\), got"):
        model.predict(X[:, :, :3])


def test_a_lagged_covariance_is_found_by_interdependence_alone() -> None:
    """Who leads whom: means, variances, spectra and the covariance at lag 0 are those of the other class."""
    X, y = lagged_series(600, seed=1)
    held_out, truth = lagged_series(1000, seed=2)
    found = {
        name: LPHMClassifier(random_state=0, **options).fit(X, y)
        for name, options in (("lphm", {"kind": "attribute", "channels": 4}), ("none", {"kind": "none"}))
    }
    scores = {name: model.score(held_out, truth) for name, model in found.items()}
    assert scores["lphm"] >= 0.95
    assert abs(scores["none"] - 0.5) < 0.06
    own = interdependence_parameters(found["lphm"].run_.network)
    assert 20 * own <= 4 * 4 * 2 * 64**2  # members, channels, block and readout; Full has n² each
