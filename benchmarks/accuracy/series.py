"""Scores on series, with the official split of each set into a training and a test part.

The sets are in the package aeon; nothing is downloaded.

python -m benchmarks.accuracy.series                  the sets that defaults may be chosen on
python -m benchmarks.accuracy.series --reporting      the sets that are looked at when the defaults stand
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks.accuracy import fits
from benchmarks.peers import load
from lphm.estimators import LPHMClassifier

#: Delays of a single channel, whose covariances are those that the Riemannian pipeline sees.
DELAYS = 8


def official(name: str, ending: str = "") -> fits.Problem:
    """A set of aeon; ``_eq`` is the ending of files whose series were brought to one length."""
    package = load("aeon.datasets")
    folder = Path(package.__file__).parent / "data" / name
    parts = [
        package.load_from_ts_file(str(folder / f"{name}{ending}_{part}.ts")) for part in ("TRAIN", "TEST")
    ]
    X, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    rows = np.arange(len(y))
    first = len(parts[0][1])
    return fits.Problem(X, np.unique(y, return_inverse=True)[1], False, [(rows[:first], rows[first:])])


def with_delays(X: np.ndarray) -> np.ndarray:
    """A single channel beside itself, delayed by up to 7 steps; several channels as they are.

    Shape:
        ``(N, 1, T)`` to ``(N, 8, T - 7)``.
    """
    if X.shape[1] > 1:
        return X
    return np.lib.stride_tricks.sliding_window_view(X[:, 0], X.shape[2] - DELAYS + 1, axis=1)


def riemannian(_X: np.ndarray, _regression: bool, _seed: int) -> Any:
    """Covariances in the tangent space at their mean, then logistic regression."""
    covariances = load("pyriemann.estimation").Covariances("oas")
    tangents = load("pyriemann.tangentspace").TangentSpace()
    head = LogisticRegression(max_iter=2000)
    return make_pipeline(FunctionTransformer(with_delays), covariances, tangents, StandardScaler(), head)


def convolutions(name: str) -> fits.Model:
    """A classifier of aeon: ridge regression on random convolutions, without probabilities."""

    def build(_X: np.ndarray, _regression: bool, seed: int) -> Any:
        return getattr(load("aeon.classification.convolution_based"), name)(random_state=seed, n_jobs=1)

    return fits.Model(build, package="aeon", probabilities=False)


def library(options: dict[str, Any]) -> fits.Model:
    """The library's estimator, which takes series as (N, steps, channels)."""

    def build(_X: np.ndarray, _regression: bool, seed: int) -> Any:
        steps_first = FunctionTransformer(np.swapaxes, kw_args={"axis1": 1, "axis2": 2})
        return make_pipeline(steps_first, LPHMClassifier(random_state=seed, **options))

    return fits.Model(build, package="lphm")


DEVELOPMENT = {
    "PickupGestureWiimoteZ": partial(official, "PickupGestureWiimoteZ", "_eq"),
    "ACSF1": partial(official, "ACSF1"),
}
REPORTING = {
    "ArrowHead": partial(official, "ArrowHead"),
    "BasicMotions": partial(official, "BasicMotions"),
    "GunPoint": partial(official, "GunPoint"),
    "ItalyPowerDemand": partial(official, "ItalyPowerDemand"),
    "JapaneseVowels": partial(official, "JapaneseVowels", "_eq"),
    "OSULeaf": partial(official, "OSULeaf"),
}
PEERS = {
    "Riemannian": fits.Model(riemannian, package="pyriemann", seeded=False),
    "MiniRocket": convolutions("MiniRocketClassifier"),
    "MultiRocketHydra": convolutions("MultiRocketHydraClassifier"),
}
SUITE = fits.Suite("series", DEVELOPMENT, REPORTING, PEERS, library, folds=1)

if __name__ == "__main__":
    sys.exit(fits.main(SUITE, __doc__))
