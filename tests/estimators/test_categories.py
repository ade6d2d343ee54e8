"""``categorical_features`` of the estimators: what a list, a mask, None and the type of a column mean."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lphm.errors import InputError
from lphm.estimators import LPHMClassifier, LPHMRegressor
from support.zip_codes import zip_codes

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {"members": 1, "epochs": 1, "width": 8, "random_state": 0}
LEARNING: dict[str, Any] = {**QUICK, "epochs": 20, "learning_rate": 0.02}
RNG = np.random.default_rng(0)
PLACE = RNG.integers(0, 3, 120)
Y = PLACE + 0.1 * RNG.standard_normal(120)
FRAME = pd.DataFrame(
    {
        "zip": PLACE + 10115,
        "color": np.array(["red", "blue", "green"])[PLACE],
        "x": RNG.standard_normal(120),
        "flag": PLACE > 1,
        "kind": pd.Series(PLACE, dtype="category"),
    }
)


def categories(model: LPHMRegressor) -> list[str]:
    return [column.name for column in model.run_.config.input.categorical]


def fitted(chosen: Any, X: Any = FRAME, **more: Any) -> LPHMRegressor:
    return LPHMRegressor(**QUICK, categorical_features=chosen, **more).fit(X, Y)


def test_a_zip_code_is_learned_once_it_is_said_to_be_a_category() -> None:
    frame = zip_codes()
    codes, y = frame[["zip", "x"]], frame["y"]
    scores = {}
    for name, X, chosen in (
        ("number", codes, "from_dtype"),
        ("name", codes, ["zip"]),
        ("index", codes.to_numpy(), [0]),
        ("type", codes.astype({"zip": "category"}), "from_dtype"),
        ("letter", codes.assign(zip="D" + codes["zip"].astype(str)), "from_dtype"),
    ):
        model = LPHMRegressor(**LEARNING, categorical_features=chosen).fit(X[:225], y[:225])
        scores[name] = model.score(X[225:], y[225:])
    assert scores.pop("number") < 0.8
    assert min(scores.values()) > 0.95
    assert scores["name"] == scores["index"] == scores["type"]


@pytest.mark.parametrize(
    "chosen",
    [
        ["zip", "color"],
        ("color", "zip"),
        np.array(["zip", "color"]),
        pd.Index(["zip", "color"]),
        [0, 1],
        [1, 0, 1],
        np.array([0, 1], dtype=np.int8),
        range(2),
        [[0, 1]],
        [True, True, False, False, False],
        np.array([True, True, False, False, False]),
        pd.Series([0, 1]),
    ],
    ids=str,
)
def test_every_form_of_the_list_means_the_same_as_in_scikit_learn(chosen: Any) -> None:
    assert categories(fitted(chosen)) == ["zip", "color"]
    theirs = HistGradientBoostingRegressor(max_iter=1, categorical_features=chosen).fit(FRAME, Y)
    assert theirs.is_categorical_.tolist() == [True, True, False, False, False]


def test_without_a_list_the_type_decides_and_with_none_everything_is_a_number() -> None:
    assert categories(fitted("from_dtype")) == ["color", "kind"]
    numbers = FRAME.drop(columns="color")
    for chosen in (None, [], np.array([], dtype=bool)[:0].astype(int)):
        assert categories(fitted(chosen, numbers)) == []
    for chosen in (None, ["zip"]):
        with pytest.raises(
            InputError, match=r"column 'color' must hold numbers, .* got text such as '.*'; list"
        ):
            fitted(chosen)


def test_many_categories_are_taken_from_a_column_that_is_said_to_hold_them() -> None:
    frame = pd.DataFrame({"id": [f"code {place}" for place in [0, *range(119)]], "x": FRAME["x"]})
    with pytest.raises(InputError, match="got text: 119 distinct values in 120 rows"):
        fitted("from_dtype", frame)
    for model in (fitted(["id"], frame), fitted("from_dtype", frame.astype({"id": "category"}))):
        assert len(model.run_.config.input.categorical[0].categories) == 119


def test_truth_is_a_number_unless_it_is_listed() -> None:
    for dtype in ("bool", "boolean", pd.ArrowDtype(pa.bool_())):
        frame = FRAME[["x", "flag"]].astype({"flag": dtype})
        assert categories(fitted("from_dtype", frame)) == []
        assert fitted(["flag"], frame).run_.config.input.categorical[0].categories == ["False", "True"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["nope"], "categorical_features must hold names of columns, got 'nope', not one of zip, color, x,"),
        ([5], "categorical_features must hold indices of at least 0 and below 5, .*, got 5"),
        ([-1], "categorical_features must hold indices of at least 0 and below 5, .*, got -1"),
        ([True], "categorical_features must be a mask with a truth value for each of the 5 columns, got 1"),
        ("zip", "categorical_features must be 'from_dtype', None, or a list of .*, got 'zip'"),
        (0, "categorical_features must be .*, got 0"),
        ([0.5], r"categorical_features must be .*, got \[0.5\]"),
        ([None], r"categorical_features must be .*, got \[None\]"),
        ({"zip"}, "categorical_features must be .*, got {'zip'}"),
        ([[0], [1, 2]], r"categorical_features must be .*, got \[\[0\], \[1, 2\]\]"),
    ],
)
def test_what_lists_no_columns_is_refused_in_one_line(chosen: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        fitted(chosen)
    assert "\n" not in str(caught.value)


def test_arrays_have_no_names_and_series_no_categories() -> None:
    array = FRAME[["zip", "x"]].to_numpy()
    with pytest.raises(
        InputError, match="must hold indices or a mask where the columns have no names, got 'zip'"
    ):
        fitted(["zip"], array)
    series = RNG.standard_normal((120, 4, 2))
    with pytest.raises(
        InputError, match=r"categorical_features must be .*, and no list for series, got \[0\]"
    ):
        fitted([0], series)
    assert fitted(None, series).n_features_in_ == 2


@pytest.mark.parametrize("dtype", [np.int32, np.float64, object, str])
def test_columns_of_an_array_by_their_indices(dtype: type) -> None:
    array = FRAME[["zip", "x", "zip", "kind"]].to_numpy(dtype=dtype)
    model = fitted([0, 3], array)
    assert [column.categories for column in model.run_.config.input.categorical] == [
        ["10115", "10116", "10117"],
        ["0", "1", "2"],
    ]
    assert categories(model) == ["x0", "x3"]
    expected = model.predict(array)
    assert len(np.unique(expected)) > 2
    for other in (array.tolist(), array.astype(object), array.astype(str)):
        assert np.array_equal(model.predict(other), expected)
    with pytest.warns(UserWarning, match="X has feature names"):
        assert np.array_equal(model.predict(pd.DataFrame(array, columns=list("abcd"))), expected)


def test_a_frame_with_text_is_predicted_from_an_array_of_objects() -> None:
    model = fitted("from_dtype")
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        assert np.array_equal(model.predict(FRAME.to_numpy()), model.predict(FRAME))


@pytest.mark.parametrize(
    "dtype",
    ["category", "int64", "float64", "Int64", "object", "str", "string", "int64[pyarrow]", "string[pyarrow]"],
)
def test_a_category_is_predicted_from_a_column_of_any_type(dtype: str) -> None:
    frame = FRAME[["zip", "x"]]
    for fit_dtype in ("category", dtype):
        model = LPHMRegressor(**LEARNING, categorical_features=["zip"]).fit(
            frame.astype({"zip": fit_dtype}), Y
        )
        assert np.array_equal(
            model.predict(frame.astype({"zip": dtype})), model.predict(frame.astype({"zip": "category"}))
        )
        assert model.score(frame.astype({"zip": dtype}), Y) > 0.9


@pytest.mark.parametrize(
    "chosen", [["zip", "color"], [0, 1], None, "from_dtype", (True, True, False, False, False)]
)
def test_the_list_is_cloned_saved_and_loaded(chosen: Any, tmp_path: Path) -> None:
    frame = FRAME if chosen is not None else FRAME.drop(columns="color")
    model = fitted(chosen, frame)
    assert clone(model).get_params() == model.get_params()
    model.save(tmp_path / "m")
    back = LPHMRegressor.load(tmp_path / "m")
    assert back.categorical_features == (list(chosen) if isinstance(chosen, tuple) else chosen)
    assert np.array_equal(back.predict(frame), model.predict(frame))
    assert np.array_equal(back.fit(frame, Y).predict(frame), model.predict(frame))


@pytest.mark.parametrize(
    "chosen", [np.array([0, 1]), [np.int64(0), np.int64(1)], pd.Index(["zip", "color"])], ids=str
)
def test_a_list_of_numpy_or_pandas_is_saved(chosen: Any, tmp_path: Path) -> None:
    fitted(chosen).save(tmp_path / "m")
    back = LPHMRegressor.load(tmp_path / "m")
    assert back.categorical_features == list(chosen)
    assert {type(each) for each in back.categorical_features} <= {int, str}


def test_a_grid_search_chooses_whether_a_code_is_a_category(tmp_path: Path) -> None:
    frame = zip_codes()
    pipeline = make_pipeline(FunctionTransformer(), LPHMRegressor(**LEARNING))
    grid = {"lphmregressor__categorical_features": ["from_dtype", ["zip"], [0]]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(frame[["zip", "x"]], frame["y"])
    assert search.best_params_ == {"lphmregressor__categorical_features": ["zip"]}
    assert search.best_score_ > 0.9
    search.best_estimator_[-1].save(tmp_path / "m")
    assert LPHMRegressor.load(tmp_path / "m").categorical_features == ["zip"]


def test_a_warm_start_keeps_what_the_columns_hold() -> None:
    text = FRAME.assign(zip=np.array(["01", "1", "x"])[PLACE])
    model = LPHMRegressor(**LEARNING, warm_start=True).fit(text[["zip", "x"]], Y)
    schema = model.run_.config.input
    digits = text[["zip", "x"]][PLACE < 2]  # which are numbers where nothing else is there
    before = model.predict(digits)
    model.set_params(epochs=1, learning_rate=1e-9).fit(digits, Y[PLACE < 2])
    assert model.run_.config.input == schema
    np.testing.assert_allclose(model.predict(digits), before, atol=1e-3)
    assert abs(model.history_[-1]["train_loss"]) < 0.1  # both categories are known to it


@pytest.mark.parametrize(
    "dtype", ["Int64", "boolean", "string", "category", "int64[pyarrow]", "bool[pyarrow]"]
)
def test_labels_of_every_type(dtype: str) -> None:
    labels = (
        pd.Series(PLACE > 0).astype(int if "nt" in dtype else bool if "bool" in dtype else str).astype(dtype)
    )
    model = LPHMClassifier(**LEARNING).fit(FRAME, labels)
    assert model.score(FRAME, labels) == 1
    if dtype != "category":
        for missing in (labels.mask(PLACE == 1), labels.astype(object).mask(PLACE == 1, None)):
            with pytest.raises(ValueError, match=r"^Input y contains NaN"):
                model.fit(FRAME, missing)
