"""What a reader wants to know first: how good the predictions are, what drives them, what acts together."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from lphm.learn.pairs import LEAST_RATIO, LEAST_RISE
from lphm.report.numbers import percent, with_spread
from lphm.report.sources import Sources

#: Test parts that are drawn anew for the interval of R².
DRAWS = 500
#: Bars that are shown at once; the others are folded.
MOST_BARS = 12


def trust(sources: Sources, frame: pd.DataFrame) -> dict[str, Any]:
    """The interval of the score, and what a model that knows only the target would reach.

    The interval is left out where samples are weighted, because the predictions hold no weights.
    """
    assert sources.evaluation is not None
    weighted = bool((sources.metrics.get("row_columns") or {}).get("weight"))
    if sources.classes is not None:
        counts = frame.iloc[:, 1].value_counts()
        interval: tuple[float, float] | None = wilson(sources.evaluation.score, len(frame))
        trivial = {"class": counts.index[0], "score": counts.iloc[0] / len(frame)}
    else:
        truth, predicted = (frame.iloc[:, column].to_numpy(dtype=float) for column in (1, 2))
        interval = bootstrap_r2(truth, predicted)
        trivial = {"error": float(np.median(np.abs(truth - truth.mean()))), "score": 0.0}
    return {"interval": None if weighted else interval, "trivial": trivial}


def wilson(share: float, samples: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927, JASA 22)."""
    found = binomtest(round(share * samples), samples).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def bootstrap_r2(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of R² from samples drawn anew; None if their truth does not vary."""
    random, values = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = random.integers(len(truth), size=len(truth))
        y = truth[drawn]
        spread = ((y - y.mean()) ** 2).sum()
        if spread > 0:
            values.append(1 - ((y - predicted[drawn]) ** 2).sum() / spread)
    if len(values) < DRAWS / 2:
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def drivers(sources: Sources) -> dict[str, Any] | None:
    """What drives the predictions, as bars; None if the run was not asked."""
    found = sources.metrics.get("importance")
    if not found:
        return None
    unit, places = (100, 1) if sources.classes is not None else (1, 3)
    order = sorted(found["drops"], key=lambda drop: -float(drop["mean"]))
    largest = max([float(d["mean"]) + float(d["spread"]) for d in order] + [1e-9])

    def width(drop: float) -> float:
        return 100 * max(drop, 0) / largest

    bars = [
        {
            "name": d["name"],
            "width": width(d["mean"]),
            "spread": (width(d["mean"] - d["spread"]), width(d["mean"] + d["spread"])),
            "value": with_spread(unit * d["mean"], unit * d["spread"], places),
            "counts": bool(d["matters"]) and d["mean"] > 0,
        }
        for d in order
    ]
    leading = [bar["name"] for bar in bars if bar["counts"]][:3]
    idle = sum(not bar["counts"] for bar in bars)
    # The longest bar may be pale: its drop is large, but not as large as its standard error demands.
    unsure = bars[0]["name"] if bars and leading and not bars[0]["counts"] else None
    return {**found, "unsure": unsure, "bars": bars, "shown": MOST_BARS, "leading": leading, "idle": idle}


def together(sources: Sources) -> dict[str, Any] | None:
    """Which features act together, as bars in units of the loss; None if the run was not asked."""
    found = sources.metrics.get("pairs")
    if not found:
        return None
    loss = max(float(found["loss"]), 1e-12)
    limit = max(LEAST_RATIO * found["random"], LEAST_RISE * loss)
    largest = max([pair["rise"] for pair in found["pairs"]] + [1.25 * limit])
    bars = [
        {
            "names": pair["names"],
            "name": " × ".join(pair["names"]),
            "width": 100 * max(pair["rise"], 0) / largest,
            "value": percent(pair["rise"] / loss),
            "counts": bool(pair["survives"]),
        }
        for pair in found["pairs"]
    ]
    survivors = [bar for bar in bars if bar["counts"]]
    return {**found, "bars": bars, "survivors": survivors, "limit": 100 * limit / largest}
