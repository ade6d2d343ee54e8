"""Columns of a stranger's table that would mislead, and options that its columns suggest.

An identifier says nothing about a new row. A column that tells the target alone is, as a rule, not known
before the target is. Both are left out, unless the user keeps them.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from lphm.data.columns import is_text, require_named
from lphm.data.conversions import DateFormat, sources
from lphm.data.dataset import FEWEST_ROWS, Dataset, infer_task
from lphm.data.problems import is_one_each
from lphm.errors import InputError

#: Why a column is left out.
RUNNING, ONE_EACH, TELLS = "a running number", "another value in every row", "gives the target away"
#: Rows of which it is decided whether a column tells the target.
MOST_ROWS = 3000
#: The share of the rows, or of the variance, that such a column tells at least; and the largest share of one
#: class with which that says something.
TOLD, LARGEST_CLASS = 0.999, 0.95
#: Names of identifiers.
IDENTIFIER = re.compile(
    r"(?:.*[_ .-])?(?:id|uuid|guid|index|key|nr|no|row|rownames?|unnamed: \d+)"
    r"|(?-i:.*[a-z](?:Id|ID|Key|Nr|No|Index))",
    re.IGNORECASE,
)
#: A column with more missing cells tells the target only if it also does by missing.
FEWEST_TOLD = 0.5
#: The least rank correlation with a column that orders the target, such as a price in another currency.
SAME_ORDER = 0.9999
#: The least score of a tree in one fold, from which on it is tried in all.
QUICKLY_TOLD = 0.99
#: Groups of a column that may name series; and rows of a series, on average.
FEWEST_GROUPS, FEWEST_STEPS = 10, 4
#: Names of columns that order the rows of a series.
STEP = re.compile(
    r"(?:.*[_ .-])?(?:step|time|t|timestamp|seconds|second|minute|hour|day|cycle|position)", re.IGNORECASE
)


def without_misleading(data: Dataset, keep: Sequence[str] = (), categories: Sequence[str] = ()) -> Dataset:
    """The same rows of a table without identifiers and columns that tell the target, but those in ``keep``.

    Those in ``categories`` stay too. If nothing else is there, all stay.

    Raises:
        InputError: a column that is to be kept is not there.
    """
    if not isinstance(data.inputs, pd.DataFrame) or data.grid is not None:
        if keep:
            raise InputError("only columns of a table can be kept; leave it out", option="keep")
        return data
    of_source = _columns_by_source(data)
    require_named(data.name, keep, [*of_source, *data.left_out])
    if len(data) < FEWEST_ROWS:
        return data
    found = {}
    for source, columns in of_source.items():
        reason = None if source in keep or source in categories else _misleads(data, source, columns)
        if reason is not None:
            found[source] = reason
    hint = _series(data, found)
    if "step" in hint and hint["step"] not in keep:
        found[hint["step"]] = f"orders the rows of each {hint['series']!r}"
    features = [name for source, columns in of_source.items() if source not in found for name in columns]
    if not features:
        return data
    data = replace(data, inputs=data.inputs[features], left_out={**data.left_out, **found})
    return replace(data, hint=hint or _suggestion(data))


def _columns_by_source(data: Dataset) -> dict[str, list[str]]:
    """The features, by the column of the file that they were made of."""
    of_source: dict[str, list[str]] = {}
    names = list(map(str, data.inputs))
    for name, source in zip(names, sources(names, data.conversions), strict=True):
        of_source.setdefault(source, []).append(name)
    return of_source


def _misleads(data: Dataset, source: str, columns: list[str]) -> str | None:
    """Why a column is better left out; None if it is not."""
    if len(columns) == 1 and source not in data.conversions and source not in data.categories:
        if _is_running_number(data.inputs[source]):
            return RUNNING
        if is_one_each(data.inputs[source]):
            return ONE_EACH
    return TELLS if any(_tells(data.inputs[name], data.target) for name in columns) else None


def _is_running_number(column: pd.Series) -> bool:
    """Whole numbers, each once, from 0 or 1 on in the order of the rows, or named as an identifier."""
    if is_text(column) or column.isna().any() or column.duplicated().any():
        return False
    numbers = column.to_numpy(dtype=np.float64)
    in_order = numbers[0] in (0, 1) and bool((np.diff(numbers) == 1).all())
    return in_order or (bool((numbers % 1 == 0).all()) and IDENTIFIER.fullmatch(str(column.name)) is not None)


def _tells(column: pd.Series, target: pd.Series) -> bool:
    """Whether the target follows from this column alone."""
    is_regression = infer_task(target) == "regression"
    y = target.to_numpy(dtype=np.float64) if is_regression else pd.factorize(target)[0]
    if not is_regression and (np.bincount(y).max() > LARGEST_CLASS * len(y) or y.max() >= len(y) / 2):
        return False
    rows = np.random.default_rng(0).permutation(len(y))[:MOST_ROWS]
    if is_text(column):
        codes = pd.factorize(column, use_na_sentinel=False)[0]
        told = _told_by_words(codes[rows], y[rows], is_regression)
    else:
        told = _told_by_numbers(column.to_numpy(dtype=np.float64)[rows], y[rows], is_regression)
    return told >= TOLD


def _told_by_words(codes: np.ndarray, y: np.ndarray, is_regression: bool) -> float:
    """The share of the variance between words, or of the rows whose word is in several rows of one class."""
    frame = pd.DataFrame({"word": codes, "y": y})
    groups = frame.groupby("word")["y"]
    if is_regression:
        within = len(y) - groups.ngroups
        spread = np.var(y) * len(y)
        if not within or groups.ngroups > len(y) / 2 or not spread:
            return 0.0
        return float(1 - ((y - groups.transform("mean")) ** 2).sum() / within / (spread / (len(y) - 1)))
    return float(((groups.transform("size") > 1) & (groups.transform("nunique") == 1)).mean())


def _told_by_numbers(x: np.ndarray, y: np.ndarray, is_regression: bool) -> float:
    """The most that a column tells: where it is known, or of all rows, a missing cell being a value too."""
    known = ~np.isnan(x)
    told = 0.0 if known.all() else _told_by_a_tree(x, y, is_regression)
    if known.sum() < FEWEST_TOLD * len(known):
        return told
    x, y = x[known], y[known]
    if is_regression and len(np.unique(x)) > 1 and abs(spearmanr(x, y).statistic) > SAME_ORDER:
        return 1.0
    return max(told, _told_by_a_tree(x, y, is_regression))


def _told_by_a_tree(x: np.ndarray, y: np.ndarray, is_regression: bool) -> float:
    """Accuracy or R² of a tree on this column alone, for rows that it has not seen."""
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return 0.0
    tree = (DecisionTreeRegressor if is_regression else DecisionTreeClassifier)(random_state=0)
    folds = KFold(3, shuffle=True, random_state=0)
    train, test = next(folds.split(x))
    # One fold says of most columns that they do not tell the target.
    if tree.fit(x[train, None], y[train]).score(x[test, None], y[test]) < QUICKLY_TOLD:
        return 0.0
    predicted = cross_val_predict(tree, x[:, None], y, cv=folds)
    return float(r2_score(y, predicted) if is_regression else (predicted == y).mean())


def _series(data: Dataset, left_out: dict[str, str]) -> dict[str, str]:
    """The columns that name series and order their steps, where each series has one target."""
    assert isinstance(data.inputs, pd.DataFrame)
    table = data.inputs
    for name in (name for name, reason in left_out.items() if reason == TELLS and name in table):
        if not _are_groups(table[name]) or len(table) < FEWEST_STEPS * table[name].nunique():
            continue
        for source, columns in _columns_by_source(data).items():
            is_date = isinstance(data.conversions.get(source), DateFormat)
            if is_date or STEP.fullmatch(source):
                steps = table[columns[-1]]  # of a date the time that has passed
                if not pd.DataFrame({"series": table[name], "step": steps}).duplicated().any():
                    return {"series": name, "step": source}
        return {"group": name}
    return {}


def _suggestion(data: Dataset) -> dict[str, str]:
    """A group that rows belong to, or the time of the rows."""
    assert isinstance(data.inputs, pd.DataFrame)
    table = data.inputs
    for name in map(str, table):
        if IDENTIFIER.fullmatch(name) and _are_groups(table[name]):
            return {"group": name}
    dates = [
        name
        for name, conversion in data.conversions.items()
        if isinstance(conversion, DateFormat) and name not in data.left_out
    ]
    return {"time": dates[0]} if len(dates) == 1 else {}


def _are_groups(column: pd.Series) -> bool:
    """Many words or whole numbers, most of which occur in several rows."""
    known = column.dropna()
    whole = is_text(column) or bool((known.to_numpy(dtype=np.float64) % 1 == 0).all())
    return whole and FEWEST_GROUPS <= known.nunique() <= len(known) / 2
