"""Series to the interdependence of their local patterns, as a step of a scikit-learn pipeline."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data
from torch import Tensor

from lphm.data.fitting import fit_series
from lphm.data.series import padded
from lphm.errors import require_positive
from lphm.estimators.bases import BaseEstimator, TransformerMixin
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
    ) -> None:
        self.groups, self.maps = groups, maps
        self.structure, self.w = structure, w
        self.random_state = random_state

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
            ValueError: ``X`` holds no series, or ``structure`` and ``w`` do not fit them.
        """
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
        """The features of every series, ``(N, features)``."""
        check_is_fitted(self)
        encoded: Tensor = self.schema_.encode(self._array(X, reset=False))
        return torch.cat([self.patterns_(part) for part in torch.split(encoded, BLOCK)]).numpy()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002
        """Names such as ``series_dilation4_group2_above_3_7``: entry (3, 7) of ``xi`` of rectified maps.

        ``occurs`` are the maps that say whether, and ``above`` those that say how much. ``stretches_3`` and
        ``longest_3`` are the number of stretches of map 3 and the longest. ``differences`` are those of the
        series from step to step. Names of patterns of what is missing begin with ``missing``.
        """
        check_is_fitted(self)
        return np.array(self.patterns_.feature_names(), dtype=object)

    def _array(self, X: Any, reset: bool) -> np.ndarray:
        X = padded(X)
        series = (X if hasattr(X, "ndim") else np.asarray(X)).ndim == 3
        checks = {"ensure_all_finite": "allow-nan", "allow_nd": series, "ensure_2d": not series}
        checked: np.ndarray = validate_data(self, X, reset=reset, dtype=np.float64, **checks)
        if series and reset:
            self.n_features_in_ = checked.shape[2]
        return checked if series else checked[:, :, None]
