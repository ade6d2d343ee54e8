"""The features of InterdependenceTransformer in pipelines: beside others, before others, and in a search.

    python examples/series_features.py

MiniRocket of aeon and TangentSpace of pyriemann take part where they are installed,
as by the extra [integrations].

The series are made here: two channels that swing at one speed, and the class says by how much
one of them is late.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from lphm import InterdependenceTransformer


def waves(rows: int, seed: int, steps: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Series ``(rows, steps, 2)``, and their classes."""
    random = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    time = np.arange(steps)[:, None] / random.uniform(2, 4, (rows, 1, 1))
    late = np.stack([np.zeros(rows), y * 2 * np.pi / 3], axis=1)[:, None]
    start = random.uniform(0, 2 * np.pi, (rows, 1, 1))
    return np.sin(time + start - late) + 0.5 * random.standard_normal((rows, steps, 2)), y


def channels_first(series: np.ndarray) -> np.ndarray:
    """``(N, steps, channels)`` as aeon has it, ``(N, channels, steps)``."""
    return series.swapaxes(1, 2)


def searched() -> Any:
    """A grid search over the arguments of the transformer."""
    pipeline = make_pipeline(
        InterdependenceTransformer(random_state=0), StandardScaler(), RidgeClassifierCV()
    )
    grid = {"interdependencetransformer__groups": [1, 2], "interdependencetransformer__maps": [2, 4]}
    return GridSearchCV(pipeline, grid, cv=2)


def beside_minirocket() -> Any:
    """The features of xi and those of MiniRocket side by side, which one ridge weighs."""
    minirocket = import_module("aeon.transformations.collection.convolution_based").MiniRocket
    rocket = make_pipeline(FunctionTransformer(channels_first), minirocket(n_kernels=500, random_state=0))
    features = make_union(InterdependenceTransformer(groups=1, random_state=0), rocket)
    return make_pipeline(features, StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))


def before_tangent_space() -> Any:
    """``xi`` of all maps of a series as a point in the space of positive definite matrices.

    A map that never exceeds its threshold makes ``xi`` singular, which Shrinkage mends.
    """
    shrinkage = import_module("pyriemann.estimation").Shrinkage
    tangent_space = import_module("pyriemann.tangentspace").TangentSpace
    matrices = InterdependenceTransformer(groups=1, maps=3, random_state=0, output="matrices")
    return make_pipeline(matrices, shrinkage(0.1), tangent_space(), LogisticRegression())


#: Each pipeline, and the package that it needs beside scikit-learn.
PIPELINES = {searched: "sklearn", beside_minirocket: "aeon", before_tangent_space: "pyriemann"}


def main() -> dict[str, float]:
    """The accuracy of every pipeline whose package is installed, on new series; a guess has 0.33."""
    (X, y), (new, truth) = waves(90, seed=0), waves(60, seed=1)
    accuracies = {}
    for pipeline, package in PIPELINES.items():
        if find_spec(package) is None:
            print(f"{pipeline.__name__}: {package} is not installed")
            continue
        accuracies[pipeline.__name__] = pipeline().fit(X, y).score(new, truth)
        print(f"{pipeline.__name__}: accuracy {accuracies[pipeline.__name__]:.2f}")
    return accuracies


if __name__ == "__main__":
    main()
