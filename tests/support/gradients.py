"""What the tests of gradients by hand share, in Python and in C++."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lphm.ops.cost import Order
from lphm.ops.fused import DenseCall, ThinCall, apply_fused
from lphm.ops.kernels import KERNELS
from lphm.structures import Structure
from support import reference

BY_HAND = [Order.MATRIX, Order.FACTORED, Order.DENSE_FACTORED]


every_order = pytest.mark.parametrize("order", BY_HAND, ids=lambda order: order.name)


both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])


def inputs(
    structure: Structure, kind: str, channels: int | None = None, batch: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    w = torch.randn(*([channels] if channels else []), structure.num_parameters, dtype=torch.float64)
    sizes = (structure.n, 5) if kind == "attribute" else (5, structure.n)
    return w.requires_grad_(), torch.randn(*batch, *sizes, dtype=torch.float64, requires_grad=True)


def check(got: Tensor, want: Tensor, leaves: tuple[Tensor, ...]) -> None:
    assert reference.error(got, want) < 1e-12
    G = torch.randn_like(got)
    pairs = zip(torch.autograd.grad(got, leaves, G), torch.autograd.grad(want, leaves, G), strict=True)
    assert all(reference.error(*pair) < 1e-11 for pair in pairs)


class Names(TorchDispatchMode):
    """The operators that run, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None):
        self.found.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def apply_by_hand(structure: Structure, order: Order, kind: str, w: Tensor, x: Tensor) -> Tensor:
    """``x`` mixed by its own ``xi`` with the gradient by hand, in the given order."""
    kernel = KERNELS[type(structure)]
    if order is not Order.DENSE_FACTORED:
        return apply_fused(ThinCall(structure, kernel, order, kind), w, x)
    if hasattr(kernel, "dense"):
        return apply_fused(DenseCall(structure, kernel, kind), w, x)
    W = structure.to_dense(w.reshape(-1, structure.num_parameters))
    return apply_fused(DenseCall(structure, None, kind), W, x)
