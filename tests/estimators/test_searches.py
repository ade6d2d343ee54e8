"""The estimators in scikit-learn's searches over structures and their sizes."""

import importlib
import json
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, ParameterGrid, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lphm.estimators import LPHMClassifier, LPHMRegressor
from lphm.estimators.parameters import GRIDS

QUICK = {"members": 1, "epochs": 2, "width": 8, "random_state": 0}
#: A grid for each structure, with the sizes that it has.
LISTED = [
    {"structure": ["full"]},
    {"structure": ["lphm"], "r": [None, 1, 2], "p": [None, 2]},
    {"structure": ["hm"], "q": [None, 4]},
    {"structure": ["toeplitz"], "lags": [None, 3]},
    {"structure": ["low-rank"], "r": [1]},
    {"structure": ["lphm", "low-rank", "dual-lphm"], "budget": [0.9]},
]
X, y = load_iris(return_X_y=True)

pytestmark = pytest.mark.slow


def test_a_grid_for_each_structure_fits_everywhere() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FitFailedWarning)
        search = GridSearchCV(LPHMClassifier(**QUICK), LISTED, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.cv_results_["params"]) == len(ParameterGrid(LISTED))
    assert len(search.predict(X)) == len(y)


def test_in_one_grid_for_all_structures_only_sizes_that_are_not_there_fail() -> None:
    grid = {"structure": ["lphm", "full", "toeplitz", "hm"], "r": [None, 1]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search = GridSearchCV(LPHMClassifier(**QUICK), grid, cv=2).fit(X, y)
    failed = {
        (each["structure"], each["r"])
        for each, score in zip(
            search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
        )
        if np.isnan(score)
    }
    assert failed == {("full", 1), ("toeplitz", 1), ("hm", 1)}
    (said,) = (str(each.message) for each in caught if each.category is FitFailedWarning)
    assert "structure 'full' must be given no sizes, got r=1; leave r out. In a search over" in said
    assert search.best_score_ > 0


@pytest.mark.parametrize("cls", [LPHMClassifier, LPHMRegressor])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"structure": "full", "r": 2}, "structure 'full' must be given no sizes, got r=2; leave r out"),
        (
            {"structure": "toeplitz", "p": 2, "q": 4},
            "structure 'toeplitz' must be given sizes that it has (lags), got p=2, q=4; leave p, q out",
        ),
        (
            {"structure": "full", "budget": 0.5},
            "budget chooses the sizes of a structure, got structure 'full', which has none; "
            "leave one of them out",
        ),
    ],
)
def test_a_size_that_is_not_there_is_one_line_that_shows_the_grids(
    cls: type, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="structure") as caught:
        cls(**arguments).fit(X, y)
    assert str(caught.value) == f"{message}. {GRIDS}"
    assert "\n" not in str(caught.value)
    cls(**arguments, kind="none", **QUICK).fit(X, y)  # no W, whose size could be wrong


def test_the_grids_of_the_message_fit() -> None:
    grids = json.loads(GRIDS[GRIDS.index("[") :])
    for arguments in ParameterGrid(grids):
        LPHMClassifier(**QUICK, **arguments).fit(X, y)


def test_a_halving_search_over_epochs_in_a_pipeline() -> None:
    importlib.import_module("sklearn.experimental.enable_halving_search_cv")
    pipeline = make_pipeline(StandardScaler(), LPHMClassifier(**QUICK))
    grids = [{f"lphmclassifier__{name}": values for name, values in grid.items()} for grid in LISTED[:2]]
    search = model_selection.HalvingGridSearchCV(
        clone(pipeline),
        grids,
        cv=2,
        resource="lphmclassifier__epochs",
        max_resources=8,
        min_resources=2,
        random_state=0,
    ).fit(X, y)
    assert search.n_resources_ == [2, 6]
    assert search.best_estimator_[-1].n_iter_ <= 6
    assert search.best_params_["lphmclassifier__structure"] in ("full", "lphm")


def test_parameters_are_set_and_two_processes_score_as_one_does() -> None:
    model = clone(LPHMClassifier(**QUICK)).set_params(structure="low-rank", r=1, kind="both")
    alone = cross_val_score(model, X, y, cv=2)
    assert cross_val_score(model, X, y, cv=2, n_jobs=2).tolist() == alone.tolist()
    assert clone(model).get_params() == model.get_params()
