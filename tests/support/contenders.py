"""Contenders of a benchmark that are run in a new process, which imports them by the name of their module."""

import json
import os
import warnings
from typing import Any

import numpy as np
import torch
from benchmarks.accuracy import fits, series
from benchmarks.contenders import Step

MEGABYTES_64 = 2**26


def takes_64_megabytes(inputs: Any) -> Step:
    """The linear layer, with 64 MB that exist while it runs."""
    x, M = inputs.data, inputs.M.clone().requires_grad_()

    def forward() -> torch.Tensor:
        ballast = torch.ones(MEGABYTES_64, dtype=torch.uint8)
        return x @ M + ballast[0] * 0

    return Step(forward, (x, M), inputs.G)


def dies(_inputs: Any) -> Step:
    """Ends the process, as the system does when memory runs out."""
    os._exit(9)


def waves() -> fits.Problem:
    """Series of three channels; two classes differ in frequency and in the strength of the first channel."""
    y = np.arange(40) % 2
    phase = np.random.default_rng(0).uniform(0, 6, size=(40, 3, 1))
    X = np.sin(np.where(y, 0.3, 0.9)[:, None, None] * np.arange(32) + phase)
    X[y == 1, 0] *= 3
    rows = np.arange(40)
    return fits.Problem(X, y, False, [(rows[:30], rows[30:])])


def print_series_fit(peer: str) -> None:
    """Fit a peer to these series; prints its line as JSON."""
    warnings.simplefilter("ignore")  # of what it imports
    print(json.dumps(fits.measure(series.PEERS[peer], waves(), 0, seed=0)))
