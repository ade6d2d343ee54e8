"""A subclass that states its own ``W`` is followed by every public function, however it states it."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import lphm
from lphm import HM, LPHM, BilinearInterdependence, DualLPHM, Full, LowRank, Structure, Toeplitz, streamed
from lphm.ops.dispatch import plan
from support import reference

KINDS = pytest.mark.parametrize("kind", ["attribute", "instance"])
Factors = tuple[Tensor, ...]


class DoubledPair:
    """A mixin in front of a structure: twice the pair, so twice ``W``."""

    def pair_from_factors(self, factors: Factors, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        left, right = super().pair_from_factors(factors, x, y)
        return 2 * left, right


class DoubledRows:
    """Twice the factor that reduces the rows of the left side."""

    def row_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        S, T = super().row_factors(factors)
        return 2 * S, T


class DoubledCombination:
    """Twice the left side, after the reduction."""

    def combine(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        left, right = super().combine(factors, U, V)
        return 2 * left, right


class DoubledDense:
    """Twice the dense form."""

    def dense_from_factors(self, factors: Factors) -> Tensor:
        return 2 * super().dense_from_factors(factors)


class DoubledKronecker:
    """Twice the first Kronecker factor."""

    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        A, B = super().kronecker_factors(factors)
        return 2 * A, B


PARENTS = {
    "lphm": (LPHM, {"p": 4, "q": 4, "r": 2}),
    "lphm p<q": (LPHM, {"p": 2, "q": 4, "r": 2}),
    "dual_lphm": (DualLPHM, {"p": 4, "q": 2, "r": 2}),
    "low_rank": (LowRank, {"r": 3}),
    "hm": (HM, {"p": 4, "q": 2}),
    "full": (Full, {}),
    "toeplitz": (Toeplitz, {"lags": 5}),
}
MIXINS = (DoubledPair, DoubledRows, DoubledCombination, DoubledDense, DoubledKronecker)
#: Parents that do not have the hook which a mixin overrides.
WITHOUT = {
    DoubledRows: {"hm", "full", "toeplitz"},
    DoubledCombination: {"hm", "full", "toeplitz"},
    DoubledKronecker: {"low_rank", "full", "toeplitz"},
}


def subclass(mixin: type, parent: type[Structure]) -> type[Structure]:
    """The mixin in front of the parent, as a frozen dataclass."""
    cls = type(f"{mixin.__name__}{parent.__name__}", (mixin, parent), {})
    return dataclass(frozen=True, kw_only=True)(cls)


CASES = {
    f"{mixin.__name__} {name}": (subclass(mixin, parent), parent, sizes)
    for mixin in MIXINS
    for name, (parent, sizes) in PARENTS.items()
    if name.split()[0] not in WITHOUT.get(mixin, set())
}
every_case = pytest.mark.parametrize("case", CASES)


def build(case: str, n: int) -> tuple[Structure, Structure]:
    cls, parent, sizes = CASES[case]
    return cls(n=n, **sizes), parent(n=n, **sizes)


@every_case
@KINDS
@pytest.mark.parametrize(("n", "k"), [(8, 5), (8, 100), (96, 5), (256, 64)])
@pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
def test_every_function_follows_the_subclass(
    case: str, kind: str, n: int, k: int, normalize: str | None
) -> None:
    """Values and gradients are those of twice the parent's ``W``, whatever the order of the products."""
    structure, parent = build(case, n)
    w = (torch.randn(2, structure.num_parameters, dtype=torch.float64) / n).requires_grad_()
    x = torch.randn(3, n, k, dtype=torch.float64) / (n * k) ** 0.25
    x = (x if kind == "attribute" else x.mT.contiguous()).requires_grad_()
    W = 2 * parent.to_dense(w)
    vectors, full = W.flatten(1), Full(n=n)
    assert reference.error(structure.to_dense(w), W) < 1e-14
    pairs = [
        (
            lphm.interdependence_apply(structure, v, x, kind=kind, normalize=normalize),
            reference.apply(full, vector, x, kind=kind, normalize=normalize),
        )
        for v, vector in ((w, vectors), (w[0], vectors[0]))
    ]
    pairs += [
        (
            lphm.interdependence_matrix(structure, w, x, kind, normalize),
            reference.matrix(full, vectors, x, kind, normalize),
        )
    ]
    layer = BilinearInterdependence(structure, kind, channels=2, normalize=normalize, dtype=torch.float64)
    doubled = 2 * parent.to_dense(layer.weight)
    want = reference.grouped(full, doubled.flatten(1), x, kind=kind, normalize=normalize)
    assert reference.error(layer(x), want) < 1e-12
    for got, want in pairs:
        assert reference.error(got, want) < 1e-12
        G = torch.randn_like(got)
        gradients = torch.autograd.grad(got, (w, x), G, retain_graph=True)
        wanted = torch.autograd.grad(want, (w, x), G, retain_graph=True)
        assert all(reference.error(*pair) < 1e-11 for pair in zip(gradients, wanted, strict=True))


