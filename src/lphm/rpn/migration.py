"""Parameters trained with tinyBIG 0.2.1, read so that they mean the same ``W``.

tinyBIG and the specification part in two places. Its vector holds ``Tᵀ`` (and ``Qᵀ``) where ours holds
``T``. And its ``W`` is the outer product of the flattened ``A`` and ``B``, reshaped to ``n x n``,

    W[e // n, e % n] = A[f // q, f % q] · B[g // t, g % t],    f, g = e // (s t), e % (s t),

with ``B`` ``s x t``, ``s = n/p``, ``t = n/q``: the numbers of ``A ⊗ B`` in another order. Entry ``[i, j]`` of
``A`` and ``[a, b]`` of ``B`` meet at ``e = (i q + j) s t + a t + b``; in ``A ⊗ B`` at
``e = (i s + a) n + j t + b``.
The two are one for every ``A`` and ``B`` if and only if ``j (s - 1) = a (q - 1)`` for all ``j < q`` and
``a < s``: if ``q = 1`` or ``s = 1``, that is ``p = n``.
"""

import torch
from torch import Tensor

from lphm.structures import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure


def from_tinybig(
    structure: Structure, w: Tensor, compact: bool = False, gaussians: tuple[Tensor, Tensor] | None = None
) -> tuple[Structure, Tensor]:
    """The structure and the vector with the ``W`` that tinyBIG 0.2.1 makes of ``w``.

        Full, LowRank             the same, Qᵀ turned
        HM, LPHM, DualLPHM        the same, Tᵀ and Qᵀ turned, if q = 1 or p = n; otherwise Full
        RandomMatrixAdaptation    LowRank, P = diag(λ₁) A diag(λ₂) and Q = B

    Shape:
        ``w`` ``(*, l)``, such as ``head.w_attribute_interdependence`` ``(channels, l)``; the result
        ``(*, l')``.

    Args:
        structure: the sizes that tinyBIG was given, such as ``LPHM(n=b, p=p, q=q, r=r)`` for the attribute
            type; ``xi.structure`` of a function of this package that was built with them.
        w: tinyBIG's parameters.
        compact: where it would be ``Full``, with ``n²`` parameters, and one of ``p q`` and ``n`` divides the
            other: an ``HM`` with ``p q + n²/(p q)``. What was an ``HM`` then keeps its vector.
        gaussians: for ``RandomMatrixAdaptation`` the ``A`` and ``B`` that tinyBIG drew, both ``(n, r)``, from
            ``parameter_fabrication.A`` and ``.B``. tinyBIG does not save them with the model.

    Raises:
        ValueError: ``w`` does not end in ``l``; ``gaussians`` are missing or have another shape.
        TypeError: tinyBIG has no such structure.

    Example:
        >>> from lphm.rpn import from_tinybig
        >>> w = torch.tensor([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0])     # A, S, Tᵀ
        >>> structure, w = from_tinybig(LPHM(n=4, p=2, q=2, r=1), w)
        >>> structure
        Full(n=4)
        >>> structure.to_dense(w)[2]                       # of A ⊗ (S Tᵀ): 9, 12, 12, 16
        tensor([ 9., 12., 18., 24.])

    Reference:
        tinyBIG 0.2.1, ``tinybig.reconciliation``; its publication: RPN 2 (Zhang, 2024, arXiv:2411.11162).
    """
    structure.check_parameters(w)
    n = structure.n
    match structure:
        case Full():
            return structure, w
        case LowRank(r=r):
            P, Qt = _cut(w, (n, r), (r, n))
            return structure, structure.pack(P, Qt.mT)
        case RandomMatrixAdaptation(r=r):
            scale_rows, scale_columns = torch.split(w, [n, r], dim=-1)
            A, B = _check_gaussians(gaussians, n, r, w)
            P = scale_rows.unsqueeze(-1) * A * scale_columns.unsqueeze(-2)  # (*, n, r)
            target = LowRank(n=n, r=r)
            return target, target.pack(P, B.expand_as(P))
        case HM(p=p, q=q):
            A, B = _cut(w, (p, q), (n // p, n // q))
            return _kronecker(structure, (A, B), A, B, p, q, compact)
        case LPHM(p=p, q=q, r=r):
            A, S, Tt = _cut(w, (p, q), (n // p, r), (r, n // q))
            return _kronecker(structure, (A, S, Tt.mT), A, S @ Tt, p, q, compact)
        case DualLPHM(p=p, q=q, r=r):
            P, Qt, S, Tt = _cut(w, (p, r), (r, q), (n // p, r), (r, n // q))
            return _kronecker(structure, (P, Qt.mT, S, Tt.mT), P @ Qt, S @ Tt, p, q, compact)
    raise TypeError(f"structure must be one that tinyBIG has, got {structure!r}")


def _cut(w: Tensor, *shapes: tuple[int, int]) -> list[Tensor]:
    """Matrices that lie row-major, one after another, in ``w`` ``(*, l)``."""
    parts = torch.split(w, [rows * columns for rows, columns in shapes], dim=-1)
    return [torch.unflatten(part, -1, shape) for part, shape in zip(parts, shapes, strict=True)]


def _kronecker(
    structure: Structure, factors: tuple[Tensor, ...], A: Tensor, B: Tensor, p: int, q: int, compact: bool
) -> tuple[Structure, Tensor]:
    """``factors`` where they give tinyBIG's ``W``, else the outer product of ``A`` and ``B``, flattened."""
    n = structure.n
    if q == 1 or p == n:
        return structure, structure.pack(*factors)
    a, b = A.flatten(-2), B.flatten(-2)  # (*, p q), (*, s t)
    if compact and n % (p * q) == 0:  # a as a column, whole rows of W in B
        return HM(n=n, p=p * q, q=1), torch.cat([a, b], dim=-1)
    if compact and (p * q) % n == 0:  # whole rows of W in a, b as a row
        return HM(n=n, p=n, q=p * q // n), torch.cat([a, b], dim=-1)
    return Full(n=n), (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2)


def _check_gaussians(
    gaussians: tuple[Tensor, Tensor] | None, n: int, r: int, w: Tensor
) -> tuple[Tensor, Tensor]:
    got = None if gaussians is None else [tuple(matrix.shape) for matrix in gaussians]
    if gaussians is None or got != [(n, r), (n, r)]:
        raise ValueError(
            f"gaussians must be tinyBIG's A and B, ({n}, {r}) each, got {got}; "
            "take them from parameter_fabrication.A and .B of the trained function"
        )
    A, B = gaussians
    return A.to(w), B.to(w)
