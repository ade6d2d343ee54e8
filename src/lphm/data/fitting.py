"""Schemas of samples, fitted on the training part."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from lphm.data.columns import table_numbers
from lphm.data.conversions import Conversions
from lphm.data.problems import text_problem
from lphm.data.schema import (
    CategoricalColumn,
    Channel,
    FeatureSchema,
    GridSchema,
    NumericColumn,
    SeriesSchema,
)
from lphm.data.series import as_series, channel_names, ended
from lphm.data.statistics import ColumnStatistics, Moments
from lphm.errors import InputError

#: Pieces of the encoding of a number: one for so many numbers of its column, at least and at most so many.
NUMBERS_OF_A_PIECE, FEWEST_PIECES, MOST_PIECES = 16, 4, 48


def fit_series(
    array: np.ndarray,
    names: Sequence[str] | None = None,
    series: str | None = None,
    step: str | None = None,
    wide: list[list[str | None]] | None = None,
) -> SeriesSchema:
    """The schema of series ``(N, steps, channels)``; a constant channel is centred and not scaled."""
    array = as_series(array)
    names = channel_names(array) if names is None else names
    if len(names) != array.shape[2]:
        raise InputError(f"channels must have a name each, got {len(names)} names for {array.shape[2]}")
    if np.isnan(array).all():
        raise InputError("series must hold numbers, got missing values alone")
    after = ended(array)
    gaps = (np.isnan(array) & ~after[:, :, None]).any(axis=(0, 1))
    channels = []
    for name, values, has_gaps in zip(names, np.moveaxis(array, 2, 0), gaps.tolist(), strict=True):
        moments = Moments.of(values.ravel())
        varies = moments.std > 1e-12 * abs(moments.mean)  # not only by the rounding of a constant
        std = moments.std if varies else 1.0
        channels.append(Channel(name=name, mean=moments.mean, std=std, gaps=has_gaps))
    lengths = array.shape[1] - after.sum(axis=1)
    ragged = bool((lengths != lengths.max()).any())
    steps = int(lengths.max())
    return SeriesSchema(steps=steps, channels=channels, series=series, step=step, wide=wide, ragged=ragged)


def fit_grid(features: pd.DataFrame, rows: int, columns: int) -> GridSchema:
    """The schema of a table whose rows are ``rows x columns`` matrices, from the training part."""
    values = table_numbers(features, list(features.columns))
    moments = Moments.of(values.ravel())
    names = list(features.columns)
    return GridSchema(names=names, rows=rows, columns=columns, mean=moments.mean, std=moments.std or 1.0)


def fit_features(
    features: pd.DataFrame, categories: Collection[str] = (), conversions: Conversions | None = None
) -> FeatureSchema:
    """The schema of a table in memory, as ``as_numbers_or_words`` gives it, from its training part.

    A column with a single value is left out; a missing value counts as a value. Words more than half of which
    are distinct are an ``InputError``, in the columns ``categories`` only if all are distinct; so is a table
    without a column that varies.
    """
    statistics, varying = ColumnStatistics(), set()
    for label in features:
        name, column = str(label), features[label]
        statistics.add(name, column)
        problem = text_problem(column, name, name in categories)
        if problem is not None:
            raise problem
        if name not in statistics.words and column.notna().any() and column.nunique(dropna=False) > 1:
            varying.add(name)
    return feature_schema(statistics, varying, conversions)


def feature_schema(
    statistics: ColumnStatistics, varying: set[str], conversions: Conversions | None = None
) -> FeatureSchema:
    """The schema of the columns of numbers that are named in ``varying``, and of the text that varies.

    ``conversions`` made columns of numbers; those whose columns all do not vary are left out.
    """
    made = {
        name: conversion
        for name, conversion in (conversions or {}).items()
        if varying.intersection(conversion.names(name))
    }
    numbers = {name: moments for name, moments in statistics.numbers.items() if name in varying}
    words = {name: words for name, words in statistics.words.items() if len(words) > 1}
    if not numbers and not words:
        names = ", ".join([*statistics.numbers, *statistics.words])
        raise InputError(f"a feature must vary, got one value in each of: {names}")
    return FeatureSchema(
        numeric=[
            NumericColumn(
                name=name,
                mean=moments.mean,
                std=moments.std or 1.0,
                edges=statistics.distributions[name].edges(
                    min(max(moments.count // NUMBERS_OF_A_PIECE, FEWEST_PIECES), MOST_PIECES)
                ),
            )
            for name, moments in numbers.items()
        ],
        categorical=[
            CategoricalColumn(name=name, categories=sorted(word for word in distinct if word is not None))
            for name, distinct in words.items()
        ],
        conversions=made,
    )
