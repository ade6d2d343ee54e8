"""Pictures of a run: the learning curve, and what the interdependence has learned."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lphm.contraction import Kind
from lphm.data import Dataset
from lphm.runs import Run, write_atomically

__all__ = ["plot_interdependence", "plot_learning_curve"]


def plot_learning_curve(metrics: dict[str, Any], path: Path) -> None:
    """Loss and validation score against the epoch, the chosen epoch marked."""
    history = metrics["history"]
    epochs = [line["epoch"] for line in history]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    losses.plot(epochs, [line["train_loss"] for line in history], label="training")
    losses.plot(epochs, [line["val_loss"] for line in history], label="validation")
    losses.set(xlabel="epoch", ylabel="loss", yscale="log")
    name = next(key for key in metrics["validation"] if key != "loss")
    scores.plot(epochs, [line["val_score"] for line in history], color="tab:orange", label="validation")
    scores.set(xlabel="epoch", ylabel={"r2": "R²"}.get(name, name))
    for axes in (losses, scores):
        axes.axvline(metrics["best_epoch"], color="gray", linestyle=":", label="chosen epoch")
        axes.legend()
    _save(figure, path)


def plot_interdependence(run: Run, part: Dataset, path: Path) -> None:
    """The last block's ``xi`` of both kinds, mean over channels and over the rows of ``part``.

    Row ``i``, column ``j`` is the weight of ``i`` in the output ``j``.
    """
    shown: dict[Kind, str] = {
        "instance": f"rows of X: {run.config.source}",
        "attribute": "columns of X: the network's channels",
    }
    encoded = run.config.input.encode(part.inputs)
    kinds = [kind for kind in shown if getattr(run.config.network, kind) is not None]
    figure = Figure(figsize=(6.2 * max(len(kinds), 1), 5.4), layout="constrained")
    if not kinds:
        figure.text(0.5, 0.5, "this network has no interdependence", ha="center")
    for position, kind in enumerate(kinds):
        xi = _mean_interdependence(run, encoded, kind)
        axes = figure.add_subplot(1, len(kinds), position + 1)
        limit = float(np.abs(xi).max()) or 1.0
        signed = kind == "attribute"
        low, colors = (-limit, "RdBu_r") if signed else (0.0, "viridis")
        image = axes.imshow(xi, vmin=low, vmax=limit, cmap=colors)
        figure.colorbar(image, ax=axes, shrink=0.8)
        axes.set(title=f"{kind} xi, {shown[kind]}", xlabel="output j", ylabel="input i")
        if kind == "instance":
            labels = run.config.input.labels
            labels = labels + ["learned row"] * (len(xi) - len(labels))
            size = max(4, min(9, 220 // len(labels)))
            axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=size)
            axes.set_yticks(range(len(labels)), labels, fontsize=size)
    _save(figure, path)


def _mean_interdependence(run: Run, encoded: Tensor, kind: Kind) -> np.ndarray:
    """The last block's ``xi``, mean over channels and samples, ``(k, k)``."""
    sums = [
        run.network.interdependence(part, kind).mean(dim=1).sum(dim=0) for part in torch.split(encoded, 256)
    ]
    mean: np.ndarray = (torch.stack(sums).sum(dim=0) / len(encoded)).numpy()
    return mean


def _save(figure: Figure, path: Path) -> None:
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, bbox_inches="tight")
