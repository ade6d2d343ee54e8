"""The nearest structured W: found where there is one, and a minimum where there is not."""

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

import lphm
from lphm import (
    HM,
    LPHM,
    BilinearInterdependence,
    DualLPHM,
    Full,
    LowRank,
    RandomMatrixAdaptation,
    Structure,
    Toeplitz,
)
from lphm.structures.leading import Effort
from support import reference
from support.registry import ROWS, TYPICAL

module = importlib.import_module("lphm.structures.nearest")  # lphm.structures.nearest is the function

every_structure = pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
every_case = pytest.mark.parametrize(
    "structure",
    [case for row in ROWS.values() for case in (row.cases | row.rectangular).values()],
    ids=[f"{name}-{case}" for name, row in ROWS.items() for case in row.cases | row.rectangular],
)
ALTERNATING = [
    LPHM(n=12, p=2, q=3, r=2),
    LPHM(n=24, p=4, q=6, r=1),
    LPHM(n=12, columns=20, p=3, q=5, r=2),
    DualLPHM(n=12, p=2, q=3, r=2),
    DualLPHM(n=24, p=4, q=6, r=2),
    RandomMatrixAdaptation(n=12, r=3),
    RandomMatrixAdaptation(n=12, columns=9, r=3),
]
SEVERAL = [ALTERNATING[1], ALTERNATING[5]]
alternating = pytest.mark.parametrize("structure", ALTERNATING, ids=map(str, ALTERNATING))


def parameters(structure: Structure) -> Tensor:
    return torch.randn(structure.num_parameters, dtype=torch.float64)


def noise(structure: Structure) -> Tensor:
    return torch.randn(structure.shape, dtype=torch.float64)


def distance(structure: Structure, w: Tensor, W: Tensor) -> float:
    return torch.dist(reference.dense(structure, w), W).item()


@every_case
def test_what_has_the_structure_is_found(structure: Structure) -> None:
    for _ in range(3):
        W = reference.dense(structure, parameters(structure))
        w = lphm.nearest(structure, W)
        assert w.shape == (structure.num_parameters,)
        assert distance(structure, w, W) < 1e-12 * W.norm()


# Against what is known to be exact.


def test_full_is_w_itself() -> None:
    W = noise(Full(n=12))
    assert lphm.nearest(Full(n=12), W).equal(W.flatten())


@pytest.mark.parametrize("r", [1, 3, 11])
@pytest.mark.parametrize("columns", [12, 15])
def test_low_rank_leaves_the_last_singular_values(r: int, columns: int) -> None:
    structure = LowRank(n=12, columns=columns, r=r)
    W = noise(structure)
    want = np.linalg.norm(np.linalg.svd(W.numpy(), compute_uv=False)[r:])
    assert distance(structure, lphm.nearest(structure, W), W) == pytest.approx(want, rel=1e-12)


def rearranged(W: Tensor, p: int, q: int) -> np.ndarray:
    """Block by block, as it is defined."""
    s, t = W.shape[0] // p, W.shape[1] // q
    blocks = [W[i * s : (i + 1) * s, j * t : (j + 1) * t].numpy() for i in range(p) for j in range(q)]
    return np.array([block.ravel() for block in blocks])


@pytest.mark.parametrize("sizes", [(2, 3), (3, 2), (4, 4), (1, 12), (12, 1)])
@pytest.mark.parametrize("columns", [12, 24])
def test_hm_leaves_all_singular_values_of_the_rearrangement_but_the_first(
    sizes: tuple[int, int], columns: int
) -> None:
    structure = HM(n=12, columns=columns, p=sizes[0], q=sizes[1])
    W = noise(structure)
    want = np.linalg.norm(np.linalg.svd(rearranged(W, *sizes), compute_uv=False)[1:])
    assert distance(structure, lphm.nearest(structure, W), W) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("lags", [1, 7, 23])
def test_toeplitz_is_the_least_squares_solution(lags: int) -> None:
    structure, W = Toeplitz(n=12, lags=lags), noise(Full(n=12))
    basis = torch.stack([reference.dense(structure, one) for one in torch.eye(lags)])  # W of each coefficient
    want = np.linalg.lstsq(basis.flatten(1).T.numpy(), W.flatten().numpy(), rcond=None)[0]
    np.testing.assert_allclose(lphm.nearest(structure, W).numpy(), want, rtol=1e-12)


