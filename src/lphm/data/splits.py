"""Parts of a dataset: test part, validation part, and folds.

Without groups and times parts are drawn at random, and stratified by class for classification.
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
    train_test_split,
)

from lphm.data.columns import column_numbers, plain_values
from lphm.data.dataset import Dataset
from lphm.data.targets import Task
from lphm.errors import InputError

#: Draws of groups, of which the one is taken that holds out most evenly of every class.
DRAWS = 32


def split_rows(data: Dataset, task: Task, seed: int, share: float = 0.2) -> tuple[Dataset, Dataset]:
    """Training part, and the part that is held out: whole groups, or the latest rows, if the data have these.

    Raises:
        InputError: a side is empty or weighs nothing, or the training part lacks a class that is held out.
        ValueError: the rows are too few.
    """
    classes = _classes(data, task)
    if data.time is not None:
        kept, out = _earlier_and_later(data.time, share)
    elif data.groups is not None:
        kept, out = _groups_apart(data.groups, classes, seed, share)
    else:
        held_out = max(round(share * len(data)), 1 if classes is None else len(set(classes)))
        with warnings.catch_warnings():
            # Many classes of a few rows each; where that is an error, check_target raises it.
            warnings.filterwarnings("ignore", message=".*number of unique classes.*")
            kept, out = train_test_split(
                np.arange(len(data)), test_size=held_out, random_state=seed, stratify=classes
            )
    _check_sides(data, classes, kept, out)
    return data.take(np.sort(kept)), data.take(np.sort(out))


def held_out(data: Dataset, task: Task, seed: int, share: float, members: int) -> np.ndarray:
    """Which rows are held out for each member of an ensemble, ``(N, members)``.

    Every part has about that share of the rows, and of each class, or of small and large numbers; or whole
    groups. Each member has a part of its own, as far as there are as many. Rows that weigh nothing, and the
    only row of a class, are in none.

    Raises:
        InputError: there are fewer than two rows or groups that weigh something, or a class is in one group.
    """
    classes, counts = _classes(data, task), data.weights > 0
    units = np.flatnonzero(counts) if data.groups is None else np.unique(data.groups[counts])
    if len(units) < 2:
        what = "samples" if data.groups is None else "groups"
        raise InputError(f"there must be at least 2 {what} that count, got {len(units)}")
    parts = min(max(round(1 / share), 2), len(units))
    part = np.full(len(data), -1)
    if data.groups is None:
        truth = column_numbers(data.target, "the target") if classes is None else pd.factorize(classes)[0]
        part[units] = _dealt(truth[units], parts, np.random.default_rng(seed))
        if classes is not None:
            part[~pd.Series(classes).duplicated(keep=False).to_numpy()] = -1
    else:
        rows = np.flatnonzero(counts)
        counted, classes = data.take(rows), None if classes is None else classes[rows]
        for number, (kept, out) in enumerate(_fold_rows(counted, classes, parts, seed)):
            _check_sides(counted, classes, kept, out)
            part[rows[out]] = number
    apart: np.ndarray = part[:, np.newaxis] == np.arange(members) % parts
    return apart


def _dealt(values: np.ndarray, parts: int, random: np.random.Generator) -> np.ndarray:
    """The part of each row: rows next to each other in the order of their values go to different ones."""
    part = np.empty(len(values), dtype=int)
    rows = random.permutation(len(values))
    rows = rows[np.argsort(values[rows], kind="stable")]
    for first in range(0, len(rows), parts):
        block = rows[first : first + parts]
        part[block] = random.permutation(parts)[: len(block)]
    return part


def folds(data: Dataset, task: Task, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the training part and of the test part of every fold.

    A fold has whole groups, if there are groups. With times, a fold has the same number of distinct times as
    the others, and its training part has all rows that are earlier.

    Raises:
        InputError: there are too few rows, groups or times, or a fold is as ``split_rows`` refuses it.
    """
    classes = _classes(data, task)
    _require_folds(data, classes, k)
    parts = _fold_rows(data, classes, k, seed)
    for kept, out in parts:
        _check_sides(data, classes, kept, out)
    return parts


