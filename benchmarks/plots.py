"""Results as PNG files, if matplotlib is installed."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from benchmarks.cases import KINDS, Case
from benchmarks.runner import ratios_to_linear
from lphm._io import write_atomically

# Okabe and Ito's colours, which colour-blind readers can tell apart, and markers for prints in grey.
STYLES = {
    "lphm": ("#000000", "o"),
    "dense": ("#D55E00", "s"),
    "dense-xi": ("#CC79A7", "D"),
    "softmax-xi": ("#D55E00", "D"),
    "softmax-sdpa": ("#0072B2", "s"),
    "einsum": ("#0072B2", "^"),
    "opt_einsum": ("#56B4E9", "v"),
    "linear_operator": ("#009E73", "<"),
    "cola-ml": ("#E69F00", ">"),
    "lokr": ("#8B5FBF", "P"),
    "fastkron": ("#7F7F7F", "X"),
    "tinybig": ("#A05A2C", "*"),
}


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def _figure(panels: int, **options: Any) -> tuple[Any, list[Any]]:
    """A figure and its axes over the rows; both axes are logarithmic."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(1.5 + 4.5 * panels, 4.5), dpi=150)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, panels, squeeze=False, **options)[0]
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="rows b")
        ax.grid(alpha=0.3)
    return figure, list(axes)


def plot_times(results: list[dict[str, Any]], path: Path) -> None:
    """Plot forward+backward relative to the linear layer over the rows, one panel for each kind.

    Sizes with as many columns as rows are hollow markers beside the lines.
    """
    kinds = [kind for kind in KINDS if any(result["case"]["kind"] == kind for result in results)]
    figure, axes = _figure(len(kinds), sharey=True)
    for ax, kind in zip(axes, kinds, strict=True):
        _plot_kind(ax, [result for result in results if result["case"]["kind"] == kind])
        ax.set_title(f"{kind} kind")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.axhline(1, color="#555555", linewidth=1, linestyle=":", label="linear layer")
    axes[0].set_ylabel("forward+backward over a linear layer")
    _legend(figure, axes)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png")


def _plot_kind(ax: Any, results: list[dict[str, Any]]) -> None:
    for name, (colour, marker) in STYLES.items():
        tall, square = [], []
        for result in results:
            ratio = ratios_to_linear(result, "both").get(name)
            if ratio is not None:
                case = Case(**result["case"])
                (square if case.m >= case.b else tall).append((case.b, ratio))
        style = {"color": colour, "marker": marker, "linewidth": 2.5 if name == "lphm" else 1}
        if tall:
            ax.plot(*zip(*sorted(tall), strict=True), label=name, **style)
        if square:
            hollow = {**style, "linestyle": "", "fillstyle": "none"}
            ax.plot(*zip(*square, strict=True), label=f"{name}, m = b", **hollow)


def _legend(figure: Any, axes: list[Any]) -> None:
    """One legend for all panels; hollow markers share the entry of their filled ones."""
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label.removesuffix(", m = b"), handle)
    figure.legend(entries.values(), entries.keys(), loc="outside right center", frameon=False)


def plot_scaling(results: dict[str, Any], path: Path) -> None:
    """Plot time and memory above the inputs over the rows, for the library and the linear layer."""
    figure, axes = _figure(2)
    labels = {"seconds": "seconds, forward+backward", "over_inputs": "bytes over the inputs"}
    for ax, (quantity, label) in zip(axes, labels.items(), strict=True):
        for name, colour, marker in (("lphm", "#000000", "o"), ("linear", "#D55E00", "s")):
            points = [
                (point["case"]["b"], point["contenders"][name][quantity])
                for point in results["points"]
                if name in point["contenders"]
            ]
            if points:
                ax.plot(*zip(*points, strict=True), color=colour, marker=marker, label=name)
        ax.set_ylabel(label)
        ax.legend(frameon=False)
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png")
