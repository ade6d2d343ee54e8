"""The packages that can compute it, each as someone who knows it well would.

Those that multiply by ``W`` without forming it are given the product ``W @ Y`` only; the whole is
associated by hand, ``X (Xᵀ (W X))`` or ``X (Wᵀ (Xᵀ X))``, so that none of them forms anything ``b x b``.
``(A ⊗ S Tᵀ)ᵀ = Aᵀ ⊗ T Sᵀ`` makes the transpose a product of the same form.

Packages are imported when a contender is built, so that none of them has to be there.
"""

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import Inputs
from benchmarks.contenders import Contender, Step, xi_formed
from benchmarks.oracle import tinybig_truth

INSTALL = "pip install -c constraints.txt -e '.[bench]'"
#: Not in the extra: tinyBIG pins torch 2.2.2 and a torchtext that is no longer made, and FastKron asks for a
#: torchvision that it does not use.
INSTALL_ALONE = {
    "tinybig": "pip install --no-deps tinybig==0.2.1",
    "pyfastkron": "pip install --no-deps pyfastkron",
}

Product = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(A, S, T, Y) -> (A ⊗ S Tᵀ) Y``."""


class AbsentError(Exception):
    """A package is not installed, or does not import here."""


class Stub(ModuleType):
    """Stands for a module whose names are imported and never used."""

    __path__: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@cache
def load(module: str) -> Any:
    """A package of the extra, whose import-time warnings are its own affair.

    Raises:
        AbsentError: it is not here; the message says how to install it.
    """
    package = module.partition(".")[0]
    install = INSTALL_ALONE.get(package, INSTALL)
    if package == "tinybig":
        # Its data loaders need Python 3.12 and retired packages; nothing measured here uses them.
        for name in ("tinybig.data", "tinybig.data.base_data", "requests"):
            sys.modules.setdefault(name, Stub(name))
    # FastKron brings an OpenMP of its own, which reads this when it is loaded.
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    try:
        if importlib.util.find_spec(package) is None:
            raise AbsentError(f"{package} is not installed: {install}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except (ImportError, OSError, SyntaxError) as reason:
        raise AbsentError(f"{package} does not import here: {reason}") from reason


def associated(load_product: Callable[[], Product], inputs: Inputs) -> Step:
    """The whole from a peer's ``W @ Y``."""
    product, (x, A, S, T) = load_product(), inputs.leaves

    def attribute() -> Tensor:
        return x @ (x.mT @ product(A, S, T, x))

    def instance() -> Tensor:
        return x @ product(A.mT, T, S, x.mT @ x)

    return Step(attribute if inputs.case.kind == "attribute" else instance, (x, A, S, T), inputs.G)


def linear_operator_product() -> Product:
    """``linear_operator``, of GPyTorch: a lazy Kronecker product with a lazy low-rank second factor."""
    operators = load("linear_operator.operators")

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        return operators.KroneckerProductLinearOperator(A, operators.MatmulLinearOperator(S, T.mT)) @ Y

    return product


def cola_product() -> Product:
    """``cola-ml``: its Kronecker operator over dense ones."""
    ops = load("cola.ops")

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        return ops.Kronecker(ops.Dense(A), ops.Dense(S) @ ops.Dense(T.mT)) @ Y

    return product


def lokr_product() -> Product:
    """LyCORIS: LoKr in bypass mode, ``Y -> ((w1 ⊗ w2a w2b) y)`` for the rows ``y`` of ``Yᵀ``."""
    bypass = load("lycoris.functional.lokr").bypass_forward_diff

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        # gamma = rank: the scale of an adapter, gamma / rank, is 1.
        return bypass(Y.mT, None, A, None, None, None, S, T.mT, None, gamma=S.shape[1]).mT

    return product


def fastkron_product() -> Product:
    """FastKron's Kronecker-matrix product of two factors; the second is small enough to be formed."""
    gekmm = load("pyfastkron.fastkrontorch").gekmm

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        return gekmm([A, S @ T.mT], Y)

    return product


def einsum_equation(inputs: Inputs) -> tuple[str, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """The whole as one contraction, and ``X`` cut into ``p`` and into ``q`` blocks for it."""
    p, q = inputs.case.p, inputs.case.q
    if inputs.case.kind == "attribute":
        return "dk,isk,ij,sr,tr,jtl->dl", lambda x: (x.unflatten(0, (p, -1)), x.unflatten(0, (q, -1)))
    return "kd,kis,ij,sr,tr,ljt->ld", lambda x: (x.unflatten(1, (p, -1)), x.unflatten(1, (q, -1)))


def einsum_step(inputs: Inputs) -> Step:
    """One ``torch.einsum``, which asks opt_einsum for the path at every call."""
    load("opt_einsum")
    (equation, cut), (x, A, S, T) = einsum_equation(inputs), inputs.leaves

    def forward() -> Tensor:
        Xp, Xq = cut(x)
        return torch.einsum(equation, x, Xp, A, S, T, Xq)

    return Step(forward, (x, A, S, T), inputs.G)


def opt_einsum_step(inputs: Inputs) -> Step:
    """opt_einsum's own contraction: the best path of all, found once."""
    (equation, cut), (x, A, S, T) = einsum_equation(inputs), inputs.leaves
    shapes = [tuple(tensor.shape) for tensor in (x, cut(x)[0], A, S, T, cut(x)[1])]
    contract = load("opt_einsum").contract_expression(equation, *shapes, optimize="optimal")

    def forward() -> Tensor:
        Xp, Xq = cut(x)
        return contract(x, Xp, A, S, T, Xq, backend="torch")

    return Step(forward, (x, A, S, T), inputs.G)


def tinybig_step(inputs: Inputs) -> Step:
    """The class of tinyBIG itself; its ``W`` is another matrix (``oracle.tinybig_truth``), as large."""
    case, x, device = inputs.case, inputs.data, inputs.x.device.type
    sizes = {"b": case.b, "m": case.m, "p": case.p, "q": case.q, "r": case.r}
    function = load("tinybig.interdependence").lphm_parameterized_bilinear_interdependence(
        **sizes, interdependence_type=case.kind, device=device
    )
    w = torch.cat([factor.flatten() for factor in (inputs.A, inputs.S, inputs.T.mT)])
    w = w.unsqueeze(0).requires_grad_()  # (1, l): it wants a matrix
    return Step(lambda: function(x=x, w=w, device=device), (x, w), inputs.G)


def _product_peer(name: str, package: str, load_product: Callable[[], Product], **more: Any) -> Contender:
    return Contender(name, partial(associated, load_product), module=package, **more)


PEERS = (
    Contender("einsum", einsum_step, module="opt_einsum"),
    Contender("opt_einsum", opt_einsum_step, module="opt_einsum"),
    _product_peer("linear_operator", "linear_operator", linear_operator_product),
    _product_peer("cola-ml", "cola", cola_product),
    _product_peer("lokr", "lycoris", lokr_product),
    _product_peer("fastkron", "pyfastkron", fastkron_product, dtypes=(torch.float32,)),
    Contender("tinybig", tinybig_step, square=xi_formed, truth=tinybig_truth, module="tinybig"),
)

#: Measured only where they are asked for by name. FastKron brings an OpenMP of its own, whose threads wait
#: for work at the cost of whoever's turn is next.
APART = ("fastkron",)
