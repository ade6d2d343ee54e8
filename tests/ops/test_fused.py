"""The gradient by hand is that of the formula, computes no more than is asked for, and is used."""

import pytest
import torch
from torch import Tensor

import lphm
import lphm.ops.fused
from lphm import HM, LPHM, BilinearInterdependence, Full, LowRank, interdependence_apply
from lphm.ops import dispatch
from lphm.ops.cost import Order
from lphm.ops.dispatch import apply_to_one
from lphm.ops.functional import interdependence_grouped
from lphm.ops.fused import ThinCall, apply_fused
from lphm.structures import Structure
from support import reference
from support.gradients import Names, apply_by_hand, both_kinds, check, every_order, inputs
from support.memory import Limit

STRUCTURES = [
    LPHM(n=12, p=3, q=3, r=2),
    LPHM(n=12, p=2, q=6, r=2),
    LPHM(n=12, p=6, q=2, r=1),
    LowRank(n=12, r=3),
]
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=str)


@every_order
@every_structure
@both_kinds
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("batch", [(), (1,), (2,), (2, 2)])
def test_gradients(
    order: Order, structure: Structure, kind: str, channels: int | None, batch: tuple[int, ...]
) -> None:
    w, x = inputs(structure, kind, channels, batch)
    got = apply_by_hand(structure, order, kind, w, x)
    check(got, reference.grouped(structure, w, x, kind=kind), (w, x))


@pytest.mark.parametrize("order", Order, ids=lambda order: order.name)
@every_structure
@both_kinds
def test_one_sample_in_plain_operators(order: Order, structure: Structure, kind: str) -> None:
    w, x = inputs(structure, kind)
    got = apply_to_one(structure, order, kind, w, x)
    assert got.is_contiguous()
    check(got, reference.apply(structure, w, x, kind=kind), (w, x))


@every_order
@both_kinds
@pytest.mark.parametrize("p", [(3, 3), (2, 6)], ids=str)
def test_strides_and_offsets_of_views(order: Order, kind: str, p: tuple[int, int]) -> None:
    """The factors are read where they lie: in a row of a larger tensor, or in every other number."""
    structure = LPHM(n=12, p=p[0], q=p[1], r=2)
    l = structure.num_parameters
    w, x = inputs(structure, kind, 3, (2,))
    wanted = reference.grouped(structure, w, x, kind=kind)
    rows = torch.cat([torch.randn(2, l).double(), w.detach()]).requires_grad_()
    spread = w.detach().repeat_interleave(2, dim=1).requires_grad_()
    for leaf, view in ((rows, rows[2:]), (spread, spread[:, ::2])):
        for data in (x, x.detach().mT.contiguous().mT.requires_grad_(), x[:1].expand(2, -1, -1)):
            got = apply_by_hand(structure, order, kind, view, data)
            if data is x:
                assert reference.error(got, wanted) < 1e-12
            grads = torch.autograd.grad(got.sum(), (leaf, data), retain_graph=True)  # G is one number
            own = reference.grouped(structure, view, data, kind=kind)
            want = torch.autograd.grad(own.sum(), (leaf, data), retain_graph=True)
            assert all(reference.error(*pair) < 1e-11 for pair in zip(grads, want, strict=True))


