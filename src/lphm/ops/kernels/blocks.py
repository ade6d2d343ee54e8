"""Products of one flat factor with blocks of rows, and their gradients, an operator each.

``F`` is ``(J, s)``; ``Y`` is whatever has the numbers of ``(N, p, J, k)`` in that order. There are few views:
at small sizes their call overhead dominates. Results are written where they are needed.
"""

import torch
from torch import Tensor

from lphm.structures.base import is_transpose


def is_scattered(x: Tensor) -> bool:
    """Whether the blocks of all samples have no common stride."""
    return len(x) > 1 and is_transpose(x)


def multiply_blocks(F: Tensor, x: Tensor) -> Tensor:
    """``F`` on every block of ``s`` rows of ``x`` ``(N, p s, k)``: ``Y``."""
    (N, n, k), (J, s) = x.shape, F.shape
    if is_scattered(x):
        return (x.mT.reshape(-1, s) @ F.mT).view(N, k, n // s, J).permute(0, 2, 3, 1)
    P = N * n // s
    return F.expand(P, J, s).bmm(x.view(P, s, k))


def backward_to_factor(F: Tensor, x: Tensor, dY: Tensor, dF: Tensor) -> None:
    """Write ``dF = Σ_p dY_p X_pᵀ``; ``dF`` may have any shape ``(..., s)`` and any strides."""
    (N, n, k), (J, s) = x.shape, F.shape
    if is_scattered(x):
        wide = dY.reshape(N, n // s, J, k).permute(2, 0, 3, 1).reshape(J, -1)  # (J, N k p)
        dF.copy_((wide @ x.mT.reshape(-1, s)).view(dF.shape))
    else:
        parts = dY.reshape(-1, J, k).bmm(x.view(-1, s, k).mT)  # (N p, J, s)
        torch.sum(parts.view(-1, *dF.shape), 0, out=dF)


def backward_to_rows(F: Tensor, x: Tensor, dY: Tensor, dx: Tensor | None) -> Tensor:
    """``dX_p = Fᵀ dY_p``; added to ``dx`` if there is one."""
    (N, n, k), (J, s) = x.shape, F.shape
    if is_transpose(x):
        tall = dY.reshape(N, n // s, J, k).permute(0, 3, 1, 2).reshape(-1, J)  # (N k p, J)
        if dx is None:
            return (tall @ F).view(N, k, n).mT
        dx.mT.view(-1, s).addmm_(tall, F)
        return dx
    dY, flat = dY.reshape(-1, J, k), F.mT.expand(N * n // s, s, J)
    if dx is None:
        return flat.bmm(dY).view(N, n, k)
    dx.view(-1, s, k).baddbmm_(flat, dY)
    return dx
