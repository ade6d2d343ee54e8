"""What the members of an ensemble compute side by side is what each would compute alone."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

from lphm import LPHM, BilinearInterdependence, Structure
from lphm.nn.members import Dropout, MemberInterdependence, MemberLinear, MemberNorm
from lphm.ops import members as ops
from lphm.ops.fused import DenseCall, apply_fused
from lphm.ops.fused_matrix import MatrixCall
from lphm.ops.fused_softmax import SoftmaxCall
from support import reference
from support.gradients import check
from support.registry import TYPICAL

MEMBERS = 3


# Linear maps.


@pytest.mark.parametrize("between", [(), (7,), (7, 2), (1, 5, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_a_linear_map_for_each_member(between: tuple[int, ...], bias: bool) -> None:
    linear = MemberLinear(MEMBERS, 5, 4, bias=bias).double()
    x = torch.randn(MEMBERS, *(between or (1,)), 5, dtype=torch.float64, requires_grad=True)
    each = [F.linear(x[m], linear.weight[m].mT, linear.bias[m, 0] if bias else None) for m in range(MEMBERS)]
    check(linear(x), torch.stack(each), (x, *linear.parameters()))


def test_norm_has_a_scale_and_a_shift_for_each_member() -> None:
    norm = MemberNorm(MEMBERS, 6).double()
    x = torch.randn(MEMBERS, 5, 6, dtype=torch.float64)
    assert torch.equal(norm(x), F.layer_norm(x, (6,)))  # at the start
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.normal_()
    x.requires_grad_()
    each = [F.layer_norm(x[m], (6,), norm.weight[m, 0], norm.bias[m, 0]) for m in range(MEMBERS)]
    check(norm(x), torch.stack(each), (x, *norm.parameters()))


def test_linear_takes_inputs_that_are_views() -> None:
    linear = MemberLinear(MEMBERS, 5, 4)
    x = torch.randn(7, 5)
    expanded = x.expand(MEMBERS, -1, -1)
    torch.testing.assert_close(linear(expanded), linear(expanded.contiguous()))
    moved = torch.randn(MEMBERS, 5, 7, 2).transpose(1, 3)
    torch.testing.assert_close(linear(moved), linear(moved.contiguous()))


def test_linear_is_drawn_as_torch_draws_it_and_every_member_differs() -> None:
    linear, one = MemberLinear(MEMBERS, 400, 300), torch.nn.Linear(400, 300)
    for drawn, like in ((linear.weight, one.weight), (linear.bias, one.bias)):
        assert drawn.abs().max() <= 1 / math.sqrt(400)
        assert float(drawn.detach().std()) == pytest.approx(float(like.detach().std()), rel=0.1)
    assert not torch.equal(linear.weight[0], linear.weight[1])
    zero = MemberLinear(MEMBERS, 4, 3, zero=True)
    assert not any(p.any() for p in zero.parameters())


# Interdependence: where the members share operators, and where they take turns.

SMALL = (5, 3)  # samples and columns of xi, for which the operators are shared
CALLS = {
    ("apply", "attribute", None): DenseCall,
    ("apply", "instance", None): DenseCall,
    ("apply", "instance", "softmax"): SoftmaxCall,
    ("matrix", "attribute", None): MatrixCall,
    ("matrix", "instance", None): MatrixCall,
}


def double(layer: MemberInterdependence) -> MemberInterdependence:
    """In float64, with weights of the size of 1."""
    layer.double()
    torch.nn.init.normal_(layer.weight, std=0.5)
    return layer


def data(structure: Structure, kind: str, samples: int, k: int) -> Tensor:
    sizes = (structure.n, k) if kind == "attribute" else (k, structure.n)
    return torch.randn(MEMBERS, samples, *sizes, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
@pytest.mark.parametrize("kind", ["attribute", "instance"])
@pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("samples", "k"), [SMALL, (40, 16), (1, 70), (2, 1)])
def test_interdependence_is_that_of_each_member(
    structure: Structure, kind: str, normalize: str | None, channels: int, samples: int, k: int
) -> None:
    layer = double(MemberInterdependence(structure, kind, MEMBERS, channels, normalize))
    x = data(structure, kind, samples, k)
    applied = [reference.grouped(structure, layer.weight[m], x[m], None, kind, normalize) for m in range(3)]
    check(layer(x), torch.stack(applied), (x, layer.weight))
    xi = [reference.matrix(structure, layer.weight[m], x[m], kind, normalize) for m in range(3)]
    check(layer.matrix(x), torch.stack(xi), (x, layer.weight))


@pytest.mark.parametrize(("what", "kind", "normalize"), CALLS)
def test_small_matrices_of_all_members_share_their_operators(
    what: str, kind: str, normalize: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer = double(MemberInterdependence(structure, kind, MEMBERS, 2, normalize))
    x = data(structure, kind, 40, 16)
    found: list[object] = []
    monkeypatch.setattr(ops, "apply_fused", lambda *args: found.append(args[0]) or apply_fused(*args))
    got = layer(x) if what == "apply" else layer.matrix(x)
    assert [type(call) for call in found] == [CALLS[what, kind, normalize]]
    oracle = reference.grouped if what == "apply" else reference.matrix
    want = [oracle(structure, layer.weight[m], x[m], kind=kind, normalize=normalize) for m in range(3)]
    check(got, torch.stack(want), (x, layer.weight))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("what", "kind", "normalize"), CALLS)
def test_second_derivatives_where_the_members_share_operators(
    what: str, kind: str, normalize: str | None, channels: int
) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer = double(MemberInterdependence(structure, kind, 2, channels, normalize))
    x, w = data(structure, kind, *SMALL)[:2], layer.weight
    oracle = reference.grouped if what == "apply" else reference.matrix
    want = [oracle(structure, w[m], x[m], kind=kind, normalize=normalize) for m in range(2)]
    outs = layer(x) if what == "apply" else layer.matrix(x), torch.stack(want)
    firsts = [torch.autograd.grad(out.square().sum(), (x, w), create_graph=True) for out in outs]
    seconds = [torch.autograd.grad(sum(g.square().sum() for g in first), (x, w)) for first in firsts]
    assert all(reference.error(*pair) < 1e-11 for pair in zip(*seconds, strict=True))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own, at the first jvp
@pytest.mark.parametrize(("what", "kind", "normalize"), CALLS)
def test_forward_mode_derivatives_of_members(what: str, kind: str, normalize: str | None) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer = double(MemberInterdependence(structure, kind, MEMBERS, 2, normalize))
    x = data(structure, kind, *SMALL).detach()
    function = layer if what == "apply" else layer.matrix
    with torch.no_grad(), forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(function(forward_ad.make_dual(x, x))).tangent
    with torch.no_grad():
        numeric = (function(x * (1 + 1e-6)) - function(x * (1 - 1e-6))) / 2e-6
    assert reference.error(tangent, numeric) < 1e-6


@pytest.mark.parametrize(("what", "kind", "normalize"), CALLS)
def test_transforms_of_members(what: str, kind: str, normalize: str | None) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer = double(MemberInterdependence(structure, kind, MEMBERS, 2, normalize))
    function = layer if what == "apply" else layer.matrix
    several = torch.stack([data(structure, kind, *SMALL).detach() for _ in range(4)])
    torch.testing.assert_close(
        torch.func.vmap(function)(several), torch.stack([function(x) for x in several])
    )


@pytest.mark.parametrize(("what", "kind", "normalize"), CALLS)
def test_under_autocast_members_compute_in_its_type(what: str, kind: str, normalize: str | None) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer = MemberInterdependence(structure, kind, MEMBERS, 2, normalize)
    x = data(structure, kind, 40, 16).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert (layer(x) if what == "apply" else layer.matrix(x)).dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("channels", "shape", "message"),
    [
        (1, (MEMBERS, 5, 11, 3), "x must have 12 rows"),
        (5, (MEMBERS, 5, 12, 3), "channels must divide the rows of data"),
        (0, (MEMBERS, 5, 12, 3), "w must have at least one channel"),
        (0, (MEMBERS, 0, 12, 3), "w must have at least one channel"),
    ],
)
@pytest.mark.parametrize("normalize", [None, "softmax"])
def test_mistakes_are_explained_where_members_would_share_operators(
    channels: int, shape: tuple[int, ...], message: str, normalize: str | None
) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    w = torch.randn(MEMBERS, channels, structure.num_parameters)
    for kind, x in (("attribute", torch.randn(shape)), ("instance", torch.randn(shape).mT)):
        text = message if kind == "attribute" else message.replace("rows", "columns")
        with pytest.raises(ValueError, match=text):
            ops.apply_members(structure, w, x, kind, normalize)
        if not message.startswith("channels"):
            with pytest.raises(ValueError, match=text):
                ops.matrix_members(structure, w, x, kind, normalize)


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_no_samples_give_no_results(kind: str) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer, x = double(MemberInterdependence(structure, kind, MEMBERS, 2)), data(structure, kind, 0, 5)
    assert layer(x).shape == x.shape
    assert layer.matrix(x).shape == (MEMBERS, 0, 2, 5, 5)


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_the_choice_counts_the_samples_of_one_member(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    structure = LPHM(n=12, p=6, q=2, r=1)  # choices are kept: of no other test
    seen: list[object] = []
    monkeypatch.setattr(ops, "choose_order", lambda *sizes, by_hand: seen.append((*sizes, by_hand)))
    monkeypatch.setattr(ops, "forms_small_xi", lambda *sizes: seen.append(sizes) or False)
    monkeypatch.setattr(ops, "forms_dense_pair", lambda *sizes: seen.append(sizes) or False)
    for normalize in (None, "softmax"):
        layer = double(MemberInterdependence(structure, kind, MEMBERS, 3, normalize))
        layer(data(structure, kind, 8, 5))
        layer.matrix(data(structure, kind, 8, 5))
    small = [(structure, 5, 4)] if kind == "instance" else []
    assert seen == [(structure, 8, 5, 4, True), (structure, 8, 5), *small]


def test_members_share_a_softmax_of_a_quarter_of_what_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    structure = LPHM(n=12, p=3, q=2, r=1)  # choices are kept: of no other test
    found: list[object] = []
    monkeypatch.setattr(ops, "apply_fused", lambda *args: found.append(args[0]) or apply_fused(*args))
    for samples, k, shared in [(4, 3, True), (5, 3, False), (3, 4, False)]:
        monkeypatch.setattr(ops, "KEPT", 4 * 4 * 3 * 3**2)  # 4 samples, 3 channels, k = 3
        MemberInterdependence(structure, "instance", MEMBERS, 3, "softmax")(
            torch.randn(MEMBERS, samples, k, 12)
        )
        assert len(found) == shared
        found.clear()


def test_interdependence_is_drawn_as_the_layer_draws_it() -> None:
    structure = LPHM(n=24, p=4, q=3, r=2)
    layer = MemberInterdependence(structure, "attribute", 40, 50)
    like = BilinearInterdependence(structure, channels=2000)
    drawn, wanted = (
        float(structure.to_dense(w.detach()).square().sum((-2, -1)).mean())
        for w in (layer.weight, like.weight)
    )
    assert drawn == pytest.approx(1, rel=0.1)
    assert drawn == pytest.approx(wanted, rel=0.1)
    assert not torch.equal(layer.weight[0], layer.weight[1])


@pytest.mark.parametrize("dim", [0, 1])
def test_interdependence_refuses_data_that_do_not_fit(dim: int) -> None:
    layer = MemberInterdependence(LPHM(n=12, p=2, q=3, r=2), "attribute", MEMBERS, 2)
    x = torch.randn(MEMBERS + 1, 5, 12, 3) if dim == 0 else torch.randn(MEMBERS, 12, 3)
    with pytest.raises(ValueError, match=r"w must be \(members, channels, 26\) and x \(members, N, b, m\)"):
        layer(x)


# Dropout.


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_expectation(share: float) -> None:
    x, branch = torch.full((3, 101, 7, 331), 2.0), torch.ones(3, 101, 7, 331)
    added = Dropout(share).train()(branch, x) - x
    dropped = round(share * 256) / 256
    assert float((added == 0).double().mean()) == pytest.approx(dropped, abs=5e-3)
    assert float(added.double().mean()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(added.unique(), torch.tensor([0, 1 / (1 - dropped)]))
    # Neither do neighbours fall together: an entry does not know whether the one before was dropped.
    kept = (added != 0).double().flatten()
    assert float((kept[1:] * kept[:-1]).mean()) == pytest.approx((1 - dropped) ** 2, abs=5e-3)
    assert float((kept[8:] * kept[:-8]).mean()) == pytest.approx((1 - dropped) ** 2, abs=5e-3)


def test_dropout_does_nothing_in_eval_mode_and_without_a_share() -> None:
    x, branch = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    state = torch.get_rng_state()
    assert torch.equal(Dropout(0.9).eval()(branch, x), x + branch)
    assert Dropout(0.9).eval()(branch) is branch
    assert torch.equal(Dropout(0.0).train()(branch, x), x + branch)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_gradient_of_dropout_is_masked_as_the_branch_is() -> None:
    x, branch = torch.randn(2, 2, 3, 5, 7, dtype=torch.float64).requires_grad_()
    out = Dropout(0.4).train()(branch, x)
    upstream = torch.randn_like(out)
    dx, dbranch = torch.autograd.grad(out, [x, branch], upstream)
    assert torch.equal(dx, upstream)
    torch.testing.assert_close(dbranch, upstream * ((out - x) / branch).detach())
    assert 0 < int((dbranch == 0).sum()) < dbranch.numel()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 1, 1), (1, 1, 1, 9), (2, 3, 5, 7), (2, 0, 4, 8)])
def test_a_seed_repeats_dropout_whatever_the_number_of_entries(shape: tuple[int, ...]) -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.5).train()(torch.ones(shape)))
    assert drawn[0].shape == shape
    assert torch.equal(drawn[0], drawn[1])
    assert drawn[0].numel() < 100 or not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("share", [0.997, 0.999, 1 - 1e-9])
def test_dropout_of_nearly_everything_is_finite(share: float) -> None:
    x = torch.zeros(4, 100, 8, 8)
    added = Dropout(share).train()(torch.ones_like(x))
    assert added.unique().tolist() == [0, 256]


def test_dropout_keeps_the_type_of_its_input() -> None:
    x = torch.randn(2, 3, 5, 7)
    for dtype in (torch.float32, torch.float64):
        assert Dropout(0.5).train()(x.to(dtype), x.to(dtype)).dtype == dtype
    with torch.autocast("cpu", torch.bfloat16):
        assert Dropout(0.5).train()(x.bfloat16(), x).dtype == torch.float32
