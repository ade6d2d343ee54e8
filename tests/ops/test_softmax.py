"""Softmax as attention: without ``xi`` where it is not asked for, under transforms and compilers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import lphm
from lphm import LPHM, BilinearInterdependence, Full, LowRank, Structure
from lphm.ops import cost, functional, softmax
from lphm.ops.functional import interdependence_grouped
from support import reference
from support.masks import (
    STRUCTURE,
    K,
    both_kinds,
    both_paths,
    every_structure,
    full_mask,
    key_mask,
    options,
    some_masks,
)
from support.memory import Limit
from support.registry import draw
from support.suite_algebra import check

# As attention, without masks.


@every_structure
@both_kinds
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("d", [4, 7, 9])
@pytest.mark.parametrize("tiny", [0, cost.TINY])
def test_softmax(
    structure: Structure,
    kind: str,
    channels: int | None,
    d: int,
    tiny: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost, "TINY", tiny)
    w, x, data = draw(structure, kind, batch=(2, 2), channels=channels, k=K, d=d)
    got = lphm.interdependence_apply(structure, w, x, data, kind, "softmax")
    check(got, reference.apply(structure, w, x, data, kind, "softmax"), (w, x, data))
    xi = lphm.interdependence_matrix(structure, w, x, kind, "softmax")
    torch.testing.assert_close(xi.sum(dim=-2), torch.ones_like(xi[..., 0, :]))  # convex combinations
    assert xi.ge(0).all()


def test_attention_is_used_where_xi_is_larger_than_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(functional, "attend", lambda *args: calls.append(1) or softmax.attend(*args))
    for k, d in [(9, 8), (8, 8), (8, 9)]:
        w, x, data = draw(STRUCTURE, k=k, d=d)
        lphm.interdependence_apply(STRUCTURE, w, x, data, normalize="softmax")
    assert calls == [1]


@both_kinds
def test_large_xi_does_not_overflow_the_softmax(kind: str) -> None:
    w, x, data = draw(STRUCTURE, kind, k=9, dtype=torch.float32)
    for mask in (None, key_mask(2, k=9), full_mask(2, k=9)):
        got = lphm.interdependence_apply(STRUCTURE, 1e4 * w, x, data, kind, "softmax", mask=mask)
        want = reference.apply(STRUCTURE, 1e4 * w, x, data, kind, "softmax", mask)
        assert reference.error(got, want) < 1e-3


# Memory.


@pytest.mark.parametrize(
    "structure",
    [
        Full(n=16),  # K = d without channels
        Full(n=48),  # K > d
        LPHM(n=16, p=4, q=2, r=2),  # K < d
        LowRank(n=16, r=1),  # K = 1
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("batch", "channels"),
    [((), None), ((2,), 2), ((), 16)],
    ids=["one", "several", "heads of a single column"],
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_xi_is_never_formed(
    structure: Structure, batch: tuple[int, ...], channels: int | None, masked: bool, causal: bool
) -> None:
    k = 1024
    w, x, data = draw(structure, "instance", batch, channels, k, 16, dtype=torch.float32)
    choices = {"mask": key_mask(*batch, k=k) if masked else None, "causal": causal}
    with Limit(k * k):
        interdependence_grouped(structure, w, x, data, "instance", "softmax", **choices).sum().backward()
        lphm.interdependence_apply(structure, w, x, data, "instance", "softmax", **choices).sum().backward()


@pytest.mark.parametrize("n", [16, 600])
@pytest.mark.parametrize("masked", [False, True])
def test_xi_of_columns_is_never_formed(n: int, masked: bool) -> None:
    structure, k = LPHM(n=n, p=4, q=2, r=2), 1536
    w, x, data = draw(structure, "attribute", (2,), 2, k, 16, dtype=torch.float32)
    mask = key_mask(2, k=k) if masked else None
    with Limit(k * k):
        interdependence_grouped(structure, w, x, data, normalize="softmax", mask=mask).sum().backward()


def test_a_full_mask_is_not_copied_for_every_channel_or_sample() -> None:
    k = 512
    w, x, data = draw(STRUCTURE, "instance", (8,), 4, k, 16, dtype=torch.float32)
    with Limit(2 * k * k):
        choices = {"mask": full_mask(1, k=k), "causal": True}
        lphm.interdependence_apply(STRUCTURE, w, x, data, "instance", "softmax", **choices).sum().backward()


def test_the_columns_of_a_head_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    values = []
    attend = softmax.F.scaled_dot_product_attention
    monkeypatch.setattr(
        softmax.F,
        "scaled_dot_product_attention",
        lambda q, k, value, *args, **choices: values.append(value) or attend(q, k, value, *args, **choices),
    )
    w, x, data = draw(Full(n=12), "instance", k=20, d=36, channels=3)  # K = 12, and 12 columns in each head
    interdependence_grouped(Full(n=12), w, x, data, "instance", "softmax")
    assert values[0].data_ptr() == data.data_ptr()


@both_kinds
@pytest.mark.parametrize("structure", [LPHM(n=12, p=2, q=3, r=2), Full(n=12)], ids=str)  # K = 4 and 12
@pytest.mark.parametrize("d", [3, 12])
def test_the_result_may_be_changed_in_place_before_the_backward(
    kind: str, structure: Structure, d: int
) -> None:
    w, x, data = draw(structure, kind, channels=None, k=30, d=d)
    grads = []
    for changed in (True, False):
        out = lphm.interdependence_apply(structure, w, x, data, kind, "softmax")
        out = out.mul_(3) if changed else 3 * out
        grads.append(torch.autograd.grad(out.sum(), (w, x, data)))
    assert all(reference.error(*pair) < 1e-12 for pair in zip(*grads, strict=True))


# Transforms and compilers.


def test_second_derivatives_of_attention_need_the_math_backend() -> None:
    w, x, data = draw(STRUCTURE, "instance", k=9, d=4)

    def twice(apply: Callable[..., Tensor], mask: Tensor | None, causal: bool) -> Tensor:
        out = apply(STRUCTURE, w, x, data, "instance", "softmax", mask=mask, causal=causal)
        (first,) = torch.autograd.grad(out.square().sum(), w, create_graph=True)
        return torch.autograd.grad(first.square().sum(), w)[0]

    for mask in (None, key_mask(2, k=9), full_mask(2, k=9)):
        for causal in (False, True):
            with sdpa_kernel(SDPBackend.MATH):
                got = twice(lphm.interdependence_apply, mask, causal)
            assert reference.error(got, twice(reference.apply, mask, causal)) < 1e-10
    with pytest.raises(RuntimeError, match=r"derivative for .*flash_attention.* is not implemented"):
        twice(lphm.interdependence_apply, None, False)


@both_kinds
@both_paths
@some_masks
def test_autocast(kind: str, mask: Callable[[], Tensor], d: int) -> None:
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, (2, 3), k=K, d=d, dtype=torch.float32)
        choices = {"mask": mask(), "causal": causal}
        with torch.autocast("cpu", torch.bfloat16):
            got = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", **choices)
        want = reference.apply(STRUCTURE, w, x, data, kind, "softmax", **choices)
        assert reference.error(got, want) < 5e-2
        gradients = torch.autograd.grad(got.float().square().sum(), (w, x, data))
        wanted = torch.autograd.grad(want.square().sum(), (w, x, data))
        for pair in zip(gradients, wanted, strict=True):
            assert reference.error(*pair) < 1e-1


@both_kinds
@both_paths
@some_masks
@pytest.mark.filterwarnings(
    "ignore:There is a performance drop:UserWarning"
)  # torch loops over the fused kernel
@pytest.mark.parametrize("in_dims", [(0, None, None), (None, 0, 0), (None, None, 0), (0, 0, None)])
def test_vmap(kind: str, d: int, mask: Callable[[], Tensor], in_dims: tuple[int | None, ...]) -> None:
    ws, xs, datas = draw(STRUCTURE, kind, (2, 3), k=K, d=d, requires_grad=False)
    ws, masks, data = torch.stack([ws, -ws]), mask(), datas[0]
    leaves = [leaf if dim == 0 else leaf[0] for leaf, dim in zip((ws, xs, masks), in_dims, strict=True)]
    for causal in options(kind):

        def apply(w: Tensor, x: Tensor, mask: Tensor, module: object = lphm, causal: bool = causal) -> Tensor:
            name = "interdependence_apply" if module is lphm else "apply"
            call = getattr(module, name)
            return call(STRUCTURE, w, x, data, kind, "softmax", mask=mask, causal=causal)

        got = torch.func.vmap(apply, in_dims)(*leaves)
        each = [
            [leaf[s] if dim == 0 else leaf for leaf, dim in zip(leaves, in_dims, strict=True)] for s in (0, 1)
        ]
        want = torch.stack([apply(*sides, module=reference) for sides in each])
        assert reference.error(got, want) < 1e-12


@pytest.mark.slow
@both_kinds
@some_masks
@pytest.mark.parametrize("channels", [1, 2])
def test_compiles_in_one_graph(kind: str, mask: Callable[[], Tensor], channels: int) -> None:
    torch._dynamo.reset()
    causal = kind == "instance"
    layer = BilinearInterdependence(STRUCTURE, kind, channels, "softmax", dtype=torch.float64, causal=causal)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for samples in (2, 5):  # sizes become symbols
        _, x, data = draw(STRUCTURE, kind, (samples,), k=K, d=6)
        hides = mask()[0, :1].expand(samples, *mask().shape[2:])
        got, want = compiled(x, data, mask=hides), layer(x, data, mask=hides)
        assert reference.error(got, want) < 1e-12
        leaves = (layer.weight, x, data)
        for pair in zip(
            *(torch.autograd.grad(out.square().sum(), leaves) for out in (got, want)), strict=True
        ):
            assert reference.error(*pair) < 1e-12


@pytest.mark.slow
@both_kinds
@both_paths
@some_masks
def test_exports_for_any_number_of_samples(kind: str, mask: Callable[[], Tensor], d: int) -> None:
    layer = BilinearInterdependence(
        STRUCTURE, kind, 1, "softmax", dtype=torch.float64, causal=kind == "instance"
    ).eval()

    def inputs(samples: int) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
        _, x, data = draw(STRUCTURE, kind, (samples,), k=K, d=d, requires_grad=False)
        return (x, data), {"mask": mask()[0, :1].repeat(samples, *[1] * (mask().dim() - 2))}

    any_number = {0: torch.export.Dim.DYNAMIC}
    shapes = {"x": any_number, "data": any_number, "mask": any_number}
    program = torch.export.export(layer, *inputs(3), dynamic_shapes=shapes).module()
    for samples in (1, 2, 100):
        tensors, choices = inputs(samples)
        with torch.no_grad():
            assert reference.error(program(*tensors, **choices), layer(*tensors, **choices)) < 1e-12