def test_lphm_with_blocks_of_full_rank_is_hm() -> None:
    W = noise(Full(n=12))
    hm, full_blocks = HM(n=12, p=2, q=3), LPHM(n=12, p=2, q=3, r=4)
    got = distance(full_blocks, lphm.nearest(full_blocks, W), W)
    assert got == pytest.approx(distance(hm, lphm.nearest(hm, W), W), rel=1e-12)


# Where only a local minimum is promised.


@alternating
def test_it_is_a_minimum(structure: Structure) -> None:
    """No gradient is left, and no small step from there comes nearer."""
    for _ in range(3):
        W = noise(structure)
        w = lphm.nearest(structure, W).requires_grad_()
        squared = (reference.dense(structure, w) - W).square().sum()
        (gradient,) = torch.autograd.grad(squared, w)
        assert gradient.norm() < 1e-3 * W.norm()
        for _ in range(50):
            step = 0.03 * torch.randn_like(w)
            assert distance(structure, w.detach() + step, W) ** 2 > squared.item() * (1 - 1e-9)


@dataclass
class Watched:
    """Alternation as the module runs it, with every distance written down."""

    rounds: list[list[float]]
    best: Callable[..., object]

    def __call__(
        self, starts: list[object], improved: Callable, distance: Callable, effort: Effort
    ) -> object:
        def watched(pair: tuple[Tensor, Tensor]) -> float:
            self.rounds[-1].append(distance(pair))
            return self.rounds[-1][-1]

        ends = []
        for start in starts:
            self.rounds.append([])
            ends.append(self.best([start], improved, watched, effort))
            self.rounds[-1].pop()  # the comparison of the ends
        return min(ends, key=distance)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    spy = Watched([], module._best)
    monkeypatch.setattr(module, "_best", spy)
    return spy


@alternating
def test_no_round_increases_the_distance(structure: Structure, watched: Watched) -> None:
    for _ in range(3):
        W = noise(structure)
        w = lphm.nearest(structure, W)
        for rounds in watched.rounds:
            assert 2 < len(rounds) < Effort().rounds
            assert all(b <= a * (1 + 1e-12) for a, b in pairwise(rounds))
        least = min(rounds[-1] for rounds in watched.rounds)
        assert distance(structure, w, W) ** 2 == pytest.approx(least, rel=1e-9)
        watched.rounds.clear()


@pytest.mark.parametrize("structure", SEVERAL, ids=map(str, SEVERAL))
def test_every_start_is_the_best_one_somewhere_and_then_taken(structure: Structure, watched: Watched) -> None:
    best = set()
    for _ in range(30):
        watched.rounds.clear()
        W = noise(structure)
        w = lphm.nearest(structure, W)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_best", watched.best)
            assert lphm.nearest(structure, W).equal(w)
        ends = [rounds[-1] for rounds in watched.rounds]
        best |= {start for start, end in enumerate(ends) if end < (1 - 1e-6) * min(ends[:start], default=1e9)}
    assert best == set(range(len(ends)))


