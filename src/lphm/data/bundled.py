"""The data sets that come with scikit-learn, which takes a second to import: predictions need none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from lphm.data.dataset import Dataset
from lphm.errors import InputError

BUNDLED: dict[str, Callable[..., Any]] = {
    "digits": load_digits,
    "iris": load_iris,
    "wine": load_wine,
    "breast-cancer": load_breast_cancer,
    "diabetes": load_diabetes,
}


def bundled(name: str) -> Dataset:
    """A data set that comes with scikit-learn; digits are images of 8 rows and 8 columns.

    Raises:
        InputError: no data set has that name.
    """
    if name not in BUNDLED:
        raise InputError(f"a bundled data set must be one of {', '.join(BUNDLED)}, got {name!r}")
    bunch = BUNDLED[name](as_frame=True)
    if name == "digits":
        return Dataset(name, bunch.data, bunch.target.rename("digit"), grid=(8, 8))
    if name == "diabetes":
        return Dataset(name, bunch.data, bunch.target.rename("progression"))
    classes = np.array([str(c) for c in bunch.target_names])[bunch.target.to_numpy()]
    return Dataset(name, bunch.data, pd.Series(classes, name="class"))
