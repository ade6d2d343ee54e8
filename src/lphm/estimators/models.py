"""Scikit-learn estimators: networks of interdependence for a table or for multichannel series."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    check_random_state,
    column_or_1d,
    validate_data,
)
from torch import Tensor

from lphm.data.columns import require_distinct
from lphm.data.conversions import Conversions
from lphm.data.dataset import Dataset
from lphm.data.row_columns import group_words
from lphm.data.series import padded
from lphm.estimators.bases import BaseEstimator, ClassifierMixin, RegressorMixin
from lphm.estimators.categories import Inputs, are_listed, decided
from lphm.estimators.matrices import InterdependenceMatrices
from lphm.estimators.parameters import network_options
from lphm.estimators.saving import SavedEstimator, by_name
from lphm.estimators.targets import checked_target
from lphm.estimators.verbose import EpochLines
from lphm.learn.monitor import Monitor
from lphm.learn.options import FitOptions, NetworkOptions, TrainingOptions
from lphm.learn.training import learn

if TYPE_CHECKING:
    from typing_extensions import Self

Samples: TypeAlias = tuple[Inputs, np.ndarray, np.ndarray | None]  # inputs, target, weights


@dataclass(kw_only=True, eq=False, repr=False)
class InterdependenceEstimator(NetworkOptions, FitOptions, InterdependenceMatrices, SavedEstimator):
    """Arguments, checks, the training, ``interdependence_matrix``, ``save`` and ``load``.

    The arguments are the fields of ``NetworkOptions`` and ``FitOptions``, from which the constructor is made.
    """

    categorical_features: Any = "from_dtype"
    """Which columns hold categories: a list of their names or indices, or a mask; None: none of them;
    "from_dtype": those with the type for categories, and text that is no numbers."""
    warm_start: bool = False
    """Let ``fit`` go on from the weights of the last ``fit``, which also decides what each column holds."""
    random_state: Any = None
    """The same number gives the same weights, bit for bit, on one CPU without ``time_limit``."""
    verbose: int = False
    """1 or True: print a line for every epoch, and about how long the fit will take, on standard error."""
    callbacks: Any = None
    """A function, or a list of them, called with an ``Epoch`` after every epoch; True stops the training."""
    logger: Any = None
    """A logger, or a list of them, with the methods of those of Lightning."""

    # That of the options, which are a dataclass with a repr of its own, has not all arguments.
    __repr__ = BaseEstimator.__repr__

    def __post_init__(self) -> None:
        """Check nothing: scikit-learn has its estimators check their arguments in ``fit``."""

    def __sklearn_tags__(self) -> Any:
        """Missing values are learned from, and series have three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.input_tags.categorical = True
        tags.non_deterministic = False
        return tags

    def _options(self) -> tuple[NetworkOptions, TrainingOptions]:
        """The checked options; a random state that is no number draws one."""
        network = {field.name: getattr(self, field.name) for field in fields(NetworkOptions)}
        training = {field.name: getattr(self, field.name) for field in fields(FitOptions)}
        seed = self.random_state
        if not isinstance(seed, int | np.integer) or isinstance(seed, bool):
            seed = check_random_state(seed).randint(2**31 - 1)
        return network_options(network), TrainingOptions(**training, seed=seed)

    def _inputs(self, X: Any, reset: bool = False, fitting: bool = False) -> Inputs:
        """A table whose names are text, or an array ``(N, steps, channels)``."""
        loaded = None if reset else getattr(self, "trained_on_a_file_", None)
        if loaded is not None and self.run_ is loaded:
            X = by_name(X, self.run_.config.input)
        X = padded(X)
        frame = isinstance(X, pd.DataFrame) and X.size > 0
        if frame:
            require_distinct("X", list(X.columns))
        series = (X if hasattr(X, "ndim") else np.asarray(X)).ndim == 3
        words = are_listed(self.categorical_features) if fitting else self.run_.config.input.has_categories
        checks = {"ensure_all_finite": "allow-nan", "allow_nd": series, "ensure_2d": not series}
        checks["dtype"] = None if words else "numeric"
        # The check of arrays would refuse the categories of a data frame.
        checked = validate_data(self, X, reset=reset, skip_check_array=frame, **checks)
        if series and reset:
            self.n_features_in_ = checked.shape[2]
        if series:
            return np.asarray(checked)
        # Columns have the names of the fit, by their place; scikit-learn has compared those of two frames.
        numbered = [f"x{number}" for number in range(checked.shape[1])]
        names = list(map(str, getattr(self, "feature_names_in_", numbered)))
        if not frame:
            return pd.DataFrame(checked, columns=names, dtype=None if words else np.float64)
        return checked.set_axis(names, axis=1).reset_index(drop=True)

    def _checked(self, X: Any, y: Any, weight: ArrayLike | None) -> Samples:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        inputs, target = self._inputs(X, reset=True, fitting=True), checked_target(y, "y", self._task)
        check_consistent_length(inputs, target)
        if len(target) < 2:
            raise ValueError(f"training needs at least 2 samples, got n_samples = {len(target)}")
        if weight is None:
            return inputs, target, None
        weights = check_array(weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
        if weights.shape != target.shape:
            raise ValueError(f"sample_weight must have shape {target.shape}, got {weights.shape}")
        return inputs, target, weights

    def _validation(self, X: Any, y: Any) -> Dataset | None:
        """The validation part that ``fit`` was given, if it was."""
        if X is None and y is None:
            return None
        if X is None or y is None or self.early_stopping is False:
            got = f"{type(X).__name__}, {type(y).__name__} and early_stopping={self.early_stopping}"
            raise ValueError(f"X_val and y_val must come together, with early_stopping, got {got}")
        inputs, target = self._inputs(X, reset=False, fitting=True), checked_target(y, "y_val", self._task)
        check_consistent_length(inputs, target)
        return Dataset("validation", inputs, pd.Series(target, name="y"))

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: ArrayLike | None = None,
    ) -> "Self":
        """Train on samples and their classes or numbers.

        Args:
            X: a data frame or 2-D array, in which values may be missing, or series: an array
                ``(N, steps, channels)``, or a list of arrays ``(steps, channels)`` that may differ in steps,
                ``nan`` where a value is missing and after the end.
            y: classes or numbers, ``(N,)``.
            sample_weight: what each sample counts, ``(N,)``.
            X_val: samples that decide which epoch is the best, in place of a part of ``X``. Nothing is
                learned from them; they count the same. With ``early_stopping=False`` no epoch is chosen, and
                they are an error.
            y_val: their classes, which must be among those of ``y``, or numbers.
            groups: the group of each sample, ``(N,)``. Early stopping holds out whole groups; without it, and
                with ``X_val``, nothing is split and they have no effect.

        Raises:
            ValueError: the samples cannot be learned from.
        """
        inputs, y, weight = self._checked(X, y, sample_weight)
        network, training = self._options()
        start = self.run_ if self.warm_start and hasattr(self, "run_") else None
        categories: tuple[str, ...] = ()
        conversions: Conversions = {}
        if start is None:  # otherwise its schema says what each column holds
            named = hasattr(self, "feature_names_in_")
            inputs, categories, conversions = decided(inputs, self.categorical_features, named)
        data = Dataset(type(self).__name__, inputs, pd.Series(y, name="y"), weight)
        data = replace(data, categories=categories, conversions=conversions)
        if groups is not None:
            check_consistent_length(inputs, groups)
            data = replace(data, groups=group_words(pd.Series(column_or_1d(groups), name="groups")))
        trained = learn(
            data,
            network,
            training,
            self._task,
            progress=EpochLines() if self.verbose else None,
            monitor=Monitor(self.callbacks, self.logger),
            start=start,
            validation=self._validation(X_val, y_val),
        )
        self.run_ = trained.run
        self.history_ = trained.history.lines
        self.n_iter_ = len(self.history_)
        return self

    def _outputs(self, X: Any) -> Tensor:
        check_is_fitted(self)
        return replace(self.run_, device=self.device).outputs(self._inputs(X))


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
        n_iter_: epochs, of which ``time_limit`` may have cut the last.
        history_: a dictionary per epoch; that of an epoch which was cut has ``share_of_epoch``.

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

    def _checked(self, X: Any, y: Any, weight: ArrayLike | None) -> Samples:
        inputs, target, weights = super()._checked(X, y, weight)
        check_classification_targets(target)
        self.classes_ = np.unique(target)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {self.classes_[0]!r}")
        if self.class_weight is not None:
            balance = compute_sample_weight(self.class_weight, target)
            weights = balance if weights is None else weights * balance
        return inputs, target, weights

    def _validation(self, X: Any, y: Any) -> Dataset | None:
        validation = super()._validation(X, y)
        if validation is not None:
            unknown = np.setdiff1d(validation.target, self.classes_).tolist()
            if unknown:
                raise ValueError(
                    f"y_val must hold classes of y, {self.classes_.tolist()}, got {unknown[0]!r}"
                )
            if self.class_weight is not None:
                weight = compute_sample_weight(self.class_weight, validation.target)
                return replace(validation, weight=weight)
        return validation

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of every class in the order of ``classes_``, ``(N, classes)``."""
        return np.asarray(self._outputs(X).softmax(dim=-1))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every sample, ``(N,)``."""
        best = self.predict_proba(X).argmax(axis=1)  # first, for it raises where nothing is fitted
        return np.asarray(self.classes_[best])


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

    def predict(self, X: Any) -> np.ndarray:
        """The number of every sample, ``(N,)``."""
        outputs = self._outputs(X)
        return np.asarray(self.run_.config.target.decode(outputs).iloc[:, 0])
