"""What a tested run says about its data: what drives the predictions, and which features act together."""

from typing import Any

import torch

from lphm.data.dataset import Dataset
from lphm.learn.importance import Probe, leading_features, permutation_importance
from lphm.learn.pairs import surviving_pairs
from lphm.learn.run import Run
from lphm.learn.torch_state import on_the_cpu

#: Samples that are predicted for each of the two answers, for each that the training went through; that takes
#: about three times as long as a prediction.
SHARE = 0.5
#: Columns of which pairs are tried, those that matter most.
MOST_FEATURES = 10


#: A test score from which on it is almost perfect.
PERFECT = 0.99
#: The share of what is above chance that falls away without the column on which the score rests, at least,
#: and without any other, at most.
ALONE, BESIDE = 0.8, 0.05


@on_the_cpu()
def explained(run: Run, test: Dataset, trained: int) -> dict[str, Any]:
    """``importance`` and ``pairs`` for ``metrics.json``, see ``permutation_importance``, ``surviving_pairs``.

    Args:
        run: the trained run.
        test: samples that it was not trained on.
        trained: samples that the training went through, counted in every epoch; they bound what this costs.
    """
    probe = Probe.of(run, test)
    samples = round(trained * SHARE)
    importance = permutation_importance(probe, samples)
    leading = leading_features(run.config.input, importance, MOST_FEATURES)
    importance["suspect"] = _suspect(importance, _chance(probe))
    return {"importance": importance, "pairs": surviving_pairs(probe, samples, leading)}


def _chance(probe: Probe) -> float:
    """The score of a model that always says the same."""
    target = probe.run.config.target
    details = target.details(torch.zeros(len(probe.y), target.outputs), probe.y, probe.weight)
    return details.get("baseline", 0.0)


def _suspect(importance: dict[str, Any], chance: float) -> str | None:
    """The column that an almost perfect score rests on alone, which may not be known before the target is."""
    above, drops = importance["score"] - chance, sorted(importance["drops"], key=lambda drop: -drop["mean"])
    if importance["parts"] != "column" or importance["score"] < PERFECT or len(drops) < 2:
        return None
    first, second = (drop["mean"] for drop in drops[:2])
    return str(drops[0]["name"]) if first >= ALONE * above and second <= BESIDE * above else None
