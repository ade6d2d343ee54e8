"""Batches of small matrices: softmax with ``xi`` formed, ``xi`` itself, and pairs by their maps."""

import pytest
import torch
from torch import Tensor

import lphm
from lphm import HM, LPHM, BilinearInterdependence, Full, LowRank, interdependence_matrix
from lphm.ops import dispatch, fused_softmax
from lphm.ops.cost import Order
from lphm.ops.functional import interdependence_grouped
from lphm.ops.fused import DenseCall, ThinCall, apply_fused
from lphm.ops.fused_matrix import MatrixCall
from lphm.ops.fused_softmax import SoftmaxCall
from lphm.ops.kernels import KERNELS
from lphm.structures import Structure
from lphm.structures.base import flatten_batch
from support import reference
from support.gradients import Names, both_kinds, check

STRUCTURES = [
    LPHM(n=12, p=3, q=3, r=2),
    LPHM(n=12, p=2, q=6, r=2),
    LPHM(n=12, p=6, q=2, r=1),
    LowRank(n=12, r=3),
    HM(n=12, p=3, q=2),
    Full(n=12),
]
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=str)
every_number_of_channels = pytest.mark.parametrize("channels", [None, 1, 3])
#: Columns of xi: short rows are normalised in another layout.
both_widths = pytest.mark.parametrize("k", [5, fused_softmax.SHORT_ROW + 1])


def inputs(
    structure: Structure, kind: str, channels: int | None, batch: tuple[int, ...] = (4,), k: int = 5
) -> tuple[Tensor, Tensor]:
    w = torch.randn(*([channels] if channels else []), structure.num_parameters).double()
    sizes = (structure.n, k) if kind == "attribute" else (k, structure.n)
    return w.requires_grad_(), torch.randn(*batch, *sizes).double().requires_grad_()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, fresh_choices: None) -> list[object]:
    """The computations that the public functions give to ``apply_fused``."""
    found: list[object] = []
    monkeypatch.setattr(dispatch, "apply_fused", lambda *args: found.append(args[0]) or apply_fused(*args))
    return found


@every_structure
@both_kinds
@every_number_of_channels
@both_widths
@pytest.mark.parametrize("batch", [(21,), (2, 3), ()])
@pytest.mark.parametrize("kept", [1, 400, 2**19])
def test_softmax(
    structure: Structure,
    kind: str,
    channels: int | None,
    k: int,
    batch: tuple[int, ...],
    kept: int,
    calls: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused_softmax, "KEPT", kept)  # samples one by one, a few at a time, all at once
    w, x = inputs(structure, kind, channels, batch, k)
    got = interdependence_grouped(structure, w, x, kind=kind, normalize="softmax")
    assert isinstance(calls[0], SoftmaxCall)
    assert got.is_contiguous()
    check(got, reference.grouped(structure, w, x, kind=kind, normalize="softmax"), (w, x))


