"""How good the predictions of the test part are, and where they are wrong."""

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from lphm.report.answers import trust
from lphm.report.charts import BINS, reliability_chart, residual_histogram, scatter_chart
from lphm.report.sources import Sources

#: Largest number of classes in the confusion matrix, which shows the most frequent ones.
MAX_CLASSES = 30
#: Samples with the largest errors, and pairs of classes, that are listed.
MOST_WORST = 10


def quality(sources: Sources) -> dict[str, Any] | None:
    """How good the predictions of the test part are; None if there are none."""
    if sources.evaluation is None or sources.evaluation.predictions.empty:
        return None
    frame = sources.evaluation.predictions
    common = {"score": sources.evaluation.score, "samples": len(frame)} | trust(sources, frame)
    if sources.classes is None:
        truth, predicted = (frame.iloc[:, column].to_numpy(dtype=float) for column in (1, 2))
        return common | residuals(truth, predicted) | {"worst": largest_errors(frame)}
    bins = calibration(frame)
    return {
        **common,
        "correct": int((frame.iloc[:, 1] == frame.iloc[:, 2]).sum()),
        "confusion": confusion(frame, sources.classes),
        "confused": most_confused(frame),
        "worst": most_confident_errors(frame),
        "too_confident": overconfidence(frame),
        "calibration": bins,
        "calibration_error": calibration_error(bins),
        "reliability": reliability_chart("reliability", bins),
    }


def confusion(predictions: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """The confusion matrix of the most frequent classes, with recall and precision of each.

    A cell is its count, its share of the row, and what its colour stands for: correct predictions are
    negative, errors positive, and a cell that is not empty is never too pale to be seen.
    """
    counts = pd.crosstab(predictions.iloc[:, 1], predictions.iloc[:, 2])
    counts = counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    totals, correct = counts.sum(axis=1), counts.diagonal()
    with np.errstate(invalid="ignore"):  # no samples of a class, or no predictions: nan
        shares = counts / totals[:, None]
        recall, precision = correct / totals, correct / counts.sum(axis=0)
    colors = np.where(counts, np.maximum(shares, 0.3), 0).round(3) * (1 - 2 * np.eye(len(classes)))
    shown = np.sort(np.argsort(-totals, kind="stable")[:MAX_CLASSES])
    cells = [[(counts[i, j], shares[i, j], colors[i, j]) for j in shown] for i in shown]
    return {
        "classes": [classes[i] for i in shown],
        "rows": list(zip(cells, totals[shown], recall[shown], strict=True)),
        "precision": precision[shown],
        "left_out": len(classes) - len(shown),
    }


def most_confused(predictions: pd.DataFrame) -> list[tuple[str, str, int, float]]:
    """Truth, prediction, number and share of the samples of that class, of the most frequent errors."""
    truth, guess = predictions.iloc[:, 1], predictions.iloc[:, 2]
    counts, totals = predictions[truth != guess].groupby([truth, guess]).size(), truth.value_counts()
    leading = counts.sort_values(ascending=False, kind="stable")[:MOST_WORST]
    return [(true, other, int(n), n / totals[true]) for (true, other), n in leading.items()]


def most_confident_errors(predictions: pd.DataFrame) -> list[tuple[int, str, str, float]]:
    """Number of the sample, from 1, truth, prediction and its probability, of the most confident errors."""
    wrong = predictions[predictions.iloc[:, 1] != predictions.iloc[:, 2]]
    confidence = wrong.iloc[:, 3:].max(axis=1).sort_values(ascending=False, kind="stable")[:MOST_WORST]
    rows = wrong.loc[confidence.index]
    return list(zip(rows.iloc[:, 0] + 1, rows.iloc[:, 1], rows.iloc[:, 2], confidence, strict=True))


def largest_errors(predictions: pd.DataFrame) -> list[tuple[int, float, float, float]]:
    """Number of the sample, from 1, truth, prediction, and truth minus prediction, of the largest errors."""
    truth, predicted = (predictions.iloc[:, column].astype(float) for column in (1, 2))
    residual = truth - predicted
    leading = residual.abs().sort_values(ascending=False, kind="stable").index[:MOST_WORST]
    numbers = predictions.loc[leading].iloc[:, 0] + 1
    return list(zip(numbers, truth[leading], predicted[leading], residual[leading], strict=True))


def overconfidence(predictions: pd.DataFrame) -> tuple[float, bool]:
    """Mean confidence minus accuracy, and whether that is more than chance explains (two standard errors)."""
    confidence = predictions.iloc[:, 3:].max(axis=1).to_numpy(dtype=float)
    correct = (predictions.iloc[:, 1] == predictions.iloc[:, 2]).to_numpy()
    difference = float(confidence.mean() - correct.mean())
    error = float(np.sqrt((confidence * (1 - confidence)).sum()) / len(confidence))
    return difference, abs(difference) > 2 * error


def calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """``samples``, mean ``confidence`` and ``accuracy`` in equal bins of the confidence; no empty bins.

    The confidence is the probability of the predicted class.
    """
    confidence = predictions.iloc[:, 3:].max(axis=1)
    correct = predictions.iloc[:, 1] == predictions.iloc[:, 2]
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    values = pd.DataFrame({"samples": 1, "confidence": confidence, "accuracy": correct})
    return values.groupby(bins).agg({"samples": "sum", "confidence": "mean", "accuracy": "mean"})


def calibration_error(bins: pd.DataFrame) -> float:
    """The expected calibration error, ``Σ samples |accuracy - confidence| / Σ samples``.

    Reference:
        Guo et al., 2017, arXiv:1706.04599, equation 3.
    """
    return float(np.average((bins.accuracy - bins.confidence).abs(), weights=bins.samples))


def residuals(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Root mean square, mean and median absolute and mean residual, and the charts of the residuals."""
    values = np.sort(truth - predicted)
    against_truth = scatter_chart("scatter", truth, predicted, ("true value", "predicted value"))
    normal = normal_quantiles(values)
    return {
        "rmse": float(np.sqrt((values**2).mean())),
        "mae": float(np.abs(values).mean()),
        "median": float(np.median(np.abs(values))),
        "bias": float(values.mean()),
        "charts": [
            ("Predicted against true values", against_truth),
            ("Distribution of the residuals", residual_histogram("residuals", values)),
        ],
        "quantiles": scatter_chart("quantiles", normal, values, ("normal quantile", "residual")),
    }


def normal_quantiles(values: np.ndarray) -> np.ndarray:
    """Sorted values that as many samples of a normal distribution of this mean and spread would have."""
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    standard = np.array([NormalDist().inv_cdf(rank) for rank in ranks])
    quantiles: np.ndarray = values.mean() + values.std() * standard
    return quantiles
