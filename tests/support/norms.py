"""The norm of W at the start."""

import torch
from torch import Tensor

from lphm import Structure, initialize_


def assert_mean(samples: Tensor, want: float) -> None:
    """The mean of independent samples is ``want``, within five of its standard errors, which are small."""
    standard_error = samples.std() / len(samples) ** 0.5
    assert standard_error < 0.05 * want
    assert abs(samples.mean() - want) < 5 * standard_error


def drawn(structure: Structure, draws: int, gain: float) -> Tensor:
    """Parameter vectors, each drawn on its own."""
    return initialize_(structure, torch.empty(draws, structure.num_parameters, dtype=torch.float64), gain)


def assert_norm_of_w_is_gain(structure: Structure, gain: float) -> None:
    """``E‖W‖_F² = gain²``."""
    W = structure.to_dense(drawn(structure, 8000, gain))
    assert_mean(W.square().sum(dim=(-2, -1)), gain**2)
