"""What a report says in tables: scores, configuration, confusion, parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from lphm.interdependence import BilinearInterdependence
from lphm.report.colors import LEVELS
from lphm.report.sources import Sources
from lphm.runs import Run

__all__ = ["Confusion", "Parameters", "configuration", "confusion_table", "parameters", "plain", "scores"]

PARTS = ("train", "validation", "test")
#: Classes that a confusion matrix shows: the most frequent ones.
MOST_CLASSES = 30
#: Share of the levels that a cell with text on it may have, so that the text stays readable.
READABLE = 0.33


def plain(value: Any) -> str:
    """A number, a word or nothing as a reader expects it."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:,.4g}" if abs(number) < 1e6 else f"{number:.4g}"
    return ", ".join(map(plain, value)) if isinstance(value, list | tuple) else str(value)


def scores(sources: Sources) -> list[tuple[str, Any, Any, Any]]:
    """Of each part of the data: its name, samples, loss and score."""
    metrics, name = sources.metrics or {}, sources.run.config.target.score
    rows = metrics.get("rows") or {}
    found = [(part, metrics[part]) for part in PARTS if isinstance(metrics.get(part), dict)]
    return [(part, rows.get(part), own.get("loss"), own.get(name)) for part, own in found]


def configuration(run: Run) -> list[tuple[str, str]]:
    """Every choice by its name; the samples' own description is told elsewhere."""
    content = run.config.model_dump(mode="json", exclude={"input", "target"})
    target = run.config.target
    told = {
        "target": target.name,
        "task": target.task,
        "layout of the input": getattr(run.config.input, "layout", None),
        **content,
    }
    return [(name.replace("_", " "), plain(value)) for name, value in _flat("", told)]


def _flat(prefix: str, content: dict[str, Any]) -> list[tuple[str, Any]]:
    lines = []
    for name, value in content.items():
        path = f"{prefix}{name}"
        lines += _flat(f"{path}: ", value) if isinstance(value, dict) and value else [(path, value)]
    return lines


@dataclass(frozen=True)
class Confusion:
    """Rows are the truth, columns the prediction; each cell is its count, share of the row, and CSS class."""

    classes: list[str]
    cells: list[list[tuple[int, float, str]]]
    totals: list[int]
    recall: list[float | None]
    precision: list[float | None]
    left_out: int


def confusion_table(counts: np.ndarray, classes: list[str]) -> Confusion:
    """The counts with what follows from them, for the most frequent classes."""
    kept = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:MOST_CLASSES])
    totals, guessed = counts.sum(axis=1), counts.sum(axis=0)

    def cell(i: int, j: int) -> tuple[int, float, str]:
        share = counts[i, j] / totals[i] if totals[i] else 0.0
        return int(counts[i, j]), float(share), f"q{round(share * READABLE * (LEVELS - 1))}"

    def share(i: int, of: np.ndarray) -> float | None:
        return float(counts[i, i] / of[i]) if of[i] else None

    return Confusion(
        [classes[i] for i in kept],
        [[cell(i, j) for j in kept] for i in kept],
        [int(totals[i]) for i in kept],
        [share(i, totals) for i in kept],
        [share(i, guessed) for i in kept],
        len(classes) - len(kept),
    )


@dataclass(frozen=True)
class Parameters:
    """Every tensor of a network: name, shape, numbers in it, and what it is."""

    tensors: list[tuple[str, str, int, str]]
    total: int
    interdependence: int
    full: int

    @property
    def share(self) -> float:
        """Of all parameters, those that make the matrices ``W``."""
        return self.interdependence / self.total if self.total else 0.0


def parameters(network: nn.Module) -> Parameters:
    """Count every tensor, and what the layers would take with a full ``W``."""
    layers = {n: m for n, m in network.named_modules() if isinstance(m, BilinearInterdependence)}
    own = {f"{name}.weight" if name else "weight" for name in layers}
    learned = list(network.named_parameters())
    tensors: list[tuple[str, Tensor, str]] = [
        (n, t, "interdependence" if n in own else "parameter") for n, t in learned
    ]
    tensors += [(n, t, "buffer, not learned") for n, t in network.named_buffers()]
    return Parameters(
        [(n, " × ".join(map(str, t.shape)) or "one number", t.numel(), what) for n, t, what in tensors],
        sum(t.numel() for _, t in learned),
        sum(layer.weight.numel() for layer in layers.values()),
        sum(layer.channels * layer.structure.n**2 for layer in layers.values()),
    )
