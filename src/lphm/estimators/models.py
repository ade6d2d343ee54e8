"""Scikit-learn estimators: networks of interdependence for a table or for multichannel series."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets

from lphm.data.targets import ClassTarget
from lphm.estimators.base import InterdependenceEstimator
from lphm.estimators.bases import ClassifierMixin, RegressorMixin

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(kw_only=True, eq=False, repr=False)
class LPHMClassifier(ClassifierMixin, InterdependenceEstimator):
    """A classifier of tables and multichannel series.

    Each row of a 2-D ``X`` becomes a set of feature tokens, so a prediction never depends on other rows; a
    3-D ``X`` is ``(series, steps, channels)``. The networks are trained side by side and averaged.

    Every argument is a field of this class or of one of its bases, where a line says what it does: of
    ``NetworkOptions`` and ``FitOptions`` in ``lphm.learn.options``, and of ``InterdependenceEstimator``.

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

    class_weight: Any = None
    """None, "balanced", or a weight for each class."""

    _task = "classification"

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> "Self":
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
        weight = self._weight(sample_weight, y)
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


class LPHMRegressor(RegressorMixin, InterdependenceEstimator):
    """A regressor of tables and multichannel series; arguments as ``LPHMClassifier``, but ``class_weight``.

    Example:
        >>> from lphm.estimators import LPHMRegressor
        >>> from sklearn.datasets import load_diabetes
        >>> X, y = load_diabetes(return_X_y=True)
        >>> LPHMRegressor(random_state=0, members=1, epochs=5).fit(X, y).predict(X[:2]).shape
        (2,)
    """

    _task = "regression"

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> "Self":
        """Train on samples and their numbers; arguments as ``LPHMClassifier.fit``."""
        inputs, y = self._checked(X, y, numeric=True)
        self._fit(inputs, y, self._weight(sample_weight, y))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The number of every sample, ``(N,)``."""
        outputs = self._outputs(X)
        predicted: np.ndarray = self.run_.config.target.decode(outputs).iloc[:, 0].to_numpy()
        return predicted
