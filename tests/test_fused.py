"""The gradient by hand is that of the plain composition, computes no more than is asked for, and is used."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import lphm.fused
from lphm import HM, LPHM, Full, interdependence_apply
from lphm.contraction import interdependence_grouped
from lphm.fused import Order, apply_to_itself, compose
from test_memory import Limit

STRUCTURES = [LPHM(n=12, p=3, q=3, r=2), LPHM(n=12, p=2, q=6, r=2), LPHM(n=12, p=6, q=2, r=1)]
MODES = [(1, 1), (3, 1), (3, 3)]  # channels, groups


def inputs(structure: LPHM, channels: int, transposed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    w = torch.randn(channels, structure.num_parameters, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 5, 12, dtype=torch.float64).mT if transposed else torch.randn(2, 12, 5).double()
    return w, x.detach().requires_grad_()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("channels", "groups"), MODES)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("order", Order)
def test_gradients(order: Order, structure: LPHM, channels: int, groups: int, transposed: bool) -> None:
    w, x = inputs(structure, channels, transposed)
    data = torch.unflatten(x, 1, (groups, 12 // groups))
    wanted = compose(structure, order, w, x, data)
    got = apply_to_itself(structure, order, groups, w, x)
    torch.testing.assert_close(got, wanted)
    G = torch.randn_like(got)
    torch.testing.assert_close(
        torch.autograd.grad(got, (w, x), G), torch.autograd.grad(wanted, (w, x), G), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("wanted", ["w", "x"])
def test_one_gradient_alone(order: Order, wanted: str) -> None:
    structure = STRUCTURES[0]
    w, x = inputs(structure, 2, transposed=False)
    (w if wanted == "x" else x).requires_grad_(False)
    leaf = w if wanted == "w" else x
    outs = apply_to_itself(structure, order, 1, w, x), compose(structure, order, w, x, x.unsqueeze(1))
    grads = [torch.autograd.grad(out.square().sum(), leaf)[0] for out in outs]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("order", [Order.MATRIX, Order.FACTORED])
def test_w_is_never_formed(order: Order, transposed: bool) -> None:
    structure = LPHM(n=512, p=16, q=16, r=2)
    w = torch.randn(4, structure.num_parameters, requires_grad=True)
    x = (torch.randn(2, 8, 512).mT if transposed else torch.randn(2, 512, 8)).requires_grad_()
    with Limit(512**2):
        apply_to_itself(structure, order, 4, w, x).square().sum().backward()


@pytest.mark.parametrize("order", Order)
def test_second_derivatives(order: Order) -> None:
    w, x = inputs(STRUCTURES[1], 2, transposed=False)
    assert torch.autograd.gradgradcheck(lambda *t: apply_to_itself(STRUCTURES[1], order, 2, *t), (w, x))


def test_the_gradient_of_data_that_needs_none_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm.fused.FEWEST_NUMBERS", 0)
    structure = LPHM(n=64, p=8, q=8, r=2)
    w = torch.randn(structure.num_parameters, requires_grad=True)
    flops = {}
    for needs in (False, True):
        x = torch.randn(64, 16, requires_grad=needs)
        with FlopCounterMode(display=False) as counter:
            interdependence_apply(structure, w, x).sum().backward()
        flops[needs] = counter.get_total_flops()
    assert flops[False] < 0.8 * flops[True]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, at the first jvp
@pytest.mark.parametrize(
    ("structure", "used"), [(LPHM(n=96, p=4, q=4, r=2), True), (Full(n=8), True), (HM(n=96, p=4, q=4), False)]
)
def test_where_it_is_used(monkeypatch: pytest.MonkeyPatch, structure: LPHM, used: bool) -> None:
    """By hand where the structure states its gradient, or where W is formed; never for a partial ``x``."""
    calls = []
    monkeypatch.setattr("lphm.fused.FEWEST_NUMBERS", (structure.n - 1) * 12)
    spy = lambda *args: calls.append(args) or apply_to_itself(*args)  # noqa: E731
    monkeypatch.setattr("lphm.contraction.apply_to_itself", spy)
    w, x = torch.randn(2, structure.num_parameters), torch.randn(structure.n, 12)
    interdependence_apply(structure, w, x)
    interdependence_grouped(structure, w, x)
    assert bool(calls) is used
    calls.clear()
    interdependence_apply(structure, w, x[:, :1])  # too small to be worth it
    interdependence_apply(structure, w, x, torch.randn(3, 12))  # another data
    interdependence_apply(structure, w, x[:-1], partial=True)
    torch.func.vmap(lambda v: interdependence_apply(structure, v, x))(w)
    torch.func.jvp(lambda x: interdependence_apply(structure, w, x), (x,), (x,))
    assert not calls
    assert lphm.fused.can_apply_to_itself(structure, Order.DENSE, x.unsqueeze(0))
