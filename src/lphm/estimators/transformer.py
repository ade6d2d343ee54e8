"""Series to the interdependence of their local patterns, as a step of a scikit-learn pipeline."""

from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data
from torch import Tensor

from lphm.data.fitting import fit_series
from lphm.data.series import padded
from lphm.errors import InputError, require_positive
from lphm.estimators.bases import BaseEstimator, TransformerMixin
from lphm.estimators.modules import LinearFeatures
from lphm.learn.torch_state import on_the_cpu
from lphm.nn.patterns import BLOCK, LocalPatterns
from lphm.structures import Structure


class InterdependenceTransformer(TransformerMixin, BaseEstimator):
    """The roots of the entries of ``xi = Zᵀ W Z`` of convolution maps ``Z`` of series.

    Each map says where in a series a random pattern is: ``lphm.nn.patterns`` describes them. ``W`` is
    ``I / steps`` unless it is given, and ``xi`` then says how often two patterns are at the same step. With a
    ``structure`` and its parameters ``w``, entry ``(i, j)`` also counts pattern ``i`` at one step and pattern
    ``j`` at another; with ``lphm.Toeplitz``, at a given distance in time. Both may be those of a layer that
    was trained: its ``structure``, and a row of its ``weight``. Roots keep the sign of their entry.

    Beside the entries are, for each map and with any ``W``, the roots of the number of stretches of steps in
    which its pattern occurs and of the length of the longest, as shares of the steps.

    Values that are missing before the end of a series lie on a line between their neighbours in time. Which
    are missing has patterns too, in the channels in which some were missing at ``fit``.

    The features suit linear models on standardised features, ``RidgeClassifierCV`` or ``LogisticRegression``.
    ``LPHMClassifier`` on series is this transformer, standardisation and a ridge, unless told otherwise.

    Args:
        groups: groups of maps, for the series and for their differences, at each dilation.
        maps: maps in a group; ``xi`` is computed within each.
        structure: what ``W`` is, with ``n`` of at least the steps; None for ``I / steps``.
        w: its parameters, ``(l,)``.
        random_state: seed of the patterns.
        output: "features", ``(N, features)``; or "matrices", ``(N, k, k)``: one ``xi`` of the rectified maps
            of all groups together, ``k`` being 2 · dilations · groups · maps, for what is made for symmetric
            positive definite matrices. They are symmetric and at least semi-definite if ``W`` is.

    Attributes:
        patterns_: the patterns.
        schema_: how series are standardised.

    Example:
        >>> import numpy as np
        >>> from lphm.estimators import InterdependenceTransformer
        >>> series = np.random.default_rng(0).standard_normal((20, 50, 3))
        >>> InterdependenceTransformer(groups=2, maps=4, random_state=0).fit_transform(series).shape
        (20, 672)
    """

    def __init__(
        self,
        groups: int = 4,
        maps: int = 16,
        structure: Structure | None = None,
        w: Any = None,
        random_state: Any = None,
        output: Literal["features", "matrices"] = "features",
    ) -> None:
        self.groups, self.maps = groups, maps
        self.structure, self.w = structure, w
        self.random_state = random_state
        self.output = output

    def __sklearn_tags__(self) -> Any:
        """Missing values are filled in, and series have three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []  # the features are float32
        return tags

    def fit(self, X: Any, y: Any = None) -> "InterdependenceTransformer":  # noqa: ARG002
        """Draw the patterns, and learn their thresholds and how the channels are standardised.

        Args:
            X: series ``(N, steps, channels)``, a list of arrays ``(steps, channels)`` that may differ in
                steps, or ``(N, steps)`` of one channel.
            y: not used.

        Raises:
            ValueError: ``X`` holds no series, ``structure`` and ``w`` do not fit them, or an argument is out
                of bounds.
        """
        if self.output not in ("features", "matrices"):
            raise InputError(f"output must be 'features' or 'matrices', got {self.output!r}")
        array = self._array(X, reset=True)
        require_positive(groups=self.groups, maps=self.maps)
        self.schema_ = fit_series(array)
        generator = torch.Generator().manual_seed(check_random_state(self.random_state).randint(2**31 - 1))
        W = None if self.structure is None else (self.structure, torch.as_tensor(np.asarray(self.w)))
        shape = (self.schema_.steps, array.shape[2], self.groups, self.maps)
        self.patterns_ = LocalPatterns(*shape, generator, W, self.schema_.gaps)
        self.patterns_.fit(self.schema_.encode(array), generator)
        return self

    @on_the_cpu()
    @torch.inference_mode()
    def transform(self, X: Any) -> np.ndarray:
        """The features of every series, ``(N, features)``, or its matrix, ``(N, k, k)``."""
        check_is_fitted(self)
        encoded: Tensor = self.schema_.encode(self._array(X, reset=False))
        compute = self.patterns_ if self.output == "features" else self.patterns_.matrices
        return torch.cat([compute(part) for part in torch.split(encoded, BLOCK)]).numpy()

    def to_module(self, *steps: Any) -> LinearFeatures:
        """The fitted transformer, and what follows it in a pipeline, as one ``torch.nn.Module`` for export.

        Its input is what ``transform`` takes, as a tensor ``(N, steps, channels)`` with the steps of the
        longest series of ``fit``, ``nan`` where missing and after the end. Its output is

        - ``(N, features)``, what ``transform`` gives, without ``steps``;
        - ``(N, classes)``, the probabilities, where the last of them is a ``LogisticRegression``;
        - ``(N, classes)``, what ``decision_function`` gives, of ridge classifiers; ``(N, 1)`` of two classes;
        - ``(N, targets)``, what ``predict`` gives, of ridge and linear regressions.

        Args:
            steps: what was fitted on the features: a ``StandardScaler`` or none, and a linear model.

        Raises:
            InputError: the output is "matrices", or a step cannot be exported.

        Example:
            >>> import numpy as np, torch
            >>> from sklearn.linear_model import RidgeClassifierCV
            >>> from sklearn.pipeline import make_pipeline
            >>> from lphm.estimators import InterdependenceTransformer
            >>> series = np.random.default_rng(0).standard_normal((20, 50, 3))
            >>> transformer = InterdependenceTransformer(groups=1, maps=2, random_state=0)
            >>> pipeline = make_pipeline(transformer, RidgeClassifierCV()).fit(series, [0, 1, 2, 3] * 5)
            >>> module = pipeline[0].to_module(*pipeline[1:])
            >>> module(torch.from_numpy(series[:7])).shape
            torch.Size([7, 4])
        """
        check_is_fitted(self)
        if self.output != "features":
            raise InputError(f"output must be 'features' for a module, got {self.output!r}")
        return LinearFeatures(self.schema_, self.patterns_, steps).eval()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002
        """Names such as ``series_dilation4_group2_above_3_7``: entry (3, 7) of ``xi`` of rectified maps.

        ``occurs`` are the maps that say whether, and ``above`` those that say how much. ``stretches_3`` and
        ``longest_3`` are the number of stretches of map 3 and the longest. ``differences`` are those of the
        series from step to step. Names of patterns of what is missing begin with ``missing``. Of matrices,
        names of the rows, such as ``series_dilation4_group2_3`` for map 3.
        """
        check_is_fitted(self)
        of_features = self.output == "features"
        names = self.patterns_.feature_names() if of_features else self.patterns_.map_names()
        return np.array(names, dtype=object)

    def _array(self, X: Any, reset: bool) -> np.ndarray:
        X = padded(X)
        series = (X if hasattr(X, "ndim") else np.asarray(X)).ndim == 3
        checks = {"ensure_all_finite": "allow-nan", "allow_nd": series, "ensure_2d": not series}
        checked: np.ndarray = validate_data(self, X, reset=reset, dtype=np.float64, **checks)
        if series and reset:
            self.n_features_in_ = checked.shape[2]
        return checked if series else checked[:, :, None]
