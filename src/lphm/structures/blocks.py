"""The small products on blocks of rows that every thin projection is made of."""

import torch
from torch import Tensor

__all__ = [
    "blocks_backward",
    "blocks_forward",
    "is_transpose",
    "like",
    "mix_blocks",
    "project_blocks",
    "project_pair",
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


# The same for a gradient by hand: flat factors, one operator each, results where they belong.


def like(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` ``(B, i, j)``, in memory as ``x`` is: transposed if that is a transpose."""
    return b.mT.bmm(a.mT).mT if is_transpose(x) else a.bmm(b)


def blocks_forward(F: Tensor, x: Tensor) -> Tensor:
    """``F`` ``(J, s)`` on every block of ``s`` rows of ``x`` ``(N, p s, k)``: ``(N, p, J, k)``."""
    (N, n, k), (J, s) = x.shape, F.shape
    if N > 1 and is_transpose(x):  # the blocks of all samples have no common stride
        out = x.mT.reshape(-1, s) @ F.mT  # (N k p, J)
        return out.view(N, k, n // s, J).permute(0, 2, 3, 1)
    return F.expand(N * n // s, J, s).bmm(x.view(N * n // s, s, k)).view(N, n // s, J, k)


def blocks_backward(F: Tensor, x: Tensor, dY: Tensor, dx: Tensor | None, dF: Tensor) -> None:
    """The gradient of ``blocks_forward``: ``dF = Σ_p dY_p X_pᵀ``, and ``dX_p += Fᵀ dY_p`` if wanted.

    Shape:
        ``F`` ``(J, s)``; ``x`` and ``dx`` ``(N, p s, k)``; ``dY`` the numbers of ``(N, p, J, k)``; ``dF`` as
        many numbers as ``F``, of any shape ``(..., s)`` and any strides.
    """
    (N, n, k), (J, s) = x.shape, F.shape
    P = N * n // s
    dY = dY.reshape(P, J, k)
    if dx is not None and is_transpose(dx):
        dx.mT.view(-1, s).addmm_(dY.reshape(N, n // s, J, k).permute(0, 3, 1, 2).reshape(-1, J), F)
    elif dx is not None:
        dx.view(P, s, k).baddbmm_(F.mT.expand(P, s, J), dY)
    if N > 1 and is_transpose(x):
        wide = dY.reshape(N, n // s, J, k).permute(2, 0, 3, 1).reshape(J, -1)  # (J, N k p)
        dF.copy_((wide @ x.mT.reshape(-1, s)).view(dF.shape))
    else:
        torch.sum(dY.bmm(x.view(P, s, k).mT).view(P, *dF.shape), 0, out=dF)
