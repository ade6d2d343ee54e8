"""The small products on blocks of rows that every thin projection is made of."""

import torch
from torch import Tensor


def project_blocks(S: Tensor, x: Tensor) -> Tensor:
    """``Sᵀ`` on every block of rows: ``S`` ``(C, s, r)``, ``x`` ``(N, p s, k)`` to ``(N, C, p, r, k)``.

    ``bmm`` on views, never ``matmul`` or ``einsum``: those fold the product through a transposed
    copy of ``x`` as soon as ``S`` requires a gradient. All channels go in one product.
    """
    (N, n, k), (C, s, r) = x.shape, S.shape
    p, rest = divmod(n, s)
    if rest:
        return _project_broken(S, x, rest) if p else project_blocks(S[:, :rest], x)
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


def project_rows(S: Tensor, x: Tensor, start: int) -> Tensor:
    """``Sᵀ`` on blocks ``start // s`` and following of a longer ``x``, whose rows from ``start`` on are here.

    Blocks at either end may be broken: their sums are over the rows that are here.
    """
    s, rows = S.shape[1], x.shape[1]
    begun = start % s
    head = min(s - begun, rows) if begun else 0
    if not head:
        return project_blocks(S, x)
    first = project_blocks(S[:, begun : begun + head], x[:, :head])
    return first if head == rows else torch.cat([first, project_blocks(S, x[:, head:])], dim=2)


def is_transpose(x: Tensor) -> bool:
    """Whether the columns of ``x`` are contiguous and its rows are not."""
    return x.stride(-2) == 1 and x.stride(-1) != 1


def project_pair(S: Tensor, T: Tensor, x: Tensor, start: int = 0) -> tuple[Tensor, Tensor]:
    """``Sᵀ`` and ``Tᵀ`` on their blocks of ``x``; one pass over ``x`` where both blocks have one size.

    With ``start`` as ``project_rows``.
    """
    if S.shape != T.shape:
        return project_rows(S, x, start), project_rows(T, x, start)
    U, V = project_rows(torch.cat([S, T]), x, start).chunk(2, dim=1)
    return U, V


def mix_blocks(A: Tensor, V: Tensor) -> Tensor:
    """``A ⊗ I_r``: ``A`` ``(C, p, q)``, ``V`` ``(N, C, q, r, k)`` to ``(N, C, p, r, k)``."""
    (N, C, q, r, k), p = V.shape, A.shape[1]
    mixed = A.expand(N, -1, -1, -1).reshape(N * C, p, q).bmm(V.reshape(N * C, q, r * k))  # (N C, p, r k)
    return mixed.view(N, C, p, r, k)


# The same for a gradient by hand: one flat factor F (J, s), an operator each, results where they belong. Few
# views, for at small sizes they are the price: Y is whatever has the numbers of (N, p, J, k) in that order.


def like(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` ``(B, i, j)``, in memory as ``x`` is: transposed if that is a transpose."""
    return b.mT.bmm(a.mT).mT if is_transpose(x) else a.bmm(b)


def _scattered(x: Tensor) -> bool:
    """Whether the blocks of all samples have no common stride."""
    return len(x) > 1 and is_transpose(x)


def blocks_forward(F: Tensor, x: Tensor) -> Tensor:
    """``F`` ``(J, s)`` on every block of ``s`` rows of ``x`` ``(N, p s, k)``: ``Y``."""
    (N, n, k), (J, s) = x.shape, F.shape
    if _scattered(x):
        return (x.mT.reshape(-1, s) @ F.mT).view(N, k, n // s, J).permute(0, 2, 3, 1)
    P = N * n // s
    return F.expand(P, J, s).bmm(x.view(P, s, k))


def blocks_backward(F: Tensor, x: Tensor, dY: Tensor, dF: Tensor) -> None:
    """The gradient of ``F``, ``dF = Σ_p dY_p X_pᵀ``; any shape ``(..., s)`` and any strides."""
    (N, n, k), (J, s) = x.shape, F.shape
    if _scattered(x):
        wide = dY.reshape(N, n // s, J, k).permute(2, 0, 3, 1).reshape(J, -1)  # (J, N k p)
        dF.copy_((wide @ x.mT.reshape(-1, s)).view(dF.shape))
    else:
        parts = dY.reshape(-1, J, k).bmm(x.view(-1, s, k).mT)  # (N p, J, s)
        torch.sum(parts.view(-1, *dF.shape), 0, out=dF)


def blocks_transposed(F: Tensor, x: Tensor, dY: Tensor, dx: Tensor | None) -> Tensor:
    """The gradient of ``x``, ``dX_p = Fᵀ dY_p``; added to ``dx`` if there is one."""
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
