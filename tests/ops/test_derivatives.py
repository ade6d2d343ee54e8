"""Derivatives of the layer composed with itself, batched gradients, and results that change in place.

``gradgradcheck`` sees ``w`` and ``x`` as independent. Where ``x`` depends on ``w``, as in a layer that is
applied twice, a gradient must not follow that dependence, and its own derivative must.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import lphm
from lphm import (
    HM,
    LPHM,
    BilinearInterdependence,
    DualLPHM,
    Full,
    LowRank,
    RandomMatrixAdaptation,
    Structure,
    Toeplitz,
)
from support import reference

#: A structure and the columns of ``x``, for every implementation: one small sample, thin pair, ``W`` formed.
CASES = {
    "lphm, one small sample": (LPHM(n=12, p=4, q=4, r=1), (), 5),
    "lphm, thin pair": (LPHM(n=128, p=8, q=4, r=2), (), 64),
    "lphm, batch": (LPHM(n=72, p=6, q=6, r=2), (2,), 12),
    "lphm, W formed": (LPHM(n=16, p=4, q=4, r=4), (), 600),
    "low rank, thin pair": (LowRank(n=128, r=3), (), 64),
    "low rank, W formed": (LowRank(n=16, r=4), (), 600),
    "hm": (HM(n=64, p=8), (), 140),
    "dual": (DualLPHM(n=128, p=8, q=8, r=2), (), 64),
    "full": (Full(n=48), (), 180),
    "random": (RandomMatrixAdaptation(n=128, r=4), (), 64),
    "toeplitz": (Toeplitz(n=128, lags=9), (), 64),
}
every_case = pytest.mark.parametrize(
    ("case", "path"),
    [
        *((case, "python") for case in CASES),
        *(pytest.param(case, "c++", marks=pytest.mark.slow) for case in CASES if case.startswith("lphm")),
    ],
    indirect=["path"],
)
both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])
Apply = Callable[[Tensor, Tensor], Tensor]
COMPOSITIONS: dict[str, Callable[[Apply], Apply]] = {
    "once": lambda apply: apply,
    "twice with one w": lambda apply: lambda w, x: apply(w, apply(w, x)),
    "x made from w": lambda apply: lambda w, x: apply(w, x * w.sum().tanh()),
}


@pytest.fixture
def path(request: pytest.FixtureRequest) -> None:
    """With and without the compiled operator, which only LPHM has."""
    if request.param == "c++":
        request.getfixturevalue("native")


def leaves(structure: Structure, kind: str, batch: tuple[int, ...], k: int) -> tuple[Tensor, Tensor]:
    w = torch.randn(structure.num_parameters, dtype=torch.float64) / structure.num_parameters**0.5
    x = torch.randn(*batch, structure.n, k, dtype=torch.float64) / (structure.n * k) ** 0.25
    x = x if kind == "attribute" else x.mT.contiguous()
    return w.requires_grad_(), x.requires_grad_()


@every_case
@both_kinds
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_gradients_and_their_gradients(path: None, case: str, kind: str, composition: str) -> None:
    """First derivatives with and without ``create_graph``, and second ones, against the oracle."""
    structure, batch, k = CASES[case]
    w, x = leaves(structure, kind, batch, k)
    compose = COMPOSITIONS[composition]
    ours = compose(lambda w, x: lphm.interdependence_apply(structure, w, x, kind=kind))
    oracle = compose(lambda w, x: reference.apply(structure, w, x, kind=kind))
    v = torch.randn_like(x)
    second = []
    for function in (ours, oracle):
        loss = function(w, x).square().sum()
        plain = torch.autograd.grad(loss, (w, x), retain_graph=True)
        graph = torch.autograd.grad(loss, (w, x), create_graph=True)
        assert all(reference.error(*pair) < 1e-10 for pair in zip(graph, plain, strict=True))
        penalty = graph[0].square().sum() + (graph[1] * v).sum()
        second.append((*plain, *torch.autograd.grad(penalty, (w, x))))
    assert all(reference.error(*pair) < 1e-9 for pair in zip(*second, strict=True))


@both_kinds
@pytest.mark.parametrize("normalize", [None, "scale"])
def test_a_layer_applied_twice(kind: str, normalize: str | None) -> None:
    """``backward(create_graph=True)`` of ``layer(layer(x))`` gives what ``torch.func.grad`` gives."""
    layer = BilinearInterdependence(
        LPHM(n=256, p=16, q=16, r=2), kind, channels=2, normalize=normalize, dtype=torch.float64
    )
    x = torch.randn(4, 256, 64, dtype=torch.float64)
    x = (x if kind == "attribute" else x.mT.contiguous()) / 50

    def loss(w: Tensor) -> Tensor:
        parameters = {"weight": w}
        return functional_call(layer, parameters, functional_call(layer, parameters, x)).square().mean()

    want = torch.func.grad(loss)(layer.weight.detach())
    for create_graph in (False, True):
        (got,) = torch.autograd.grad(layer(layer(x)).square().mean(), layer.weight, create_graph=create_graph)
        assert reference.error(got, want) < 1e-10


@every_case
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_batched_gradients(path: None, case: str, channels: int) -> None:
    """``is_grads_batched`` gives what a loop over the gradients gives."""
    structure, batch, k = CASES[case]
    layer = BilinearInterdependence(structure, channels=channels, dtype=torch.float64)
    x = (torch.randn(*batch, structure.n, k, dtype=torch.float64) / structure.n**0.5).requires_grad_()
    out, v = layer(x), torch.randn(3, *batch, structure.n, k, dtype=torch.float64)
    for leaf in (layer.weight, x):
        (got,) = torch.autograd.grad(out, leaf, v, is_grads_batched=True, retain_graph=True)
        want = [torch.autograd.grad(out, leaf, one, retain_graph=True)[0] for one in v]
        assert reference.error(got, torch.stack(want)) < 1e-11


def test_vectorized_jacobian() -> None:
    structure = LPHM(n=96, p=8, r=4)
    w, x = torch.randn(structure.num_parameters).double(), torch.randn(96, 7).double()
    vectorized, loop = (
        torch.autograd.functional.jacobian(
            lambda w: lphm.interdependence_apply(structure, w, x), w, vectorize=vectorize
        )
        for vectorize in (True, False)
    )
    assert reference.error(vectorized, loop) < 1e-12


@every_case
@both_kinds
@pytest.mark.parametrize("normalize", [None, "softmax"])
@pytest.mark.parametrize("channels", [1, 4])
def test_results_lie_in_memory_as_those_of_a_linear_layer(
    path: None, case: str, kind: str, normalize: str | None, channels: int
) -> None:
    """They can be viewed flat and changed in place before the backward."""
    structure, batch, k = CASES[case]
    layer = BilinearInterdependence(structure, kind, channels=channels, normalize=normalize)
    _, x = leaves(structure, kind, batch or (2,), k)
    x = x.detach().float().requires_grad_()
    assert layer(x).is_contiguous()
    assert layer(x).view(len(x), -1).shape == (len(x), structure.n * k)
    (want,) = torch.autograd.grad((layer(x) + x).relu().square().sum(), layer.weight)
    out = layer(x)
    out += x
    nn.functional.relu(out, inplace=True)
    (got,) = torch.autograd.grad(out.square().sum(), layer.weight)
    assert reference.error(got, want) < 1e-6
