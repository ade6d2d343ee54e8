"""The search over structures: what W has is found, and no larger budget gives a larger error."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

import lphm
from lphm import HM, LPHM, DualLPHM, LowRank, RandomMatrixAdaptation, Structure, Toeplitz
from lphm.structures.compression import SEARCHED
from lphm.structures.leading import Effort, leading
from support import reference

KNOWN = [
    LPHM(n=48, p=8, q=4, r=2),
    LPHM(n=48, p=4, q=12, r=1),
    LPHM(n=48, p=6, q=6, r=3),
    DualLPHM(n=48, p=8, q=6, r=2),
    HM(n=48, p=6, q=8),
    LowRank(n=48, r=2),
    Toeplitz(n=48, lags=9),
    LPHM(n=540, p=18, q=30, r=2),
    LPHM(n=48, columns=90, p=8, q=5, r=2),
    LPHM(n=90, columns=48, p=6, q=8, r=3),
    DualLPHM(n=48, columns=90, p=8, q=9, r=2),
    HM(n=90, columns=48, p=6, q=12),
    LowRank(n=48, columns=90, r=2),
    Toeplitz(n=48, columns=90, lags=9),
    Toeplitz(n=90, columns=48, lags=9),
    LPHM(n=540, columns=96, p=18, q=8, r=2),
    DualLPHM(n=96, columns=540, p=8, q=18, r=2),
]


def known(structure: Structure, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(structure.num_parameters, dtype=torch.float64, generator=generator)
    return reference.dense(structure, w)


def noise(n: int, seed: int = 1, columns: int | None = None) -> Tensor:
    shape = n, columns or n
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def error(found: lphm.structures.compression.Compressed, W: Tensor) -> float:
    return ((reference.dense(found.structure, found.vector) - W.double()).norm() / W.double().norm()).item()


@pytest.mark.parametrize("structure", KNOWN, ids=map(str, KNOWN))
def test_a_known_structure_is_found_with_its_sizes(structure: Structure) -> None:
    """Also with twice the parameters that it needs."""
    W = known(structure)
    for budget in (structure.num_parameters, 2 * structure.num_parameters):
        found = lphm.compress(W, budget)
        assert found.structure.num_parameters <= structure.num_parameters
        assert found.error < 1e-13
        assert error(found, W) < 1e-13


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-37, 1.0, 1e37])
def test_the_size_of_the_entries_does_not_matter(dtype: torch.dtype, scale: float) -> None:
    W = (scale * known(KNOWN[0])).to(dtype)
    found = lphm.compress(W, 400)
    assert found.structure == KNOWN[0]
    assert found.vector.dtype == dtype
    assert error(found, W) < 1e-6


@pytest.mark.parametrize("n", [24, 60])
def test_the_error_is_monotone_in_the_budget(n: int) -> None:
    """Up to how far the fits go, which end where a round gains little."""
    structure = LPHM(n=n, p=6, q=4, r=2)
    W = known(structure) / known(structure).norm() + 0.5 * noise(n) / n
    budgets = [n * n // 64, n * n // 16, n * n // 8, n * n // 4, n * n]
    errors = [lphm.compress(W, budget).error for budget in budgets]
    assert all(more <= 1.001 * less for less, more in pairwise(errors)), errors
    assert errors[0] > 2 * errors[-1]
    assert errors[-1] < 1e-15  # Full


@pytest.mark.parametrize(("n", "columns"), [(36, 36), (24, 45), (45, 24)])
def test_errors_are_those_of_the_vectors_and_in_order(n: int, columns: int) -> None:
    W = noise(n, columns=columns)
    found = lphm.compress(W, 0.3)
    assert {type(fit.structure) for fit in (found, *found.others)} == {*SEARCHED} - {lphm.Full}
    last = 0.0
    for fit in (found, *found.others):
        assert fit.structure.shape == (n, columns)
        assert fit.structure.num_parameters <= 0.3 * n * columns
        assert fit.error == pytest.approx(error(fit, W), rel=1e-9)
        assert last <= fit.error * (1 + 1e-9)
        last = fit.error
    assert found.error <= 1.001 * min(
        error_of(s, W)
        for cls in SEARCHED[:-1]
        for s in cls.every_size(n, columns, limit=int(0.3 * n * columns))
    )


def error_of(structure: Structure, W: Tensor) -> float:
    return ((reference.dense(structure, lphm.nearest(structure, W)) - W).norm() / W.norm()).item()


def test_of_equal_errors_the_one_with_fewer_parameters_is_best() -> None:
    """LPHM and DualLPHM with p = q = 1 are LowRank with one number more, and more."""
    found = lphm.compress(noise(36), 0.3)
    equal = [fit.structure for fit in found.others if fit.error == pytest.approx(found.error, rel=1e-12)]
    assert found.structure == LowRank(n=36, r=5)
    assert LPHM(n=36, p=1, q=1, r=5) in equal
    assert [s.num_parameters for s in equal] == sorted(s.num_parameters for s in equal)


def test_only_what_is_asked_for_is_searched() -> None:
    found = lphm.compress(noise(24), 100, [Toeplitz, LowRank])
    assert {type(fit.structure) for fit in (found, *found.others)} == {Toeplitz, LowRank}


@pytest.mark.parametrize(
    ("structure", "budget"),
    [
        (HM(n=720, p=24, q=36), 20_000),
        (HM(n=96, columns=1800, p=8, q=40), 3_000),
        (HM(n=1800, columns=96, p=40, q=8), 3_000),
    ],
    ids=str,
)
def test_a_known_structure_under_noise_is_found_from_a_sketch(structure: HM, budget: int) -> None:
    """Sizes without structure must not look better because they are of a higher rank in the sketch."""
    W = known(structure) / known(structure).norm()
    more = noise(structure.n, columns=structure.shape[1])
    found = lphm.compress(W + 3 * more / more.norm(), budget)
    assert (found.structure.p, found.structure.q) == (structure.p, structure.q)
    assert found.error < 0.95


def test_zeros_and_one_number() -> None:
    found = lphm.compress(torch.zeros(12, 12), 30)
    assert (found.error, found.structure.num_parameters) == (0, 1)
    assert lphm.compress(torch.tensor([[3.0]]), 1).vector.tolist() == [3.0]


@pytest.mark.parametrize(
    ("W", "budget", "structures", "kind", "text"),
    [
        *(
            (
                torch.zeros(shape),
                9,
                SEARCHED,
                ValueError,
                f"W must be a matrix (n, columns) with entries, got shape {shape}",
            )
            for shape in [(0, 0), (0, 4), (4, 0), (4,), (2, 3, 4)]
        ),
        (torch.full((2, 2), np.nan), 9, SEARCHED, ValueError, "W must be finite, got nan or inf in it"),
        (
            torch.zeros(2, 2, dtype=torch.complex64),
            9,
            SEARCHED,
            TypeError,
            "W must be a floating-point torch.Tensor, got torch.complex64",
        ),
        (np.zeros((2, 2)), 9, SEARCHED, TypeError, "W must be a floating-point torch.Tensor, got ndarray"),
        (
            torch.ones(4, 4),
            0,
            SEARCHED,
            ValueError,
            "budget must be at least 1 parameters, those of Toeplitz(n=4, lags=1), got 0",
        ),
        (
            torch.ones(4, 4),
            0.1,
            [HM, LowRank],
            ValueError,
            "budget must be at least 8 parameters, those of HM(n=4, p=1, q=4), got 0.1",
        ),
        (
            torch.ones(4, 6),
            3,
            [LPHM, LowRank],
            ValueError,
            "budget must be at least 9 parameters, those of LPHM(n=4, columns=6, p=1, q=2, r=1), got 3",
        ),
        (
            torch.ones(4, 6),
            1.5,
            SEARCHED,
            ValueError,
            "budget must be an int, a number of parameters, or a float above 0 and up to 1, a share of the "
            "entries of W, got 1.5",
        ),
        (
            torch.ones(4, 4),
            9,
            [RandomMatrixAdaptation],
            TypeError,
            "structures must be some of LPHM, DualLPHM, HM, LowRank, Toeplitz, Full, "
            "got [<class 'lphm.structures.random_matrix.RandomMatrixAdaptation'>]",
        ),
        (
            torch.ones(4, 4),
            9,
            [],
            TypeError,
            "structures must be some of LPHM, DualLPHM, HM, LowRank, Toeplitz, Full, got none",
        ),
    ],
)
def test_errors(
    W: object, budget: float, structures: list[type[Structure]], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        lphm.compress(W, budget, structures)


def test_what_is_found_is_shown_in_one_line() -> None:
    found = lphm.compress(torch.eye(12) + 0.01 * torch.ones(12, 12), budget=30)
    assert repr(found) == (
        f"<Compressed {found.structure}: {found.structure.num_parameters} parameters, "
        f"error {found.error:.3g}, {len(found.others)} others>"
    )
    assert len(found.others) > 1


def test_a_layer_takes_what_is_found() -> None:
    """Also of a parameter, which has a gradient, in float32."""
    structure = LPHM(n=60, columns=96, p=6, q=8, r=2)
    linear = torch.nn.Linear(96, 60)
    with torch.no_grad():
        linear.weight.copy_(known(structure))
    found = lphm.compress(linear.weight, 0.05)
    assert found.structure == structure
    assert found.vector.dtype == torch.float32
    assert not found.vector.requires_grad
    layer = lphm.nn.StructuredLinear(96, 60, found.structure)
    layer.load_state_dict({"weight": found.vector, "bias": linear.bias})
    x = torch.randn(5, 96)
    torch.testing.assert_close(layer(x), linear(x), rtol=1e-4, atol=1e-4)


# The singular triples of a large matrix.


def test_iteration_finds_the_leading_triples() -> None:
    M = torch.linalg.qr(noise(600))[0] * 0.9 ** torch.arange(600) @ torch.linalg.qr(noise(600, 2))[0]
    U, sigma, Vh = leading(M, 5, Effort())
    torch.testing.assert_close(sigma, 0.9 ** torch.arange(5).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(U.mT @ U, torch.eye(5).double())
    torch.testing.assert_close(Vh @ Vh.mT, torch.eye(5).double())
    want = torch.linalg.svdvals(M)[5:].norm()
    torch.testing.assert_close((M - (U * sigma) @ Vh).norm(), want, rtol=1e-6, atol=0)


def test_iteration_draws_nothing_from_the_generator_of_everyone() -> None:
    before = torch.get_rng_state()
    first = lphm.nearest(LowRank(n=600, r=2), noise(600))
    assert torch.get_rng_state().equal(before)
    assert first.equal(lphm.nearest(LowRank(n=600, r=2), noise(600)))


def test_a_large_matrix_without_structure_comes_as_near_as_its_singular_values_allow() -> None:
    W = noise(600)
    sigma = torch.linalg.svdvals(W)
    got = error_of(LowRank(n=600, r=3), W)
    assert got == pytest.approx((sigma[3:].norm() / sigma.norm()).item(), rel=1e-6)
