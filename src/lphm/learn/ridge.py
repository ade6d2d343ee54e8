"""Ridge regression on the local patterns of series: the training of a ``PatternNetwork``, in closed form.

The strength of the ridge, and how confident the probabilities are, follow from the predictions of each
sample by the others (leave-one-out), which ridge regression has in closed form as well.
"""

import time
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor
from torch.nn import functional as F

from lphm.data.batches import MemoryBatches
from lphm.data.progress import Progress, no_progress
from lphm.data.targets import ClassTarget, TargetSchema
from lphm.learn.calibration import calibrate
from lphm.learn.execution import Execution, History
from lphm.learn.monitor import Epoch
from lphm.nn.pattern_network import PatternNetwork
from lphm.nn.patterns import BLOCK

#: Strengths of the ridge, of which the best is taken, for features of variance 1.
STRENGTHS = np.logspace(-3, 3, 10)


def fit_ridge(
    network: PatternNetwork, target: TargetSchema, train: MemoryBatches, execution: Execution
) -> History:
    """Fit in place. The history has one line, whose validation is that of each sample by the others."""
    begun = time.perf_counter()
    counts = train.weight > 0  # what does not count cannot be left out either
    x, y, weight = train.x[counts], train.y[counts], train.weight[counts]
    network.patterns.fit(x)
    features = _features(network, x, execution.progress or no_progress)
    network.mean.copy_(features.mean(dim=0))
    spread = features.std(dim=0, correction=0)
    network.scale.copy_(torch.where(spread > 0, 1 / spread, 0))
    features.sub_(network.mean).mul_(network.scale)
    classes = isinstance(target, ClassTarget)
    wanted = 2 * F.one_hot(y, target.outputs) - 1 if classes else y.unsqueeze(1)
    ridge = RidgeCV(STRENGTHS, scoring="neg_mean_squared_error", store_cv_results=True)
    ridge.fit(features.numpy(), wanted.double().numpy(), weight.double().numpy())
    best = int(np.flatnonzero(ridge.alpha_ == STRENGTHS)[0])
    left_out = torch.from_numpy(ridge.cv_results_.reshape(len(y), target.outputs, -1)[..., best]).float()
    loss, scale = calibrate(target, left_out, y, weight)
    network.linear.weight.data.copy_(scale * torch.from_numpy(ridge.coef_.reshape(target.outputs, -1)))
    network.linear.bias.data.copy_(scale * torch.from_numpy(np.reshape(ridge.intercept_, -1)))
    network.eval()
    outputs = features @ network.linear.weight.data.T + network.linear.bias.data
    line: dict[str, Any] = {
        "epoch": 1,
        "train_loss": target.loss(outputs, y, weight).item(),
        "val_loss": loss,
        "val_score": target.score(left_out, y, weight).item(),
    }
    seconds = time.perf_counter() - begun
    epoch = Epoch(**line, epochs=1, score_name=target.score_name, seconds=seconds, network=network)
    execution.monitor.log(epoch.metrics, 1)
    execution.monitor.stops(epoch)
    return History([line])


@torch.no_grad()
def _features(network: PatternNetwork, x: Tensor, progress: Progress) -> Tensor:
    features = torch.empty(len(x), network.patterns.num_features)
    for first in range(0, len(x), BLOCK):
        features[first : first + BLOCK] = network.patterns(x[first : first + BLOCK])
        progress("training", min(first + BLOCK, len(x)), len(x))
    return features
