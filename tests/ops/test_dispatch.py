"""What decides which implementation is used, and that each of them is used where it should be."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from lphm import HM, LPHM, Full, LowRank, Structure, interdependence_apply, interdependence_matrix
from lphm.ops import dispatch, functional
from lphm.ops.cost import Order
from lphm.ops.functional import interdependence_grouped
from lphm.ops.fused import DenseCall, ThinCall, apply_fused
from lphm.ops.fused_matrix import MatrixCall
from lphm.ops.fused_softmax import SoftmaxCall
from lphm.ops.kernels import KERNELS, low_rank, lphm
from lphm.ops.reference import cheaper_pair
from support import reference

STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
w, x = torch.randn(3, 26), torch.randn(2, 4, 12, 5)

pytestmark = pytest.mark.usefixtures("fresh_choices")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The computations that are given to ``apply_fused``."""
    found: list[Any] = []
    monkeypatch.setattr(dispatch, "apply_fused", lambda *args: found.append(args[0]) or apply_fused(*args))
    return found


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_the_choice_counts_all_samples_and_the_rows_of_a_group(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple] = []
    data = x if kind == "attribute" else x.mT
    monkeypatch.setattr(dispatch, "choose_order", lambda *sizes: seen.append(sizes) or Order.MATRIX)
    monkeypatch.setattr(dispatch, "forms_small_xi", lambda *sizes: seen.append(sizes) or False)
    monkeypatch.setattr(dispatch, "forms_dense_pair", lambda *sizes: seen.append(sizes) or False)
    interdependence_grouped(STRUCTURE, w, data, kind=kind)
    interdependence_grouped(STRUCTURE, w, data, kind=kind, normalize="softmax")
    interdependence_matrix(STRUCTURE, w, data, kind)
    assert seen == [(STRUCTURE, 8, 5, 4, True), (STRUCTURE, 5, 4), (STRUCTURE, 8, 5)]
    seen.clear()
    interdependence_apply(STRUCTURE, w[0], data[0, 0], kind=kind)
    full = Full(n=12)
    interdependence_apply(full, torch.randn(144), data, kind=kind)
    assert seen == [(STRUCTURE, 1, 5, 12, False), (full, 8, 5, 12, False)]


def test_attention_may_pad_the_pair_to_the_width_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict] = []
    spy = lambda *args, **choices: seen.append(choices) or cheaper_pair(*args, **choices)  # noqa: E731
    monkeypatch.setattr(functional, "cheaper_pair", spy)
    interdependence_apply(STRUCTURE, w[0], x, x[..., :4, :], normalize="softmax")
    assert seen == [{"width": 4}]


