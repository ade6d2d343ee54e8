"""The factor of the outputs that makes probabilities as confident as they may be."""

import math

from scipy.optimize import minimize_scalar
from torch import Tensor

from lphm.data.targets import NumberTarget, TargetSchema

#: Factors of the outputs between which the best is sought, as natural logarithms.
LEAST, MOST = math.log(0.01), math.log(1000)


def calibrate(target: TargetSchema, combined: Tensor, y: Tensor, weight: Tensor) -> tuple[float, float]:
    """The smallest loss that a factor of the outputs gives, and that factor; 1 for numbers.

    Temperature scaling (Guo et al., 2017, arXiv:1706.04599) of samples that were not learned from. As if one
    sample more had been of any class (Platt, 1999), so that the factor is finite where all are right.

    Args:
        target: classes, or a number.
        combined: the outputs of the ensemble, ``(N, outputs)``.
        y: the encoded truth, ``(N,)``.
        weight: what each sample counts, ``(N,)``.
    """
    if isinstance(target, NumberTarget):
        return target.loss(combined, y, weight).item(), 1.0
    smoothing = 1 / (len(y) + 1)

    def loss(log_factor: float) -> float:
        return target.loss(math.exp(log_factor) * combined, y, weight, smoothing).item()

    best = minimize_scalar(loss, bounds=(LEAST, MOST), method="bounded", options={"xatol": 0.01})
    return float(best.fun), math.exp(best.x)
