"""A fitted transformer of series and a linear model as one module of torch, which can be exported."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from lphm.data.schema import SeriesSchema
from lphm.errors import InputError
from lphm.export.scorer import ArrayEncoder
from lphm.nn.patterns import LocalPatterns

#: Models whose answer is a linear map of the features, for probabilities with a softmax after it.
LINEAR = (LinearRegression, Ridge, RidgeCV, RidgeClassifier, RidgeClassifierCV, LogisticRegression)


class LinearFeatures(nn.Module):
    """Features of series, or a linear map of them; see ``InterdependenceTransformer.to_module``.

    Shape:
        ``(N, steps, channels)`` to ``(N, features)`` or ``(N, outputs)``, in float32.

    Args:
        schema: how series are standardised.
        patterns: gives the features.
        steps: none, or a fitted linear model, with a fitted ``StandardScaler`` before it or without.

    Raises:
        InputError: the steps are others.
    """

    def __init__(self, schema: SeriesSchema, patterns: LocalPatterns, steps: Sequence[Any]) -> None:
        super().__init__()
        self.encoder = ArrayEncoder(schema)
        self.patterns = copy.deepcopy(patterns)
        self.linear = _linear(steps) if steps else None
        self.has_probabilities = bool(steps) and isinstance(steps[-1], LogisticRegression)

    def forward(self, x: Tensor) -> Tensor:
        """Score every series."""
        features: Tensor = self.patterns(self.encoder((x.double(),)))
        if self.linear is None:
            return features
        outputs: Tensor = self.linear(features.double())
        if self.has_probabilities and outputs.shape[1] == 1:
            outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        return (outputs.softmax(dim=1) if self.has_probabilities else outputs).float()


def _linear(steps: Sequence[Any]) -> nn.Linear:
    """The scaler and the model as one linear map, in float64."""
    *scalers, model = steps
    others = [each for each in scalers if not isinstance(each, StandardScaler)]
    if others or len(scalers) > 1 or not isinstance(model, LINEAR):
        wanted = ", ".join(cls.__name__ for cls in LINEAR)
        got = ", ".join(type(each).__name__ for each in steps)
        raise InputError(f"steps must be a StandardScaler or none, and one of {wanted}, got {got}")
    weight = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    bias = np.resize(np.asarray(model.intercept_, dtype=np.float64), len(weight))
    for scaler in scalers:
        weight = weight if scaler.scale_ is None else weight / scaler.scale_
        bias = bias - weight @ scaler.mean_ if scaler.with_mean else bias
    linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    linear.weight.data.copy_(torch.from_numpy(weight))
    linear.bias.data.copy_(torch.from_numpy(bias))
    return linear.requires_grad_(False)
