"""Estimators as run folders: what ``save`` writes and ``load`` reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lphm._io import read_json
from lphm.data.targets import ClassTarget
from lphm.errors import EDITED, InputError
from lphm.estimators.bases import BaseEstimator
from lphm.estimators.parameters import plain
from lphm.learn.run import METRICS, Run, load_run, save_run

if TYPE_CHECKING:
    from typing_extensions import Self

SAVED_ATTRIBUTES = ("n_features_in_", "n_iter_")


class SavedEstimator(BaseEstimator):
    """``save`` and ``load`` of a fitted estimator."""

    run_: Run
    history_: list[dict[str, float]]

    def save(self, folder: str | Path) -> None:
        """Write a run folder, which ``load`` and the command line read."""
        check_is_fitted(self)
        parameters = {name: plain(value) for name, value in self.get_params().items()}
        if not isinstance(parameters["random_state"], int):
            parameters["random_state"] = None
        metrics = {
            "estimator": type(self).__name__,
            "parameters": parameters,
            "classes_dtype": self.classes_.dtype.str if hasattr(self, "classes_") else None,
            "attributes": {name: getattr(self, name) for name in SAVED_ATTRIBUTES},
            "feature_names": list(getattr(self, "feature_names_in_", [])) or None,
            "history": self.history_,
        }
        save_run(self.run_, Path(folder), metrics)

    @classmethod
    def load(cls, folder: str | Path) -> "Self":
        """The estimator that ``save`` wrote.

        Raises:
            InputError: the folder is missing, damaged, or of another estimator.
        """
        run, saved = load_run(Path(folder)), read_json(Path(folder) / METRICS)
        if saved.get("estimator") != cls.__name__:
            raise InputError(f"{folder} must hold a {cls.__name__}, got {saved.get('estimator', 'a run')}")
        try:
            return cls._from_saved(run, saved)
        except EDITED as error:
            raise InputError(f"{folder} must hold {METRICS} as save wrote it, got {error!r}") from error

    @classmethod
    def _from_saved(cls, run: Run, saved: dict[str, Any]) -> "Self":
        attributes: dict[str, Any] = {name: saved["attributes"][name] for name in SAVED_ATTRIBUTES}
        attributes |= {"run_": run, "history_": saved["history"]}
        if saved["feature_names"]:
            attributes["feature_names_in_"] = np.array(list(saved["feature_names"]), dtype=object)
        if isinstance(run.config.target, ClassTarget):
            attributes["classes_"] = np.array(run.config.target.classes, dtype=saved.get("classes_dtype"))
        parameters = saved["parameters"]
        if isinstance(parameters.get("class_weight"), list):
            parameters["class_weight"] = dict(parameters["class_weight"])
        estimator = cls(**parameters)
        vars(estimator).update(attributes)
        return estimator
