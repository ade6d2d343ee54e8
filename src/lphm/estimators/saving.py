"""Estimators as run folders: what ``save`` writes and ``load`` reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from lphm._io import read_json
from lphm.data.columns import table_with
from lphm.data.conversions import convert
from lphm.data.long_tables import stacked
from lphm.data.schema import InputSchema, SeriesSchema
from lphm.data.targets import ClassTarget, Task
from lphm.errors import EDITED, InputError
from lphm.estimators.bases import BaseEstimator
from lphm.estimators.parameters import plain
from lphm.export import export_run
from lphm.learn.run import METRICS, Run, load_run, save_run
from lphm.learn.unfinished import OPTIONS

if TYPE_CHECKING:
    from typing_extensions import Self

NOT_SAVED = {"callbacks", "logger"}
SAVED_ATTRIBUTES = ("n_features_in_", "n_iter_")
OF_TASK = {"classification": ("classifier", "LPHMClassifier"), "regression": ("regressor", "LPHMRegressor")}


class SavedEstimator(BaseEstimator):
    """``save`` and ``load`` of a fitted estimator."""

    run_: Run
    history_: list[dict[str, float]]

    _task: ClassVar[Task]

    def save(self, folder: str | Path) -> None:
        """Write a run folder, which ``load`` and the command line read; without callbacks and logger."""
        check_is_fitted(self)
        parameters = {name: plain(value) for name, value in self.get_params().items()}
        parameters |= dict.fromkeys(NOT_SAVED)
        if not isinstance(parameters["random_state"], int):
            parameters["random_state"] = None
        metrics = {
            "estimator": type(self).__name__,
            "parameters": parameters,
            "classes_dtype": self.classes_.dtype.str if hasattr(self, "classes_") else None,
            "attributes": {name: getattr(self, name) for name in SAVED_ATTRIBUTES},
            "feature_names": list(getattr(self, "feature_names_in_", [])) or None,
            "trained_on_a_file": self.run_ is getattr(self, "trained_on_a_file_", None),
            "history": self.history_,
        }
        save_run(self.run_, Path(folder), metrics)

    def to_onnx(self, path: str | Path) -> None:
        """Write the fitted estimator as an ONNX model, which scores without this package and without torch.

        It takes the columns of ``X``, as ``docs/export.md`` describes them, and gives ``label`` and
        ``probabilities``, what ``predict`` and ``predict_proba`` give, or ``prediction``.

        Args:
            path: the file, which ends in ``.onnx``.

        Raises:
            InputError: the path ends otherwise, the extra ``lphm[export]`` is not installed, or a column
                holds what cannot be exported.
        """
        check_is_fitted(self)
        if Path(path).suffix.lower() != ".onnx":
            raise InputError(f"the file must be an .onnx file, got {path}; change its end")
        export_run(self.run_, path)

    @classmethod
    def load(cls, folder: str | Path) -> "Self":
        """The estimator of a run folder that ``save`` or ``lphm train`` wrote.

        One of ``lphm train`` takes data frames with the columns of its file: it chooses them by their names,
        in any order and among others, and makes series of a long table. Its arguments are the options of the
        command, with the seed as ``random_state``.

        Raises:
            InputError: the folder is missing, damaged, or holds a regressor and not a classifier, or the
                other way round.
        """
        run, path = load_run(Path(folder)), Path(folder) / METRICS
        if run.config.target.task != cls._task:
            got, right = OF_TASK[run.config.target.task]
            raise InputError(f"{folder} must hold a {OF_TASK[cls._task][0]}, got a {got}; use {right}.load")
        options = Path(folder) / OPTIONS
        saved, given = (read_json(file) if file.exists() else {} for file in (path, options))
        try:
            if "estimator" in saved:
                return cls._from_saved(run, saved)
            return cls._from_trained(run, saved, given)
        except EDITED as error:
            raise InputError(f"{folder} must hold {METRICS} as it was written, got {error!r}") from error

    @classmethod
    def _from_saved(cls, run: Run, saved: dict[str, Any]) -> "Self":
        attributes: dict[str, Any] = {name: saved["attributes"][name] for name in SAVED_ATTRIBUTES}
        attributes["history_"] = saved["history"]
        if saved["feature_names"]:
            attributes["feature_names_in_"] = np.array(list(saved["feature_names"]), dtype=object)
        if saved.get("trained_on_a_file"):
            attributes["trained_on_a_file_"] = run
        parameters = saved["parameters"]
        if isinstance(parameters.get("class_weight"), list):
            parameters["class_weight"] = dict(parameters["class_weight"])
        return cls._restored(run, parameters, attributes, saved.get("classes_dtype"))

    @classmethod
    def _from_trained(cls, run: Run, metrics: dict[str, Any], options: dict[str, Any]) -> "Self":
        """That of a run of the command line, which was given these options."""
        known = cls().get_params()
        parameters = {name: value for name, value in options.items() if name in known}
        parameters["random_state"] = options.get("seed")
        if options.get("balanced") and "class_weight" in known:
            parameters["class_weight"] = "balanced"
        history, schema = list(metrics.get("history", [])), run.config.input
        attributes: dict[str, Any] = {"history_": history, "n_iter_": len(history), "trained_on_a_file_": run}
        names = schema.column_labels if isinstance(schema, SeriesSchema) else schema.columns_of_table
        attributes["n_features_in_"] = len(names)
        if not isinstance(schema, SeriesSchema):
            attributes["feature_names_in_"] = np.array(names, dtype=object)
        return cls._restored(run, parameters, attributes, None)

    @classmethod
    def _restored(
        cls, run: Run, parameters: dict[str, Any], attributes: dict[str, Any], dtype: str | None
    ) -> "Self":
        if isinstance(run.config.target, ClassTarget):
            classes = run.config.target.classes
            mixed = any(isinstance(c, str) for c in classes) and not all(isinstance(c, str) for c in classes)
            attributes["classes_"] = np.array(classes, dtype="O" if dtype is None and mixed else dtype)
        estimator = cls(**parameters)
        vars(estimator).update(attributes, run_=run)
        return estimator


def by_name(X: Any, schema: InputSchema) -> Any:
    """A data frame as the command line reads it: its columns of training, or its long table as series."""
    if not isinstance(X, pd.DataFrame):
        return X
    if not isinstance(schema, SeriesSchema):
        return table_with(X, schema.columns_of_table, "X")[schema.columns_of_table]
    if schema.series is None or schema.step is None:
        return X
    frame = table_with(X, [schema.series, schema.step, *schema.column_labels], "X").reset_index(drop=True)
    return stacked(convert(frame, schema.conversions), schema.series, schema.step, schema.column_labels)[0]
