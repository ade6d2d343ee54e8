"""Series as arrays ``(N, steps, channels)`` of float64, ``nan`` where missing and after the end."""

from typing import Any

import numpy as np
import pandas as pd

from lphm.data.columns import LARGEST
from lphm.errors import InputError


def as_series(inputs: pd.DataFrame | np.ndarray) -> np.ndarray:
    """An array ``(N, steps, channels)`` of float64, ``nan`` where missing."""
    if not isinstance(inputs, np.ndarray) or inputs.ndim != 3 or 0 in inputs.shape[1:]:
        got = f"{type(inputs).__name__} of shape {np.shape(inputs)}"
        raise InputError(f"series must be an array (N, steps, channels), got {got}")
    if inputs.dtype.kind not in "fiubOUT":
        raise InputError(f"series must hold numbers, got the type {inputs.dtype}; convert them")
    try:
        array = inputs.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"series must hold numbers, got {inputs.dtype}: {error}") from error
    if (large := np.abs(array) > LARGEST).any():
        where = tuple(np.argwhere(large)[0].tolist())
        place, wanted = f"(sample, step, channel) {where}", f"numbers of at most {LARGEST:g}"
        wanted = "finite numbers" if np.isinf(array[where]) else wanted
        raise InputError(f"series must hold {wanted}, got {array[where]} at {place}")
    return array


def ended(array: np.ndarray) -> np.ndarray:
    """Which steps come after the end of each series, where all channels are missing, ``(N, steps)``."""
    missing = np.isnan(array).all(axis=2)
    after: np.ndarray = np.logical_and.accumulate(missing[:, ::-1], axis=1)[:, ::-1].copy()
    return after


def padded(series: Any) -> Any:
    """A list of series of any number of steps each, ``(steps, channels)``, as one array; else as it is."""
    if (
        not isinstance(series, list | tuple)
        or not all(np.ndim(each) == 2 for each in series)
        or not len(series)
    ):
        return series
    widths = {np.shape(each)[1] for each in series}
    if len(widths) > 1:
        raise InputError(
            f"series must have the same channels, got {sorted(widths)} of them; fill up with nan"
        )
    steps = max(len(each) for each in series)
    array = np.full((len(series), steps, widths.pop()), np.nan)
    for own, each in zip(array, series, strict=True):
        own[: len(each)] = each
    return array


def channel_names(array: np.ndarray) -> list[str]:
    """Names for the last dimension of an array that has none."""
    return [f"channel {i}" for i in range(1, array.shape[-1] + 1)]
