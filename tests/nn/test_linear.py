"""``StructuredLinear`` is ``nn.Linear`` with a structured weight, which is never formed."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.utils.flop_counter import FlopCounterMode

from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure, Toeplitz, compress
from lphm.nn import StructuredLinear
from support import reference
from support.memory import Limit
from support.messages import whole
from support.registry import ROWS
from support.suite_algebra import check

CASES = {
    f"{name}, {case}": structure
    for name, row in ROWS.items()
    for case, structure in {"square": row.typical, **row.rectangular}.items()
}
every_case = pytest.mark.parametrize("structure", CASES.values(), ids=CASES)
LARGE = {name: row.large_rectangular for name, row in ROWS.items() if name != "full"}


class Doubled(LPHM):
    """A subclass with a ``W`` of its own."""

    def kronecker_factors(self, factors: tuple) -> tuple:
        A, B = super().kronecker_factors(factors)
        return 2 * A, B


def layer_of(structure: Structure, bias: bool = True, dtype: torch.dtype = torch.float64) -> StructuredLinear:
    n, columns = structure.shape
    return StructuredLinear(columns, n, structure, bias, dtype=dtype)


@every_case
@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
def test_is_the_linear_layer_with_the_same_w(structure: Structure, batch: tuple[int, ...]) -> None:
    layer = layer_of(structure)
    x = torch.randn(*batch, layer.in_features, dtype=torch.float64, requires_grad=True)
    want = nn.functional.linear(x, reference.dense(structure, layer.weight), layer.bias)
    check(layer(x), want, (layer.weight, layer.bias, x))


@every_case
def test_no_rows(structure: Structure) -> None:
    layer = layer_of(structure)
    assert layer(torch.randn(0, layer.in_features, dtype=torch.float64)).shape == (0, layer.out_features)


@pytest.mark.parametrize("sizes", [(2, 6), (6, 2)], ids=["A first", "B first"])
def test_the_cheaper_order_of_hm(sizes: tuple[int, int]) -> None:
    """``W`` of 12 x 24 with blocks of 6 x 4 or 2 x 12: the flops are those of the cheaper order."""
    p, q = sizes
    structure = HM(n=12, columns=24, p=p, q=q)
    s, t = 12 // p, 24 // q
    layer = layer_of(structure, bias=False)
    x = torch.randn(10, 24, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 10 * 2 * min(q * s * t + p * q * s, p * q * t + p * s * t)


def test_a_subclass_is_followed() -> None:
    structure = Doubled(n=12, columns=15, p=2, q=3, r=2)
    layer, x = layer_of(structure), torch.randn(5, 15, dtype=torch.float64)
    parent = LPHM(n=12, columns=15, p=2, q=3, r=2)
    want = nn.functional.linear(x, 2 * reference.dense(parent, layer.weight), layer.bias)
    assert reference.error(layer(x), want) < 1e-12


@pytest.mark.parametrize("structure", LARGE.values(), ids=LARGE)
def test_w_is_never_formed(structure: Structure) -> None:
    layer = layer_of(structure, dtype=torch.float32)
    x = torch.randn(7, layer.in_features, requires_grad=True)
    with Limit(structure.n * layer.in_features):
        layer(x).square().sum().backward()
    with pytest.raises(AssertionError, match="made"), Limit(structure.n * layer.in_features):
        layer.to_linear()


@pytest.mark.parametrize(
    "structure", [LPHM(n=12, columns=15, p=2, q=3, r=2), Toeplitz(n=72, columns=90, lags=5)]
)
def test_gradcheck(structure: Structure) -> None:
    layer = layer_of(structure)
    x = torch.randn(2, 3, layer.in_features, dtype=torch.float64, requires_grad=True)
    assert gradcheck(
        lambda x, w, b: torch.func.functional_call(layer, {"weight": w, "bias": b}, x),
        (x, layer.weight, layer.bias),
        fast_mode=True,
    )


@every_case
def test_starts_as_large_as_a_linear_layer(structure: Structure) -> None:
    """``E‖W‖_F² = out_features / 3``: entries of ``nn.Linear`` are uniform up to ``in_features^-½``."""
    torch.manual_seed(0)
    layer, sizes = layer_of(structure), []
    for _ in range(400):
        layer.reset_parameters()
        sizes.append(structure.to_dense(layer.weight.detach()).square().sum())
    assert torch.stack(sizes).mean() == pytest.approx(layer.out_features / 3, rel=0.35)
    assert layer.bias.abs().max() <= layer.in_features**-0.5


def test_many_entries_and_biases_are_as_large_as_those_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    layer = StructuredLinear(100, 2000, Full(n=2000, columns=100))
    assert layer.weight.square().sum().item() == pytest.approx(2000 / 3, rel=0.02)
    bound = 100**-0.5
    assert -bound <= layer.bias.min() < -0.98 * bound
    assert bound >= layer.bias.max() > 0.98 * bound
    assert layer.bias.square().mean().item() == pytest.approx(bound**2 / 3, rel=0.05)


def test_parameters_are_where_and_of_what_type_they_are_asked_for() -> None:
    layer = StructuredLinear(6, 4, LowRank(n=4, columns=6, r=2), device="meta", dtype=torch.float64)
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.float64)}
    assert len(list(layer.parameters())) == 2  # with b, as nn.Linear has it by default


@pytest.mark.parametrize("bias", [True, False])
def test_to_linear_and_back(bias: bool) -> None:
    structure = LPHM(n=12, columns=15, p=2, q=3, r=2)
    layer = layer_of(structure, bias)
    linear = layer.to_linear()
    x = torch.randn(5, 15, dtype=torch.float64)
    assert reference.error(linear(x), layer(x)) < 1e-12
    assert (linear.bias is None) is not bias
    again = StructuredLinear.from_linear(linear, structure)
    assert again.weight.dtype == torch.float64
    assert (again.bias is None) is not bias
    assert reference.error(again(x), layer(x)) < 1e-9


@pytest.mark.parametrize(
    "structure",
    [
        Full(n=10, columns=16),
        LowRank(n=10, columns=16, r=3),
        HM(n=10, columns=16, p=5, q=4),
        LPHM(n=10, columns=16, p=5, q=4, r=1),
        DualLPHM(n=10, columns=16, p=5, q=4, r=2),
        RandomMatrixAdaptation(n=10, columns=16, r=3),
        Toeplitz(n=10, columns=16, lags=7),
    ],
    ids=str,
)
def test_from_linear_is_a_minimum_of_the_distance(structure: Structure) -> None:
    linear = nn.Linear(16, 10, dtype=torch.float64)
    layer = StructuredLinear.from_linear(linear, structure)
    distance = (reference.dense(structure, layer.weight) - linear.weight.detach()).square().sum()
    (gradient,) = torch.autograd.grad(distance, layer.weight)
    assert gradient.norm() < 1e-3 * linear.weight.norm()
    assert distance <= linear.weight.square().sum()
    assert layer.bias.equal(linear.bias)


@pytest.mark.parametrize(("budget", "most"), [(300, 300), (0.1, 614), (1.0, 6144)])
def test_from_linear_for_a_budget(budget: float, most: int) -> None:
    linear = nn.Linear(96, 64)
    layer, found = StructuredLinear.from_linear(linear, budget), compress(linear.weight, budget)
    assert layer.structure == found.structure
    assert layer.weight.equal(found.vector)
    assert layer.weight.numel() <= most
    assert layer.bias.equal(linear.bias)
    distance = torch.dist(layer.to_linear().weight, linear.weight) / linear.weight.norm()
    assert distance.item() == pytest.approx(found.error, abs=1e-5)


def test_from_linear_for_a_budget_finds_the_structure_of_the_weight() -> None:
    """That of the highest rank, 20 blocks of rank 3, is far from it."""
    structure = LPHM(n=60, columns=96, p=6, q=8, r=2)
    linear = nn.Linear(96, 60, bias=False, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(structure.to_dense(torch.randn(structure.num_parameters).double()))
    layer = StructuredLinear.from_linear(linear, 0.2)
    assert layer.structure == structure
    assert layer.bias is None
    assert reference.error(layer.to_linear().weight, linear.weight) < 1e-12


def test_copies_and_state() -> None:
    structure = LPHM(n=12, columns=15, p=2, q=3, r=2)
    layer, other, x = layer_of(structure), layer_of(structure), torch.randn(5, 15, dtype=torch.float64)
    assert list(layer.state_dict()) == ["weight", "bias"]
    other.load_state_dict(layer.state_dict())
    for copied in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert copied(x).equal(layer(x))
    assert layer_of(structure).to("meta")(x.to("meta")).shape == (5, 12)
    assert repr(layer) == (
        "StructuredLinear(in_features=15, out_features=12, LPHM(n=12, columns=15, p=2, q=3, r=2), bias=True)"
    )


def test_trains_in_place_of_a_linear_layer() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 15)
    target = x @ torch.randn(15, 12)
    layer = StructuredLinear(15, 12, LPHM(n=12, columns=15, p=2, q=3, r=2))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(100):
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_mistakes() -> None:
    structure = LPHM(n=12, columns=15, p=2, q=3, r=2)
    text = (
        "structure must have a W of out_features x in_features, 15 x 12, got 12 x 15 of "
        "LPHM(n=12, columns=15, p=2, q=3, r=2); build it with n=15, columns=12"
    )
    with pytest.raises(ValueError, match=whole(text)):
        StructuredLinear(12, 15, structure)
    with pytest.raises(
        TypeError, match=r"^structure must be a lphm.Structure such as lphm.LPHM\(...\), got 'lphm'$"
    ):
        StructuredLinear(12, 15, "lphm")
    with pytest.raises(ValueError, match=r"^in_features must be at least 1, got in_features=0$"):
        StructuredLinear(0, 15, structure)
    layer = layer_of(structure)
    for x in (torch.randn(5, 12).double(), torch.tensor(1.0).double()):
        text = f"x must be (*, 15), in_features=15, got shape {tuple(x.shape)}"
        with pytest.raises(ValueError, match=whole(text)):
            layer(x)
    text = (
        "x must have the type and device of w, got torch.float32 on cpu and torch.float64 on cpu; "
        "use x.to(w), or for a layer, whose weight is w, layer.to(x) or torch.autocast"
    )
    with pytest.raises(TypeError, match=whole(text)):
        layer(torch.randn(5, 15))


@pytest.mark.parametrize("structure", [LowRank, "low-rank", None, True], ids=str)
def test_from_linear_names_what_is_wrong(structure: object) -> None:
    text = (
        "structure must be a lphm.Structure such as lphm.LPHM(...), or a budget: an int, a number of "
        f"parameters, or a float up to 1, a share of those of the weight, got {structure!r}"
    )
    with pytest.raises(TypeError, match=whole(text)):
        StructuredLinear.from_linear(nn.Linear(16, 10), structure)
    with pytest.raises(TypeError, match=whole("linear must be an nn.Linear, got Conv1d")):
        StructuredLinear.from_linear(nn.Conv1d(3, 4, 2), 0.2)
    with pytest.raises(TypeError, match=whole("linear must be an nn.Linear, got Conv1d")):
        StructuredLinear.from_linear(nn.Conv1d(3, 4, 2), LowRank(n=4, columns=3, r=1))
