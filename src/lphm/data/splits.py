"""Parts of a dataset: test part, validation part, and folds; stratified by class for classification."""

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from lphm.data.columns import plain_values
from lphm.data.dataset import Dataset
from lphm.data.targets import Task
from lphm.errors import InputError


def split_rows(data: Dataset, task: Task, seed: int, test: float = 0.2) -> tuple[Dataset, Dataset]:
    """Training and test part."""
    classes = _classes(data) if task == "classification" else None
    held_out = max(round(test * len(data)), 1 if classes is None else len(set(classes)))
    with warnings.catch_warnings():
        # Many classes of a few rows each; where that is an error, check_target raises it.
        warnings.filterwarnings("ignore", message=".*number of unique classes.*")
        kept, out = train_test_split(
            np.arange(len(data)), test_size=held_out, random_state=seed, stratify=classes
        )
    return data.take(np.sort(kept)), data.take(np.sort(out))


def split_validation(data: Dataset, task: Task, seed: int, share: float) -> tuple[Dataset, Dataset]:
    """Training and validation part; every class keeps a sample for training."""
    try:
        return split_rows(data, task, seed, share)
    except ValueError as error:
        raise InputError(
            f"early stopping must hold {share:.0%} of the samples out, with at least two of every class, "
            f"got {len(data)} samples: {error}; train without it"
        ) from error


def folds(data: Dataset, task: Task, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the training part and of the test part of every fold."""
    classes = np.array(_classes(data)) if task == "classification" else None
    fewest = len(data) if classes is None else int(pd.Series(classes).value_counts().min())
    if not 2 <= k <= fewest:
        counted = "samples" if classes is None else "samples of the smallest class"
        raise InputError(f"folds must be at least 2 and at most the {fewest} {counted}, got {k}")
    splitter = (KFold if classes is None else StratifiedKFold)(k, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(data)), classes))


def _classes(data: Dataset) -> list[str]:
    return [str(c) for c in plain_values(data.target)]
