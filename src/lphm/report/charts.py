"""Curves, bars and points as SVG that takes the page's colours; its text is text.

No name that comes from a file is drawn here: names stand beside the charts, where the template escapes them.
"""

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from lphm.report.quality import Reliability, Residuals

#: Colours that stand for the page's own until the picture is written.
TEXT, LINE, FIRST, SECOND = "#010101", "#010102", "#010103", "#010104"
VARIABLES = {TEXT: "--text", LINE: "--muted", FIRST: "--first", SECOND: "--second"}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lphm",
    "font.size": 9,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": LINE,
    "xtick.color": LINE,
    "xtick.labelcolor": TEXT,
    "ytick.color": LINE,
    "ytick.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
#: More points than this are thinned evenly.
MOST_POINTS = 1000


def _draw(name: str, draw: Callable[[Axes], None]) -> Markup:
    """A figure with one axes as an SVG element; ``name`` keeps its ids apart from those of the others."""
    out = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(4.4, 3.0), layout="constrained")
        draw(figure.add_subplot())
        blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=blank)
    svg = out.getvalue()
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(id="|="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*(?:'[^']*'[^;\"]*)*;?", "", svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var({variable})")
    size = re.search(r'viewBox="[^"]*"', svg)
    opening = f'<svg class="chart" {size.group() if size else ""} aria-hidden="true"'
    return Markup(re.sub(r"<svg[^>]*", opening, svg, count=1))


def curves(
    name: str, label: str, epochs: list[int], lines: dict[str, list[float]], chosen: int | None
) -> Markup:
    """Lines against the epoch, the chosen epoch marked; on a logarithmic axis where they span much."""

    def draw(axes: Axes) -> None:
        for color, style, (line, values) in zip((FIRST, SECOND), ("-", "--"), lines.items(), strict=False):
            points = "." if len(epochs) < 3 else ""
            axes.plot(epochs, values, color=color, linestyle=style, marker=points, label=line)
        if chosen is not None:
            axes.axvline(chosen, color=LINE, linestyle=":", label="chosen epoch")
        every = np.array([v for values in lines.values() for v in values if np.isfinite(v)])
        if label == "loss" and len(every) and every.min() > 0 and every.max() > 5 * every.min():
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()

    return _draw(name, draw)


def reliability_chart(found: Reliability) -> Markup:
    """Accuracy against confidence, beside the diagonal on which both are the same."""

    def draw(axes: Axes) -> None:
        bins = len(found.counts)
        there = found.counts > 0
        centres = (np.arange(bins) + 0.5) / bins
        axes.bar(centres[there], found.accuracy[there], 0.9 / bins, color=FIRST, alpha=0.35)
        axes.plot([0, 1], [0, 1], color=LINE, linestyle="--", label="perfect")
        axes.plot(found.confidence[there], found.accuracy[there], "o-", color=FIRST, label="this run")
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.03))
        axes.legend(loc="upper left")

    return _draw("reliability", draw)


def _thinned(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))


def _points(axes: Axes, x: np.ndarray, y: np.ndarray, labels: tuple[str, str]) -> None:
    rows = _thinned(len(x))
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color=LINE, linestyle="--")
    axes.plot(x[rows], y[rows], "o", color=FIRST, markersize=3, alpha=0.6, markeredgewidth=0)
    axes.set(xlabel=labels[0], ylabel=labels[1])


def scatter_chart(found: Residuals) -> Markup:
    """Predicted against true; a perfect prediction lies on the diagonal."""
    return _draw("scatter", lambda axes: _points(axes, found.truth, found.predicted, ("true", "predicted")))


def residual_histogram(found: Residuals) -> Markup:
    """How often residuals of each size occur."""

    def draw(axes: Axes) -> None:
        axes.hist(found.values, bins=min(30, max(5, len(found.values) // 5)), color=FIRST, alpha=0.7)
        axes.axvline(0, color=LINE, linestyle="--")
        axes.set(xlabel="residual: true minus predicted", ylabel="samples")

    return _draw("residuals", draw)


def quantile_chart(found: Residuals) -> Markup:
    """Sorted residuals against those of a normal distribution of the same mean and spread."""
    labels = "normal quantile", "residual"
    return _draw("quantiles", lambda axes: _points(axes, found.normal, np.sort(found.values), labels))
