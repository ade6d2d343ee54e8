"""How good predictions are, in numbers: confusion, calibration, residuals."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

BINS = 10


def confusion_counts(predictions: pd.DataFrame, classes: list[str]) -> np.ndarray:
    """How many samples of class ``i`` were predicted to be of class ``j``, ``(classes, classes)``."""
    index = pd.Index(classes)
    truth, guess = (index.get_indexer(predictions.iloc[:, column].map(str)) for column in (1, 2))
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (truth, guess), 1)
    return counts


@dataclass(frozen=True, eq=False)
class Reliability:
    """Of the samples whose confidence lies in each of ten equal bins: how many, and how often they are right.

    Args:
        counts: samples in each bin.
        confidence: their mean confidence, ``nan`` where there are none.
        accuracy: the share of them that is right, ``nan`` where there are none.
        error: the expected calibration error, ``Σ counts |accuracy - confidence| / N``.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    error: float


def reliability(predictions: pd.DataFrame) -> Reliability:
    """Confidence is the probability of the predicted class.

    Reference:
        Guo et al., 2017, arXiv:1706.04599, equation 3.
    """
    confidence = predictions.iloc[:, 3:].to_numpy(dtype=float).max(axis=1)
    right = predictions.iloc[:, 1].map(str).to_numpy() == predictions.iloc[:, 2].map(str).to_numpy()
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    counts = np.bincount(bins, minlength=BINS)
    sums = np.bincount(bins, confidence, BINS), np.bincount(bins, right, BINS)
    error = float(np.abs(sums[1] - sums[0]).sum() / len(right))
    sure, often = (np.divide(s, counts, out=np.full(BINS, np.nan), where=counts > 0) for s in sums)
    return Reliability(counts, sure, often, error)


@dataclass(frozen=True, eq=False)
class Residuals:
    """What is left of a number when its prediction is taken away.

    Args:
        truth: the true values.
        predicted: the predicted ones.
        values: truth minus predicted.
        normal: where each residual, sorted, would lie if residuals were normal.
        rmse: root of the mean squared residual, in the target's unit.
        mae: mean absolute residual, in the target's unit.
        bias: mean residual.
    """

    truth: np.ndarray
    predicted: np.ndarray
    values: np.ndarray
    normal: np.ndarray
    rmse: float
    mae: float
    bias: float


def residuals(predictions: pd.DataFrame) -> Residuals:
    """The residuals of a regression, and what a normal distribution of that spread would make of them."""
    truth, predicted = (predictions.iloc[:, column].to_numpy(dtype=float) for column in (1, 2))
    values = truth - predicted
    mean, std = float(values.mean()), float(values.std())
    standard = NormalDist()
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    normal = mean + std * np.array([standard.inv_cdf(rank) for rank in ranks])
    rmse, mae = float(np.sqrt((values**2).mean())), float(np.abs(values).mean())
    return Residuals(truth, predicted, values, normal, rmse, mae, mean)
