"""The arguments of an estimator as a run folder keeps them."""

from typing import Any

import numpy as np
import pandas as pd


def plain(value: Any) -> Any:
    """A parameter as JSON has it: arrays and numbers of numpy as those of Python, a dictionary as pairs."""
    if isinstance(value, dict):
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, np.ndarray | pd.Index | pd.Series):
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
