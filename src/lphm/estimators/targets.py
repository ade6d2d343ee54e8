"""The target of an estimator, as an array without missing values."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import assert_all_finite, column_or_1d

from lphm.data.targets import Task


def checked_target(y: Any, name: str, task: Task) -> np.ndarray:
    """Classes, or finite numbers in float64 for regression, ``(N,)``.

    Raises:
        ValueError: ``y`` has another shape, or a value is missing or not finite.
    """
    target = column_or_1d(y, warn=True, dtype=np.float64 if task == "regression" else None)
    if pd.isna(target).any():  # also pandas' NA and None, which the next check does not know
        raise ValueError(f"Input {name} contains NaN; leave its samples out")
    assert_all_finite(target, input_name=name)
    return np.asarray(target)
