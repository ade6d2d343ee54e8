"""Contenders of a benchmark that are run in a new process, which imports them by the name of their module."""

import os
from typing import Any

import torch
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
