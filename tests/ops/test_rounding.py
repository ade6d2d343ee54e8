"""Rounding in float32, bfloat16 and float16: bounds that grow with n and r as the docs say, and overflow."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import lphm
from lphm import HM, LPHM, BilinearInterdependence, Full, LowRank, RandomMatrixAdaptation, Structure, Toeplitz
from lphm.ops.cost import split_scale
from support import reference
from support.masks import both_kinds
from support.rounding import NORMALIZE, ROUNDOFF, drawn, shares, structures

every_normalize = pytest.mark.parametrize("normalize", NORMALIZE)


def check(
    n: int, r: int, kind: str, normalize: str | None, draws: int, batches: list[tuple[int, ...]]
) -> None:
    for name, structure in structures(n, r).items():
        for dtype in ROUNDOFF:
            for batch in batches:
                for result, share in shares(structure, kind, normalize, dtype, batch, draws).items():
                    assert share < 1, f"{name}, {dtype}, batch {batch}: {result} has {share:.2f} of the bound"


@both_kinds
@every_normalize
@pytest.mark.parametrize(("n", "r", "draws"), [(16, 1, 8), (64, 8, 4), (256, 1, 4), (256, 32, 2)])
def test_errors_stay_within_their_bounds(
    n: int, r: int, draws: int, kind: str, normalize: str | None
) -> None:
    check(n, r, kind, normalize, draws, [(), (3,)])


class SumsInTheType(TorchDispatchMode):
    """Products are summed one after another, and every sum is rounded to the type."""

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in ("mm", "bmm") or out.dtype is torch.float64:
            return out
        a, b = args
        out.zero_()
        for i in range(a.shape[-1]):
            out += a[..., i, None] * b[..., i, None, :]
        return out


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", structures(256, 1))
def test_sums_in_the_type_itself_break_the_bounds(name: str, dtype: torch.dtype) -> None:
    structure = structures(256, 1)[name]
    with SumsInTheType():
        assert max(shares(structure, "attribute", None, dtype).values()) > 1


@pytest.mark.slow
@both_kinds
@every_normalize
@pytest.mark.parametrize("r", [1, 32])
def test_errors_of_long_sums_stay_within_their_bounds(r: int, kind: str, normalize: str | None) -> None:
    check(1024, r, kind, normalize, 2, [()])


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [None, "scale"])
def test_errors_of_very_long_sums_stay_within_their_bounds(normalize: str | None) -> None:
    check(4096, 1, "attribute", normalize, 1, [()])


# float16 ends at 65,504, and loses digits below 6e-5.


def identity(structure: Structure) -> Tensor:
    """The parameters of ``W = I``, of factors that are identities."""
    return structure.pack(*(torch.eye(*shape) for shape in structure.factor_shapes.values())).half()


#: Structures that have the identity.
WITH_IDENTITY = [Full(n=256), HM(n=256, p=16), LPHM(n=256, p=256, r=1)]


@both_kinds
@pytest.mark.parametrize("structure", WITH_IDENTITY, ids=lambda structure: structure.name)
@pytest.mark.parametrize("k", [4, 280], ids=["few columns", "W formed"])
def test_scaling_comes_before_a_sum_that_float16_cannot_hold(structure: Structure, kind: str, k: int) -> None:
    """``XᵀX / n`` of numbers around 30: the sum is 900 n, some 230,000."""
    x = 30 * torch.randn(structure.n, k).half()
    want = x.double().T @ x.double() / structure.n
    x = (x if kind == "attribute" else x.T.contiguous()).requires_grad_()
    w = identity(structure).requires_grad_()
    xi = lphm.interdependence_matrix(structure, w, x, kind, "scale")
    assert reference.error(xi, want) < 4 * 2**-11
    assert (
        not lphm.interdependence_matrix(structure, w, x, kind).isfinite().all()
    )  # as torch, without scaling
    out = lphm.interdependence_apply(structure, w, x / 30, None, kind, "scale")
    assert all(g.isfinite().all() for g in (out, *torch.autograd.grad(out.sum(), (w, x))))


@both_kinds
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(
    "structure",
    [
        Full(n=1024),
        HM(n=4096, p=64),
        LowRank(n=4096, r=1),
        RandomMatrixAdaptation(n=4096, r=1),
        LPHM(n=4096, p=64, r=1),
        Toeplitz(n=4096, lags=9),
    ],
    ids=lambda structure: structure.name,
)
def test_scaling_keeps_the_digits_of_float16(structure: Structure, kind: str, autocast: bool) -> None:
    """``W / n`` has entries of ``1 / n²``, 6e-8 for ``n = 4096``: ``n`` times the result without scaling."""
    dtype = torch.float32 if autocast else torch.float16
    w, x, G = drawn(structure, kind, dtype, (), 0)
    w, x, n = w.requires_grad_(), x.requires_grad_(), structure.n
    rows = []
    for normalize, size in ((None, 1), ("scale", n)):
        with torch.autocast("cpu", torch.float16, enabled=autocast):
            out = lphm.interdependence_apply(structure, w, x, None, kind, normalize)
        gradients = torch.autograd.grad(out, (w, x), G.to(out.dtype) * (size / 2**6))
        matrix = lphm.interdependence_matrix(structure, w, x, kind, normalize)
        rows.append([size * out.float(), size * matrix.float(), *(g.float() for g in gradients)])
    plain, scaled = rows
    for one, other in zip(plain[:2], scaled[:2], strict=True):
        assert torch.dist(one, other) < 4 * 2**-11 * one.norm()
    for one, other in zip(plain[2:], scaled[2:], strict=True):
        assert torch.dist(one, other) < 8 * 2**-11 * one.norm()


@pytest.mark.parametrize("scale", [1.0, *(1 / n for n in range(1, 200)), 1 / 4096, 2.0**-40, 1e-30])
def test_a_scale_is_split_into_two_of_one_size(scale: float) -> None:
    first, second = split_scale(scale)
    assert first * second == scale
    assert 0.5 <= first / second <= 2
    assert torch.frexp(torch.tensor(first)).mantissa == 0.5  # a power of two: it rounds nothing


def test_sums_beyond_the_type_are_infinite_as_those_of_torch() -> None:
    """Finite inputs whose products are beyond the type give inf or NaN, and no error."""
    for dtype, size in ((torch.float16, 300.0), (torch.float32, 1e20), (torch.float64, 1e200)):
        layer = BilinearInterdependence(Full(n=4), dtype=dtype)
        with torch.no_grad():
            layer.weight.copy_(torch.eye(4).flatten())
        assert layer.matrix(torch.full((4, 3), size, dtype=dtype)).isinf().all()
        small = layer.matrix(torch.full((4, 3), 1.0, dtype=dtype))
        assert small.eq(4).all()
