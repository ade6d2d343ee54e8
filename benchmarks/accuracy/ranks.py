"""Mean ranks, and which models differ: Wilcoxon's signed-rank test of every pair, corrected by Holm.

Reference:
    Benavoli, Corani and Mangili (2016), Should we really use post-hoc tests based on mean-ranks?, JMLR 17.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

LEVEL = 0.05


def mean_ranks(figures: pd.DataFrame, higher_is_better: bool) -> pd.Series:
    """The mean rank of each column, 1 the best, in order; equal figures share the mean of their ranks."""
    return figures.rank(axis=1, ascending=not higher_is_better).mean().sort_values(kind="stable")


def holm(p: Sequence[float]) -> list[float]:
    """Holm's corrected p-values: ``max over the smaller ones of (number of those not smaller) * p``."""
    corrected = [0.0] * len(p)
    largest = 0.0
    for place, index in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, (len(p) - place) * p[index])
        corrected[index] = min(1.0, largest)
    return corrected


def compare(figures: pd.DataFrame) -> dict[frozenset[str], float]:
    """The corrected p-value of every pair of columns; rows are sets. Two equal columns have 1."""
    pairs = [*combinations(figures.columns, 2)]
    p = [float(wilcoxon(figures[a] - figures[b], zero_method="zsplit").pvalue) for a, b in pairs]
    return dict(zip(map(frozenset, pairs), holm(p), strict=True))


def cliques(models: Sequence[str], p: dict[frozenset[str], float]) -> list[tuple[int, int]]:
    """First and last place of the longest runs of models, in order of rank, no two of which differ."""
    runs: list[tuple[int, int]] = []
    for first in range(len(models)):
        last = first
        while last + 1 < len(models) and all(
            p[frozenset((models[i], models[last + 1]))] >= LEVEL for i in range(first, last + 1)
        ):
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
