"""Softmax interdependence: as attention, with masks, causal, and without ``xi`` where it is not asked for."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import lphm
import reference
from lphm import LPHM, BilinearInterdependence, Full, LowRank, Structure, attention, contraction, orders
from lphm.contraction import interdependence_grouped
from registry import TYPICAL, draw
from suite_algebra import KINDS, check
from test_memory import Limit

every_structure = pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
both_kinds = pytest.mark.parametrize("kind", KINDS)
#: Attention for k > d, else xi is formed.
both_paths = pytest.mark.parametrize("d", [6, 9], ids=["attention", "xi formed"])
STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
K = 7  # k of every case here, unlike every other size


def key_mask(*batch: int, k: int = K) -> Tensor:
    """Two places hidden, the first among them, so that causal has an output with nothing to see."""
    mask = torch.ones(*batch, k, dtype=torch.bool)
    mask[..., 0] = False
    mask.view(-1, k)[:, 3] = False
    mask.view(-1, k)[-1, 4] = False  # the last sample differs
    return mask


def full_mask(*batch: int, k: int = K) -> Tensor:
    """Nothing symmetric about it, and an output that may look at nothing."""
    mask = torch.rand(*batch, k, k, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[..., 2, :] = False
    mask[..., 5, 1], mask[..., 1, 5] = True, False
    return mask


#: By what they show; each for x of batch (2, 3).
MASKS: dict[str, Callable[[], Tensor | None]] = {
    "none": lambda: None,
    "key": lambda: key_mask(2, 3),
    "key, one for all samples": lambda: key_mask(1, 1),
    "key, one for all of a batch dimension": lambda: key_mask(2, 1),
    "key, as rows of pairs": lambda: key_mask(2, 3).unsqueeze(-2),
    "full": lambda: full_mask(2, 3),
    "full, one for all samples": lambda: full_mask(1, 1),
    "full, one for all of a batch dimension": lambda: full_mask(1, 3),
    "nothing to see": lambda: torch.zeros(2, 3, K, dtype=torch.bool),
    "nothing to see in a sample": lambda: torch.tensor([[[True], [False], [True]]]).expand(2, 3, K),
    "everything to see": lambda: torch.ones(2, 3, K, K, dtype=torch.bool),
}
SOME = {name: MASKS[name] for name in ("key", "full")}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
some_masks = pytest.mark.parametrize("mask", SOME.values(), ids=SOME)


def options(kind: str) -> list[bool]:
    """``causal`` of a kind."""
    return [False, True] if kind == "instance" else [False]


# As attention, without masks.


@every_structure
@both_kinds
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("d", [4, 7, 9])
@pytest.mark.parametrize("tiny", [0, orders.TINY])
def test_softmax(
    structure: Structure,
    kind: str,
    channels: int | None,
    d: int,
    tiny: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orders, "TINY", tiny)
    w, x, data = draw(structure, kind, batch=(2, 2), channels=channels, k=K, d=d)
    got = lphm.interdependence_apply(structure, w, x, data, kind, "softmax")
    check(got, reference.apply(structure, w, x, data, kind, "softmax"), (w, x, data))
    xi = lphm.interdependence_matrix(structure, w, x, kind, "softmax")
    torch.testing.assert_close(xi.sum(dim=-2), torch.ones_like(xi[..., 0, :]))  # convex combinations
    assert xi.ge(0).all()


def test_attention_is_used_where_xi_is_larger_than_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(contraction, "attend", lambda *args: calls.append(1) or attention.attend(*args))
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

    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", kernel)
    w, x, data = draw(Full(n=12), "instance", k=K, dtype=torch.float32)  # left is x itself, which is not cast
    for mask in (torch.zeros(2, K, dtype=torch.bool), full_mask(2)):
        choices = {"mask": mask, "causal": causal}
        with torch.autocast("cpu", low or torch.bfloat16, enabled=low is not None):
            lphm.interdependence_apply(Full(n=12), w, x, data, "instance", "softmax", **choices)
    assert [mask is None for mask in asked] == [True, False]  # a key mask is no mask of the kernel


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
    attend = attention.F.scaled_dot_product_attention
    monkeypatch.setattr(
        attention.F,
        "scaled_dot_product_attention",
        lambda q, k, value, *args, **choices: values.append(value) or attend(q, k, value, *args, **choices),
    )
    w, x, data = draw(Full(n=12), "instance", k=20, d=36, channels=3)  # K = 12, and 12 columns in each head
    interdependence_grouped(Full(n=12), w, x, data, "instance", "softmax")
    assert values[0].data_ptr() == data.data_ptr()


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
