"""The factor of the outputs, from samples that were not learned from."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lphm.data.targets import ClassTarget, NumberTarget
from lphm.learn.calibration import calibrate


def test_calibration_finds_the_factor_of_the_smallest_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = 2 * torch.randn(4000, 3, generator=generator)
    y = truth.softmax(-1).multinomial(1, generator=generator)[:, 0]
    target = ClassTarget(name="y", classes=["a", "b", "c"])
    for factor in (0.04, 1.0, 5.0, 300.0):
        loss, found = calibrate(target, truth / factor, y, torch.ones(4000))
        assert found == pytest.approx(factor, rel=0.1)
        assert loss == pytest.approx(target.loss(truth, y).item(), rel=2e-3)


def test_calibration_counts_each_sample_by_its_weight() -> None:
    sure = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    y = torch.tensor([0, 0, 1, 1])  # the last one is wrong
    target = ClassTarget(name="y", classes=["a", "b"])
    weight = torch.tensor([1.0, 1.0, 1.0, 0.5])
    loss, factor = calibrate(target, sure, y, weight)
    right = (3 * 0.9 + 0.5 * 0.1) / 3.5  # each label is smoothed by 1/5 over two classes
    assert (factor * sure).softmax(-1)[0, 0].item() == pytest.approx(right, abs=2e-3)
    assert loss == pytest.approx(-right * np.log(right) - (1 - right) * np.log(1 - right), abs=1e-4)


def test_calibration_is_finite_where_all_are_right() -> None:
    sure = 2 * F.one_hot(torch.arange(30) % 3).float() - 1
    target = ClassTarget(name="y", classes=["a", "b", "c"])
    _, factor = calibrate(target, sure, torch.arange(30) % 3, torch.ones(30))
    assert (factor * sure).softmax(1).max(1).values.min() == pytest.approx(1 - 2 / 3 / 31, abs=2e-3)


def test_numbers_are_not_scaled() -> None:
    target = NumberTarget(name="y", mean=1.0, std=2.0)
    combined, y, weight = torch.tensor([[0.5], [1.0]]), torch.tensor([1.0, 1.5]), torch.tensor([1.0, 3.0])
    assert calibrate(target, combined, y, weight) == (0.25, 1.0)
