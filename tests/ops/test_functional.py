"""The orders, and the choice among them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lphm
from lphm import LPHM, BilinearInterdependence, Full, Structure
from lphm.ops import cost, functional
from lphm.ops.cost import TINY, Order, choose_order
from lphm.ops.functional import interdependence_grouped
from lphm.ops.reference import cheaper_pair
from support import reference
from support.registry import LARGE, ROWS, TYPICAL, draw
from support.suite_algebra import KINDS, check

every_structure = pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
both_kinds = pytest.mark.parametrize("kind", KINDS)


@every_structure
@both_kinds
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("normalize", [None, "scale"])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_every_order_gives_the_same(
    structure: Structure,
    kind: str,
    order: Order,
    normalize: str | None,
    channels: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = []
    monkeypatch.setattr(functional, "choose_order", lambda *sizes, **_: chosen.append(sizes) or order)
    w, x, data = draw(structure, kind, channels=channels)
    got = lphm.interdependence_apply(structure, w, x, data, kind, normalize)
    assert chosen == [(structure, 2, 5, 4)]  # samples, k, d
    check(got, reference.apply(structure, w, x, data, kind, normalize), (w, x, data))


@every_structure
@both_kinds
@pytest.mark.parametrize("order", Order)
def test_every_order_gives_the_same_groups(
    structure: Structure, kind: str, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functional, "choose_order", lambda *_, **__: order)
    w, x, data = draw(structure, kind, channels=3, d=6)
    got = interdependence_grouped(structure, w, x, data, kind)
    check(got, reference.grouped(structure, w, x, data, kind), (w, x, data))


@every_structure
@both_kinds
@pytest.mark.parametrize("normalize", [None, "scale", "softmax", torch.tanh])
@pytest.mark.parametrize(("channels", "d"), [(None, 6), (1, 6), (3, 6), (3, 3)])
def test_groups(structure: Structure, kind: str, normalize: object, channels: int | None, d: int) -> None:
    w, x, data = draw(structure, kind, batch=(2, 2), channels=channels, d=d)
    got = interdependence_grouped(structure, w, x, data, kind, normalize)
    check(got, reference.grouped(structure, w, x, data, kind, normalize), (w, x, data))


def test_orders_are_all_chosen_somewhere() -> None:
    assert choose_order(LPHM(n=4096, p=64, q=64, r=8), 1, k=16, d=4096) is Order.MATRIX
    assert choose_order(LPHM(n=4096, p=4, q=4, r=2), 1, k=512, d=64) is Order.FACTORED
    assert choose_order(LPHM(n=64, p=16, q=16, r=8), 1, k=16384, d=64) is Order.DENSE_FACTORED
    assert choose_order(Full(n=64), 1, k=16384, d=64) is Order.DENSE_FACTORED
    assert choose_order(LPHM(n=64, p=8, q=8, r=2), 1, k=16, d=64) is Order.DENSE_MATRIX


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    structure=st.one_of([row.drawn for row in ROWS.values()] + [st.sampled_from(list(LARGE.values()))]),
    samples=st.sampled_from([0, 1, 7, 4096]),
    k=st.integers(1, 1024),
    d=st.integers(1, 1024),
)
def test_w_is_formed_only_where_it_is_small(structure: Structure, samples: int, k: int, d: int) -> None:
    order = choose_order(structure, samples, k, d)
    assert order in Order
    if structure.n > max(k, TINY):
        assert order in (Order.MATRIX, Order.FACTORED)


@pytest.mark.parametrize("structure", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("k", [1, 8, 100, 511])
@pytest.mark.parametrize("samples", [1, 64])
def test_w_is_not_formed_where_it_is_large(structure: Structure, samples: int, k: int) -> None:
    assert choose_order(structure, samples, k, structure.n) in (Order.MATRIX, Order.FACTORED)


def test_forming_w_is_paid_once_for_all_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "THIN_OVERHEAD", 0)  # else one sample would do with fewer operators
    structure = LPHM(n=36, p=6, q=6, r=2)
    w, x, _ = draw(structure, batch=(64,), k=4)
    assert cheaper_pair(structure, w, x[:1], x[:1])[0].shape[-2] == structure.middle == 12
    assert cheaper_pair(structure, w, x, x)[0].shape[-2] == structure.n
    assert structure.dense_flops == 2 * 36**2 * 2
    assert Full(n=36).dense_flops == 0


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 64])
def test_an_exported_choice_serves_any_number_of_samples(samples: int) -> None:
    layer = BilinearInterdependence(LPHM(n=36, p=6, q=6, r=2), dtype=torch.float64)
    x = torch.randn(3, 36, 4, dtype=torch.float64)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    x = torch.randn(samples, 36, 4, dtype=torch.float64)
    with torch.no_grad():
        assert reference.error(program(x), layer(x)) < 1e-12


def test_a_callable_sees_every_xi() -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    w, x, _ = draw(structure, batch=(4,))
    seen = []
    lphm.interdependence_apply(structure, w, x, normalize=lambda xi: seen.append(xi.shape) or xi)
    assert seen == [(4, 3, 5, 5)]