@pytest.mark.parametrize(
    ("structure", "order", "call"),
    [
        (STRUCTURE, Order.MATRIX, ThinCall(STRUCTURE, lphm, Order.MATRIX, "attribute")),
        (STRUCTURE, Order.DENSE_FACTORED, DenseCall(STRUCTURE, lphm, "attribute")),
        (
            LowRank(n=12, r=2),
            Order.FACTORED,
            ThinCall(LowRank(n=12, r=2), low_rank, Order.FACTORED, "attribute"),
        ),
        (LowRank(n=12, r=2), Order.DENSE_FACTORED, DenseCall(LowRank(n=12, r=2), None, "attribute")),
        (HM(n=12, p=2), Order.DENSE_FACTORED, DenseCall(HM(n=12, p=2), None, "attribute")),
        (HM(n=12, p=2), Order.MATRIX, None),
        (STRUCTURE, Order.DENSE_MATRIX, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("normalize", [None, "scale"])
def test_a_kernel_computes_what_it_has_a_form_for(
    structure: Structure,
    order: Order,
    call: object,
    normalize: str | None,
    calls: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "choose_order", lambda *_: order)
    interdependence_apply(structure, torch.randn(structure.num_parameters), x, normalize=normalize)
    fused = call is not None and (normalize is None or type(structure) in KERNELS)
    assert calls == ([call] if fused else [])


@pytest.mark.parametrize(
    ("structure", "softmax", "matrix"),
    [(STRUCTURE, lphm, lphm), (LowRank(n=12, r=2), None, None), (HM(n=12, p=2), None, None)],
    ids=str,
)
def test_a_kernel_forms_the_maps_or_w_where_it_can(
    structure: Structure, softmax: object, matrix: object, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "forms_dense_pair", lambda *_: True)
    interdependence_apply(structure, torch.randn(structure.num_parameters), x, normalize="softmax")
    interdependence_matrix(structure, torch.randn(structure.num_parameters), x)
    assert calls == [
        SoftmaxCall(structure, softmax, "attribute"),
        MatrixCall(structure, matrix, "attribute"),
    ]


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_one_small_sample_takes_the_flops_of_its_order(order: Order, kind: str) -> None:
    n, k, r = 12, 5, 2
    structure, data = LowRank(n=n, r=r), torch.randn(n, k)
    with FlopCounterMode(display=False) as counter:
        dispatch.apply_to_one(
            structure, order, kind, torch.randn(48), data if kind == "attribute" else data.mT
        )
    pair, W = 2 * 2 * n * r * k, 2 * n * n * r
    assert (
        counter.get_total_flops()
        == {
            Order.MATRIX: pair + 2 * k * r * k + 2 * n * k * k,
            Order.FACTORED: pair + 2 * n * k * r + 2 * n * r * k,
            Order.DENSE_MATRIX: W + 2 * n * n * k + 2 * k * n * k + 2 * n * k * k,
            Order.DENSE_FACTORED: W + 2 * n * k * n + 2 * n * n * n + 2 * n * n * k,
        }[order]
    )


def test_one_small_sample_uses_the_short_forms_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for name in ("pair_of_one", "dense_of_one"):
        form = getattr(lphm, name)
        monkeypatch.setattr(lphm, name, lambda *a, name=name, form=form: used.append(name) or form(*a))
    for order in Order:
        dispatch.apply_to_one(STRUCTURE, order, "attribute", w[0], x[0, 0])
    assert used == ["pair_of_one"] * 2 + ["dense_of_one"] * 2


def test_what_a_fast_implementation_gives_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    given = torch.randn(2, 4, 12, 5)
    monkeypatch.setattr(functional, "try_fused_matrix", lambda *_: given)
    monkeypatch.setattr(functional, "try_fused_apply", lambda *_: given)
    assert interdependence_matrix(STRUCTURE, w[0], x) is given
    assert interdependence_apply(STRUCTURE, w[0], x) is given
    assert interdependence_grouped(STRUCTURE, w, x) is given


def test_a_single_channel_is_a_dimension_of_the_result() -> None:
    got = interdependence_apply(STRUCTURE, w[:1], x)
    assert got.shape == (2, 4, 1, 12, 5)
    torch.testing.assert_close(got, interdependence_apply(STRUCTURE, w[0], x).unsqueeze(2))


@dataclass(frozen=True, kw_only=True)
class Squares(Full):
    """``W`` is not linear in its factor."""

    def dense_from_factors(self, factors: tuple[Tensor, ...]) -> Tensor:
        return factors[0].square()


def test_a_w_that_is_not_linear_in_its_factors_is_scaled_itself() -> None:
    v = torch.randn(144).double()
    for batch in (x.double(), x[0, 0].double()):
        for function in (interdependence_apply, interdependence_matrix):
            scaled = function(Squares(n=12), v, batch, normalize="scale")
            assert reference.error(scaled, function(Full(n=12), v.square() / 12, batch)) < 1e-14


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, at the first jvp
def test_forward_mode_derivatives_are_those_of_plain_operators() -> None:
    v, data = w[0].double(), x.double()
    for normalize in (None, "softmax"):
        for function in (interdependence_apply, interdependence_matrix):
            with forward_ad.dual_level():
                out = function(STRUCTURE, v, forward_ad.make_dual(data, data), normalize=normalize)
                tangent = forward_ad.unpack_dual(out).tangent
            h = 1e-6
            ahead, behind = (function(STRUCTURE, v, s * data, normalize=normalize) for s in (1 + h, 1 - h))
            assert reference.error(tangent, (ahead - behind) / (2 * h)) < 1e-6


def test_the_compiled_operator_is_for_lphm_and_computes_one_small_sample_whatever_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[int] = []
    monkeypatch.setattr(dispatch, "operator", lambda: lambda *args: used.append(args[4]) or args[-1])
    for order in Order:
        monkeypatch.setattr(dispatch, "choose_order", lambda *_, order=order: order)
        dispatch.plan.cache_clear()
        for structure in (STRUCTURE, Full(n=12), LowRank(n=12, r=2)):
            v = torch.randn(structure.num_parameters)
            interdependence_apply(structure, v, x[0, 0])
            interdependence_apply(structure, v, x)
    matrix, factored, dense = (dispatch.ORDERS[name] for name in ("MATRIX", "FACTORED", "DENSE_FACTORED"))
    assert used == [matrix, matrix, factored, factored, matrix, dense, dense]
