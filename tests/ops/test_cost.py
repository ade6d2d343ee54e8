"""The choices by counted flops: each product of ``(i, j)`` and ``(j, l)`` is ``2 i j l``."""

from types import SimpleNamespace

import pytest
import torch
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils.flop_counter import FlopCounterMode

from lphm import HM, LPHM, DualLPHM, Full, LowRank, Structure
from lphm.ops import cost
from lphm.ops.cost import (
    TINY,
    Order,
    choose_order,
    count_samples,
    forms_dense_pair,
    forms_small_xi,
    scale_of,
    skips_matrix,
)
from lphm.ops.reference import compose

every_size = pytest.mark.parametrize(
    ("structure", "samples", "k", "d"),
    [
        (LPHM(n=24, p=4, q=2, r=2), 3, 5, 24),
        (LPHM(n=24, p=4, q=2, r=2), 3, 50, 3),
        (LPHM(n=64, p=8, q=4, r=3), 7, 11, 9),
        (LPHM(n=80, p=8, q=4, r=3), 2, 80, 20),
        (DualLPHM(n=60, p=5, q=6, r=3), 5, 17, 60),
        (LowRank(n=30, r=7), 1, 90, 30),
        (HM(n=36, p=6, q=3), 4, 40, 18),
    ],
    ids=str,
)


def flops(*products: tuple[int, int, int]) -> int:
    return sum(2 * i * j * l for i, j, l in products)


def of_pair(structure: Structure, k: int, d: int) -> dict[Order, int]:
    K = structure.middle
    return {Order.MATRIX: flops((k, K, k), (d, k, k)), Order.FACTORED: flops((d, k, K), (d, K, k))}


def of_dense(structure: Structure, k: int, d: int) -> dict[Order, int]:
    n = structure.n
    return {
        Order.DENSE_MATRIX: flops((n, n, k), (k, n, k), (d, k, k)),
        Order.DENSE_FACTORED: flops((d, k, n), (d, n, n), (d, n, k)),
    }


@every_size
@pytest.mark.parametrize("order", Order)
def test_an_order_takes_the_flops_that_are_counted(
    structure: Structure, samples: int, k: int, d: int, order: Order
) -> None:
    w, x, data = (
        torch.randn(1, structure.num_parameters),
        torch.randn(samples, structure.n, k),
        torch.randn(d, k),
    )
    counters = FlopCounterMode(display=False), FlopCounterMode(display=False)
    with counters[0]:
        structure.pair(structure.unpack(w), x) if order in of_pair(structure, k, d) else structure.to_dense(w)
    with counters[1]:
        compose(structure, order, w, x, data.expand(samples, 1, -1, -1))
    products = (of_pair(structure, k, d) | of_dense(structure, k, d))[order]
    assert counters[1].get_total_flops() == counters[0].get_total_flops() + samples * products


