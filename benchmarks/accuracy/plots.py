"""The critical-difference picture."""

import importlib
from pathlib import Path

import pandas as pd

from benchmarks.accuracy.fits import is_ours
from lphm._io import write_atomically


def plot_ranks(ranks: pd.Series, cliques: list[tuple[int, int]], title: str, path: Path) -> None:
    """Mean ranks on a line, 1 the best; a bar joins models that do not differ.

    Args:
        ranks: the mean rank of each model, in order.
        cliques: first and last place of each bar.
        title: stands above the line.
        path: the PNG file.
    """
    rows = (len(ranks) + 1) // 2  # of names, the better half on the left
    bars = 0.25 * len(cliques)
    height = rows + bars + 0.5
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(8, 0.7 + 0.3 * height), dpi=150)
    figure.set_layout_engine("constrained")
    ax = figure.subplots()
    worst = len(ranks)
    span = 0.3 * (worst - 1)  # beside the line, for the names
    ax.set(xlim=(1 - span, worst + span), ylim=(-height, 0.9))
    ax.set_title(title, fontsize="medium")
    ax.axis("off")
    ax.plot([1, worst], [0, 0], color="black")
    for rank in range(1, worst + 1):
        ax.plot([rank, rank], [0, 0.15], color="black")
        ax.text(rank, 0.2, str(rank), ha="center", va="bottom")
    for row, (first, last) in enumerate(cliques):
        y = -0.35 - 0.25 * row
        ax.plot([ranks.iloc[first] - 0.04, ranks.iloc[last] + 0.04], [y, y], color="black", linewidth=3)
    for place, (model, rank) in enumerate(ranks.items()):
        left = place < rows
        y = -bars - 1 - (place if left else len(ranks) - 1 - place)
        x = 1 - 0.05 * span if left else worst + 0.05 * span
        colour = "#D55E00" if is_ours(str(model)) else "#333333"
        ax.plot([rank, rank, x], [0, y, y], color=colour, linewidth=1)
        text = f"{model} {rank:.2f}"
        ax.text(
            x,
            y,
            f"{text} " if left else f" {text}",
            ha="right" if left else "left",
            va="center",
            color=colour,
        )
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png")
