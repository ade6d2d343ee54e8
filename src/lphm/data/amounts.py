"""Scores, losses, amounts and lists as people read them."""

import math
from collections.abc import Mapping, Sequence

#: Scores and losses of ``Evaluation.scores`` as people name them.
LABELS = {
    "accuracy": "accuracy",
    "r2": "R²",
    "loss": "loss",
    "baseline": "always the most frequent class",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}
#: Those in the unit of the target.
ERRORS = ("mae", "rmse")


def amount(value: float) -> str:
    """A number as people write it, of four digits or whole: 12,346 or 0.01235."""
    if value and not 1e-6 <= abs(value) < 1e15:
        return f"{value:.4g}"
    places = 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(places, 0)}f}"


def labelled(scores: Mapping[str, float], unit: str = "") -> dict[str, str]:
    """The scores with names and numbers for people, and errors with the unit of the target."""
    return {
        LABELS[name]: f"{amount(value)} {unit}".rstrip() if name in ERRORS else f"{value:.4f}"
        for name, value in scores.items()
    }


def listed(names: Sequence[object], most: int = 6) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