@every_size
@pytest.mark.parametrize("by_hand", [False, True])
def test_the_cheapest_order_is_chosen(
    structure: Structure, samples: int, k: int, d: int, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, dense = of_pair(structure, k, d), of_dense(structure, k, d)
    if by_hand:
        del dense[Order.DENSE_MATRIX]
    thin, formed = min(pair, key=pair.get), min(dense, key=dense.get)
    projection = cost.THIN_FLOP * structure.projection_flops(k)
    equal = structure.dense_flops + samples * (dense[formed] - pair[thin] - projection)
    for overhead, order in [(equal, thin), (equal + 1, formed), (equal - 1, thin)]:
        monkeypatch.setattr(cost, "THIN_OVERHEAD", overhead)
        assert choose_order(structure, samples, k, d, by_hand) is order


def test_the_first_of_two_orders_of_one_cost_is_chosen() -> None:
    assert choose_order(Full(n=24), 100, 24, 24) is Order.DENSE_MATRIX
    assert choose_order(Full(n=24), 100, 24, 24, by_hand=True) is Order.DENSE_FACTORED


@every_size
def test_w_is_formed_for_a_pair_where_that_is_cheaper(
    structure: Structure, samples: int, k: int, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, K = structure.n, structure.middle
    thin = samples * (cost.THIN_FLOP * structure.projection_flops(k) + flops((k, K, k)))
    equal = structure.dense_flops + samples * flops((n, n, k), (k, n, k)) - thin
    for overhead, formed in [(equal - 1, False), (equal, False), (equal + 1, True)]:
        monkeypatch.setattr(cost, "THIN_OVERHEAD", overhead)
        assert forms_dense_pair(structure, samples, k) is formed


def test_w_is_formed_up_to_the_size_of_the_data() -> None:
    for n, k, formed in [(64, 3, True), (65, 3, False), (66, 66, True), (66, 65, False)]:
        assert forms_dense_pair(Full(n=n), 1, k) is formed
        assert (choose_order(Full(n=n), 1, k, n) in (Order.DENSE_MATRIX, Order.DENSE_FACTORED)) is formed


def test_a_dense_pair_of_no_more_rows_than_the_width_needs_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "THIN_OVERHEAD", -(2**60))  # by flops W is never formed
    for r, width, formed in [(2, 12, True), (2, 13, True), (2, 11, False), (12, 12, False)]:
        assert forms_dense_pair(LowRank(n=12, r=r), 1, 5, width) is formed
    for n, k, formed in [(64, 3, True), (65, 3, False), (66, 66, True), (66, 65, False)]:
        assert forms_dense_pair(LowRank(n=n, r=2), 1, k, n) is formed


def test_small_xi_is_formed_for_softmax() -> None:
    wide, narrow = LowRank(n=128, r=12), LowRank(n=128, r=2)
    for structure, k, d, small in [
        (narrow, 64, 1, True),  # TINY
        (narrow, 65, 1, False),
        (wide, 96, 1, True),  # WIDE K
        (wide, 97, 1, False),
        (narrow, 96, 12, True),  # WIDE d
        (narrow, 97, 12, False),
        (narrow, 256, 99, True),  # MOST_ROWS
        (narrow, 257, 99, False),
        (LowRank(n=129, r=2), 5, 1, False),  # TALL
        (LowRank(n=5, r=5), 5, 1, True),
        (LowRank(n=5, r=6), 5, 1, False),  # a pair that is taller than x
    ]:
        assert forms_small_xi(structure, k, d) is small


def test_the_matrix_is_skipped_where_that_costs_less() -> None:
    for K, k, d, skipped in [
        (4, 4, 4, False),
        (4, 5, 4, True),
        (2, 9, 18, True),
        (2, 3, 6, False),
        (3, 4, 6, False),
    ]:
        pair = of_pair(LowRank(n=99, r=K), k, d)
        assert skips_matrix(K, k, d) is skipped is (pair[Order.FACTORED] < pair[Order.MATRIX])


def test_only_scale_scales() -> None:
    structure = LowRank(n=8, r=1)
    assert [scale_of(structure, each) for each in ("scale", None, "softmax", torch.tanh)] == [1 / 8, 1, 1, 1]


def test_a_traced_graph_counts_one_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.empty(3, 4, 5)
    assert count_samples(x) == 3
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert count_samples(x) == 1


#: ``k`` and ``d`` of an order, or ``k`` and ``width`` of a pair; None stands for a symbol.
SYMBOLS = [(None, 4), (4, None), (None, None), (200, None), (None, 200)]


@every_size
@pytest.mark.parametrize("sizes", SYMBOLS)
def test_no_choice_asks_what_a_symbol_stands_for(
    structure: Structure, samples: int, k: int, d: int, sizes: tuple[int | None, int | None]
) -> None:
    symbol = ShapeEnv().create_unbacked_symint()  # raises wherever its number is needed
    first, second = (symbol if size is None else size for size in sizes)
    assert choose_order(structure, samples, first, second) in Order
    assert forms_dense_pair(structure, samples, first, second) in (True, False)
    assert count_samples(SimpleNamespace(shape=(symbol, k, d))) == 1


def test_a_symbol_takes_what_grows_slowest() -> None:
    symbol = ShapeEnv().create_unbacked_symint()
    structure = LowRank(n=99, r=4)
    assert choose_order(structure, 1, symbol, 99) is Order.FACTORED  # xi would have its square
    assert choose_order(structure, 1, 7, symbol) is Order.MATRIX
    assert choose_order(structure, 1, 9, symbol) is Order.FACTORED


def test_w_is_not_formed_for_a_symbol_unless_it_is_tiny() -> None:
    symbol = ShapeEnv().create_unbacked_symint()  # it may stand for 1, where W would be most of the work
    for n, may_be_dense in ((TINY, True), (2 * TINY, False)):
        structure = LPHM(n=n, p=8, q=8, r=4)
        assert (choose_order(structure, 1, symbol, 1) is Order.DENSE_FACTORED) is may_be_dense
        assert forms_dense_pair(structure, 1, symbol, 2 * n) is may_be_dense