def restarted(structure: Structure, W: Tensor) -> float:
    """The distance that a minimiser of everyone's ends at from a random start."""
    w = (0.3 * parameters(structure)).requires_grad_()
    optimizer = torch.optim.LBFGS([w], max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (structure.to_dense(w) - W).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return distance(structure, w.detach(), W)


@alternating
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_never_worse_than_random_restarts_where_there_is_structure(
    structure: Structure, share: float
) -> None:
    for _ in range(2):
        W = reference.dense(structure, parameters(structure))
        error = noise(structure)
        W = W / W.norm() + share * error / error.norm()
        others = min(restarted(structure, W) for _ in range(3))
        found = distance(structure, lphm.nearest(structure, W), W)
        assert found <= others * (1 + 1e-6)
        assert found <= share * (1 + 1e-12)  # what was there before the noise is at this distance


@alternating
def test_not_worse_than_a_random_start_on_noise_alone(structure: Structure) -> None:
    for _ in range(3):
        W = noise(structure)
        others = [restarted(structure, W) for _ in range(3)]
        assert distance(structure, lphm.nearest(structure, W), W) <= np.median(others) * (1 + 1e-6)


@every_structure
def test_one_entry(structure: Structure) -> None:
    """All singular values but one are zero, and nothing can start from them."""
    W = torch.zeros(12, 12, dtype=torch.float64)
    W[3, 7] = 2.0
    w = lphm.nearest(structure, W)
    assert w.isfinite().all()
    exact = not isinstance(structure, RandomMatrixAdaptation | Toeplitz)
    assert distance(structure, w, W) <= (1e-12 if exact else 2.0)


# What comes back.


@every_structure
def test_factors_have_entries_of_one_size(structure: Structure) -> None:
    w = lphm.nearest(structure, reference.dense(structure, parameters(structure)))
    sizes = torch.stack([factor.square().mean() for factor in structure.unpack(w)])
    torch.testing.assert_close(sizes, sizes[:1].expand_as(sizes))


@every_case
def test_zero(structure: Structure) -> None:
    w = lphm.nearest(structure, torch.zeros(structure.shape))
    assert w.isfinite().all()
    assert structure.to_dense(w).eq(0).all()


@every_structure
def test_one_row_or_block_of_zeros(structure: Structure) -> None:
    W = reference.dense(structure, parameters(structure))
    W[0] = 0
    w = lphm.nearest(structure, W)
    assert w.isfinite().all()
    assert distance(structure, w, W) < W.norm()


@every_structure
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_type_and_gradient(structure: Structure, dtype: torch.dtype) -> None:
    W = reference.dense(structure, parameters(structure)).to(dtype).requires_grad_()
    w = lphm.nearest(structure, W)
    assert w.dtype == dtype
    assert not w.requires_grad
    assert reference.error(structure.to_dense(w), W.detach()) < (1e-5 if dtype == torch.float32 else 5e-2)


@every_structure
def test_channels_and_batches(structure: Structure) -> None:
    W = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    w = lphm.nearest(structure, W)
    assert w.shape == (2, 3, structure.num_parameters)
    assert w[1, 2].equal(lphm.nearest(structure, W[1, 2]))
    assert lphm.nearest(structure, W[:0]).shape == (0, 3, structure.num_parameters)
    assert lphm.nearest(structure, W[0].mT).equal(lphm.nearest(structure, W[0].mT.contiguous()))


def test_into_a_layer_that_trains_on() -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    dense = BilinearInterdependence(Full(n=12), channels=2)
    layer = BilinearInterdependence(structure, channels=2)
    W = dense.structure.to_dense(dense.weight)
    with torch.no_grad():
        layer.weight.copy_(lphm.nearest(structure, W))
    x = torch.randn(3, 12, 5)
    left = (layer.matrix(x) - dense.matrix(x)).norm() / dense.matrix(x).norm()
    assert left < 1
    layer(x).sum().backward()
    assert all(factor.ne(0).any() for factor in structure.unpack(layer.weight.grad))


# What a caller can get wrong.


@dataclass(frozen=True, kw_only=True)
class Other(Full):
    """A structure of the user's own counts as what it is derived from."""


class Foreign(Structure):
    """One that is derived from nothing known."""

    factor_shapes = {"w": (9,)}  # noqa: RUF012
    terms = middle = 1
    dense_from_factors = None


@pytest.mark.parametrize(
    ("W", "kind", "text"),
    [
        (torch.zeros(3, 4), ValueError, "W must be (*, 3, 3), got shape (3, 4)"),
        (torch.zeros(9), ValueError, "W must be (*, 3, 3), got shape (9,)"),
        (torch.full((3, 3), float("inf")), ValueError, "W must be finite, got nan or inf in it"),
        (
            torch.zeros(3, 3, dtype=torch.int64),
            TypeError,
            "W must be a floating-point torch.Tensor, got torch.int64",
        ),
        (np.zeros((3, 3)), TypeError, "W must be a floating-point torch.Tensor, got ndarray"),
    ],
)
def test_errors(W: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        lphm.nearest(LowRank(n=3, r=2), W)


def test_a_structure_without_a_method() -> None:
    assert lphm.nearest(Other(n=3), torch.ones(3, 3)).eq(1).all()
    with pytest.raises(
        TypeError, match=r"^structure must be one that lphm.nearest has a method for, got Foreign"
    ):
        lphm.nearest(Foreign(n=3), torch.ones(3, 3))


def test_factors_of_a_small_matrix_have_entries_of_one_size() -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    W = 1e-4 * structure.to_dense(torch.randn(26, dtype=torch.float64))
    sizes = [factor.square().mean().sqrt() for factor in structure.unpack(lphm.nearest(structure, W))]
    torch.testing.assert_close(torch.stack(sizes), sizes[0].expand(3))
