"""``fit`` with ``X_val``, ``y_val``, ``groups`` and ``sample_weight``, alone and through scikit-learn."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lphm.data.dataset import Dataset
from lphm.estimators import LPHMClassifier, LPHMRegressor, models
from lphm.learn.training import learn

RNG = np.random.default_rng(0)
ROWS = 120
X = RNG.standard_normal((ROWS, 3))
NUMBERS = X[:, 0] * 2 + RNG.standard_normal(ROWS)
CLASSES = np.where(NUMBERS > 0, "yes", "no")
GROUPS = RNG.integers(0, 15, ROWS)
WEIGHT = RNG.uniform(0, 2, ROWS)
QUICK: dict[str, Any] = {"members": 1, "epochs": 3, "width": 8, "random_state": 0, "early_stopping": True}
KINDS = [(LPHMClassifier, CLASSES), (LPHMRegressor, NUMBERS)]

each_kind = pytest.mark.parametrize(("cls", "y"), KINDS, ids=["classifier", "regressor"])
pytestmark = pytest.mark.slow


@each_kind
def test_groups_of_every_type_are_held_out_as_a_whole(cls: type, y: np.ndarray) -> None:
    words = [GROUPS.astype(str), GROUPS.tolist(), pd.Series(GROUPS) / 7]
    first, *others = [cls(**QUICK).fit(X, y, groups=groups) for groups in (GROUPS, *words)]
    for other in others:
        assert other.history_ == first.history_
        assert np.array_equal(other.predict(X), first.predict(X))
    assert "val_loss" in first.history_[0]
    assert cls(**QUICK).fit(X, y).history_ != first.history_


@each_kind
def test_a_validation_part_that_is_given_is_held_out_and_nothing_else(cls: type, y: np.ndarray) -> None:
    whole = cls(**(QUICK | {"early_stopping": False})).fit(X, y)
    given = cls(**QUICK).fit(X, y, X_val=X[:20], y_val=y[:20])
    assert [line["train_loss"] for line in given.history_] == [line["train_loss"] for line in whole.history_]
    assert "val_loss" in given.history_[0]
    small = cls(**(QUICK | {"early_stopping": None})).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert "val_loss" in small.history_[0]  # where nothing would be held out by default


def test_nothing_is_learned_from_the_validation_part() -> None:
    frame = pd.DataFrame(X, columns=list("abc")).assign(kind=RNG.choice(["u", "v"], ROWS))
    near = LPHMClassifier(**QUICK, patience=9).fit(frame, CLASSES, X_val=frame[:9], y_val=CLASSES[:9])
    other = (frame * 1)[::-1].assign(a=99.0, kind="new")
    far = LPHMClassifier(**QUICK, patience=9).fit(frame, CLASSES, X_val=other, y_val=CLASSES)
    assert far.run_.config == near.run_.config
    assert [line["train_loss"] for line in far.history_] == [line["train_loss"] for line in near.history_]
    assert far.history_[0]["val_loss"] != near.history_[0]["val_loss"]


def test_categories_of_the_validation_part_are_those_of_the_training() -> None:
    codes = RNG.integers(0, 3, ROWS)
    for inputs, listed in ((pd.DataFrame({"c": codes, "x": X[:, 0]}), ["c"]), (np.c_[codes, X[:, 0]], [0])):
        take = inputs.iloc if isinstance(inputs, pd.DataFrame) else inputs
        parts = take[:90], CLASSES[:90]
        model = LPHMClassifier(**QUICK, categorical_features=listed)
        given = clone(model).fit(*parts, X_val=take[90:], y_val=CLASSES[90:])
        assert given.run_.config.input.has_categories
        again = clone(model).set_params(categorical_features=None).fit(X, CLASSES)  # fitted otherwise before
        again.set_params(categorical_features=listed).fit(*parts, X_val=take[90:], y_val=CLASSES[90:])
        assert again.history_ == given.history_
        outputs, y = given.predict_proba(take[90:]), CLASSES[90:]
        best = min(given.history_, key=lambda line: line.get("val_loss", np.inf))
        assert best["val_score"] == pytest.approx((given.classes_[outputs.argmax(axis=1)] == y).mean())


def test_class_weights_count_in_the_validation_part() -> None:
    options = QUICK | {"epochs": 20, "learning_rate": 0.02, "class_weight": {"no": 1e-9, "yes": 1.0}}
    model = LPHMClassifier(**options).fit(X, CLASSES, X_val=X[:60], y_val=CLASSES[:60])
    validated = [line for line in model.history_ if "val_score" in line]
    assert validated[-1]["val_score"] > 0.999  # only "yes" counts, and only "yes" is predicted
    assert set(model.predict(X[:60])) == {"yes"}
    assert set(CLASSES[:60]) == {"no", "yes"}
    one = CLASSES == "yes"  # not every class has to be there
    model = LPHMClassifier(**options).fit(X, CLASSES, X_val=X[one], y_val=CLASSES[one])
    assert np.isfinite(model.history_[1]["val_loss"])  # of 20 epochs every second is validated


def test_ridge_regression_refuses_a_validation_part() -> None:
    series = np.random.default_rng(0).standard_normal((40, 12, 2))
    labels = np.arange(40) % 2
    with pytest.raises(ValueError, match="which ridge regression has not; leave it out, or choose"):
        LPHMClassifier().fit(series, labels, X_val=series, y_val=labels)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        (
            {"early_stopping": False},
            {"X_val": X, "y_val": CLASSES},
            "with early_stopping, got ndarray, ndarray and early_stopping=False",
        ),
        ({}, {"X_val": X}, "must come together, with early_stopping, got ndarray, NoneType"),
        ({}, {"y_val": CLASSES}, "must come together, with early_stopping, got NoneType, ndarray"),
        ({}, {"X_val": X, "y_val": CLASSES[1:]}, "inconsistent numbers of samples"),
        ({}, {"X_val": X, "y_val": np.full(ROWS, "maybe")}, r"classes of y, \['no', 'yes'\], got 'maybe'"),
        ({}, {"X_val": X[:, :2], "y_val": CLASSES}, "has 2 features, but LPHMClassifier is expecting 3"),
        ({}, {"X_val": X[:0], "y_val": CLASSES[:0]}, "Found array with 0 sample"),
        ({}, {"groups": GROUPS[1:]}, "inconsistent numbers of samples"),
        ({}, {"groups": [None, *GROUPS[1:]]}, "the group 'groups' must be .*, got none in row 1"),
        (
            {},
            {"groups": np.ones(ROWS)},
            "must hold rows out: there must be at least 2 groups that count, got 1; train without it",
        ),
        ({}, {"groups": CLASSES}, "rows for training must have every class, got none of"),
    ],
)
def test_arguments_that_do_not_fit(changes: dict, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        LPHMClassifier(**(QUICK | changes)).fit(X, CLASSES, **arguments)
    assert "\n" not in str(caught.value)


def test_groups_have_no_effect_where_nothing_is_split() -> None:
    plain = LPHMClassifier(**(QUICK | {"early_stopping": False})).fit(X, CLASSES)
    grouped = clone(plain).fit(X, CLASSES, groups=GROUPS)
    assert grouped.history_ == plain.history_


# Metadata routing.


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Dataset, Dataset | None]]:
    """The data, and the validation part if it was given, of every fit."""
    calls: list[tuple[Dataset, Dataset | None]] = []

    def recorded(data: Dataset, *arguments: Any, **named: Any) -> Any:
        calls.append((data, named["validation"]))
        return learn(data, *arguments, **named)

    monkeypatch.setattr(models, "learn", recorded)
    return calls


def estimator(kind: type, pipeline: bool) -> Any:
    model = (
        kind(**QUICK).set_fit_request(sample_weight=True, groups=True).set_score_request(sample_weight=True)
    )
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    return make_pipeline(scaler, model) if pipeline else model


def weighted(kind: type) -> Any:
    """The score of the estimator, with weights, as a scorer."""
    return get_scorer("accuracy" if kind is LPHMClassifier else "r2").set_score_request(sample_weight=True)


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("pipeline", [False, True])
@each_kind
def test_groups_and_weights_reach_every_fold(
    cls: type, y: np.ndarray, pipeline: bool, fitted: list[tuple[Dataset, Dataset | None]]
) -> None:
    folds, model = GroupKFold(3), estimator(cls, pipeline)
    params = {"groups": GROUPS, "sample_weight": WEIGHT}
    scorer = weighted(cls)
    result = cross_validate(model, X, y, cv=folds, params=params, return_estimator=True, scoring=scorer)
    assert np.isfinite(result["test_score"]).all()
    for (data, _), (kept, out), model, score in zip(
        fitted,
        folds.split(X, y, GROUPS),
        result["estimator"],
        result["test_score"],
        strict=True,
    ):
        assert data.groups.tolist() == list(map(str, GROUPS[kept]))
        assert np.array_equal(data.weight, WEIGHT[kept])
        assert score == scorer(model, X[out], y[out], sample_weight=WEIGHT[out])


@pytest.mark.usefixtures("routing")
def test_what_is_not_asked_for_is_refused_by_scikit_learn() -> None:
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="groups"):
        cross_validate(LPHMClassifier(**QUICK), X, CLASSES, cv=GroupKFold(3), params={"groups": GROUPS})


@pytest.mark.usefixtures("routing")
def test_a_grid_search_passes_groups_on(fitted: list[tuple[Dataset, Dataset | None]]) -> None:
    pipeline, grid = estimator(LPHMClassifier, True), {"lphmclassifier__r": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(2), scoring=weighted(LPHMClassifier))
    search.fit(X, CLASSES, groups=GROUPS, sample_weight=WEIGHT)
    assert [len(data) for data, _ in fitted][-1] == ROWS
    assert all(data.groups is not None and len(data.groups) == len(data) for data, _ in fitted)
    assert len(fitted) == 5


@pytest.mark.usefixtures("routing")
def test_a_pipeline_transforms_the_validation_part_if_it_is_told_to(
    fitted: list[tuple[Dataset, Dataset | None]],
) -> None:
    model = LPHMClassifier(**QUICK).set_fit_request(X_val=True, y_val=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("model", model)], transform_input=["X_val"])
    pipeline.fit(X * 9 + 5, CLASSES, X_val=X[:40] * 9 + 5, y_val=CLASSES[:40])
    (data, validation) = fitted[0]
    assert validation is not None
    np.testing.assert_allclose(validation.inputs, data.inputs[:40])


def test_without_routing_a_pipeline_takes_arguments_by_the_name_of_its_step(
    fitted: list[tuple[Dataset, Dataset | None]],
) -> None:
    pipeline = make_pipeline(StandardScaler(), LPHMClassifier(**QUICK))
    pipeline.fit(X, CLASSES, lphmclassifier__groups=GROUPS, lphmclassifier__sample_weight=WEIGHT)
    assert fitted[0][0].groups is not None
    assert fitted[0][0].weight is not None
