"""The contenders: the library, a linear layer, and plain torch.

A contender is a function from the inputs of a case to a ``Step``: a forward, and the leaves that it is
differentiated with respect to, the data first. Contenders from other packages are in ``peers.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

import lphm
from benchmarks.cases import KINDS, Case, Inputs
from benchmarks.oracle import Oracle, linear_truth, lphm_truth

ALL_DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Step:
    """A forward that can be called repeatedly, and its leaves: the data, then the parameters."""

    forward: Callable[[], Tensor]
    leaves: tuple[Tensor, ...]
    G: Tensor

    def both(self) -> tuple[Tensor, ...]:
        """Forward and backward: the gradients of the leaves, as in a training step."""
        return torch.autograd.grad(self.forward(), self.leaves, self.G)


def forms_neither(_: Case) -> int:
    """Rows of the larger of ``W`` and ``xi`` if neither is formed."""
    return 0


def forms_w(case: Case) -> int:
    """The same if ``W`` is formed."""
    return case.n


def forms_both(case: Case) -> int:
    """The same if ``W`` and ``xi`` are formed."""
    return max(case.n, case.k)


@dataclass(frozen=True)
class Contender:
    """One way to compute a case, and the cases that it can compute."""

    name: str
    build: Callable[[Inputs], Step]
    kinds: tuple[str, ...] = KINDS
    normalize: str | None = None
    dense_rows: Callable[[Case], int] = forms_neither
    dtypes: tuple[torch.dtype, ...] = ALL_DTYPES
    oracle: Oracle = lphm_truth
    module: str | None = None  # the package that must be installed

    def reason_to_skip(self, case: Case, dtype: torch.dtype, largest_dense: int) -> str | None:
        """Why this contender is not measured at this size; None if it is."""
        rows = self.dense_rows(case)
        if rows > largest_dense:
            return f"forms a {rows} x {rows} matrix (--largest-dense {rows} runs it)"
        if dtype not in self.dtypes:
            return f"has no {str(dtype).removeprefix('torch.')}"
        return None


def lphm_step(inputs: Inputs) -> Step:
    """The library's function, with the parameter vector ``w = [A, S, T]``."""
    w = torch.cat([factor.flatten() for factor in (inputs.A, inputs.S, inputs.T)]).requires_grad_()
    x, structure, kind, normalize = inputs.data, inputs.case.structure, inputs.case.kind, inputs.normalize

    def forward() -> Tensor:
        return lphm.interdependence_apply(structure, w, x, kind=kind, normalize=normalize)

    return Step(forward, (x, w), inputs.G)


def linear_step(inputs: Inputs) -> Step:
    """A linear layer without bias, which all others are compared with."""
    x, M = inputs.data, inputs.M.clone().requires_grad_()
    return Step(lambda: x @ M, (x, M), inputs.G)


def dense_step(inputs: Inputs) -> Step:
    """``W`` by ``torch.kron``, and the product associated so that no larger matrix is formed."""
    x, A, S, T = inputs.leaves

    def attribute() -> Tensor:
        W = torch.kron(A, S @ T.mT)
        return x @ (x.mT @ (W @ x))

    def instance() -> Tensor:
        W = torch.kron(A, S @ T.mT)
        return x @ (W.mT @ (x.mT @ x))

    return Step(attribute if inputs.case.kind == "attribute" else instance, (x, A, S, T), inputs.G)


def dense_xi_step(inputs: Inputs) -> Step:
    """``W`` and ``xi`` formed and ``xi`` applied, as the formula reads; with or without softmax."""
    x, A, S, T = inputs.leaves
    after = partial(torch.softmax, dim=-2) if inputs.normalize == "softmax" else (lambda xi: xi)

    def attribute() -> Tensor:
        return x @ after(x.mT @ (torch.kron(A, S @ T.mT) @ x))

    def instance() -> Tensor:
        return after(x @ torch.kron(A, S @ T.mT) @ x.mT).mT @ x

    return Step(attribute if inputs.case.kind == "attribute" else instance, (x, A, S, T), inputs.G)


def sdpa_step(inputs: Inputs) -> Step:
    """Softmax as attention: ``W`` formed, query ``X Wᵀ``, key and value ``X``, all of the same width."""
    x, A, S, T = inputs.leaves

    def forward() -> Tensor:
        query = x @ torch.kron(A, S @ T.mT).mT
        query, key = query[None, None], x[None, None]
        return F.scaled_dot_product_attention(query, key, key, scale=1.0)[0, 0]

    return Step(forward, (x, A, S, T), inputs.G)


LPHM = Contender("lphm", lphm_step)
LINEAR = Contender("linear", linear_step, oracle=linear_truth)
PLAIN = (
    Contender("dense", dense_step, dense_rows=forms_w),
    Contender("dense-xi", dense_xi_step, kinds=("instance",), dense_rows=forms_both),
)
SOFTMAX = (
    Contender("lphm", lphm_step, normalize="softmax"),
    Contender("softmax-xi", dense_xi_step, normalize="softmax", dense_rows=forms_both),
    Contender("softmax-sdpa", sdpa_step, kinds=("instance",), normalize="softmax", dense_rows=forms_w),
)
