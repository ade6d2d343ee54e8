"""What a softmax may look at: masks and causal, against the oracle and by what they mean."""

import re
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import lphm
from lphm import BilinearInterdependence, Full, Structure
from lphm.ops import softmax
from lphm.ops.functional import interdependence_grouped
from support import reference
from support.masks import (
    STRUCTURE,
    K,
    both_kinds,
    both_paths,
    every_mask,
    every_structure,
    full_mask,
    key_mask,
    options,
    some_masks,
)
from support.registry import draw
from support.suite_algebra import check

# Masks and causal, against the oracle.


@both_kinds
@both_paths
@every_mask
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_apply(kind: str, mask: Callable[[], Tensor | None], channels: int | None, d: int) -> None:
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, batch=(2, 3), channels=channels, k=K, d=d)
        got = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", mask=mask(), causal=causal)
        check(got, reference.apply(STRUCTURE, w, x, data, kind, "softmax", mask(), causal), (w, x, data))


@both_kinds
@every_mask
@pytest.mark.parametrize("channels", [None, 3])
def test_matrix(kind: str, mask: Callable[[], Tensor | None], channels: int | None) -> None:
    for causal in options(kind):
        w, x, _ = draw(STRUCTURE, kind, batch=(2, 3), channels=channels, k=K)
        got = lphm.interdependence_matrix(STRUCTURE, w, x, kind, "softmax", mask=mask(), causal=causal)
        check(got, reference.matrix(STRUCTURE, w, x, kind, "softmax", mask(), causal), (w, x))


@every_structure
@both_kinds
@some_masks
@pytest.mark.parametrize("d", [6, 27], ids=["attention", "xi formed"])
def test_groups(structure: Structure, kind: str, mask: Callable[[], Tensor], d: int) -> None:
    for causal in options(kind):
        w, x, data = draw(structure, kind, batch=(2, 3), channels=3, k=K, d=d)
        got = interdependence_grouped(structure, w, x, data, kind, "softmax", mask=mask(), causal=causal)
        check(got, reference.grouped(structure, w, x, data, kind, "softmax", mask(), causal), (w, x, data))


@every_structure
@both_kinds
@some_masks
def test_layer(structure: Structure, kind: str, mask: Callable[[], Tensor]) -> None:
    for causal in options(kind):
        layer = BilinearInterdependence(structure, kind, 2, "softmax", dtype=torch.float64, causal=causal)
        _, x, data = draw(structure, kind, batch=(2, 3), k=K, d=6)
        w = layer.weight
        want = reference.grouped(structure, w, x, data, kind, "softmax", mask(), causal)
        check(layer(x, data, mask=mask()), want, (w, x, data))
        want = reference.matrix(structure, w, x, kind, "softmax", mask(), causal)
        check(layer.matrix(x, mask=mask()), want, (w, x))
        assert ("causal=True" in repr(layer)) == causal


@both_kinds
@some_masks
def test_partial(kind: str, mask: Callable[[], Tensor]) -> None:
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, batch=(2, 3), k=K, rows=9)
        choices = {"partial": True, "mask": mask(), "causal": causal}
        got = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", **choices)
        check(got, reference.apply(STRUCTURE, w, x, data, kind, "softmax", mask(), causal), (w, x, data))


@both_kinds
@both_paths
@some_masks
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision(kind: str, mask: Callable[[], Tensor], d: int, dtype: torch.dtype) -> None:
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, batch=(2, 3), k=K, d=d, dtype=dtype)
        got = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", mask=mask(), causal=causal)
        check(got, reference.apply(STRUCTURE, w, x, data, kind, "softmax", mask(), causal), (w, x, data))


@pytest.mark.parametrize(
    ("batch", "mask"),
    [
        ((), key_mask()),
        ((), full_mask()),
        ((0,), torch.ones(0, K, dtype=torch.bool)),
        ((0,), full_mask(1)),
    ],
    ids=["none, key", "none, full", "empty, key", "empty, full"],
)
@both_kinds
@both_paths
def test_no_batch_and_an_empty_one(batch: tuple[int, ...], mask: Tensor, kind: str, d: int) -> None:
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, batch=batch, k=K, d=d)
        choices = {"mask": mask, "causal": causal}
        got = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", **choices)
        check(got, reference.apply(STRUCTURE, w, x, data, kind, "softmax", **choices), (w, x, data))


def test_a_mask_of_two_equal_sizes_is_one_for_rows_where_there_is_a_batch() -> None:
    """``(k, k)`` for ``k`` samples of ``k`` rows: the number of dimensions decides, not the sizes."""
    w, x, data = draw(STRUCTURE, "instance", batch=(K,), k=K)
    mask = full_mask()
    got = lphm.interdependence_apply(STRUCTURE, w, x, data, "instance", "softmax", mask=mask)
    for c in range(K):
        alone = lphm.interdependence_apply(STRUCTURE, w, x[c], data[c], "instance", "softmax", mask=mask[c])
        assert reference.error(got[c], alone) < 1e-12


