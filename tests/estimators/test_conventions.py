"""What users of scikit-learn expect of the types of parameters and labels, and of frames and arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from lphm.estimators import LPHMClassifier, LPHMRegressor

X, Y = load_iris(return_X_y=True)
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])
QUICK: dict[str, Any] = {"members": 1, "epochs": 2, "width": 8, "random_state": 0}


def saved_and_loaded(model: LPHMClassifier, folder: Path) -> LPHMClassifier:
    model.save(folder / "model")
    return LPHMClassifier.load(folder / "model")


# Parameters.


def test_the_repr_is_that_of_scikit_learn() -> None:
    assert repr(LPHMClassifier(random_state=0, members=1)) == "LPHMClassifier(members=1, random_state=0)"
    assert repr(LPHMRegressor(r=2, verbose=1)) == "LPHMRegressor(r=2, verbose=1)"
    assert repr(LPHMClassifier()) == "LPHMClassifier()"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", np.int64(2)),
        ("p", np.int32(2)),
        ("budget", np.int64(40)),
        ("weight_decay", np.float32(0.25)),
        ("early_stopping", np.True_),
        ("random_state", np.int64(3)),
        ("structure", np.str_("lphm")),
    ],
)
def test_parameters_of_numpy_are_saved_as_those_of_python(name: str, value: Any, tmp_path: Path) -> None:
    model = LPHMClassifier(**{**QUICK, name: value}).fit(X, Y)
    plain = LPHMClassifier(**{**QUICK, name: value.item()}).fit(X, Y)
    back = saved_and_loaded(model, tmp_path)
    assert np.array_equal(back.predict_proba(X), plain.predict_proba(X))
    assert back.get_params() == plain.get_params()
    assert type(back.get_params()[name]) is type(value.item())


def test_the_best_of_a_grid_over_a_range_is_saved(tmp_path: Path) -> None:
    search = GridSearchCV(LPHMClassifier(**QUICK), {"r": np.arange(1, 3)}, cv=2).fit(X, Y)
    back = saved_and_loaded(search.best_estimator_, tmp_path)
    assert np.array_equal(back.predict(X), search.predict(X))


@pytest.mark.parametrize("key", [int, np.int64, float])
def test_class_weights_keep_their_keys(key: type, tmp_path: Path) -> None:
    weights = {key(0): 1.0, key(1): np.float64(2.0), key(2): 0.5}
    model = LPHMClassifier(**QUICK, class_weight=weights).fit(X, Y)
    back = saved_and_loaded(model, tmp_path)
    assert back.class_weight == weights
    assert np.array_equal(back.fit(X, Y).predict_proba(X), model.predict_proba(X))


# Labels.


@pytest.mark.parametrize(
    "labels",
    [
        Y.astype(np.int8),
        Y.astype(float),
        Y.astype(np.uint64) + 2**63,
        Y == 1,
        np.array(["10", "9", "-1"])[Y],
        np.array(["10", "9", "-1"], dtype=object)[Y],
        np.array(["2020-01-01", "2021-01-01", "2019-01-01"], dtype="datetime64[D]")[Y],
    ],
    ids=lambda labels: labels.dtype.str,
)
def test_labels_keep_their_type(labels: np.ndarray, tmp_path: Path) -> None:
    model = LPHMClassifier(**QUICK).fit(X, labels)
    back = saved_and_loaded(model, tmp_path)
    for each in (model, back):
        assert each.classes_.dtype == each.predict(X).dtype == labels.dtype
        assert np.array_equal(each.classes_, np.unique(labels))
    assert np.array_equal(back.predict(X), model.predict(X))
    assert back.score(X, labels) == model.score(X, labels) > 0.5


# Frames and arrays.


@pytest.mark.parametrize("loaded", [False, True])
def test_columns_go_by_their_place_where_one_side_has_no_names(loaded: bool, tmp_path: Path) -> None:
    numbered = pd.DataFrame(X)
    expected = LPHMClassifier(**QUICK).fit(X, Y).predict_proba(X)
    for fitted_on in (X, FRAME, numbered):
        model = LPHMClassifier(**QUICK).fit(fitted_on, Y)
        model = saved_and_loaded(model, tmp_path) if loaded else model
        assert np.array_equal(model.predict_proba(fitted_on), expected)
        if fitted_on is FRAME:
            with pytest.warns(UserWarning, match="X does not have valid feature names"):
                assert np.array_equal(model.predict_proba(X), expected)
        else:
            assert np.array_equal(model.predict_proba(X), expected)
            assert np.array_equal(model.predict_proba(numbered), expected)
            with pytest.warns(
                UserWarning, match="X has feature names, but LPHMClassifier was fitted without"
            ):
                assert np.array_equal(model.predict_proba(FRAME), expected)


def test_a_frame_with_other_names_or_another_width_is_refused() -> None:
    model = LPHMClassifier(**QUICK).fit(FRAME, Y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(FRAME[["b", "a", "c", "d"]])
    with (
        pytest.raises(ValueError, match="X has 3 features, but LPHMClassifier is expecting 4"),
        pytest.warns(),
    ):
        model.predict(X[:, :3])


def test_a_frame_with_two_columns_of_one_name_is_refused() -> None:
    frame = FRAME.set_axis(["a", "b", "a", "c"], axis=1)
    with pytest.raises(ValueError, match="X must give every column a name of its own, got 'a' twice"):
        LPHMClassifier(**QUICK).fit(frame, Y)
