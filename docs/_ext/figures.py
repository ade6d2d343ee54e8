"""Figures of the tutorials as SVG: once in the colours of the light theme, once in those of the dark."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

#: Lines and words, which are dark on light and light on dark. Nothing else in a figure has the first colour.
LIGHT_INK, DARK_INK = "#22272f", "#d7dce3"
#: Colours of data, which can be told from both backgrounds, and from each other without seeing red or green.
SERIES = ["#3f8fd2", "#e08a2e", "#2fa587", "#c05fa8", "#8c7ae6", "#8a8f98"]

IMAGES = """
.. image:: {path}.svg
   :alt: {words}
   :class: only-light tutorial-figure

.. image:: {path}.dark.svg
   :alt: {words}
   :class: only-dark tutorial-figure

"""


def _words_of(figure: Figure) -> str:
    """What stands in for the picture where it is not seen: the titles in it."""
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    return " ".join("; ".join(title for title in titles if title).split())


def scrape(_block: object, variables: dict[str, Any], conf: dict[str, Any], **_options: Any) -> str:
    """Save the open figures of a block; reStructuredText that shows them.

    The light one has the name that sphinx-gallery gave, so that it becomes the thumbnail.
    """
    shown = []
    for number, name in zip(plt.get_fignums(), variables["image_path_iterator"], strict=False):
        figure, path = plt.figure(number), Path(name).with_suffix("")
        figure.savefig(path.with_suffix(".svg"), transparent=True, metadata={"Date": None})
        light = path.with_suffix(".svg").read_text(encoding="utf-8")
        path.with_suffix(".dark.svg").write_text(light.replace(LIGHT_INK, DARK_INK), encoding="utf-8")
        place = path.relative_to(conf["src_dir"]).as_posix()
        shown.append(IMAGES.format(path=f"/{place}", words=_words_of(figure)))
    plt.close("all")
    return "".join(shown)


def reset(_conf: dict[str, Any], _script: str) -> None:
    """Before each tutorial: seed and threads, so that numbers do not change, and the style of the figures."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    mpl.rcdefaults()
    ink = dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], LIGHT_INK
    )
    mpl.rcParams.update(
        {
            **ink,
            "axes.prop_cycle": mpl.cycler(color=SERIES),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "figure.constrained_layout.use": True,
            "figure.figsize": (6.4, 3.4),
            "font.size": 11,
            "image.cmap": "viridis",
            "legend.frameon": False,
            "lines.linewidth": 2,
            "svg.hashsalt": "lphm",
        }
    )