# What a mask means.


@both_paths
@pytest.mark.parametrize("full", [False, True])
def test_what_is_hidden_has_no_influence(full: bool, d: int) -> None:
    w, x, data = draw(STRUCTURE, "instance", k=K, d=d)
    hidden = torch.tensor([j in (2, 6) for j in range(K)])
    mask = (~hidden).expand(2, K)
    mask = mask.unsqueeze(-2).expand(2, K, K) if full else mask
    out = lphm.interdependence_apply(STRUCTURE, w, x, data, "instance", "softmax", mask=mask)
    shown = out[..., ~hidden, :]
    for leaf in torch.autograd.grad(shown.square().sum(), (x, data)):
        assert leaf[:, hidden].eq(0).all()
        assert leaf[:, ~hidden].ne(0).all()


@both_paths
def test_causal_looks_at_no_later_row(d: int) -> None:
    w, x, data = draw(STRUCTURE, "instance", k=K, d=d)
    out = lphm.interdependence_apply(STRUCTURE, w, x, data, "instance", "softmax", causal=True)
    for row in range(K):
        for leaf in torch.autograd.grad(out[..., row, :].sum(), (x, data), retain_graph=True):
            assert leaf[:, row + 1 :].eq(0).all()
            assert leaf[:, row].ne(0).all() or row == 0  # the first row is itself, whatever w says
    torch.testing.assert_close(out[..., 0, :], data[:, None, 0].expand(-1, 3, -1))


@both_kinds
@both_paths
@pytest.mark.parametrize("backend", [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])
@pytest.mark.parametrize("mask", ["key", "full"])
def test_nothing_to_see_gives_zeros(kind: str, d: int, backend: SDPBackend, mask: str) -> None:
    """Whichever kernel torch takes: the fused ones and the plain one do not agree on an empty softmax."""
    w, x, data = draw(STRUCTURE, kind, k=K, d=d)
    pairs = torch.zeros(2, K if mask == "full" else 1, K, dtype=torch.bool)
    with sdpa_kernel(backend), torch.autograd.set_detect_anomaly(True):  # no NaN on the way either
        out = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", mask=pairs)
        gradients = torch.autograd.grad(out.sum() + out.square().sum(), (w, x, data))
    assert out.eq(0).all()
    assert all(gradient.eq(0).all() for gradient in gradients)


