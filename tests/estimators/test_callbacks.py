"""Callbacks and loggers of the estimators, in the company of scikit-learn."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from lphm.errors import InputError
from lphm.estimators import Epoch, LPHMClassifier, LPHMRegressor
from support.loggers import Recorder

X, Y = load_iris(return_X_y=True)
QUICK: dict[str, Any] = {"members": 1, "epochs": 3, "width": 8, "random_state": 0}


def stop_after_two(epoch: Epoch) -> bool:
    return epoch.epoch == 2


@pytest.mark.parametrize("cls", [LPHMClassifier, LPHMRegressor])
def test_a_fit_calls_them(cls: type) -> None:
    logger = Recorder()
    model = cls(**QUICK, callbacks=stop_after_two, logger=logger).fit(X, Y)
    assert model.n_iter_ == 2
    assert [name for name, _ in logger.calls] == ["params", "metrics", "metrics", "status"]
    epochs: list[Epoch] = []
    model.set_params(callbacks=[epochs.append], logger=None).fit(X, Y)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]


def test_clones_pickles_and_searches_have_them() -> None:
    model = LPHMClassifier(**QUICK, callbacks=[stop_after_two], logger=[Recorder()])
    assert clone(model).get_params()["callbacks"] == [stop_after_two]
    copied = pickle.loads(pickle.dumps(model.fit(X, Y)))
    assert np.array_equal(copied.predict_proba(X), model.predict_proba(X))
    assert copied.callbacks == [stop_after_two]
    assert copied.logger[0].of("status") == ["success"]
    before = len(model.logger[0].calls)
    search = GridSearchCV(model, {"callbacks": [None, stop_after_two]}, cv=2).fit(X, Y)
    assert search.best_estimator_.logger[0].of("status")[-1] == "success"
    assert len(model.logger[0].calls) == before  # those of the search are copies


def test_a_saved_estimator_has_none(tmp_path: Path) -> None:
    model = LPHMClassifier(**QUICK, callbacks=[stop_after_two], logger=Recorder()).fit(X, Y)
    model.save(tmp_path / "run")
    loaded = LPHMClassifier.load(tmp_path / "run")
    assert (loaded.callbacks, loaded.logger) == (None, None)
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_a_mistake_is_explained_in_fit() -> None:
    with pytest.raises(InputError, match=r"callbacks must be functions of an Epoch .*, got str"):
        LPHMClassifier(callbacks="stop").fit(X, Y)
