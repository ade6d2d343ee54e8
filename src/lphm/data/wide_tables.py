"""Series from a wide table: a row for every series, and a column for every step of every channel."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from lphm.data.columns import as_target, require_named, table_numbers, table_with
from lphm.data.conversions import channel_conversions, convert, target_conversion
from lphm.data.dataset import Dataset
from lphm.data.decimal_marks import decimal_comma
from lphm.data.row_columns import row_arrays
from lphm.data.row_options import AT_RANDOM, RowOptions
from lphm.errors import Fix, InputError

#: The most steps of which one has a column.
SPARSEST = 10


def labelled_wide(
    name: str,
    frame: pd.DataFrame,
    target: str,
    drop: Sequence[str],
    expression: str,
    options: RowOptions = AT_RANDOM,
) -> Dataset:
    """Series and their target; rows without a target are left out.

    ``expression`` describes the names of the columns of steps; every other column must be the target, be
    named by the options, or be in ``drop``.
    """
    apart = [target, *drop, *options.columns_beside(target)]
    require_named(name, apart, list(frame.columns))
    columns = [column for column in frame.columns if column not in apart]
    wide, channels = wide_columns(name, columns, expression)
    matched = {column for step in wide for column in step}
    if other := [column for column in columns if column not in matched]:
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        message = f"every column of {name} must be matched by wide or be left out, got {other[0]!r}{more}"
        raise InputError(message, fixes=[Fix(column, "drop") for column in other])
    comma = decimal_comma(frame)
    of_channels = [[column for column in each if column is not None] for each in zip(*wide, strict=True)]
    conversions = channel_conversions(frame, of_channels, comma)
    number = target_conversion(frame[target], comma)
    labels = as_target(frame[target] if number is None else number.column(frame[target]), target)
    known = labels.notna()
    if not known.any():
        raise InputError(f"{name} must have a row in which {target!r} is not missing, got none")
    return Dataset(
        name,
        wide_series(convert(frame[known], conversions), wide),
        labels[known],
        channels=channels,
        wide=wide,
        conversions=conversions,
        number=number,
        row_options=options,
        **row_arrays(frame[known], options),
    )


def wide_series(
    frame: pd.DataFrame, wide: Sequence[Sequence[str | None]], source: str = "the table"
) -> np.ndarray:
    """``(N, steps, channels)`` from the columns ``wide[step][channel]``; ``nan`` where there is none."""
    columns = [column for step in wide for column in step]
    names = [column for column in columns if column is not None]
    array = np.full((len(frame), len(columns)), np.nan)
    there = [column is not None for column in columns]
    array[:, there] = table_numbers(table_with(frame, names, source), names)
    return array.reshape(len(frame), len(wide), -1)


def wide_columns(
    name: str, columns: Sequence[str], expression: str
) -> tuple[list[list[str | None]], tuple[str, ...] | None]:
    """The columns ``[step][channel]`` that an expression matches, in order of the step, and the channels.

    The group ``step``, or else the first, is the number of the step; the group ``channel``, or else the
    second, is the name of the channel, which may be absent. Steps are as far apart as the nearest two (or a
    divisor of that), and None stands where there is no column.
    """
    pattern, step_group, channel_group = _groups(expression)
    places: dict[tuple[int, str | None], str] = {}
    for column in columns:
        if match := pattern.fullmatch(column):
            step = _number(match[step_group], column)
            place = step, match[channel_group] if channel_group else None
            if place in places:
                raise InputError(f"a step must have one column, got {places[place]!r} and {column!r}")
            places[place] = column
    if not places:
        got = ", ".join(columns[:5]) + ", ..." * (len(columns) > 5)
        raise InputError(f"wide must match names of columns of {name}, got {expression!r} and {got}")
    steps, channels = (
        sorted({step for step, _ in places}),
        list(dict.fromkeys(channel for _, channel in places)),
    )
    apart = math.gcd(*(b - a for a, b in pairwise(steps))) or 1
    numbers = range(steps[0], steps[-1] + 1, apart)
    if len(numbers) > SPARSEST * len(steps):
        got = f"{len(steps)} between {steps[0]} and {steps[-1]}"
        raise InputError(
            f"steps in names of columns must be evenly spaced, got {got}; number them 1, 2, 3, ..."
        )
    wide = [[places.get((step, channel)) for channel in channels] for step in numbers]
    return wide, tuple(str(channel) for channel in channels) if channel_group else None


def _groups(expression: str) -> tuple[re.Pattern[str], int, int | None]:
    """The expression, and the groups of step and channel."""
    try:
        pattern = re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"wide must be a regular expression, got {expression!r}: {error}") from error
    named = pattern.groupindex
    others = [group for group in range(1, pattern.groups + 1) if group not in named.values()]
    step = named.get("step") or (others.pop(0) if others else None)
    channel = named.get("channel") or (others.pop(0) if others else None)
    if step is None or others or named.keys() - {"step", "channel"}:
        wanted = "a group for the step, such as ch_(\\d+), and at most one more, for the channel"
        raise InputError(f"wide must have {wanted}, got {expression!r}")
    return pattern, step, channel


def _number(text: str | None, column: str) -> int:
    try:
        return int(text or "")
    except ValueError as error:
        message = f"the step in the name of a column must be a whole number, got {text!r:.40} in {column!r}"
        raise InputError(message) from error
