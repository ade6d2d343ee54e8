"""The small products on blocks of rows that every thin projection is made of."""

import torch
from torch import Tensor

__all__ = ["mix_blocks", "project_blocks", "project_pair"]


def project_blocks(S: Tensor, x: Tensor) -> Tensor:
    """``Sᵀ`` on every block of rows: ``S`` ``(C, s, r)``, ``x`` ``(N, p s, k)`` to ``(N, C, p, r, k)``.

    ``bmm`` on views, never ``matmul`` or ``einsum``: those fold the product through a transposed
    copy of ``x`` as soon as ``S`` requires a gradient. All channels go in one product.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p = n // s
    flat = S.transpose(0, 1).reshape(s, C * r)  # (s, C r)
    if x.stride(-2) == 1 and x.stride(-1) != 1:  # x is a transpose: keep to its own layout
        out = x.mT.reshape(N * k * p, s) @ flat  # (N k p, C r)
        return out.view(N, k, p, C, r).permute(0, 3, 2, 4, 1)
    out = flat.mT.expand(N * p, -1, -1).bmm(x.reshape(N * p, s, k))  # (N p, C r, k)
    return out.view(N, p, C, r, k).transpose(1, 2)


def project_pair(S: Tensor, T: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``Sᵀ`` and ``Tᵀ`` on their blocks of ``x``; one pass over ``x`` where both blocks have one size."""
    if S.shape != T.shape:
        return project_blocks(S, x), project_blocks(T, x)
    U, V = project_blocks(torch.cat([S, T]), x).chunk(2, dim=1)
    return U, V


def mix_blocks(A: Tensor, V: Tensor) -> Tensor:
    """``A ⊗ I_r``: ``A`` ``(C, p, q)``, ``V`` ``(N, C, q, r, k)`` to ``(N, C, p, r, k)``."""
    (N, C, q, r, k), p = V.shape, A.shape[1]
    mixed = A.expand(N, -1, -1, -1).reshape(N * C, p, q).bmm(V.reshape(N * C, q, r * k))  # (N C, p, r k)
    return mixed.view(N, C, p, r, k)
