"""Series from a long table: a row for every step of every series, made into an array of all series."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lphm.data.columns import as_target, column_numbers, require_named
from lphm.data.conversions import (
    NumberFormat,
    channel_conversions,
    convert,
    find_conversion,
    target_conversion,
)
from lphm.data.dataset import Dataset
from lphm.data.decimal_marks import decimal_comma
from lphm.data.row_columns import in_order, row_arrays
from lphm.data.row_options import AT_RANDOM, RowOptions
from lphm.data.words import word
from lphm.errors import InputError


def labelled_series(
    name: str,
    frame: pd.DataFrame,
    target: str,
    drop: Sequence[str],
    series: str,
    step: str,
    options: RowOptions = AT_RANDOM,
) -> Dataset:
    """Series and their target, which has one value in each; series without a target are left out.

    So have the columns that the options name. Series come in the order in which the table names them first.
    """
    of_series = options.columns_beside(target)
    require_named(name, [target, series, step, *drop, *of_series], list(frame.columns))
    channels = [c for c in frame.columns if c not in {target, series, step, *drop, *of_series}]
    if not channels:
        raise InputError(f"{name} must have a channel beside {series!r}, {step!r} and {target!r}, got none")
    comma = decimal_comma(frame)
    conversions = channel_conversions(frame, [[channel] for channel in channels], comma)
    if isinstance(order := find_conversion(frame[step], comma), NumberFormat):
        conversions[step] = order
    array, ids = stacked(convert(frame, conversions), series, step, channels)
    number = target_conversion(frame[target], comma)
    answers = frame[target] if number is None else number.column(frame[target])
    of_row = _ids(frame[series])
    labels = pd.DataFrame({"series": of_row, "label": as_target(answers, target)}).dropna()
    if labels.empty:
        raise InputError(f"target {target!r} must have one value in every series, got no series with one")
    _require_one_value(f"target {target!r}", labels["label"], labels["series"])
    for role, column in options.columns.items():
        _require_one_value(f"the {role} {column!r}", frame[column], of_row)
    values = labels.drop_duplicates("series").set_index("series")["label"]
    known = ids.isin(values.index)
    values = values.loc[ids[known]].reset_index(drop=True).rename(target)
    arrays = row_arrays(frame[~of_row.duplicated()][known], options)
    return Dataset(
        name,
        array[known],
        values,
        channels=tuple(channels),
        columns=(series, step),
        conversions=conversions,
        number=number,
        row_options=options,
        **arrays,
    )


def _require_one_value(what: str, values: pd.Series, series: pd.Series) -> None:
    """Raise ``InputError`` if there are several values in a series; a missing one counts as a value."""
    counts = values.groupby(series, sort=False).nunique(dropna=False)
    if (counts > 1).any():
        got = f"{counts.max()} in {counts.idxmax()!r}"
        raise InputError(f"{what} must have one value in every series, got {got}")


def one_of_each(columns: pd.DataFrame, series: pd.Series) -> pd.DataFrame:
    """The first row of every series; a column that has several values in one is an ``InputError``."""
    if columns.empty:
        return columns
    of_row = _ids(series)
    for name in columns:
        _require_one_value(f"column {name!r}", columns[name], of_row)
    return columns[~of_row.duplicated().to_numpy()].reset_index(drop=True)


def stacked(
    frame: pd.DataFrame, series: str, step: str, channels: Sequence[str]
) -> tuple[np.ndarray, pd.Index]:
    """``(N, steps, channels)`` in order of the step, and the series as text; shorter ones end in ``nan``."""
    if frame[[series, step]].isna().any(axis=None):
        raise InputError(f"{series!r} and {step!r} must be there in every row, got a missing one")
    numbers, ids = pd.factorize(_ids(frame[series]))
    keys = pd.DataFrame({"series": numbers, "step": in_order(frame[step], step, "step")}, index=frame.index)
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


def _ids(series: pd.Series) -> pd.Series:
    return series.astype(object).map(word, na_action="ignore")
