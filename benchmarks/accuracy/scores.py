"""How good predictions are."""

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, roc_auc_score

#: A class that got probability 0 and was the right one costs -log(1e-12) = 27.6, not infinity.
LEAST_PROBABILITY = 1e-12
BINS = 15


def regression_scores(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """R² and the mean absolute error."""
    return {"score": r2_score(y, predicted), "mae": mean_absolute_error(y, predicted)}


def class_scores(y: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, log-loss, area under the curve (of two classes only) and calibration.

    Shape:
        y: ``(N,)``, the classes as 0, …, k - 1; probabilities: ``(N, k)``.
    """
    p = np.clip(np.asarray(probabilities, dtype=float), LEAST_PROBABILITY, None)
    p /= p.sum(axis=1, keepdims=True)
    error, overconfidence = calibration(y, p)
    scores = {
        "score": accuracy_score(y, p.argmax(axis=1)),
        "logloss": log_loss(y, p, labels=np.arange(p.shape[1])),
        "calibration_error": error,
        "overconfidence": overconfidence,
    }
    return scores | ({"auc": roc_auc_score(y, p[:, 1])} if p.shape[1] == 2 else {})


def calibration(y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """The expected calibration error of the most probable class, and its direction.

    The error is ``sum_b share_b |confidence_b - accuracy_b|`` over 15 bins of equal width of the confidence.
    The direction is the mean confidence less the accuracy: negative where the probabilities are too modest.

    Shape:
        y: ``(N,)``, the classes as 0, …, k - 1; p: ``(N, k)``.
    """
    confidence = p.max(axis=1)
    gap = confidence - (p.argmax(axis=1) == y)  # (N,)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    error = np.abs(np.bincount(bins, weights=gap)).sum() / len(y)
    return float(error), float(gap.mean())
