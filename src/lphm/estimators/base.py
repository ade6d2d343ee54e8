"""What the scikit-learn estimators share: from arrays to a run and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    assert_all_finite,
    check_array,
    check_consistent_length,
    check_is_fitted,
    check_random_state,
    column_or_1d,
)
from torch import Tensor

from lphm.data.dataset import Dataset
from lphm.data.targets import Task
from lphm.errors import InputError
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import Run, load_run, read_metrics, save_run
from lphm.learn.training import learn
from lphm.ops.checks import Kind


class InterdependenceEstimator(BaseEstimator):  # type: ignore[misc]
    """Parameters, checks, the training, ``interdependence_matrix``, ``save`` and ``load``."""

    _task: Task
    run_: Run

    def __init__(
        self,
        *,
        structure: str = "lphm",
        kind: str = "both",
        p: int | None = None,
        q: int | None = None,
        r: int | None = None,
        budget: float | None = None,
        width: int | None = None,
        blocks: int = 1,
        channels: int = 4,
        dropout: float | None = None,
        members: int = 4,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.1,
        early_stopping: bool = False,
        validation: float = 0.15,
        patience: int | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        threads: int = 1,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        self.structure = structure
        self.kind = kind
        self.p = p
        self.q = q
        self.r = r
        self.budget = budget
        self.width = width
        self.blocks = blocks
        self.channels = channels
        self.dropout = dropout
        self.members = members
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation = validation
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.threads = threads
        self.device = device
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Missing values are learned from, and series have three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.categorical = True
        tags.non_deterministic = False
        return tags

    def _options(self) -> tuple[NetworkOptions, TrainingOptions]:
        values = self.get_params()
        names = NetworkOptions.__dataclass_fields__
        network = NetworkOptions(**{name: values[name] for name in names})
        names = TrainingOptions.__dataclass_fields__
        training = {name: values[name] for name in names if name in values}
        seed = self.random_state
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
            seed = check_random_state(seed).randint(2**31 - 1)
        return network, TrainingOptions(seed=int(seed), **training)

    def _inputs(self, X: Any, reset: bool) -> pd.DataFrame | np.ndarray:
        """A table with text for names, or an array ``(N, steps, channels)``."""
        _check_feature_names(self, X, reset=reset)
        if isinstance(X, pd.DataFrame) and X.ndim == 2 and len(X) and X.shape[1]:
            _check_n_features(self, X, reset=reset)
            frame = X.copy(deep=False)
            frame.columns = [str(name) for name in X.columns]
            return frame.reset_index(drop=True)
        array: np.ndarray = check_array(
            X, dtype="numeric", ensure_all_finite="allow-nan", allow_nd=True, estimator=self
        )
        if array.ndim == 2:
            _check_n_features(self, array, reset=reset)
            return pd.DataFrame(array.astype(np.float64), columns=[f"x{i}" for i in range(array.shape[1])])
        if reset:
            self.n_features_in_ = array.shape[2]
        return array

    def _checked(self, X: Any, y: Any, numeric: bool = False) -> tuple[pd.DataFrame | np.ndarray, np.ndarray]:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        inputs = self._inputs(X, reset=True)
        target = column_or_1d(y, warn=True)
        if numeric:
            target = target.astype(np.float64)
        assert_all_finite(target, input_name="y")
        check_consistent_length(inputs, target)
        if len(target) < 2:
            raise ValueError(f"training needs at least 2 samples, got n_samples = {len(target)}")
        return inputs, target

    def _weight(self, weight: ArrayLike | None, inputs: pd.DataFrame | np.ndarray) -> np.ndarray | None:
        if weight is None:
            return None
        counted: np.ndarray = _check_sample_weight(
            weight, np.zeros((len(inputs), 1)), dtype=np.float64, ensure_non_negative=True
        )
        return counted

    def _fit(self, X: Any, y: Any, weight: np.ndarray | None) -> None:
        network, training = self._options()
        start = self.run_ if self.warm_start and hasattr(self, "run_") else None
        data = Dataset(type(self).__name__, X, pd.Series(y, name="y"), weight)
        trained = learn(data, network, training, self._task, start=start)
        self.run_, self.history_ = trained.run, trained.history.lines
        self.n_iter_ = len(self.history_)

    def _outputs(self, X: Any) -> Tensor:
        check_is_fitted(self)
        # In float64, so that an answer is the same whatever samples it is asked for with.
        return self.run_.outputs(self._inputs(X, reset=False), dtype=torch.float64)

    def _answers(self, X: Any) -> pd.DataFrame:
        outputs = self._outputs(X)
        return self.run_.config.target.decode(outputs)

    def interdependence_matrix(self, X: ArrayLike, kind: Kind = "instance") -> np.ndarray:
        """``xi`` of every sample, the mean over channels: ``(N, k, k)``.

        instance: between the features of a table, or the steps of series (and the learned rows that fill up).
        attribute: between the channels of series; of a table, between the columns of the network.

        Args:
            X: samples as at ``fit``.
            kind: "instance" or "attribute", one that the network has.

        Raises:
            ValueError: the network has no such interdependence.
        """
        check_is_fitted(self)
        if getattr(self.run_.config.network, kind, None) is None:
            raise ValueError(f"kind must be one that the network was fitted with, got {kind!r}")
        encoded = self.run_.config.input.encode(self._inputs(X, reset=False))
        parts = [
            self.run_.network.interdependence(part, kind).mean(dim=1) for part in torch.split(encoded, 256)
        ]
        return np.concatenate([part.numpy() for part in parts])

    def save(self, folder: str | Path) -> None:
        """Write a run folder, which ``load`` and the command line read."""
        check_is_fitted(self)
        attributes = {name: getattr(self, name) for name in ("n_features_in_", "n_iter_")}
        names = list(getattr(self, "feature_names_in_", [])) or None
        seed = self.random_state if isinstance(self.random_state, int) else None
        save_run(
            self.run_,
            Path(folder),
            {
                "estimator": type(self).__name__,
                "parameters": {**self.get_params(), "random_state": seed},
                "attributes": attributes,
                "feature_names": names,
                "history": self.history_,
            },
        )

    @classmethod
    def load(cls, folder: str | Path) -> Any:
        """The estimator that ``save`` wrote.

        Raises:
            InputError: the folder is missing, damaged, or of another estimator.
        """
        run, saved = load_run(Path(folder)), read_metrics(Path(folder))
        if saved.get("estimator") != cls.__name__:
            raise InputError(f"{folder} must hold a {cls.__name__}, got {saved.get('estimator', 'a run')}")
        estimator = cls(**saved["parameters"])
        for name, value in saved["attributes"].items():
            setattr(estimator, name, value)
        if saved["feature_names"]:
            estimator.feature_names_in_ = np.array(saved["feature_names"], dtype=object)
        estimator.run_, estimator.history_ = run, saved["history"]
        estimator._restore()
        return estimator

    def _restore(self) -> None:
        """Set what follows from the run."""
