"""Does interdependence help here, by how much, how surely, and what does it cost?"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, variance
from typing import Literal

from scipy.stats import t

from lphm._io import write_json
from lphm.data.amounts import LABELS, amount
from lphm.data.dataset import Dataset, infer_task
from lphm.data.progress import Progress
from lphm.data.splits import folds
from lphm.data.targets import Task
from lphm.errors import InputError
from lphm.learn.cross_validation import CrossValidation, cross_validate_each
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.structures.named import NAMED

#: Scores that differ by less are the same: they are computed in float32.
SAME = 1e-6
#: Folds from which on more of them say little more.
ENOUGH_FOLDS = 10
#: A share of the time below this one is worth a word.
NOTICED = 0.95


@dataclass(frozen=True)
class Difference:
    """A value of one network minus that of another, over the same folds."""

    mean: float
    interval: tuple[float, float] | None  # of 95 %; None if all folds differ by the same
    p_value: float | None  # two-sided; None as above

    @property
    def sign(self) -> int:
        """1 if the interval is above zero, -1 if it is below, 0 if it does not tell."""
        low, high = self.interval or (0.0, 0.0)
        return (low > 0) - (high < 0)


Effect = Literal["better", "worse", "the same", "unclear"]


@dataclass(frozen=True)
class Pair:
    """One network beside another."""

    structure: str
    other: str
    effect: Effect  # what the scores say of the first
    mean: float  # of its scores
    other_mean: float
    score: Difference
    loss: Difference
    times_as_long: float  # its training, in CPU seconds


@dataclass(frozen=True)
class Verdict:
    """The structure that is asked for beside no interdependence, and beside Full.

    If Full is asked for, LPHM is what stands beside it.
    """

    text: str
    advice: str  # the sentence of the text that says what to do
    beside_none: Pair
    beside_full: Pair


@dataclass(frozen=True)
class Comparison:
    """The networks that are compared, and what follows."""

    table: list[CrossValidation]
    verdict: Verdict


def variants(network: NetworkOptions) -> dict[str, NetworkOptions]:
    """The same network without interdependence, with Full, LowRank and LPHM, and as it is asked for.

    Raises:
        InputError: the network that is asked for has no interdependence, or it is ridge regression.
    """
    if network.method == "ridge":
        message = "method must be network for a comparison of structures, got 'ridge'"
        raise InputError(f"{message}; leave it out")
    if network.kind == "none":
        message = "kind must be attribute, instance or both for a comparison with none, got 'none'"
        raise InputError(f"{message}; leave it out")
    network = replace(network, method="network")
    free = replace(network, p=None, q=None, r=None, lags=None, budget=None)
    return {
        "none": replace(free, kind="none"),
        "full": replace(free, structure="full"),
        "low-rank": replace(network, structure="low-rank", p=None, q=None, lags=None),
        "lphm": replace(network, structure="lphm", lags=None),
    } | {network.structure: network}


def compare(
    data: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    k: int,
    task: Task | None = None,
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> Comparison:
    """Cross-validate ``variants(network)`` with the same seed and folds.

    Arguments as ``cross_validate_each``.
    """
    rows = cross_validate_each(data, variants(network), training, k, task, progress=progress, folder=folder)
    parts = folds(data, task or infer_task(data.target), k, training.seed)
    ratio = fmean(len(test) / len(train) for train, test in parts)
    comparison = Comparison(list(rows.values()), verdict(rows, network.structure, ratio))
    if folder is not None:
        content = {"folds": k, "seed": training.seed, **asdict(comparison)}
        write_json(folder / "comparison.json", content)
    return comparison


def paired_difference(values: Sequence[float], others: Sequence[float], ratio: float) -> Difference:
    """The corrected resampled t-test of the differences ``d`` of ``k`` folds, with its 95 % interval.

        mean(d) ± t sqrt((1/k + ratio) var(d)),   ``t`` of k - 1 degrees of freedom

    Training parts overlap, so folds do not differ as much as independent samples would. For this the test
    adds ``ratio``, the rows of a test part over those of its training part: 1/(k - 1) for equal folds.

    Reference: Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52.
    """
    differences = [value - other for value, other in zip(values, others, strict=True)]
    k, mean = len(differences), fmean(differences)
    if max(differences) - min(differences) < SAME:
        return Difference(mean, None, None)
    error = math.sqrt((1 / k + ratio) * variance(differences))
    half = float(t.ppf(0.975, k - 1)) * error
    return Difference(mean, (mean - half, mean + half), 2 * float(t.sf(abs(mean) / error, k - 1)))


def verdict(rows: dict[str, CrossValidation], structure: str, ratio: float) -> Verdict:
    """What the scores of the variants say about a structure; ``ratio`` as ``paired_difference`` takes it."""
    none, full = rows["none"], rows["full"]
    asked, rival = rows[structure], rows["lphm" if structure == "full" else structure]
    beside_none, beside_full = _pair(asked, none, ratio), _pair(rival, full, ratio)
    k = len(asked.scores)
    helps = {
        "better": "Interdependence helps here",
        "worse": "Interdependence hurts here",
        "the same": "Interdependence makes no difference here",
        "unclear": f"These {k} folds cannot tell whether interdependence helps",
    }
    advice = _advice(beside_none, k)
    one = f"{_title(rival)}, with {rival.interdependence_parameters:,} interdependence parameters,"
    two = f"Full, with {full.interdependence_parameters:,}"
    better = {
        "better": f"{one} is better here than {two}",
        "worse": f"{one} is worse here than {two}",
        "the same": f"{one} does the same here as {two}",
        "unclear": f"{one} and {two}, cannot be told apart by these folds",
    }
    without = " without it" if beside_none.effect == "unclear" else f" without it, in {k} folds"
    text = (
        f"{helps[beside_none.effect]}: {_figures(asked, none, beside_none.score, without)}; "
        f"{_title(asked)} takes {beside_none.times_as_long:.1f} times as long to train. {advice} "
        f"{better[beside_full.effect]}: {_figures(rival, full, beside_full.score)}."
    )
    return Verdict(text, advice, beside_none, beside_full)


def _advice(pair: Pair, k: int) -> str:
    """What to do, given the structure that is asked for beside none over ``k`` folds."""
    share = 1 / pair.times_as_long
    saves = f"trains in {100 * share:.0f} % of the time" if share < NOTICED else ""
    if pair.effect == "better":
        return f"Keep it, unless time counts more: --kind none {saves}." if saves else "Keep it."
    without = f"--kind none, which {saves}" if saves else "--kind none"
    if pair.effect == "unclear" and pair.loss.sign < 0:
        kept = f"Keep it if the loss counts, which is lower with it ({_interval(pair.loss)})"
        return f"{kept}; else train with {without}."
    if pair.effect == "unclear":
        more = f"with --folds {ENOUGH_FOLDS}" if k < ENOUGH_FOLDS else "on more rows"
        return f"Train with {without}, or compare again {more}."
    return f"Train with {without}."


def _pair(row: CrossValidation, other: CrossValidation, ratio: float) -> Pair:
    score = paired_difference(row.scores, other.scores, ratio)
    return Pair(
        structure=row.name,
        other=other.name,
        effect=_effect(score),
        mean=row.mean,
        other_mean=other.mean,
        score=score,
        loss=paired_difference(row.losses, other.losses, ratio),
        # Seconds are rounded, for a training of a few rows to zero.
        times_as_long=(row.typical_cpu_seconds or 0.01) / (other.typical_cpu_seconds or 0.01),
    )


def _effect(score: Difference) -> Effect:
    if score.interval is None and abs(score.mean) < SAME:
        return "the same"
    effects: dict[int, Effect] = {1: "better", -1: "worse", 0: "unclear"}
    return effects[score.sign]


def _title(row: CrossValidation) -> str:
    return NAMED[row.name].__name__


def _figures(row: CrossValidation, other: CrossValidation, score: Difference, without: str = "") -> str:
    """The scores of both, with the interval of their difference, and the errors of numbers."""
    figures = f"{LABELS[row.score_name]} {row.mean:.4f} against {other.mean:.4f}{without}"
    figures += f" ({_interval(score)})"
    if "mae" in row.details:
        mae, others = (amount(fmean(each.details["mae"])) for each in (row, other))
        figures += f", mean absolute error {mae} against {others}"
    return figures


def _interval(difference: Difference) -> str:
    if difference.interval is None:
        return "the same difference in every fold, which gives no interval"
    low, high = (f"{round(bound, 4) + 0.0:+.4f}" for bound in difference.interval)  # 0.0 in place of -0.0
    return f"95 % interval of the difference {low} to {high}"
