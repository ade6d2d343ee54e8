"""E‖W‖_F² = gain² for every structure, and what follows from it."""

import pytest
import torch
from torch import Tensor

import lphm
from lphm import LPHM, Structure, initialize_
from support.norms import assert_mean, assert_norm_of_w_is_gain, drawn
from support.registry import ROWS, TYPICAL, draw

every_structure = pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)


@every_structure
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_norm_of_w_is_gain(structure: Structure, gain: float) -> None:
    assert_norm_of_w_is_gain(structure, gain)


EDGES = {
    (name, case): edge for name, row in ROWS.items() for case, edge in (row.edges | row.rectangular).items()
}


@pytest.mark.parametrize("name", EDGES, ids="-".join)
def test_norm_of_w_is_one_at_the_edges(name: tuple[str, str]) -> None:
    structure = EDGES[name]
    draws = 200_000 // structure.n  # few entries average less in each draw
    squares = structure.to_dense(drawn(structure, draws, 1.0)).square().sum(dim=(-2, -1))
    assert_mean(squares, 1.0)


@every_structure
@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_entries_of_xi_have_variance_gain(structure: Structure, kind: str) -> None:
    k, gain = 4, 0.5
    w = drawn(structure, 6000, gain)
    x = torch.randn(6000, structure.n, k, dtype=torch.float64)
    x = x if kind == "attribute" else x.mT
    xi = torch.func.vmap(lambda w, x: lphm.interdependence_matrix(structure, w, x, kind))(w, x)
    off_diagonal = xi[:, ~torch.eye(k, dtype=torch.bool)]
    assert_mean(off_diagonal.square().mean(dim=-1), gain**2)


@every_structure
def test_gain_of_zero_zeroes_one_factor_and_leaves_a_gradient(structure: Structure) -> None:
    w = drawn(structure, 2, 0.0).requires_grad_()
    zero = [factor.eq(0).all().item() for factor in structure.unpack(w)]
    assert zero == [True] + [False] * (len(zero) - 1)
    x = torch.randn(structure.n, 5, dtype=torch.float64)
    xi = lphm.interdependence_matrix(structure, w, x)
    assert xi.eq(0).all()
    (gradient,) = torch.autograd.grad((xi - 1).square().sum(), w)
    assert structure.unpack(gradient)[0].ne(0).all()


@every_structure
def test_draws_come_from_the_generator(structure: Structure) -> None:
    def draw_from(seed: int) -> Tensor:
        w = torch.empty(2, structure.num_parameters)
        return initialize_(structure, w, generator=torch.Generator().manual_seed(seed))

    state = torch.random.get_rng_state()
    first = draw_from(1)
    assert torch.random.get_rng_state().equal(state)
    assert first.equal(draw_from(1))
    assert not first.equal(draw_from(2))
    assert not first[0].equal(first[1])


def test_it_fills_in_place_and_returns_the_same_tensor() -> None:
    w = torch.nn.Parameter(torch.empty(3, 160))
    assert initialize_(LPHM(n=96, p=8, r=4), w) is w
    assert w.requires_grad
    assert w.grad_fn is None


def test_entries_of_all_factors_have_one_size() -> None:
    structure = TYPICAL["lphm"]
    factors = structure.unpack(drawn(structure, 8000, 1.0))
    for factor in factors:
        assert_mean(factor.square().mean(dim=(-2, -1)), (structure.n**2 * structure.r) ** (-1 / 3))


def test_a_vector_of_the_wrong_length_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^w must hold 160 parameters"):
        initialize_(LPHM(n=96, p=8, r=4), torch.empty(159))


def test_draw_fits() -> None:
    w, x, data = draw(TYPICAL["lphm"], "instance")
    assert (w.shape, x.shape, data.shape) == ((3, 26), (2, 5, 12), (2, 5, 4))


def test_the_gain_is_1_if_not_given() -> None:
    torch.manual_seed(1)
    w = initialize_(TYPICAL["lphm"], torch.empty(TYPICAL["lphm"].num_parameters))
    torch.manual_seed(1)
    assert torch.equal(w, initialize_(TYPICAL["lphm"], torch.empty_like(w), 1.0))
