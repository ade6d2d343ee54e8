"""Does interdependence help here, by how much, how surely, and what does it cost?"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, variance

from scipy.stats import t

from lphm._io import write_json
from lphm.data.dataset import Dataset, infer_task
from lphm.data.progress import Progress
from lphm.data.splits import folds
from lphm.data.targets import Task
from lphm.errors import InputError
from lphm.learn.cross_validation import CrossValidation, cross_validate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.structures.named import NAMED

#: Scores that differ by less are the same: they are computed in float32.
SAME = 1e-6


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


@dataclass(frozen=True)
class Pair:
    """One network beside another."""

    structure: str
    score: Difference
    loss: Difference
    times_as_long: float  # the time of its training


@dataclass(frozen=True)
class Verdict:
    """The structure that is asked for beside no interdependence, and beside Full.

    If Full is asked for, LPHM is what stands beside it.
    """

    text: str
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
        InputError: the network that is asked for has no interdependence.
    """
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
    """Cross-validate ``variants(network)`` with the same seed and folds; arguments as ``cross_validate``."""
    rows = {
        name: cross_validate(data, options, training, k, task, name=name, progress=progress, folder=folder)
        for name, options in variants(network).items()
    }
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
    helps = {
        1: "interdependence helps here",
        -1: "interdependence hurts here; train with --kind none",
        0: "these folds cannot tell whether interdependence helps",
    }
    better = {
        1: f"{_title(rival)} is better here",
        -1: "Full is better here",
        0: "these folds cannot tell which of them is better",
    }
    text = (
        f"{_title(asked)} {_scores(beside_none.score, 'no interdependence')} and takes "
        f"{beside_none.times_as_long:.1f} times as long to train: {_meaning(beside_none.score, helps)}. "
        f"With {rival.interdependence_parameters:,} interdependence parameters, {_title(rival)} "
        f"{_scores(beside_full.score, f'Full with {full.interdependence_parameters:,}')}: "
        f"{_meaning(beside_full.score, better)}."
    )
    return Verdict(text, beside_none, beside_full)


def _pair(row: CrossValidation, other: CrossValidation, ratio: float) -> Pair:
    score = paired_difference(row.scores, other.scores, ratio)
    loss = paired_difference(row.losses, other.losses, ratio)
    # Seconds are rounded, for a training of a few rows to zero.
    return Pair(row.name, score, loss, (row.typical_seconds or 0.01) / (other.typical_seconds or 0.01))


def _title(row: CrossValidation) -> str:
    return NAMED[row.name].__name__


def _scores(difference: Difference, other: str) -> str:
    """How one network scores beside another."""
    if _is_same(difference):
        return f"scores the same as {other} in every fold"
    mean = round(difference.mean, 4)
    more = f"{abs(mean):.4f} {'lower' if mean < 0 else 'higher'} than {other}"
    if mean == 0:
        more = f"on average the same as {other}"
    if difference.interval is None:
        return f"scores {more} in every fold"
    low, high = (round(bound, 4) + 0.0 for bound in difference.interval)  # 0.0 in place of -0.0
    return f"scores {more} (95 % interval {low:.4f} to {high:.4f})"


def _meaning(difference: Difference, words: dict[int, str]) -> str:
    if difference.interval is not None:
        return words[difference.sign]
    if _is_same(difference):
        return "it makes no difference here"
    return "the same difference in every fold gives no interval, so use more folds to be sure"


def _is_same(difference: Difference) -> bool:
    return difference.interval is None and abs(difference.mean) < SAME