@pytest.mark.parametrize("low", [None, torch.float16])
@pytest.mark.parametrize("causal", [False, True])
def test_no_kernel_is_asked_about_an_empty_softmax(
    causal: bool, low: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some versions of some kernels give NaN for it; nor is anything infinite in the type of autocast."""
    asked = []

    def kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **choices: object) -> Tensor:
        asked.append(mask)
        assert mask is None or mask.any(-1).all()
        query, key = query.to(low or query.dtype), key.to(low or key.dtype)
        assert (query @ key.mT).isfinite().all()
        return torch.zeros_like(value)

    monkeypatch.setattr(softmax.F, "scaled_dot_product_attention", kernel)
    w, x, data = draw(Full(n=12), "instance", k=K, dtype=torch.float32)  # left is x itself, which is not cast
    for mask in (torch.zeros(2, K, dtype=torch.bool), full_mask(2)):
        choices = {"mask": mask, "causal": causal}
        with torch.autocast("cpu", low or torch.bfloat16, enabled=low is not None):
            lphm.interdependence_apply(Full(n=12), w, x, data, "instance", "softmax", **choices)
    assert [mask is None for mask in asked] == [True, False]  # a key mask is no mask of the kernel


# Errors.


def message(text: str) -> str:
    """A pattern for the whole message."""
    return f"^{re.escape(text)}$"


TRUE = torch.ones(2, K, dtype=torch.bool)
MISTAKES = {
    "another normalize": (
        {"mask": TRUE, "normalize": None},
        ValueError,
        "normalize must be 'softmax' where a mask or causal=True is given, got None; "
        "a callable can hide entries of xi by itself",
    ),
    "causal with another normalize": (
        {"causal": True, "normalize": "scale"},
        ValueError,
        "normalize must be 'softmax' where a mask or causal=True is given, got 'scale'; "
        "a callable can hide entries of xi by itself",
    ),
    "causal columns": (
        {"causal": True, "kind": "attribute"},
        ValueError,
        "kind must be 'instance' for causal=True, because columns do not follow one another as rows do, "
        "got 'attribute'; pass a mask of (*batch, m, m) to hide columns from columns",
    ),
    "numbers": (
        {"mask": torch.zeros(2, K)},
        TypeError,
        "mask must be a boolean tensor, True where something may be looked at, got torch.float32; "
        "use mask.bool() for zeros and ones, mask == 0 for what is added to xi",
    ),
    "no tensor": (
        {"mask": [True]},
        TypeError,
        "mask must be a boolean tensor, True where something may be looked at, got list; "
        "use mask.bool() for zeros and ones, mask == 0 for what is added to xi",
    ),
    "another device": (
        {"mask": TRUE.to("meta")},
        TypeError,
        "mask must be on the device of x, got meta and cpu; use mask.to(x.device)",
    ),
    **{
        f"shape {shape}": (
            {"mask": torch.ones(shape, dtype=torch.bool)},
            ValueError,
            f"mask must be (2, 7) or (2, 7, 7) to match x, got shape {shape}; "
            "all dimensions but the last may be 1",
        )
        for shape in [(), (7,), (7, 7), (3, 7), (2, 1), (2, 12), (2, 7, 1), (2, 6, 7), (2, 1, 7, 7)]
    },
}


@pytest.mark.parametrize(("choices", "error", "text"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize(
    "function", [lphm.interdependence_matrix, lphm.interdependence_apply, interdependence_grouped]
)
def test_mistakes(function: Callable[..., Tensor], choices: dict, error: type, text: str) -> None:
    choices = {"kind": "instance", "normalize": "softmax", **choices}
    w, x, _ = draw(STRUCTURE, choices["kind"], k=K, channels=1)
    with pytest.raises(error, match=message(text)):
        function(STRUCTURE, w, x, **choices)


@both_kinds
@pytest.mark.parametrize("batch", [(), (2,), (200,)])
@pytest.mark.parametrize("normalize", [None, "scale"])
def test_no_order_of_the_products_forgets_a_mask(
    kind: str, batch: tuple[int, ...], normalize: str | None
) -> None:
    """Small and large, ``x`` applied to itself is computed in ways of its own, which know no masks."""
    w, x, _ = draw(STRUCTURE, kind, batch, channels=1, k=K)
    for vector in (w, w[0]):
        for function in (lphm.interdependence_apply, interdependence_grouped):
            for data in (None, x):
                mask = torch.ones(*batch, K, dtype=torch.bool)
                with pytest.raises(ValueError, match=r"^normalize must be 'softmax' where a mask"):
                    function(STRUCTURE, vector, x, data, kind, normalize, mask=mask)
                with pytest.raises(ValueError, match=r"^normalize must be 'softmax' where a mask"):
                    function(STRUCTURE, vector, x, data, kind, normalize, causal=True)


def test_mistakes_of_a_layer() -> None:
    with pytest.raises(ValueError, match=r"^normalize must be 'softmax' where a mask or causal=True"):
        BilinearInterdependence(STRUCTURE, "instance", causal=True)
    with pytest.raises(ValueError, match=r"^kind must be 'instance' for causal=True"):
        BilinearInterdependence(STRUCTURE, normalize="softmax", causal=True)
    layer, x = BilinearInterdependence(STRUCTURE, "instance"), torch.randn(2, K, 12)
    for call in (layer, layer.matrix):
        with pytest.raises(ValueError, match=r"^normalize must be 'softmax' where a mask"):
            call(x, mask=TRUE)


# A running average.


def test_a_running_average_is_causal_and_has_no_masks() -> None:
    layer = BilinearInterdependence(
        STRUCTURE, "instance", 2, "softmax", dtype=torch.float64, running_size=K, causal=True
    )
    _, x, _ = draw(STRUCTURE, "instance", k=K)
    want = reference.grouped(STRUCTURE, layer.weight, x, None, "instance", "softmax", causal=True)
    assert reference.error(layer(x), want) < 1e-12
    want = reference.matrix(STRUCTURE, layer.weight, x, "instance", "softmax", causal=True).mean(0)
    layer.eval()
    assert reference.error(layer.matrix(x)[0], want) < 1e-12
    text = (
        "mask must be None for a layer with running_size, whose average is over batches that would each "
        "hide something else, got a mask; build the layer without running_size"
    )
    for mode in (layer.train(), layer.eval()):
        for call in (mode, mode.matrix):
            with pytest.raises(ValueError, match=message(text)):
                call(x, mask=TRUE)


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_nothing_to_see_is_finite_in_half_precision(kind: str, cast: bool) -> None:
    dtype = torch.float32 if cast else torch.float16
    w, x, data = draw(STRUCTURE, kind, k=9, d=4, dtype=dtype)
    mask = torch.zeros(2, 9, dtype=torch.bool)
    with torch.autocast("cpu", torch.float16) if cast else nullcontext():
        out = lphm.interdependence_apply(STRUCTURE, w, x, data, kind, "softmax", mask=mask)
    assert out.eq(0).all()
    assert all(grad.eq(0).all() for grad in torch.autograd.grad(out.sum(), (w, x, data)))