@every_case
def test_no_kernel_is_used_for_a_subclass(case: str) -> None:
    structure, parent = build(case, 256)
    w, x = torch.randn(structure.num_parameters), torch.randn(3, 256, 64)
    assert plan(structure, "attribute", w.shape, x.shape, False, False) is None
    if type(parent) in (LPHM, LowRank):
        assert plan(parent, "attribute", w.shape, x.shape, False, False) is not None


@every_case
@KINDS
def test_rows_in_blocks(case: str, kind: str) -> None:
    """Streamed sums are those of twice ``W``, or the structure is refused and told what to override."""
    structure, parent = build(case, 24)
    w = torch.randn(structure.num_parameters, dtype=torch.float64)
    x = torch.randn(*((24, 5) if kind == "attribute" else (7, 24)), dtype=torch.float64)

    def apply() -> Tensor:
        blocks = streamed.interdependence_apply(structure, w, lambda: x.split(5), kind, "scale")
        return torch.cat(list(blocks))

    if kind == "attribute" and not case.startswith(("DoubledPair", "DoubledRows", "DoubledCombination")):
        with pytest.raises(TypeError, match="overrides row_factors and combine"):
            apply()
        return
    if kind == "attribute" and case.split()[1] in ("hm", "full", "toeplitz"):
        with pytest.raises(TypeError, match="structure must reduce blocks of rows"):
            apply()
        return
    want = reference.apply(Full(n=24), 2 * parent.to_dense(w).flatten(), x, kind=kind, normalize="scale")
    assert reference.error(apply(), want) < 1e-12


@every_case
def test_nearest_says_what_to_define(case: str) -> None:
    structure, _ = build(case, 8)
    with pytest.raises(TypeError, match=rf"define {type(structure).__name__}\.nearest_factors\(self, W\)"):
        lphm.nearest(structure, torch.eye(8))


@dataclass(frozen=True, kw_only=True)
class Halved(LPHM):
    """Half of the parent's ``W``, with its own way to the nearest factors."""

    def kronecker_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        A, B = super().kronecker_factors(factors)
        return A / 2, B

    def nearest_factors(self, W: Tensor) -> Factors:
        parent = LPHM(n=self.n, p=self.p, q=self.q, r=self.r)
        return parent.unpack(lphm.nearest(parent, 2 * W))


@dataclass(frozen=True, kw_only=True)
class Renamed(LPHM):
    """Another name for the same ``W``."""

    name = "renamed"


@pytest.mark.parametrize("cls", [Halved, Renamed])
def test_nearest_of_a_subclass_that_can_be_found(cls: type[LPHM]) -> None:
    structure = cls(n=12, p=3, q=2, r=2)
    W = structure.to_dense(torch.randn(structure.num_parameters, dtype=torch.float64))
    assert reference.error(structure.to_dense(lphm.nearest(structure, W)), W) < 1e-9


@dataclass(frozen=True, kw_only=True)
class Nothing(Structure):
    """States neither the dense form nor the pair."""

    name = "nothing"
    factor_shapes = {"w": (1,)}  # noqa: RUF012
    terms = 1


def test_a_structure_has_to_state_what_w_is() -> None:
    with pytest.raises(TypeError, match="Nothing must define dense_from_factors or pair_from_factors"):
        Nothing(n=3).to_dense(torch.zeros(1))


def test_w_of_a_pair_has_the_shape_of_any_other() -> None:
    structure, parent = build("DoubledPair lphm", 8)
    w = torch.randn(3, structure.num_parameters).double()
    assert reference.error(structure.dense(structure.unpack(w)), 2 * parent.to_dense(w)) < 1e-14
    assert structure.dense(structure.unpack(w)).shape == (3, 8, 8)
