"""A dataset in numbers, as plain values that JSON can hold: how many, how spread, how much is missing."""

from typing import Any

import numpy as np
import pandas as pd

from lphm.data.columns import column_numbers, is_text, plain_values
from lphm.data.dataset import Dataset, infer_task
from lphm.data.series import channel_names, ended
from lphm.data.targets import Task, sorted_classes
from lphm.data.words import category_words

#: Bars of a histogram, and categories of a feature and classes of a target that are named.
BINS, MOST_CATEGORIES, MOST_CLASSES = 20, 10, 100


def summarize(data: Dataset, task: Task | None = None) -> dict[str, Any]:
    """Every feature and the target of a dataset, described.

    The result has ``name``, ``samples``, ``series``, ``shape`` of a sample where it is a matrix, ``lengths``
    of the shortest and the longest series, ``missing`` (the share of missing values; what fills up shorter
    series is none), ``features`` and ``target``. A number has ``mean``, ``std``, ``min``,
    ``max`` (None if nothing is there) and a ``histogram`` of ``edges`` and ``counts``; a category has
    ``distinct`` and the most frequent ``categories`` with their ``count``; a target's are in the order
    of its classes. Series are described by channel.

    Args:
        data: the dataset.
        task: how the target is meant; decided from it if not given.

    Raises:
        InputError: a column holds neither numbers nor text.
    """
    inputs, lengths = data.inputs, None
    if isinstance(inputs, np.ndarray):
        shape, names = inputs.shape[1:], data.channels or channel_names(inputs)
        there = ~ended(inputs.astype(float))  # what fills up shorter series is not missing
        lengths = [int(end(there.sum(axis=1))) for end in (np.min, np.max)]
        features = [_number(name, inputs[..., i][there].astype(float)) for i, name in enumerate(names)]
    else:
        shape, features = data.grid, [_column(inputs[name]) for name in inputs]
    return {
        "name": data.name,
        "samples": len(data),
        "series": isinstance(inputs, np.ndarray),
        "shape": None if shape is None else list(shape),
        "lengths": lengths,
        "missing": float(np.mean([feature["missing"] for feature in features])) if features else 0.0,
        "features": features,
        "target": _target(data.target, task or infer_task(data.target)),
    }


def _column(column: pd.Series) -> dict[str, Any]:
    name = str(column.name)
    if not is_text(column):
        return _number(name, column_numbers(column, name))
    words = [str(word) for word in category_words(column).dropna()]
    return _category(name, words, len(column), MOST_CATEGORIES)


def _category(name: str, words: list[str], rows: int, most: int) -> dict[str, Any]:
    counts = pd.Series(words, dtype=object).value_counts()
    return {
        "name": name,
        "type": "category",
        "missing": (rows - len(words)) / rows if rows else 0.0,
        "distinct": len(counts),
        "categories": [{"name": str(word), "count": int(n)} for word, n in counts.iloc[:most].items()],
    }


def _number(name: str, values: np.ndarray) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    facts = {key: getattr(known, key) for key in ("mean", "std", "min", "max")}
    return {
        "name": name,
        "type": "number",
        "missing": 1 - len(known) / len(values) if len(values) else 0.0,
        **{key: float(fact()) if len(known) else None for key, fact in facts.items()},
        "histogram": _histogram(known),
    }


def _histogram(values: np.ndarray) -> dict[str, Any] | None:
    """Counts in equal steps; None for no values, and where floats are too coarse for the steps."""
    try:
        counts, edges = np.histogram(values, bins=BINS)
    except ValueError:
        return None
    return {"edges": edges.tolist(), "counts": counts.tolist()} if len(values) else None


def _target(target: pd.Series, task: Task) -> dict[str, Any]:
    name = str(target.name)
    if task == "regression":
        return _number(name, column_numbers(target, name))
    values = plain_values(target.dropna())
    described = _category(name, [str(value) for value in values], len(target), MOST_CLASSES)
    place = {str(value): i for i, value in enumerate(sorted_classes(set(values)))}
    described["categories"].sort(key=lambda category: place[category["name"]])
    return described
