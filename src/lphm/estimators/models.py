"""Scikit-learn estimators: networks of interdependence for a table or for multichannel series."""

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from lphm.data.targets import ClassTarget
from lphm.estimators.base import InterdependenceEstimator


class LPHMClassifier(ClassifierMixin, InterdependenceEstimator):  # type: ignore[misc]
    """A classifier of tables and multichannel series.

    Each row of a 2-D ``X`` becomes a set of feature tokens, so a prediction never depends on other rows; a
    3-D ``X`` is ``(series, steps, channels)``. The networks are trained side by side and averaged.

    Args:
        structure: "lphm", "full", "low-rank", "hm" or "dual-lphm": what ``W`` is.
        kind: "attribute", "instance", "both" or "none": which interdependences there are.
        p, q, r, budget: sizes of ``W``; see ``lphm.learn.options.NetworkOptions``.
        width, blocks, channels, dropout, members: the network, likewise.
        epochs, batch_size, learning_rate, weight_decay: see ``lphm.learn.options.TrainingOptions``.
        early_stopping, validation, patience: likewise.
        class_weight: None, "balanced", or a weight for each class.
        warm_start: ``fit`` goes on from the weights of the last ``fit``.
        random_state: the same seed gives the same weights, bit for bit, on one machine.
        threads, device: of torch.
        verbose: show a progress bar.

    Attributes:
        classes_: the classes.
        run_: the network and how it encodes.
        history_: a dictionary per epoch.

    Example:
        >>> from lphm.estimators import LPHMClassifier
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> LPHMClassifier(random_state=0, members=1).fit(X, y).score(X, y) > 0.9
        True
    """

    _task = "classification"

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
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            structure=structure,
            kind=kind,
            p=p,
            q=q,
            r=r,
            budget=budget,
            width=width,
            blocks=blocks,
            channels=channels,
            dropout=dropout,
            members=members,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation=validation,
            patience=patience,
            warm_start=warm_start,
            random_state=random_state,
            threads=threads,
            device=device,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> "LPHMClassifier":
        """Train on samples and their classes.

        Args:
            X: a data frame or 2-D array, in which values may be missing, or series ``(N, steps, channels)``.
            y: classes, ``(N,)``.
            sample_weight: what each sample counts, ``(N,)``.

        Raises:
            ValueError: the samples cannot be learned from.
        """
        inputs, y = self._checked(X, y)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {self.classes_[0]!r}")
        weight = self._weight(sample_weight, inputs)
        if self.class_weight is not None:
            balance = compute_sample_weight(self.class_weight, y)
            weight = balance if weight is None else weight * balance
        self._fit(inputs, y, weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of every class in the order of ``classes_``, ``(N, classes)``."""
        probabilities: np.ndarray = self._outputs(X).softmax(dim=-1).numpy()
        return probabilities

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every sample, ``(N,)``."""
        best = self.predict_proba(X).argmax(axis=1)
        predicted: np.ndarray = self.classes_[best]
        return predicted

    def _restore(self) -> None:
        self.classes_ = np.array(cast(ClassTarget, self.run_.config.target).classes)


class LPHMRegressor(RegressorMixin, InterdependenceEstimator):  # type: ignore[misc]
    """A regressor of tables and multichannel series; arguments as ``LPHMClassifier``, but ``class_weight``.

    Example:
        >>> from lphm.estimators import LPHMRegressor
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> LPHMRegressor(random_state=0, members=1, epochs=5).fit(X, y).predict(X[:2]).shape
        (2,)
    """

    _task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> "LPHMRegressor":
        """Train on samples and their numbers; arguments as ``LPHMClassifier.fit``."""
        inputs, y = self._checked(X, y, numeric=True)
        self._fit(inputs, y, self._weight(sample_weight, inputs))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The number of every sample, ``(N,)``."""
        predicted: np.ndarray = self._answers(X).iloc[:, 0].to_numpy()
        return predicted
