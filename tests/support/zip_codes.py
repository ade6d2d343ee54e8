"""A table whose target follows from a code that looks like a number."""

import numpy as np
import pandas as pd


def zip_codes() -> pd.DataFrame:
    """300 rows: ``zip``, one of 16 codes of five digits, ``x``, which is noise, and ``y``.

    From one code to the next larger one ``y`` goes from 3 to -3 or back, with noise of 0.1.
    """
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(np.arange(10_000, 99_999), 16, replace=False))
    place = rng.integers(0, 16, 300)
    y = np.where(place % 2, 3, -3) + 0.1 * rng.standard_normal(300)
    return pd.DataFrame({"zip": codes[place], "x": rng.standard_normal(300).round(3), "y": y.round(3)})
