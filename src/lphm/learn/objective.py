"""What a network is trained for, and what it is scored by: losses and scores of an ensemble's outputs."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.data.targets import ClassTarget, TargetSchema

#: Label smoothing: without it a few confident errors on a small part decide the loss.
SMOOTHING = 0.05


def combine(target: TargetSchema, outputs: Tensor) -> Tensor:
    """``(N, members, k)`` to ``(N, k)``: the log of the mean probability, or the mean."""
    if isinstance(target, ClassTarget):
        return outputs.log_softmax(dim=-1).logsumexp(dim=1) - math.log(outputs.shape[1])
    return outputs.mean(dim=1)


def training_loss(target: TargetSchema, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Sum over the members of each one's own loss, as if each were alone; ``outputs`` ``(N, members, k)``."""
    members = outputs.shape[1]
    each = _losses(target, outputs.flatten(0, 1), y.repeat_interleave(members), SMOOTHING)
    return members * _mean(each, weight.repeat_interleave(members))


def loss(
    target: TargetSchema, combined: Tensor, y: Tensor, weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross entropy, or mean squared error on the standardised target; ``combined`` ``(N, k)``."""
    return _mean(_losses(target, combined, y, smoothing), weight)


def score(target: TargetSchema, combined: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Accuracy or R²; nan for R² where the target does not vary."""
    if isinstance(target, ClassTarget):
        return _mean((combined.argmax(dim=-1) == y).float(), weight)
    error = _mean((combined[:, 0] - y).square(), weight)
    return 1 - error / _mean((y - _mean(y, weight)).square(), weight)


def _losses(target: TargetSchema, outputs: Tensor, y: Tensor, smoothing: float) -> Tensor:
    if isinstance(target, ClassTarget):
        return F.cross_entropy(outputs, y, label_smoothing=smoothing, reduction="none")
    return (outputs[:, 0] - y).square()


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.mean()
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
