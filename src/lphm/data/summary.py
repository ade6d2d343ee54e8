"""A dataset in numbers, as plain values that JSON can hold: how many, how spread, how much is missing."""

from typing import Any

import numpy as np
import pandas as pd

from lphm.data.columns import category_words, column_numbers, is_text, missing_words_to_nan, plain_values
from lphm.data.dataset import Dataset, infer_task
from lphm.data.targets import Task

#: Bars of a histogram, and categories of a feature and classes of a target that are named.
BINS, MOST_CATEGORIES, MOST_CLASSES = 20, 10, 100


def summarize(data: Dataset, task: Task | None = None) -> dict[str, Any]:
    """Every feature and the target of a dataset, described.

    The result has ``name``, ``samples``, ``series``, ``shape`` of a sample where it is a matrix, ``missing``
    (the share of missing values), ``features`` and ``target``. A number has ``mean``, ``std``, ``min``,
    ``max`` (None if nothing is there) and a ``histogram`` of ``edges`` and ``counts``; a category has
    ``distinct`` and the most frequent ``categories`` with their ``count``; a target's are in the order
    of its classes. Series are described by channel.

    Args:
        data: the dataset.
        task: how the target is meant; decided from it if not given.

    Raises:
        InputError: a column holds neither numbers nor text.
    """
    features = (
        _channels(data)
        if isinstance(data.inputs, np.ndarray)
        else [_column(data.inputs[c]) for c in data.inputs]
    )
    shape = data.inputs.shape[1:] if isinstance(data.inputs, np.ndarray) else data.grid
    return {
        "name": data.name,
        "samples": len(data),
        "series": isinstance(data.inputs, np.ndarray),
        "shape": None if shape is None else list(shape),
        "missing": float(np.mean([feature["missing"] for feature in features])) if features else 0.0,
        "features": features,
        "target": _target(data.target, task or infer_task(data.target)),
    }


def _channels(data: Dataset) -> list[dict[str, Any]]:
    inputs = np.asarray(data.inputs)
    names = data.channels or [f"channel {i}" for i in range(1, inputs.shape[-1] + 1)]
    return [_number(name, inputs[..., i].astype(float).ravel()) for i, name in enumerate(names)]


def _column(column: pd.Series) -> dict[str, Any]:
    column = missing_words_to_nan(column)
    name = str(column.name)
    if not is_text(column):
        return _number(name, column_numbers(column, name))
    words = pd.Series(category_words(column), dtype=object)
    return {
        "name": name,
        "type": "category",
        "missing": float(words.isna().mean()) if len(words) else 0.0,
        **_frequencies(words.dropna(), MOST_CATEGORIES),
    }


def _frequencies(words: pd.Series, most: int) -> dict[str, Any]:
    counts = words.value_counts()
    named = counts.iloc[:most]
    return {
        "distinct": len(counts),
        "categories": [{"name": str(n), "count": int(c)} for n, c in zip(named.index, named, strict=True)],
    }


def _number(name: str, values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    with np.errstate(all="ignore"):  # numbers near the largest float: what overflows is None
        facts = [f(known) if len(known) else np.nan for f in (np.mean, np.std, np.min, np.max)]
        histogram = _histogram(known)
    return {
        "name": name,
        "type": "number",
        "missing": 1 - len(known) / len(values) if len(values) else 0.0,
        **{
            key: float(value) if np.isfinite(value) else None
            for key, value in zip(("mean", "std", "min", "max"), facts, strict=True)
        },
        "histogram": histogram,
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
    described = _frequencies(pd.Series([str(c) for c in values], dtype=object), MOST_CLASSES)
    classes = sorted(set(values), key=lambda c: (isinstance(c, str), c))
    place = {str(c): i for i, c in enumerate(classes)}
    described["categories"].sort(key=lambda category: place[category["name"]])
    return {"name": name, "type": "category", "missing": float(target.isna().mean()), **described}
