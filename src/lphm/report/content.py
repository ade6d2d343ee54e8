"""The values that the templates name, computed from the files of a run folder."""

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from torch import nn

from lphm.learn.run import Run
from lphm.nn.network import full_parameters, interdependence_layers, interdependence_parameters
from lphm.report.charts import BINS, curves, reliability_chart, residual_histogram, scatter_chart
from lphm.report.heat_maps import factor_panels, xi_panels
from lphm.report.sources import Sources
from lphm.structures import from_config

PARTS, ROLES = ("train", "validation", "test"), ("group", "time", "weight")
#: Largest number of classes in the confusion matrix, which shows the most frequent ones.
MAX_CLASSES = 30


def content(sources: Sources) -> dict[str, Any]:
    """Every value that the templates name."""
    run = sources.run
    xi, factors = xi_panels(sources), factor_panels(run.network)
    return {
        "run": run,
        "target": sources.target,
        "score_label": sources.score_label,
        "classes": sources.classes,
        "scores": scores(sources),
        "row_columns": dict.fromkeys(ROLES) | (sources.metrics.get("row_columns") or {}),
        "summary": sources.summary,
        "configuration": configuration(run),
        "training": training(sources),
        "quality": quality(sources),
        "xi": xi,
        "factors": factors,
        "parameters": parameters(run.network),
        "maps": {m.name: m.data for panel in xi + factors for m in panel.maps},
    }


def scores(sources: Sources) -> list[tuple[str, Any, Any, Any]]:
    """Name, number of samples, loss and score of each part of the data."""
    metrics = sources.metrics
    rows, parts = metrics.get("rows") or {}, {part: metrics.get(part) for part in PARTS}
    return [(part, rows.get(part), v.get("loss"), v.get(sources.score)) for part, v in parts.items() if v]


def configuration(run: Run) -> dict[str, list[tuple[str, Any]]]:
    """The choices of the run by name, in groups; the features are described elsewhere."""
    choices = run.config.model_dump(mode="json", exclude={"input", "target"})
    parts = [name for name in ("network", "training", "patterns") if name in choices]
    groups: dict[str, dict[str, Any]] = {name: choices.pop(name) for name in parts}
    target = run.config.target
    facts = {"source": run.config.source, "target": target.name, "task": target.task}
    facts["layout"] = run.config.input.layout
    return {
        name: [
            (choice.replace("_", " "), str(from_config(value)) if isinstance(value, dict) else value)
            for choice, value in group.items()
        ]
        for name, group in {"run": facts | choices, **groups}.items()
    }


def training(sources: Sources) -> dict[str, Any] | None:
    """The learning curves, as charts and in words."""
    history, best = sources.metrics.get("history"), sources.metrics.get("best_epoch")
    if not history:
        return None
    epochs = [int(line["epoch"]) for line in history]
    lines = pd.DataFrame(history).astype(float)
    label = sources.score_label
    charts: list[tuple[str, Markup, str]] = []
    for title, axis, keys in (
        ("Loss of each epoch", "loss", {"training": "train_loss", "validation": "val_loss"}),
        (f"Validation {label} of each epoch", label, {"validation": "val_score"}),
    ):
        values = {name: lines[key].tolist() for name, key in keys.items() if key in lines}
        if values:
            words = ", ".join(f"{name} from {v[0]:.4g} to {v[-1]:.4g}" for name, v in values.items())
            charts.append((title, curves(f"curves{len(charts)}", axis, epochs, values, best), words))
    return {
        "epochs": len(epochs),
        "out_of_time": sources.metrics.get("out_of_time", False),
        "best": best,
        "charts": charts,
        "validated": "val_loss" in lines,
    }


def quality(sources: Sources) -> dict[str, Any] | None:
    """How good the predictions of the test part are; None if there are none."""
    if sources.evaluation is None or sources.evaluation.predictions.empty:
        return None
    frame = sources.evaluation.predictions
    common = {"score": sources.evaluation.score, "samples": len(frame)}
    if sources.classes is None:
        return common | residuals(*(frame.iloc[:, column].to_numpy(dtype=float) for column in (1, 2)))
    bins = calibration(frame)
    return {
        **common,
        "baseline": frame.iloc[:, 1].value_counts(normalize=True).max(),
        "confusion": confusion(frame, sources.classes),
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
    """Root mean square, mean absolute and mean residual, and the charts of the residuals."""
    values = np.sort(truth - predicted)
    against_truth = scatter_chart("scatter", truth, predicted, ("true value", "predicted value"))
    normal = normal_quantiles(values)
    return {
        "rmse": float(np.sqrt((values**2).mean())),
        "mae": float(np.abs(values).mean()),
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


def parameters(network: nn.Module) -> dict[str, Any]:
    """Name, shape, size and role of every parameter, and how many a full ``W`` would take."""
    layers = interdependence_layers(network)
    return {
        "tensors": [
            (
                name,
                " × ".join(map(str, tensor.shape)),
                tensor.numel(),
                "interdependence" if name.removesuffix(".weight") in layers else "parameter",
            )
            for name, tensor in network.named_parameters()
        ],
        "total": sum(tensor.numel() for tensor in network.parameters()),
        "interdependence": interdependence_parameters(network),
        "full": full_parameters(network),
        "layers": len(layers),
    }
