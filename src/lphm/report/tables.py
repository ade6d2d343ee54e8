"""What a report says in tables: scores, configuration, confusion, parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from lphm.learn.run import Run
from lphm.nn.layer import BilinearInterdependence
from lphm.report.colors import LEVELS
from lphm.report.sources import Sources

PARTS = ("train", "validation", "test")
#: Classes that a confusion matrix shows: the most frequent ones.
MOST_CLASSES = 30
#: Levels away from the middle that a cell with text on it may have, so that the text stays readable.
READABLE = 7


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
    metrics, name = sources.metrics or {}, sources.run.config.target.score_name
    rows = metrics.get("rows") or {}
    found = [(part, metrics[part]) for part in PARTS if isinstance(metrics.get(part), dict)]
    return [(part, rows.get(part), own.get("loss"), own.get(name)) for part, own in found]


def configuration(run: Run) -> dict[str, list[tuple[str, str]]]:
    """Every choice by its name, in groups; what each feature is, is told elsewhere."""
    content = run.config.model_dump(mode="json", exclude={"input", "target"})
    target = run.config.target
    told = {"target": target.name, "task": target.task, "layout": getattr(run.config.input, "layout", None)}
    told |= {name: value for name, value in content.items() if not isinstance(value, dict)}
    groups = {"run": told} | {name: value for name, value in content.items() if isinstance(value, dict)}
    return {
        name: [(choice.replace("_", " "), _told(value)) for choice, value in group.items()]
        for name, group in groups.items()
    }


def _told(value: Any) -> str:
    """A choice; one that is made of several as ``lphm: n 64, p 8``."""
    if not isinstance(value, dict):
        return plain(value)
    parts = ", ".join(f"{name} {_told(part)}" for name, part in value.items() if name != "name")
    return f"{value['name']}: {parts}" if "name" in value else parts


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
        share = float(counts[i, j] / totals[i]) if totals[i] else 0.0
        steps = max(2, round(share * READABLE)) if counts[i, j] else 0  # a single mistake is seen, too
        return int(counts[i, j]), share, f"d{LEVELS // 2 + (-steps if i == j else steps)}"

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