def _require_folds(data: Dataset, classes: np.ndarray | None, k: int) -> None:
    """Raise ``InputError`` unless there can be so many folds."""
    limits = {"samples": len(data)}
    if data.time is not None:
        limits = {"distinct times after the first": len(np.unique(data.time)) - 1}
    elif classes is not None:
        limits = {"samples of the smallest class": int(pd.Series(classes).value_counts().min())}
    if data.groups is not None:
        limits["groups"] = len(set(data.groups))
    counted = min(limits, key=lambda each: limits[each])
    if not 2 <= k <= limits[counted]:
        raise InputError(f"folds must be at least 2 and at most the {limits[counted]} {counted}, got {k}")


def _fold_rows(
    data: Dataset, classes: np.ndarray | None, k: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    if data.time is not None:
        times, place = np.unique(data.time, return_inverse=True)
        return [
            (np.flatnonzero(np.isin(place, earlier)), np.flatnonzero(np.isin(place, later)))
            for earlier, later in TimeSeriesSplit(k).split(times)
        ]
    if data.groups is None:
        splitter = KFold if classes is None else StratifiedKFold
    else:
        splitter = GroupKFold if classes is None else StratifiedGroupKFold
    folds_of = splitter(k, shuffle=True, random_state=seed)
    # By their order in the data: what groups are called changes nothing.
    groups = None if data.groups is None else pd.factorize(data.groups)[0]
    return list(folds_of.split(np.zeros(len(data)), classes, groups))


def check_apart(data: Dataset, test: Dataset) -> None:
    """Raise ``InputError`` if a group of ``data`` is in ``test``, too, or if ``test`` is not later."""
    if data.groups is not None and test.groups is not None:
        both = sorted({*data.groups} & {*test.groups})
        if both:
            raise InputError(f"{test.name} must have other groups than {data.name}, got {both[0]!r} in both")
    if data.time is not None and test.time is not None and test.time.min() <= data.time.max():
        raise InputError(f"every row of {test.name} must be later than those of {data.name}, got another")


def _classes(data: Dataset, task: Task) -> np.ndarray | None:
    """The class of every row as a word; None for numbers."""
    return np.array([str(c) for c in plain_values(data.target)]) if task == "classification" else None


def _earlier_and_later(time: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Earlier rows and later ones, as near to that share as rows of one time allow, which stay together."""
    times, counts = np.unique(time, return_counts=True)
    if len(times) < 2:
        raise InputError(f"rows must be of at least 2 times to be split by time, got {len(times)}")
    later = counts[::-1].cumsum()[::-1]  # rows of each time or after it
    first = times[1:][np.abs(later[1:] - share * len(time)).argmin()]
    return np.flatnonzero(time < first), np.flatnonzero(time >= first)


def _groups_apart(
    groups: np.ndarray, classes: np.ndarray | None, seed: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of some groups, and those of the others, near to that share of the rows and of every class."""
    codes, names = pd.factorize(groups)
    if len(names) < 2:
        raise InputError(f"rows must be of at least 2 groups to be split by group, got {len(names)}")
    places = np.zeros(len(groups), dtype=int) if classes is None else pd.factorize(classes)[0]
    rows = np.bincount(places)

    def unevenness(split: tuple[np.ndarray, np.ndarray]) -> float:
        held_out = np.bincount(places[split[1]], minlength=len(rows)) / rows
        return float(np.abs(held_out - share).max())

    draws = GroupShuffleSplit(DRAWS, test_size=share, random_state=seed)
    kept, out = min(draws.split(codes, groups=codes), key=unevenness)
    return kept, out


def _check_sides(data: Dataset, classes: np.ndarray | None, kept: np.ndarray, out: np.ndarray) -> None:
    """Raise ``InputError`` unless rows on both sides count, and those for training have all classes."""
    for side in (kept, out):
        if not data.weights[side].sum() > 0:
            got = f"{len(side)} rows of weight 0 on one"
            raise InputError(f"both sides of a split must have rows whose weight is above 0, got {got}")
    if classes is not None and (unknown := {*classes[out]} - {*classes[kept]}):
        got = f"none of {str(min(unknown))!r}, all of which are held out"
        advice = "a class must be in several groups, and not in the latest rows alone"
        raise InputError(f"rows for training must have every class, got {got}; {advice}")
