"""The oracle: value and gradients in float64, by einsum over blocks. It shares no code with the library.

A contender that disagrees with it is not timed.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.cases import Inputs

#: Largest relative error, in the Frobenius norm, that counts as rounding.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 3e-2}
#: Columns of ``xi`` that are formed at a time for softmax: 16384 x 1024 in float64 is 128 MB.
COLUMNS = 1024

Truth = dict[str, Tensor]
"""``value``, ``dx`` and the gradient of every parameter, in the order of the contender's leaves."""

Oracle = Callable[[Inputs], Truth]


class WrongResultError(Exception):
    """A contender's value or a gradient differs from the oracle."""


def lphm_truth(inputs: Inputs) -> Truth:
    """``X (Xᵀ W X)`` or ``(X W Xᵀ)ᵀ X``, or with softmax over the summed index; ``W = A ⊗ (S Tᵀ)``."""
    leaves = _leaves(inputs.x, inputs.A, inputs.S, inputs.T)
    attribute, G = inputs.case.kind == "attribute", inputs.G.double()
    dim = 1 if attribute else 0
    values, total = [], [torch.zeros_like(leaf) for leaf in leaves]
    for start, stop in _chunks(inputs):
        rows = leaves[0] if attribute else leaves[0].T
        out = _columns(rows, *leaves[1:], inputs.normalize, slice(start, stop))
        out = out if attribute else out.T
        gradients = torch.autograd.grad(out, leaves, G.narrow(dim, start, stop - start))
        total = [sum_ + gradient for sum_, gradient in zip(total, gradients, strict=True)]
        values.append(out.detach())
    return dict(zip(("value", "dx", "dA", "dS", "dT"), [torch.cat(values, dim), *total], strict=True))


def linear_truth(inputs: Inputs) -> Truth:
    """``X @ M``."""
    leaves = _leaves(inputs.x, inputs.M)
    return _differentiate(inputs, leaves[0] @ leaves[1], leaves, ("dx", "dM"))


def tinybig_truth(inputs: Inputs) -> Truth:
    """TinyBIG's ``W``: ``vec(A) vec(S Tᵀ)ᵀ`` reshaped to rows of ``n``; its vector holds ``Tᵀ``."""
    leaves = _leaves(inputs.x, inputs.A, inputs.S, inputs.T.T)
    X, A, S, Tt = leaves
    W = torch.outer(A.flatten(), (S @ Tt).flatten()).reshape(inputs.case.n, -1)
    value = X @ (X.T @ (W @ X)) if inputs.case.kind == "attribute" else X @ (W.T @ (X.T @ X))
    return _differentiate(inputs, value, leaves, ("dx", "dA", "dS", "dTᵀ"))


def check(name: str, inputs: Inputs, results: Sequence[Tensor], truth: Truth) -> float:
    """The largest relative error of ``results``: the value, ``dx``, and the gradients of the parameters.

    Raises:
        WrongResultError: the error is larger than rounding.
    """
    value, dx, *parameters = results
    flat = torch.cat([gradient.flatten() for gradient in parameters])
    sizes = [expected.numel() for expected in list(truth.values())[2:]]
    if len(flat) != sum(sizes):
        raise WrongResultError(f"{name} has {len(flat)} parameters at {inputs.case}, expected {sum(sizes)}")
    worst = 0.0
    for (what, expected), result in zip(truth.items(), [value, dx, *flat.split(sizes)], strict=True):
        error = _relative_error(result, expected)
        worst = max(worst, error)
        if not error <= TOLERANCE[inputs.x.dtype]:
            raise WrongResultError(f"{name} is off by {error:.1e} in {what} at {inputs.case}")
    return worst


def _relative_error(result: Tensor, expected: Tensor) -> float:
    difference = result.double().reshape(expected.shape) - expected
    return (difference.norm() / expected.norm()).item()


def _leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().double().clone().requires_grad_() for tensor in tensors]


def _differentiate(inputs: Inputs, value: Tensor, leaves: list[Tensor], names: tuple[str, ...]) -> Truth:
    gradients = torch.autograd.grad(value, leaves, inputs.G.double())
    return {"value": value.detach(), **dict(zip(names, gradients, strict=True))}


def _chunks(inputs: Inputs) -> Iterator[tuple[int, int]]:
    """Ranges of columns of ``xi``; a single one if ``xi`` need not be formed."""
    k = inputs.case.k
    step = COLUMNS if inputs.normalize else k
    for start in range(0, k, step):
        yield start, min(start + step, k)


def _columns(x: Tensor, A: Tensor, S: Tensor, T: Tensor, normalize: str | None, columns: slice) -> Tensor:
    """A range of the columns of ``x xi``, ``(n, .)``, for ``x`` ``(n, k)`` and ``xi = xᵀ W x = Uᵀ (A V)``."""
    U = torch.einsum("isk,sr->irk", x.unflatten(0, (A.shape[0], -1)), S)
    V = torch.einsum("jtk,tr->jrk", x.unflatten(0, (A.shape[1], -1)), T)
    AV = torch.einsum("ij,jrk->irk", A, V)[:, :, columns]
    if normalize == "softmax":
        return torch.einsum("nk,kl->nl", x, torch.einsum("irk,irl->kl", U, AV).softmax(dim=0))
    if x.shape[0] < x.shape[1]:  # xi is larger than the data
        return torch.einsum("irn,irl->nl", torch.einsum("nk,irk->irn", x, U), AV)
    return torch.einsum("nk,kl->nl", x, torch.einsum("irk,irl->kl", U, AV))
