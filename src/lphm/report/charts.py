"""Charts as SVG elements that use the colours of the page and keep their text as text.

Names from users' files are never drawn here: the template, which escapes them, puts them beside the charts.
"""

import io
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from lphm.report.numbers import plain

P = ParamSpec("P")
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


def _chart(draw: Callable[Concatenate[Axes, P], None]) -> Callable[Concatenate[str, P], Markup]:
    """Turn a function that draws on given axes into one that takes a name and returns an SVG element.

    The name is a prefix that makes the ids in the element unique.
    """

    @wraps(draw)
    def chart(name: str, /, *args: P.args, **kwargs: P.kwargs) -> Markup:
        out = io.StringIO()
        with matplotlib.rc_context(SETTINGS):
            figure = Figure(figsize=(4.4, 3.0), layout="constrained")
            axes = figure.add_subplot()
            draw(axes, *args, **kwargs)
            for axis in (axes.xaxis, axes.yaxis):
                if axis.get_scale() == "linear":
                    axis.set_major_formatter(FuncFormatter(tick))
            blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(out, format="svg", transparent=True, metadata=blank)
        return _element(name, out.getvalue())

    return chart


def tick(value: float, _position: int | None = None) -> str:
    """A number at an axis, as short as it can be read: 40,000 and 1.2 M."""
    for unit, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if abs(value) >= unit:
            return plain(value / unit) + letter
    return plain(float(f"{value:.6g}"), 6)


def _element(name: str, svg: str) -> Markup:
    """An SVG file as an element of the page."""
    svg = svg[svg.index("<svg") :]
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


@_chart
def curves(
    axes: Axes, label: str, epochs: list[int], lines: dict[str, list[float]], best: int | None
) -> None:
    """Lines against the epoch, with the best epoch marked; a loss of wide range has a logarithmic axis."""
    for color, style, (line, values) in zip((FIRST, SECOND), ("-", "--"), lines.items(), strict=False):
        measured = np.isfinite(values)  # not every epoch is validated
        marker = "." if measured.sum() < 10 else ""
        points = np.array(epochs)[measured], np.array(values)[measured]
        axes.plot(*points, color=color, linestyle=style, marker=marker, label=line)
    if best is not None:
        axes.axvline(best, color=LINE, linestyle=":", label="best epoch")
    finite = np.array([v for values in lines.values() for v in values if np.isfinite(v)])
    if label == "loss" and len(finite) and finite.min() > 0 and finite.max() > 5 * finite.min():
        axes.set_yscale("log")
        few_decades = finite.max() < 300 * finite.min()
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5) if few_decades else ()))
        axes.yaxis.set_major_formatter(FuncFormatter(tick))
        axes.yaxis.set_minor_formatter(FuncFormatter(tick))
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()


@_chart
def reliability_chart(axes: Axes, bins: pd.DataFrame) -> None:
    """Accuracy against confidence, and the diagonal on which they are equal."""
    axes.bar((bins.index + 0.5) / BINS, bins.accuracy, 0.9 / BINS, color=FIRST, alpha=0.35)
    axes.plot([0, 1], [0, 1], color=LINE, linestyle="--", label="perfect calibration")
    axes.plot(bins.confidence, bins.accuracy, "o-", color=FIRST, label="this run")
    axes.set(xlabel="mean confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.03))
    axes.legend()


@_chart
def scatter_chart(axes: Axes, x: np.ndarray, y: np.ndarray, labels: tuple[str, str]) -> None:
    """Points, at most ``MAX_POINTS`` of them, and the diagonal on which both values are equal."""
    drawn = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color=LINE, linestyle="--")
    axes.plot(x[drawn], y[drawn], "o", color=FIRST, markersize=3, alpha=0.6, markeredgewidth=0)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.xaxis.set_major_locator(MaxNLocator(5))


@_chart
def residual_histogram(axes: Axes, residuals: np.ndarray) -> None:
    """Number of samples by the size of their residual."""
    axes.hist(residuals, bins=min(30, max(5, len(residuals) // 5)), color=FIRST, alpha=0.7)
    axes.axvline(0, color=LINE, linestyle="--")
    axes.set(xlabel="residual: true minus predicted", ylabel="samples")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
