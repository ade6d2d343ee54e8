"""Two sets of data: what is chosen, what is never formed, and what a caller can get wrong."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor

import lphm
from lphm import LPHM, BilinearInterdependence, Full, LowRank, Structure, streamed
from lphm.ops import cost, functional
from lphm.ops.cost import Order, choose_order, forms_dense_pair, skips_matrix
from lphm.ops.functional import interdependence_grouped
from support import reference
from support.memory import Limit
from support.messages import whole
from support.registry import ROWS, draw_two_sets
from support.suite_algebra import check

STRUCTURE = LPHM(n=12, columns=15, p=2, q=3, r=2)
LARGE = {name: row.large_rectangular for name, row in ROWS.items()}
THIN = {name: structure for name, structure in LARGE.items() if name != "full"}
WIDE = {name: next(iter(row.rectangular.values())) for name, row in ROWS.items()}
both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])


@pytest.mark.parametrize("structure", THIN.values(), ids=THIN)
@pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
@both_kinds
@pytest.mark.parametrize("d", [3, 300])
def test_a_rectangular_w_is_never_formed(
    structure: Structure, kind: str, normalize: str | None, d: int
) -> None:
    w, x, y, data = draw_two_sets(structure, kind, k=(8, 11), d=d, dtype=torch.float32)
    with Limit(512 * 320):
        lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y).square().sum().backward()
        lphm.interdependence_matrix(structure, w, x, kind, normalize, y=y).square().sum().backward()


def test_cross_attention_never_forms_xi() -> None:
    structure = LPHM(n=16, columns=24, p=4, q=2, r=2)
    w, x, y, _ = draw_two_sets(structure, "instance", k=(700, 900), dtype=torch.float32)
    with Limit(700 * 900):
        lphm.interdependence_apply(structure, w, x, None, "instance", "softmax", y=y).sum().backward()


@pytest.mark.parametrize("structure", WIDE.values(), ids=WIDE)
@both_kinds
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("normalize", [None, "scale"])
def test_every_order_gives_the_same_for_two_sets(
    structure: Structure, kind: str, order: Order, normalize: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple] = []
    monkeypatch.setattr(
        functional, "choose_order", lambda *sizes, **more: seen.append((*sizes, more)) or order
    )
    w, x, y, data = draw_two_sets(structure, kind)
    got = lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y)
    assert seen == [(structure, 2, 5, 4, {"columns": 7})]
    check(got, reference.apply(structure, w, x, data, kind, normalize, y=y), (w, x, y, data))


@pytest.mark.parametrize(
    "structure", [LowRank(n=12, columns=15, r=3), Full(n=30, columns=8), STRUCTURE], ids=str
)
def test_the_cost_of_two_sets_is_counted_exactly(
    structure: Structure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every order by the sizes of its products, for many ``k`` and ``l``, columns of ``x`` and ``y``."""
    monkeypatch.setattr(cost, "THIN_OVERHEAD", 0)
    monkeypatch.setattr(cost, "THIN_FLOP", 1)
    flops = lambda *shapes: sum(2 * a * b * c for a, b, c in shapes)  # noqa: E731
    (n, j), K, chosen = structure.shape, structure.middle, set()
    for k, l, d in product((1, 2, 5, 12, 31, 64), (1, 3, 7, 15, 33, 80), (1, 2, 4, 9, 17, 40, 90)):
        projection = structure.projection_flops((k + l) // 2)
        costs = {
            Order.MATRIX: projection + flops((k, K, l), (d, k, l)),
            Order.FACTORED: projection + flops((d, k, K), (d, K, l)),
            Order.DENSE_MATRIX: structure.dense_flops + flops((n, j, l), (k, n, l), (d, k, l)),
            Order.DENSE_FACTORED: structure.dense_flops + flops((d, k, n), (d, n, j), (d, j, l)),
        }
        order = choose_order(structure, 1, k, d, columns=l)
        assert costs[order] == min(costs.values())
        chosen.add(order)
        assert skips_matrix(K, k, d, l) is (costs[Order.FACTORED] < costs[Order.MATRIX])
        dense = structure.dense_flops + flops((n, j, l), (k, n, l))
        assert forms_dense_pair(structure, 1, k, columns=l) is (dense < projection + flops((k, K, l)))
    assert len(chosen) > 2


@pytest.mark.parametrize(("n", "columns"), [(65, 8), (8, 65)])
def test_a_w_with_one_long_side_is_not_formed(n: int, columns: int) -> None:
    structure = Full(n=n, columns=columns)
    assert not forms_dense_pair(structure, 1000, 5, columns=100)
    assert choose_order(structure, 1000, 5, 1000, columns=100) in (Order.MATRIX, Order.FACTORED)
    assert forms_dense_pair(structure, 1000, 100, columns=100)


def test_scale_is_that_of_both_sizes() -> None:
    structure = Full(n=4, columns=9)
    xi = lphm.interdependence_matrix(
        structure, torch.ones(36), torch.ones(4, 1), normalize="scale", y=torch.ones(9, 1)
    )
    assert xi.item() == pytest.approx(36 / 6)


w, x, y, data = draw_two_sets(STRUCTURE, requires_grad=False)  # x (2, 12, 5), y (2, 15, 7)
MISTAKES = {
    "no y": (
        {"y": None},
        ValueError,
        "y must be given for a rectangular W, whose columns are for another set of data, got none for "
        "LPHM(n=12, columns=15, p=2, q=3, r=2); pass y, or leave columns out of the structure",
    ),
    "too many rows of y": (
        {"y": torch.randn(2, 16, 7).double()},
        ValueError,
        "y must have 15 rows for the attribute "
        "kind, got shape (2, 16, 7); build the structure with columns=16, or check which kind you want",
    ),
    "too few rows of y": (
        {"y": torch.randn(2, 14, 7).double()},
        ValueError,
        "y must have 15 rows, got shape (2, 14, 7); pass partial=True to treat the missing rows as zeros",
    ),
    "rows and columns of y exchanged": (
        {"y": torch.randn(2, 7, 15).double()},
        ValueError,
        "y must be (*batch, rows, columns) with 15 rows for the attribute kind, got shape (2, 7, 15), "
        "whose last dimension is 15; pass y.mT",
    ),
    "no rows of y": (
        {"y": torch.randn(2, 0, 7).double(), "partial": True},
        ValueError,
        "y must have at least one of its 15 rows, got shape (2, 0, 7)",
    ),
    "another batch": (
        {"y": torch.randn(3, 15, 7).double()},
        ValueError,
        "y must be (2, b', m') to match the batch of x, got shape (3, 15, 7)",
    ),
    "no batch": (
        {"y": torch.randn(15, 7).double()},
        ValueError,
        "y must be (2, b', m') to match the batch of x, got shape (15, 7)",
    ),
    "another type": (
        {"y": y.float()},
        TypeError,
        "y must have the type and device of w, got torch.float32 on cpu "
        "and torch.float64 on cpu; use y.to(w), or for a layer, whose weight is w, layer.to(y) or "
        "torch.autocast",
    ),
    "no tensor": ({"y": 3}, TypeError, "y must be a torch.Tensor, got int; use torch.as_tensor"),
    "mask of x in place of pairs": (
        {"mask": torch.ones(2, 5, 7, dtype=torch.bool), "normalize": "softmax"},
        ValueError,
        "mask must be (2, 5) or (2, 7, 5) to match x and y, got shape (2, 5, 7); "
        "all dimensions but the last may be 1",
    ),
}


@pytest.mark.parametrize(("choices", "error", "text"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize(
    "function", [lphm.interdependence_matrix, lphm.interdependence_apply, interdependence_grouped]
)
def test_mistakes_with_two_sets(
    function: Callable[..., Tensor], choices: dict, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=whole(text)):
        function(STRUCTURE, w, x, **{"y": y, **choices})


def test_a_square_structure_says_n_where_y_does_not_fit() -> None:
    text = (
        "y must have 12 rows for the attribute kind, got shape (2, 15, 7); "
        "build the structure with n=15, or check which kind you want"
    )
    square = LPHM(n=12, p=2, r=2)
    with pytest.raises(ValueError, match=whole(text)):
        lphm.interdependence_matrix(square, torch.randn(square.num_parameters).double(), x, y=y)


def test_a_running_average_is_of_one_set() -> None:
    text = (
        "a layer with running_size must be for one set of data, whose xi it averages, got {}; "
        "build the layer without running_size"
    )
    with pytest.raises(ValueError, match=whole(text.format("columns=15"))):
        BilinearInterdependence(STRUCTURE, running_size=5)
    layer = BilinearInterdependence(LPHM(n=12, p=2, r=2), running_size=5, dtype=torch.float64)
    for call in (layer, layer.matrix):
        with pytest.raises(ValueError, match=whole(text.format("y of shape (2, 12, 5)"))):
            call(x, y=x)


def test_rows_from_a_file_are_refused() -> None:
    text = (
        "structure must have a square W where no process has all rows, got LPHM(n=12, columns=15, p=2, q=3, "
        "r=2); use lphm.interdependence_apply on all rows for two sets of data"
    )
    with pytest.raises(ValueError, match=whole(text)):
        list(streamed.interdependence_apply(STRUCTURE, w[0], lambda: x[0].split(5)))
