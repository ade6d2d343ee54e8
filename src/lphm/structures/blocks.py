"""The small products on blocks of rows that every thin projection is made of."""

import torch
from torch import Tensor

__all__ = [
    "is_transpose",
    "mix_blocks",
    "project_blocks",
    "project_blocks_backward",
    "project_pair",
    "project_pair_backward",
]


def project_blocks(S: Tensor, x: Tensor) -> Tensor:
    """``Sᵀ`` on every block of rows: ``S`` ``(C, s, r)``, ``x`` ``(N, p s, k)`` to ``(N, C, p, r, k)``.

    ``bmm`` on views, never ``matmul`` or ``einsum``: those fold the product through a transposed
    copy of ``x`` as soon as ``S`` requires a gradient. All channels go in one product.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p, rest = divmod(n, s)
    if rest:
        return _project_broken(S, x, rest)
    flat = S.transpose(0, 1).reshape(s, C * r)  # (s, C r)
    if is_transpose(x):  # keep to its own layout
        out = x.mT.reshape(N * k * p, s) @ flat  # (N k p, C r)
        return out.view(N, k, p, C, r).permute(0, 3, 2, 4, 1)
    out = flat.mT.expand(N * p, -1, -1).bmm(x.reshape(N * p, s, k))  # (N p, C r, k)
    return out.view(N, p, C, r, k).transpose(1, 2)


def _project_broken(S: Tensor, x: Tensor, rest: int) -> Tensor:
    """The same where the last block of ``x`` has only ``rest`` rows: it meets the first rows of ``S``.

    Nothing of ``x`` is copied. The whole blocks of one sample are a view and go together; those of
    several samples are not, and go one by one.
    """
    whole, broken = torch.split(x, [x.shape[1] - rest, rest], dim=1)
    together = x.shape[0] == 1 and not is_transpose(x)
    parts = torch.split(whole, whole.shape[1] if together else S.shape[1], dim=1)
    sides = [project_blocks(S, part) for part in parts] + [project_blocks(S[:, :rest], broken)]
    return torch.cat(sides, dim=2)


def is_transpose(x: Tensor) -> bool:
    """Whether the columns of ``x`` are contiguous and its rows are not."""
    return x.stride(-2) == 1 and x.stride(-1) != 1


def project_blocks_backward(S: Tensor, x: Tensor, dU: Tensor, dx: Tensor | None) -> Tensor:
    """The gradient of ``project_blocks``: ``dS = Σ_p X_p dU_pᵀ``, and ``dX_p += S dU_p`` in place, if wanted.

    Shape:
        ``S`` and ``dS`` ``(C, s, r)``; ``x`` and ``dx`` ``(N, p s, k)``; ``dU`` ``(N, C, p, r, k)``.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p = n // s
    flat = S.transpose(0, 1).reshape(s, C * r)  # (s, C r)

    def wide() -> Tensor:
        return dU.permute(0, 4, 2, 1, 3).reshape(N * k * p, C * r)

    def tall() -> Tensor:
        return dU.transpose(1, 2).reshape(N * p, C * r, k)

    if is_transpose(x):
        dS = x.mT.reshape(N * k * p, s).mT @ wide()  # (s, C r)
    else:
        dS = x.reshape(N * p, s, k).bmm(tall().mT).sum(0)  # (s, C r)
    if dx is not None and is_transpose(dx):
        dx.mT.view(N * k * p, s).addmm_(wide(), flat.mT)
    elif dx is not None:
        dx.view(N * p, s, k).baddbmm_(flat.expand(N * p, -1, -1), tall())
    return dS.view(s, C, r).transpose(0, 1)


def project_pair(S: Tensor, T: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``Sᵀ`` and ``Tᵀ`` on their blocks of ``x``; one pass over ``x`` where both blocks have one size."""
    if S.shape != T.shape:
        return project_blocks(S, x), project_blocks(T, x)
    U, V = project_blocks(torch.cat([S, T]), x).chunk(2, dim=1)
    return U, V


def project_pair_backward(
    S: Tensor, T: Tensor, x: Tensor, dU: Tensor, dV: Tensor, dx: Tensor | None
) -> tuple[Tensor, Tensor]:
    """``dS, dT`` returned, ``dx`` added to in place: the gradient of ``project_pair``."""
    if S.shape != T.shape:
        return project_blocks_backward(S, x, dU, dx), project_blocks_backward(T, x, dV, dx)
    dS, dT = project_blocks_backward(torch.cat([S, T]), x, torch.cat([dU, dV], dim=1), dx).chunk(2)
    return dS, dT


def mix_blocks(A: Tensor, V: Tensor) -> Tensor:
    """``A ⊗ I_r``: ``A`` ``(C, p, q)``, ``V`` ``(N, C, q, r, k)`` to ``(N, C, p, r, k)``."""
    (N, C, q, r, k), p = V.shape, A.shape[1]
    mixed = A.expand(N, -1, -1, -1).reshape(N * C, p, q).bmm(V.reshape(N * C, q, r * k))  # (N C, p, r k)
    return mixed.view(N, C, p, r, k)