@both_kinds
@pytest.mark.parametrize("order", [Order.MATRIX, Order.DENSE_FACTORED], ids=lambda order: order.name)
def test_sums_over_many_rows_are_taken_in_parts(
    order: Order, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever product is tall: ``Dᵀ G`` (attribute), ``Xᵀ X`` and ``Xᵀ G`` (instance)."""
    shapes = []
    own = Tensor.sum
    monkeypatch.setattr(Tensor, "sum", lambda t, *a, **k: shapes.append(tuple(t.shape)) or own(t, *a, **k))
    n = 96 if kind == "attribute" else 3
    structure = LPHM(n=n, p=3, q=3, r=1)
    w = torch.randn(structure.num_parameters).double().requires_grad_()
    x = torch.randn(96, 3).double().requires_grad_()
    G = torch.randn(96, 3).double()
    got = torch.autograd.grad(apply_by_hand(structure, order, kind, w, x), (w, x), G)
    parts = shapes.count((lphm.ops.fused.PARTS, 3, 3))
    assert parts == {("attribute", "MATRIX"): 1, ("instance", "DENSE_FACTORED"): 2}.get((kind, order.name), 0)
    want = torch.autograd.grad(reference.apply(structure, w, x, kind=kind), (w, x), G)
    assert all(reference.error(*pair) < 1e-11 for pair in zip(got, want, strict=True))


@every_order
@pytest.mark.parametrize("wanted", ["w", "x"])
def test_one_gradient_alone(order: Order, wanted: str) -> None:
    structure = STRUCTURES[0]
    w, x = inputs(structure, "attribute")
    (w if wanted == "x" else x).requires_grad_(False)
    leaf = w if wanted == "w" else x
    outs = apply_by_hand(structure, order, "attribute", w, x), reference.apply(structure, w, x)
    grads = [torch.autograd.grad(out.square().sum(), leaf)[0] for out in outs]
    assert reference.error(*grads) < 1e-11


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("channels", [None, 4])
@both_kinds
@pytest.mark.parametrize("order", [Order.MATRIX, Order.FACTORED], ids=lambda order: order.name)
def test_w_is_never_formed(order: Order, kind: str, channels: int | None, batch: tuple[int, ...]) -> None:
    structure = LPHM(n=512, p=16, q=16, r=2)
    w = torch.randn(*([channels] if channels else []), structure.num_parameters, requires_grad=True)
    x = torch.randn(*batch, *((512, 8) if kind == "attribute" else (8, 512)), requires_grad=True)
    with Limit(512**2):
        apply_by_hand(structure, order, kind, w, x).square().sum().backward()


@every_order
@both_kinds
@pytest.mark.parametrize("channels", [None, 2])
def test_second_derivatives(order: Order, kind: str, channels: int | None) -> None:
    w, x = inputs(STRUCTURES[1], kind, channels, (2,))
    assert torch.autograd.gradgradcheck(lambda *t: apply_by_hand(STRUCTURES[1], order, kind, *t), (w, x))


@every_order
@pytest.mark.parametrize("structure", [STRUCTURES[0], LowRank(n=12, r=3)], ids=str)
def test_the_gradient_of_data_that_needs_none_costs_nothing(structure: Structure, order: Order) -> None:
    """The widest product is missing, and the sum of the thin ones it would have been added to."""
    products = {}
    for needs in (False, True):
        w, x = inputs(structure, "attribute")
        out = apply_by_hand(structure, order, "attribute", w, x.requires_grad_(needs))
        with Names() as names:
            out.sum().backward()
        products[needs] = [name for name in names.found if "bmm" in name]
    assert "baddbmm_" in products[True]
    assert "baddbmm_" not in products[False]
    assert len(products[False]) <= len(products[True]) - 2


def test_nothing_is_kept_where_nothing_needs_a_gradient() -> None:
    w, x = inputs(STRUCTURES[0], "attribute")
    for leaves in ((w.detach(), x.detach()), (w, x)):
        with torch.set_grad_enabled(leaves[0] is not w):
            assert apply_by_hand(STRUCTURES[0], Order.MATRIX, "attribute", *leaves).grad_fn is None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, fresh_choices: None) -> list[tuple]:
    """The arguments of every call of ``apply_fused`` by the public functions."""
    found: list[tuple] = []
    spy = lambda *args: found.append(args) or apply_fused(*args)  # noqa: E731
    monkeypatch.setattr(dispatch, "apply_fused", spy)
    return found


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, at the first jvp
@pytest.mark.parametrize(
    ("structure", "used"), [(LPHM(n=96, p=4, q=4, r=2), True), (Full(n=8), True), (HM(n=96, p=4, q=4), False)]
)
def test_where_it_is_used(calls: list[tuple], structure: Structure, used: bool) -> None:
    """By hand where the structure states its gradient, or where W is formed; never for a partial ``x``."""
    w, x = torch.randn(2, structure.num_parameters), torch.randn(2, structure.n, 12)
    interdependence_grouped(structure, w, x)
    interdependence_apply(structure, w[0], x, normalize="scale" if isinstance(structure, LPHM) else None)
    BilinearInterdependence(structure, channels=2)(x)
    assert len(calls) == 3 * used
    calls.clear()
    interdependence_apply(structure, w[0], x[0])  # so small that autograd is cheaper
    interdependence_apply(structure, w, x)  # every channel on all of x
    interdependence_apply(structure, w[0], x, torch.randn(2, 3, 12))  # another data
    interdependence_apply(structure, w[0], x[:, :-1], partial=True)
    interdependence_apply(structure, w[0], x, normalize=torch.tanh)
    torch.func.vmap(lambda v: interdependence_apply(structure, v, x))(w)
    torch.func.jvp(lambda x: interdependence_apply(structure, w[0], x), (x,), (x,))
    with torch.autocast("cpu", torch.bfloat16):
        interdependence_apply(structure, w[0], x)
    assert not calls


def test_one_large_sample_is_by_hand(calls: list[tuple]) -> None:
    structure = LPHM(n=1024, p=32, q=32, r=2)
    interdependence_apply(structure, torch.randn(structure.num_parameters), torch.randn(1024, 64))
    call = calls[0][0]
    assert isinstance(call, ThinCall)
    assert (call.structure, call.order, call.kind) == (structure, Order.MATRIX, "attribute")
