"""Estimators of the runs that ``lphm train`` wrote."""

import io
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from lphm import InputError, LPHMClassifier, LPHMRegressor
from lphm.learn.run import save_run
from support.runs import make_run


def houses() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"place": rng.choice(["a", "b", "c"], 60), "area": rng.normal(90, 9, 60), "one": 1})
    frame["price"] = 3 * frame["area"] + 40 * (frame["place"] == "a")
    frame["dear"] = np.where(frame["price"] > frame["price"].median(), "yes", "no")
    return frame


@pytest.mark.slow
def test_a_run_of_a_table_predicts_what_the_command_line_does(tmp_path: Path, succeeding) -> None:
    frame = houses()
    frame.to_csv(tmp_path / "h.csv", index=False)
    short = ("--epochs", 2, "--members", 1, "--quiet", "--seed", 3)
    succeeding("train", "h.csv", "--target", "price", "--drop", "dear", "-o", "number", *short)
    succeeding("train", "h.csv", "--target", "dear", "--drop", "price", "-o", "classes", "--balanced", *short)
    number, classes = (
        pd.read_csv(io.StringIO(succeeding("predict", run, "h.csv", "--quiet")), float_precision="round_trip")
        for run in ("number", "classes")
    )
    model = LPHMRegressor.load(tmp_path / "number")
    assert np.array_equal(model.predict(frame), number["price"])
    shuffled = frame[["dear", "area", "one", "place"]]
    assert np.array_equal(model.predict(shuffled.set_index(frame.index + 5)), number["price"])
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(shuffled), number["price"])
    assert {*model.feature_names_in_} == {"area", "place"}
    assert (model.n_features_in_, model.n_iter_, len(model.history_)) == (2, 2, 2)
    given = model.get_params()
    assert (given["epochs"], given["members"], given["random_state"]) == (2, 1, 3)
    with pytest.raises(
        InputError, match="X lacks the column 'area' of the training; it has 'aera'; rename it"
    ):
        model.predict(frame.rename(columns={"area": "aera"}))
    classifier = LPHMClassifier.load(tmp_path / "classes")
    assert list(classifier.classes_) == ["no", "yes"]
    assert list(classifier.predict(frame)) == list(classes["dear"])
    printed = classes[["probability_no", "probability_yes"]].to_numpy(np.float32)
    assert np.array_equal(classifier.predict_proba(frame), printed)
    assert classifier.class_weight == "balanced"
    classifier.save(tmp_path / "again")
    assert list(LPHMClassifier.load(tmp_path / "again").predict(shuffled)) == list(classes["dear"])
    features = frame[["area", "place"]]
    fitted = clone(model).fit(features, frame["price"])
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame)  # an estimator that was fitted is as strict as scikit-learn's others
    model.fit(features, frame["price"])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame)


@pytest.mark.slow
def test_a_run_of_series_predicts_a_long_table_and_arrays(tmp_path: Path, succeeding) -> None:
    array = np.random.default_rng(0).standard_normal((40, 12, 2))
    y = np.where(array[:, :, 0].mean(axis=1) > 0, "up", "down")
    long = pd.DataFrame(array.reshape(-1, 2), columns=["u", "v"])
    long["id"], long["t"], long["y"] = (
        np.repeat(np.arange(40), 12),
        np.tile(np.arange(12), 40),
        np.repeat(y, 12),
    )
    long.to_csv(tmp_path / "long.csv", index=False)
    for method in ("ridge", "network"):
        more = ("--epochs", 1, "--members", 1) if method == "network" else ()
        named = ("--target", "y", "--series", "id", "--step", "t", "--method", method, *more)
        succeeding("train", "long.csv", *named, "--quiet", "-o", method)
        printed = pd.read_csv(io.StringIO(succeeding("predict", method, "long.csv", "--quiet")))
        model = LPHMClassifier.load(tmp_path / method)
        assert model.n_features_in_ == 2
        assert not hasattr(model, "feature_names_in_")
        backwards = long.iloc[::-1]
        assert list(model.predict(backwards))[::-1] == list(printed["y"])
        assert list(model.predict(array)) == list(printed["y"])


def test_the_wrong_class_names_the_right_one(tmp_path: Path) -> None:
    save_run(make_run(), tmp_path / "run", {})
    with pytest.raises(
        InputError, match=r"run must hold a regressor, got a classifier; use LPHMClassifier\.load$"
    ):
        LPHMRegressor.load(tmp_path / "run")


def test_a_run_without_options_and_history_is_loaded_with_the_defaults(tmp_path: Path) -> None:
    run = make_run()
    target = run.config.target.model_copy(update={"classes": [1, "yes"]})
    save_run(type(run)(run.config.model_copy(update={"target": target}), run.network), tmp_path / "run", {})
    (tmp_path / "run" / "metrics.json").unlink()
    model = LPHMClassifier.load(tmp_path / "run")
    assert model.classes_.tolist() == [1, "yes"]
    assert model.get_params() == LPHMClassifier().get_params()
    assert model.n_iter_ == 0
    (tmp_path / "run" / "options.json").write_text("[]")
    with pytest.raises(InputError, match=r"options\.json must hold a JSON object"):
        LPHMClassifier.load(tmp_path / "run")
