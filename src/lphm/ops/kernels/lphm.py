"""LPHM, ``W = A ⊗ (S Tᵀ)``.

Where ``p = q``, ``[S|T]ᵀ`` is one flat factor, so ``x`` and ``dx`` are passed over once and not twice.

Where the rows of ``x`` do not lie in blocks, as in the instance kind on several samples, one product with
the maps of both sides takes the place of many small ones.

``cpp/`` has the projection by blocks and its gradient once more, in C++; change both.
"""

import torch
from torch import Tensor

from lphm.ops.kernels.blocks import backward_to_factor, backward_to_rows, is_scattered, multiply_blocks
from lphm.structures.lphm import LPHM

#: How much longer a flop of the blocks takes than one of a wide product, where blocks do not lie in order.
DENSE_MAPS = 4


def _mixing(structure: LPHM, w: Tensor) -> Tensor:
    """``A`` in ``w``, a view ``(C, p, q)``."""
    l, p, q = w.shape[-1], structure.p, structure.q
    return w.as_strided((w.numel() // l, p, q), (l, q, 1), w.storage_offset())


def _thin_factors(structure: LPHM, w: Tensor) -> list[Tensor]:
    """``Sᵀ`` and ``Tᵀ`` in ``w``, as views ``(C, 1, r, s)`` each, or as one ``(C, 2, r, s)``."""
    p, q, r = structure.p, structure.q, structure.r
    l, s, t = w.shape[-1], structure.n // p, structure.n // q
    C, start = w.numel() // l, w.storage_offset() + p * q
    if s == t:
        return [w.as_strided((C, 2, r, s), (l, s * r, 1, r), start)]
    S = w.as_strided((C, 1, r, s), (l, s * r, 1, r), start)
    return [S, w.as_strided((C, 1, r, t), (l, t * r, 1, r), start + s * r)]


def project(structure: LPHM, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """``left, right`` ``(N C, K, k)``, ``A`` of every matrix, the side it mixes, and the flat factors."""
    (N, n, k), p, q, r = x.shape, structure.p, structure.q, structure.r
    if is_scattered(x) and 4 * structure.middle * n <= DENSE_MAPS * structure.projection_flops(1):
        return _project_by_maps(structure, w, x)
    A = _mixing(structure, w)
    C, flat = len(A), []
    sides: list[Tensor] = []
    for view in _thin_factors(structure, w):
        _, h, _, s = view.shape
        flat.append(view.reshape(C * h * r, s))
        Y = multiply_blocks(flat[-1], x)
        if C > 1:
            Y = Y.reshape(N, n // s, C, h, r * k).permute(3, 0, 2, 1, 4)
            sides += Y.reshape(h, N * C, n // s, r * k).unbind(0)
        else:
            Y = Y.reshape(N, n // s, h, r * k)
            sides += [Y.select(2, side) for side in range(h)]
    U, V = sides  # (N C, p, r k), (N C, q, r k)
    if N > 1:
        A = A.expand(N, C, p, q).reshape(N * C, p, q)
    if p <= q:
        return U.reshape(N * C, -1, k), A.bmm(V).view(N * C, -1, k), A, V, *flat
    return A.mT.bmm(U).view(N * C, -1, k), V.reshape(N * C, -1, k), A, U, *flat


def project_backward(
    structure: LPHM, w: Tensor, x: Tensor, dleft: Tensor, dright: Tensor, needs_dx: bool, *kept: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The gradients of ``w`` and of ``x``; ``kept`` is what ``project`` gives after the pair."""
    A, mixed, *flat = kept
    if A.dim() == 5:  # from maps
        return _project_backward_by_maps(structure, w, x, dleft, dright, needs_dx, *kept)
    (N, _, k), (B, p, q), r = x.shape, A.shape, structure.r
    C, dw, dx = B // N, torch.empty_like(w), None
    dleft, dright = dleft.view(B, -1, r * k), dright.view(B, -1, r * k)
    if p <= q:  # left, right = U, A V
        dA, dU, dV = dright.bmm(mixed.mT), dleft, A.mT.bmm(dright)
    else:  # left, right = Aᵀ U, V
        dA, dU, dV = mixed.bmm(dleft.mT), A.bmm(dleft), dright
    _mixing(structure, dw).copy_(dA if N == 1 else dA.view(N, C, p, q).sum(0))
    sides = [dU, dV] if C == 1 else [side.view(N, C, -1, r * k).transpose(1, 2) for side in (dU, dV)]
    if p == q:
        sides = [torch.cat(sides, dim=-1)]  # (N, p, (C) 2 r k)
    for F, dF, side in zip(flat, _thin_factors(structure, dw), sides, strict=True):
        backward_to_factor(F, x, side, dF)
        dx = backward_to_rows(F, x, side, dx) if needs_dx else None
    return dw, dx


def _project_by_maps(structure: LPHM, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """``left, right`` by one product of ``x`` with the maps of both sides, and what the gradient needs."""
    F, A, B = maps(structure, w)
    _, C, K, n = F.shape
    Y = multiply_blocks(F.view(-1, n), x).reshape(len(x), 2, C * K, x.shape[2])
    left, right = (side.reshape(-1, K, x.shape[2]) for side in Y.unbind(1))
    return left, right, A, B, F


def _project_backward_by_maps(
    structure: LPHM, w: Tensor, x: Tensor, dleft: Tensor, dright: Tensor, needs_dx: bool, *kept: Tensor
) -> tuple[Tensor, Tensor | None]:
    (N, n, k), (A, B, F) = x.shape, kept
    dY = torch.cat([side.view(N, -1, k).mT for side in (dleft, dright)], dim=2).view(N * k, -1)
    dw = maps_backward(structure, w, dY.t().mm(x.mT.reshape(-1, n)).view(F.shape), A, B)
    return dw, dY.mm(F.view(-1, n)).view(N, k, n).mT if needs_dx else None


def dense(structure: LPHM, w: Tensor) -> tuple[Tensor, ...]:
    """``W`` ``(C, n, n)``, and what ``dense_backward`` needs."""
    n, p, q, r = structure.n, structure.p, structure.q, structure.r
    l, s, t, start = w.shape[-1], n // p, n // q, w.storage_offset()
    C = w.numel() // l
    S = w.as_strided((C, s, r), (l, r, 1), start + p * q)
    T = w.as_strided((C, t, r), (l, r, 1), start + p * q + s * r)
    A, B = w.as_strided((C, p, 1, q, 1), (l, q, 1, 1, 1), start), S.bmm(T.mT)
    return (A * B.view(C, 1, s, 1, t)).view(C, n, n), A, B, S, T


def dense_backward(structure: LPHM, w: Tensor, dW: Tensor, *kept: Tensor) -> Tensor:
    """The gradient of ``w``."""
    A, B, S, T = kept
    (C, s, t), p, q = B.shape, structure.p, structure.q
    blocks = dW.view(C, p, s, q, t).transpose(2, 3).reshape(C, p * q, s * t)
    dA = blocks.bmm(B.view(C, s * t, 1))
    dB = A.reshape(C, 1, p * q).bmm(blocks).view(C, s, t)
    factors = dA, dB.bmm(T), dB.mT.bmm(S)
    return torch.cat([factor.view(C, -1) for factor in factors], dim=1).view(w.shape)


def maps(structure: LPHM, w: Tensor) -> tuple[Tensor, ...]:
    """``F`` ``(2, C, K, n)``, and what ``maps_backward`` needs: ``A`` and the factor that it mixes."""
    A, sides = _mixing(structure, w), _thin_sides(structure, w)  # Sᵀ (C, r, n/p), Tᵀ (C, r, n/q)
    mixed = 1 if structure.p <= structure.q else 0  # left, right = U, A V or Aᵀ U, V
    A = A if mixed else A.mT  # (C, u, v)
    (C, u, v), r = A.shape, structure.r
    F = w.new_zeros(2, C, u, r, structure.n)
    # Row (i, r) of one side is the row of its factor in block i; of the other, A[i, j] times it in block j.
    F[1 - mixed].view(C, u, r, u, -1).diagonal(dim1=1, dim2=3).copy_(sides[1 - mixed].unsqueeze(-1))
    A, B = A.view(C, u, 1, v, 1), sides[mixed].view(C, 1, r, 1, -1)
    torch.mul(A, B, out=F[mixed].view(C, u, r, v, -1))
    return F.view(2, C, u * r, structure.n), A, B


def maps_backward(structure: LPHM, w: Tensor, dF: Tensor, A: Tensor, B: Tensor) -> Tensor:
    """The gradient of ``w``."""
    dw, mixed = torch.empty_like(w), 1 if structure.p <= structure.q else 0
    dsides, (C, u, _, v, _), r = _thin_sides(structure, dw), A.shape, structure.r
    dplain = dF[1 - mixed].view(C, u, r, u, -1).diagonal(dim1=1, dim2=3)  # (C, r, s, u)
    torch.sum(dplain, -1, out=dsides[1 - mixed])
    dmixed = dF[mixed].view(C, u, r, v, -1)
    dsides[mixed].copy_((dmixed * A).sum((1, 3)))
    dA = (dmixed * B).sum((2, 4))  # (C, u, v)
    _mixing(structure, dw).copy_(dA if mixed else dA.mT)
    return dw


def _thin_sides(structure: LPHM, w: Tensor) -> tuple[Tensor, Tensor]:
    """``Sᵀ`` and ``Tᵀ`` in ``w``, views ``(C, r, s)``."""
    p, q, r = structure.p, structure.q, structure.r
    l, s, t, start = w.shape[-1], structure.n // p, structure.n // q, w.storage_offset() + p * q
    C = w.numel() // l
    S = w.as_strided((C, r, s), (l, 1, r), start)
    return S, w.as_strided((C, r, t), (l, 1, r), start + s * r)


# One sample and one channel, differentiated by autograd: the same in as few operators as it takes.


def _split(structure: LPHM, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p, q, r = structure.p, structure.q, structure.r
    s, t = structure.n // p, structure.n // q
    A, S, T = torch.split(w, [p * q, s * r, t * r])
    return A.view(p, q), S.view(s, r), T.view(t, r)


def dense_of_one(structure: LPHM, w: Tensor) -> Tensor:
    """``W`` ``(n, n)`` of ``w`` ``(l,)``."""
    A, S, T = _split(structure, w)
    (p, q), s, t = A.shape, len(S), len(T)
    return (A.view(p, 1, q, 1) * S.mm(T.t()).view(1, s, 1, t)).view(structure.n, structure.n)


def pair_of_one(structure: LPHM, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``left, right`` ``(K, k)`` of ``w`` ``(l,)`` and ``x`` ``(n, k)``."""
    (A, S, T), (_, k) = _split(structure, w), x.shape
    (p, q), (s, r), t = A.shape, S.shape, len(T)
    U = S.t().expand(p, r, s).bmm(x.reshape(p, s, k))  # (p, r, k)
    V = T.t().expand(q, r, t).bmm(x.reshape(q, t, k))  # (q, r, k)
    if p <= q:
        return U.view(p * r, k), A.mm(V.view(q, r * k)).view(p * r, k)
    return A.t().mm(U.view(p, r * k)).view(q * r, k), V.view(q * r, k)
