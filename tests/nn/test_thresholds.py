"""Which maps exceed their thresholds: what exact fractions say, however the sums are taken."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from lphm.nn.patterns import LocalPatterns
from lphm.nn.thresholds import Sums, between, to_multiples

VALUES, WEIGHTS = 2**22, 2**25


def inputs(channels: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Series, and kernels as runs have them that were written before weights were multiples."""
    generator = torch.Generator().manual_seed(seed)
    kernels = torch.randn(4, channels, 9, generator=generator)
    kernels -= kernels.mean(-1, keepdim=True)
    return torch.randn(5, channels, 30, generator=generator), kernels / kernels.abs().sum((1, 2), True)


def fractions(series: Tensor, kernels: Tensor, dilation: int) -> list[list[list[Fraction]]]:
    """The sums of multiples, exactly."""
    values = (series.double() * VALUES).round().long().tolist()
    weights = (kernels.double() * WEIGHTS).round().long().tolist()
    steps = series.shape[-1]
    return [
        [
            [
                Fraction(
                    sum(
                        weight * channel[t + (k - 4) * dilation]
                        for channel, row in zip(sample, kernel, strict=True)
                        for k, weight in enumerate(row)
                        if 0 <= t + (k - 4) * dilation < steps
                    ),
                    VALUES * WEIGHTS,
                )
                for t in range(steps)
            ]
            for kernel in weights
        ]
        for sample in values
    ]


def traced(sums: Sums, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """As it is exported."""
    with monkeypatch.context() as patched:
        patched.setattr(torch.compiler, "is_compiling", lambda: True)
        return sums.above(*arguments)


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("place", [0, 17])
def test_the_sign_is_that_of_exact_sums(dilation: int, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With thresholds that are as near to a sum of each map as a float32 can be, on both sides of it."""
    series, kernels = inputs()
    sums, exact = Sums(series, 12, 18), fractions(series, kernels, dilation)
    nearest = torch.tensor([float(exact[1][of][place]) for of in range(4)])
    for thresholds in (
        nearest,
        nearest.nextafter(torch.tensor(9.0)),
        nearest.nextafter(torch.tensor(-9.0)),
    ):
        want = [
            [[value > Fraction(limit) for value in steps] for steps, limit in zip(maps, limits, strict=True)]
            for maps in exact
            for limits in [thresholds.tolist()]
        ]
        for above in (
            sums.above(kernels, thresholds, dilation),
            traced(sums, kernels, thresholds, dilation, monkeypatch=monkeypatch),
        ):
            assert (above > 0).tolist() == want
            size = torch.tensor(
                [[[float(value) for value in steps] for steps in maps] for maps in exact], dtype=torch.float64
            )
            torch.testing.assert_close(above.double(), size - thresholds.double()[:, None], atol=1e-6, rtol=0)


def test_where_many_are_near_all_are_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of a few levels, with thresholds on them."""
    series, kernels = inputs()
    series = torch.where(series > 2, 1.1, 0.0)
    sums, thresholds = Sums(series, 12, 18), torch.zeros(4)
    taken: list[int] = []
    exactly = Sums._exactly
    monkeypatch.setattr(Sums, "_exactly", lambda *each: taken.append(1) or exactly(*each))
    above = sums.above(kernels, thresholds, 1)
    assert taken == [1]
    exact = fractions(series, kernels, 1)
    assert (above > 0).tolist() == [[[value > 0 for value in steps] for steps in maps] for maps in exact]


@pytest.mark.parametrize("channels", [1, 8])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0])
def test_rounding_is_below_the_doubt(channels: int, scale: float) -> None:
    series, kernels = inputs(channels)
    sums = Sums(scale * series, 12, 9 * channels)
    error = sums.rounded(kernels, 2).double() - sums._exactly(kernels, torch.zeros(4), 2)
    assert 0 < error.abs().amax() < sums.doubt.amin()


def test_a_constant_is_no_pattern_at_all() -> None:
    kernels = LocalPatterns(40, 3).kernels.double()  # 53 bits hold the sums
    assert torch.equal(kernels.sum(-1), torch.zeros_like(kernels[..., 0]))
    assert torch.equal(to_multiples(kernels), kernels)


def test_equal_values_are_on_one_side_of_a_threshold() -> None:
    ties = [0.0, 1.0, 1.0 + 2**-23, 1.0, 1.0, 1.0, 2.0, 3.0]
    values = torch.tensor([sorted(ties), [2.0] * 8, [0.0] + [2.0] * 7, [0.0, 1.0] + [torch.nan] * 6])
    shares = torch.tensor([0.3, 0.3, 0.9, 0.5])
    assert between(values, shares).tolist() == pytest.approx([1.5, 2.0, 1.0, 0.5], abs=1e-6)
    assert between(torch.tensor([[4.0], [torch.nan]]), torch.tensor([0.9, 0.1])).tolist() == [4.0, 0.0]