@both_kinds
@pytest.mark.parametrize(
    ("kept", "samples"),
    [
        (21 * 75, [21]),  # all xi have 21 · 3 · 5² numbers
        (21 * 75 - 1, [2] * 10 + [1]),  # then parts of KEPT / 8 numbers
        (8 * 150, [2] * 10 + [1]),
        (8 * 150 - 1, [1] * 21),
        (1, [1] * 21),
    ],
)
def test_xi_is_formed_for_all_samples_or_in_parts_of_an_eighth_of_what_may_be_kept(
    kind: str, kept: int, samples: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    formed: list[int] = []
    monkeypatch.setattr(fused_softmax, "KEPT", kept)
    softmax = torch.softmax
    monkeypatch.setattr(
        torch, "softmax", lambda xi, *a, **k: formed.append(len(xi) // 3) or softmax(xi, *a, **k)
    )
    w, x = inputs(STRUCTURES[0], kind, 3, (21,))
    out = interdependence_grouped(STRUCTURES[0], w, x, kind=kind, normalize="softmax")
    assert formed == samples
    out.sum().backward()
    assert formed == samples * (1 if len(samples) == 1 else 2)  # once more in the backward


@pytest.mark.parametrize(
    ("call", "kind", "fewer"),
    [
        (SoftmaxCall, "attribute", 3),
        (SoftmaxCall, "instance", 2),
        (MatrixCall, "attribute", 2),
        (DenseCall, "attribute", 4),
    ],
)
def test_the_gradient_of_data_that_needs_none_costs_nothing(call: type, kind: str, fewer: int) -> None:
    products = {}
    for needs in (False, True):
        w, x = inputs(STRUCTURES[0], kind, 3)
        out = apply_fused(call(STRUCTURES[0], KERNELS[LPHM], kind), w, x.requires_grad_(needs))
        with Names() as names:
            out.sum().backward()
        products[needs] = sum("bmm" in name for name in names.found)
    assert products[True] - products[False] == fewer


@every_structure
@both_kinds
@every_number_of_channels
@pytest.mark.parametrize("normalize", [None, "scale"])
@pytest.mark.parametrize("batch", [(4,), (2, 3)])
def test_matrix(
    structure: Structure,
    kind: str,
    channels: int | None,
    normalize: str | None,
    batch: tuple[int, ...],
    calls: list[object],
) -> None:
    w, x = inputs(structure, kind, channels, batch)
    got = interdependence_matrix(structure, w, x, kind, normalize)
    want = reference.matrix(structure, w, x, kind, normalize)
    assert got.shape == want.shape
    check(got, want, (w, x))
    formed = normalize is None or type(structure) in KERNELS
    assert len(calls) == (formed and dispatch.forms_dense_pair(structure, x.shape[:-2].numel(), 5))


def test_matrix_is_formed_by_hand_somewhere(calls: list[object]) -> None:
    structure = LPHM(n=24, p=4, r=2)
    interdependence_matrix(structure, torch.randn(4, structure.num_parameters), torch.randn(64, 24, 8))
    assert isinstance(calls[0], MatrixCall)
    assert calls[0].kernel is not None


@pytest.mark.parametrize("normalize", ["softmax", "matrix"])
@both_kinds
@pytest.mark.parametrize("structure", [STRUCTURES[1], Full(n=12)], ids=str)
@pytest.mark.parametrize("channels", [None, 2])
def test_second_derivatives(
    structure: Structure, kind: str, channels: int | None, normalize: str, calls: list[object]
) -> None:
    structure = LPHM(n=8, p=2, q=4, r=2) if isinstance(structure, LPHM) else Full(n=4)
    w, x = inputs(structure, kind, channels, (2,), k=3)

    def compute(w: Tensor, x: Tensor) -> Tensor:
        if normalize == "matrix":
            return interdependence_matrix(structure, w, x, kind)
        return interdependence_grouped(structure, w, x, kind=kind, normalize="softmax")

    assert torch.autograd.gradgradcheck(compute, (w, x))
    assert calls


@both_kinds
@pytest.mark.parametrize("normalize", [None, "softmax"])
def test_a_layer_applied_twice(kind: str, normalize: str | None) -> None:
    """Where ``x`` depends on ``w``, the second derivative has to follow both."""
    structure = LPHM(n=12, p=2, q=6, r=2)
    w, x = inputs(structure, kind, 3, (2,))
    w = (w.detach() / 4).requires_grad_()
    seconds = []
    for grouped in (interdependence_grouped, reference.grouped):
        inner = grouped(structure, w, x, kind=kind, normalize=normalize)
        out = grouped(structure, w, inner, kind=kind, normalize=normalize).square().sum()
        (first,) = torch.autograd.grad(out, w, create_graph=True)
        seconds.append(torch.autograd.grad(first.square().sum(), (w, x)))
    assert all(reference.error(*pair) < 1e-9 for pair in zip(*seconds, strict=True))


@both_kinds
@pytest.mark.parametrize("wanted", ["w", "x"])
@pytest.mark.parametrize("normalize", ["softmax", "matrix"])
def test_one_gradient_alone(kind: str, wanted: str, normalize: str) -> None:
    structure = LPHM(n=24, p=4, r=2) if normalize == "matrix" else STRUCTURES[0]
    w, x = inputs(structure, kind, 3)
    leaf = w if wanted == "w" else x
    (x if wanted == "w" else w).requires_grad_(False)
    if normalize == "matrix":
        outs = (m.interdependence_matrix if m is lphm else m.matrix for m in (lphm, reference))
        results = [out(structure, w, x, kind) for out in outs]
    else:
        apply = interdependence_grouped, reference.grouped
        results = [grouped(structure, w, x, kind=kind, normalize="softmax") for grouped in apply]
    grads = [torch.autograd.grad(result.square().sum(), leaf)[0] for result in results]
    assert reference.error(*grads) < 1e-11


@both_kinds
def test_gradients_of_many_vectors_at_once(kind: str) -> None:
    w, x = inputs(STRUCTURES[0], kind, 3, (2,))
    out = interdependence_grouped(STRUCTURES[0], w, x, kind=kind, normalize="softmax")
    G = torch.randn(3, *out.shape).double()
    batched = torch.autograd.grad(out, (w, x), G, retain_graph=True, is_grads_batched=True)
    for i in range(3):
        for all_, one in zip(batched, torch.autograd.grad(out, (w, x), G[i], retain_graph=True), strict=True):
            assert reference.error(all_[i], one) < 1e-12


@both_kinds
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # torch loops over attention
@pytest.mark.parametrize("normalize", [None, "softmax"])
def test_vmap_over_parameters(kind: str, normalize: str | None) -> None:
    w, x = inputs(STRUCTURES[0], kind, 3, (2,))
    apply = lambda w: interdependence_grouped(STRUCTURES[0], w, x, kind=kind, normalize=normalize)  # noqa: E731
    got = torch.func.vmap(apply)(torch.stack([w, -w]))
    assert reference.error(got, torch.stack([apply(w), apply(-w)])) < 1e-12


def test_where_softmax_is_by_hand(calls: list[object]) -> None:
    """Never with a mask, with other data, for a partial ``x``, or where ``xi`` is large."""
    structure = LPHM(n=24, p=4, r=2)
    layer = BilinearInterdependence(structure, "instance", 4, "softmax", partial=True)
    x = torch.randn(3, 8, 24)
    layer(x)
    assert isinstance(calls[0], SoftmaxCall)
    layer(x, x.clone())
    layer(x, mask=torch.ones(3, 8, dtype=torch.bool))
    layer(x[:, :, :20])
    layer(torch.randn(2, 500, 24))
    BilinearInterdependence(structure, "instance", 4, "softmax", causal=True)(x)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert len(calls) == 1


@pytest.mark.parametrize("p", [(4, 4), (2, 6), (6, 2)], ids=str)
@pytest.mark.parametrize("order", [Order.MATRIX, Order.FACTORED], ids=lambda order: order.name)
@every_number_of_channels
def test_pairs_by_their_maps(p: tuple[int, int], order: Order, channels: int | None) -> None:
    """The instance kind on several samples, where the blocks of rows do not lie in order."""
    structure = LPHM(n=24, p=p[0], q=p[1], r=2)
    w, x = inputs(structure, "instance", channels)
    call = ThinCall(structure, KERNELS[LPHM], order, "instance")
    kept = KERNELS[LPHM].project(structure, w.detach(), x.detach().mT)
    assert kept[-1].shape == (2, channels or 1, structure.middle, 24)  # F
    check(apply_fused(call, w, x), reference.grouped(structure, w, x, kind="instance"), (w, x))


@every_structure
def test_maps(structure: Structure) -> None:
    w = torch.randn(3, structure.num_parameters).double()
    left, right = structure.maps(w)
    assert reference.error(left.mT @ right, structure.to_dense(w)) < 1e-12
    kernel = KERNELS.get(type(structure))
    if hasattr(kernel, "maps"):
        assert reference.error(kernel.maps(structure, w)[0], torch.stack([left, right])) < 1e-12


@pytest.mark.parametrize("structure", [LPHM(n=24, p=4, r=2), LowRank(n=24, r=2)], ids=str)
@pytest.mark.parametrize("batch", [(), (4,)])
@both_kinds
def test_a_kernel_computes_no_gradient_of_x_that_is_not_asked_for(
    structure: Structure, batch: tuple[int, ...], kind: str
) -> None:
    w, x = (leaf.detach() for leaf in inputs(structure, kind, 3, batch))
    kernel, rows = KERNELS[type(structure)], flatten_batch(x if kind == "attribute" else x.mT)
    left, right, *kept = kernel.project(structure, w, rows)
    for needed in (False, True):
        dx = kernel.project_backward(structure, w, rows, left, right, needed, *kept)[1]
        assert (dx is not None) is needed
