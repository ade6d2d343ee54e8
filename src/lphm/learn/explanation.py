"""What a tested run says about its data: what drives the predictions, and which features act together."""

from typing import Any

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
    return {"importance": importance, "pairs": surviving_pairs(probe, samples, leading)}
