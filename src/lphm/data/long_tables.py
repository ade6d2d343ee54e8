"""Series from a long table: a row for every step of every series, made into an array of all series."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lphm.data.columns import (
    as_target,
    column_numbers,
    holds_numbers,
    require_named,
    row_number,
)
from lphm.data.dataset import Dataset
from lphm.data.words import word
from lphm.errors import InputError


def labelled_series(
    name: str, frame: pd.DataFrame, target: str, drop: Sequence[str], series: str, step: str
) -> Dataset:
    """Series and their target, which has one value in each; series without a target are left out.

    They come in the order in which the table names them first.
    """
    require_named(name, [target, series, step, *drop], list(frame.columns))
    channels = [c for c in frame.columns if c not in {target, series, step, *drop}]
    if not channels:
        raise InputError(f"{name} must have a channel beside {series!r}, {step!r} and {target!r}, got none")
    array, ids = stacked(frame, series, step, channels)
    labels = pd.DataFrame({"series": _ids(frame, series), "label": as_target(frame[target], target)}).dropna()
    counts = labels.groupby("series", sort=False)["label"].nunique()
    if len(counts) == 0 or (counts > 1).any():
        got = "no series with a target" if len(counts) == 0 else f"{counts.max()} in {counts.idxmax()!r}"
        raise InputError(f"target {target!r} must have one value in every series, got {got}")
    values = labels.drop_duplicates("series").set_index("series")["label"]
    known = ids.isin(values.index)
    values = values.loc[ids[known]].reset_index(drop=True).rename(target)
    return Dataset(name, array[known], values, channels=tuple(channels), columns=(series, step))


def stacked(
    frame: pd.DataFrame, series: str, step: str, channels: Sequence[str]
) -> tuple[np.ndarray, pd.Index]:
    """``(N, steps, channels)`` in order of the step, and the series as text; shorter ones end in ``nan``."""
    if frame[[series, step]].isna().any(axis=None):
        raise InputError(f"{series!r} and {step!r} must be there in every row, got a missing one")
    numbers, ids = pd.factorize(_ids(frame, series))
    keys = pd.DataFrame({"series": numbers, "step": _steps(frame[step], step)}, index=frame.index)
    twice = keys.duplicated()
    if twice.any():
        row = frame[twice].iloc[0]
        raise InputError(f"a step must occur once in a series, got {step} {row[step]} twice in {row[series]}")
    order = keys.sort_values(["series", "step"], kind="stable").index
    numbers = keys.loc[order, "series"].to_numpy()
    position = keys.loc[order].groupby("series").cumcount().to_numpy()
    array = np.full((len(ids), position.max() + 1, len(channels)), np.nan)
    for j, channel in enumerate(channels):
        array[numbers, position, j] = column_numbers(frame.loc[order, channel], channel)
    return array, pd.Index(ids)


def _ids(frame: pd.DataFrame, series: str) -> pd.Series:
    return frame[series].astype(object).map(word, na_action="ignore")


def _steps(column: pd.Series, name: str) -> pd.Series:
    """What orders the steps: numbers, or dates; text may hold numbers, or dates as in ISO 8601."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        return column
    text = column.astype(object)
    content = pd.api.types.infer_dtype(text)
    if content not in ("date", "string") or (content == "string" and holds_numbers(text, name)):
        return pd.Series(column_numbers(column, name), column.index)
    dates = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    if dates.isna().any():
        position = int(dates.isna().argmax())
        raise InputError(
            f"the step {name!r} must hold numbers or dates such as 2024-01-31, got {text.iloc[position]!r} "
            f"in row {row_number(column.index, position)}; write it so that the order of steps is clear"
        )
    return dates
