"""Charts as SVG elements that use the colours of the page and keep their text as text.

Names from users' files are never drawn here: the template, which escapes them, puts them beside the charts.
"""

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

#: Placeholder colours, replaced by CSS variables of the page when the SVG is written.
TEXT, LINE, FIRST, SECOND = "#010101", "#010102", "#010103", "#010104"
VARIABLES = {TEXT: "--text", LINE: "--muted", FIRST: "--first", SECOND: "--second"}
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lphm",
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), TEXT),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color", "grid.color"), LINE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}
#: Equal bins of the confidence, from 0 to 1.
BINS = 10
#: Largest number of points in a chart; if there are more, evenly spaced ones are drawn.
MAX_POINTS = 1000


def _draw(name: str, draw: Callable[[Axes], None]) -> Markup:
    """Draw a figure with one axes as an SVG element; ``name`` is a prefix that makes its ids unique."""
    out = io.StringIO()
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(4.4, 3.0), layout="constrained")
        draw(figure.add_subplot())
        blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=blank)
    svg = out.getvalue()[out.getvalue().index("<svg") :]
    for pattern, replacement in (
        (r"<defs>\s*<style[\s\S]*?</style>\s*</defs>", ""),
        (r'<g id="[^"]*"', "<g"),
        (r'(id="|="#|url\(#)', rf"\g<1>{name}-"),
        (r"font-family: [^;\"]*(?:'[^']*'[^;\"]*)*;?", ""),
        *((color, f"var({variable})") for color, variable in VARIABLES.items()),
    ):
        svg = re.sub(pattern, replacement, svg)
    size = re.search(r'viewBox="[^"]*"', svg)
    opening = f'<svg class="chart" {size.group() if size else ""} aria-hidden="true"'
    return Markup(re.sub(r"<svg[^>]*", opening, svg, count=1))


def curves(
    name: str, label: str, epochs: list[int], lines: dict[str, list[float]], best: int | None
) -> Markup:
    """Lines against the epoch, with the best epoch marked; a loss of wide range has a logarithmic axis."""

    def draw(axes: Axes) -> None:
        for color, style, (line, values) in zip((FIRST, SECOND), ("-", "--"), lines.items(), strict=False):
            marker = "." if len(epochs) < 3 else ""
            axes.plot(epochs, values, color=color, linestyle=style, marker=marker, label=line)
        if best is not None:
            axes.axvline(best, color=LINE, linestyle=":", label="best epoch")
        finite = np.array([v for values in lines.values() for v in values if np.isfinite(v)])
        if label == "loss" and len(finite) and finite.min() > 0 and finite.max() > 5 * finite.min():
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend()

    return _draw(name, draw)


def reliability_chart(bins: pd.DataFrame) -> Markup:
    """Accuracy against confidence, and the diagonal on which they are equal."""

    def draw(axes: Axes) -> None:
        axes.bar((bins.index + 0.5) / BINS, bins.accuracy, 0.9 / BINS, color=FIRST, alpha=0.35)
        axes.plot([0, 1], [0, 1], color=LINE, linestyle="--", label="perfect calibration")
        axes.plot(bins.confidence, bins.accuracy, "o-", color=FIRST, label="this run")
        axes.set(xlabel="mean confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
        axes.legend()

    return _draw("reliability", draw)


def scatter_chart(name: str, x: np.ndarray, y: np.ndarray, labels: tuple[str, str]) -> Markup:
    """Points, at most ``MAX_POINTS`` of them, and the diagonal on which both values are equal."""
    drawn = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]

    def draw(axes: Axes) -> None:
        axes.plot(ends, ends, color=LINE, linestyle="--")
        axes.plot(x[drawn], y[drawn], "o", color=FIRST, markersize=3, alpha=0.6, markeredgewidth=0)
        axes.set(xlabel=labels[0], ylabel=labels[1])

    return _draw(name, draw)


def residual_histogram(residuals: np.ndarray) -> Markup:
    """Number of samples by the size of their residual."""

    def draw(axes: Axes) -> None:
        axes.hist(residuals, bins=min(30, max(5, len(residuals) // 5)), color=FIRST, alpha=0.7)
        axes.axvline(0, color=LINE, linestyle="--")
        axes.set(xlabel="residual: true minus predicted", ylabel="samples")

    return _draw("residuals", draw)
