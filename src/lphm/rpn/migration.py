"""Parameters trained with tinyBIG 0.2.1, converted so that they give the same ``W``.

tinyBIG differs from the specification in two places. Its vector holds ``Tᵀ`` (and ``Qᵀ``) where ours holds
``T``. And its ``W`` is the outer product of the flattened ``A`` and ``B``, reshaped to ``n x n``,

    W[e // n, e % n] = A[f // q, f % q] · B[g // t, g % t],    f, g = e // (s t), e % (s t),

with ``B`` ``s x t``, ``s = n/p``, ``t = n/q``: the numbers of ``A ⊗ B`` in another order. The product of
``A[i, j]`` and ``B[a, b]`` stands at ``e = (i q + j) s t + a t + b``; in ``A ⊗ B`` it stands at
``e = (i s + a) n + j t + b``. The two are equal for every ``A`` and ``B`` if and only if
``j (s - 1) = a (q - 1)`` for all ``j < q`` and ``a < s``: if ``q = 1`` or ``s = 1``, that is ``p = n``.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from lphm.rpn.base import interdependence
from lphm.structures import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure

#: The structures that tinyBIG has. A subclass may mean another W, so the exact type is what counts.
TINYBIG = (Full, LowRank, HM, LPHM, DualLPHM, RandomMatrixAdaptation)


def from_tinybig(
    structure: Structure, w: Tensor, compact: bool = False, gaussians: tuple[Tensor, Tensor] | None = None
) -> tuple[Structure, Tensor]:
    """The structure and the vector with the ``W`` that tinyBIG 0.2.1 makes of ``w``.

    What comes of each structure::

        Full, LowRank             the same, Qᵀ transposed
        HM, LPHM, DualLPHM        the same, Tᵀ and Qᵀ transposed, if q = 1 or p = n; otherwise Full
        RandomMatrixAdaptation    LowRank, P = diag(λ₁) A diag(λ₂) and Q = B

    Shape:
        ``w`` ``(*, l)``, such as ``head.w_attribute_interdependence`` ``(channels, l)``; the result
        ``(*, l')``.

    Args:
        structure: the sizes that tinyBIG was given, such as ``LPHM(n=b, p=p, q=q, r=r)`` for the attribute
            type; ``xi.structure`` of a function of this package that was built with them.
        w: tinyBIG's parameters.
        compact: return an ``HM`` with ``p q + n²/(p q)`` parameters in place of a ``Full`` with ``n²``,
            where one of ``p q`` and ``n`` divides the other. The vector of an ``HM`` is then unchanged.
        gaussians: for ``RandomMatrixAdaptation`` the ``A`` and ``B`` that tinyBIG drew, both ``(n, r)``, from
            ``parameter_fabrication.A`` and ``.B``. tinyBIG does not save them with the model.

    Raises:
        ValueError: ``w`` does not end in ``l``; ``gaussians`` are missing or have another shape; ``W`` is
            rectangular.
        TypeError: ``structure`` is not one of the six above; a subclass may have another ``W``; ``w`` is not
            a tensor.

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
    _check_arguments(structure, w)
    n, factors = structure.n, structure.unpack(w)
    match structure:
        case Full():
            return structure, w
        case LowRank():
            P, Q = factors
            return structure, structure.pack(P, _read_transposed(Q))
        case RandomMatrixAdaptation(r=r):
            A, B = _check_gaussians(gaussians, n, r, w)
            P = factors[0].unsqueeze(-1) * A * factors[1].unsqueeze(-2)  # diag(λ₁) A diag(λ₂), (*, n, r)
            target = LowRank(n=n, r=r)
            return target, target.pack(P, B.expand_as(P))
        case HM():
            A, B = factors
        case LPHM():
            A, S, T = factors
            T = _read_transposed(T)
            B = S @ T.mT
            factors = A, S, T
        case DualLPHM():
            P, Q, S, T = factors
            Q, T = _read_transposed(Q), _read_transposed(T)
            A, B = P @ Q.mT, S @ T.mT
            factors = P, Q, S, T
    p, q = A.shape[-2:]
    if q == 1 or p == n:
        return structure, structure.pack(*factors)
    return _outer_product(n, A.flatten(-2), B.flatten(-2), compact)


def _read_transposed(factor: Tensor) -> Tensor:
    """The factor ``(*, i, j)`` whose numbers lie in the vector as those of its transpose ``(*, j, i)``."""
    *batch, i, j = factor.shape
    return factor.reshape(*batch, j, i).mT


def _outer_product(n: int, a: Tensor, b: Tensor, compact: bool) -> tuple[Structure, Tensor]:
    """The ``W`` that tinyBIG makes of the flattened ``A`` ``(*, p q)`` and ``B`` ``(*, n²/(p q))``."""
    entries = a.shape[-1]
    if compact and (n % entries == 0 or entries % n == 0):  # a is a column, or whole rows of W
        return HM(n=n, p=min(entries, n), q=max(entries // n, 1)), torch.cat([a, b], dim=-1)
    return Full(n=n), (a.unsqueeze(-1) * b.unsqueeze(-2)).flatten(-2)


def _check_arguments(structure: object, w: object) -> None:
    if type(structure) not in TINYBIG:
        names = ", ".join(f"lphm.{known.__name__}" for known in TINYBIG)
        got = repr(structure) if isinstance(structure, Structure) else type(structure).__name__
        advice = "pass the one with the sizes that tinyBIG was given"
        if isinstance(structure, interdependence):
            advice = "pass its structure, xi.structure"
        elif isinstance(structure, Tensor):
            got = f"a tensor of shape {tuple(structure.shape)}"
            advice = "the structure comes first, then w"
        raise TypeError(
            f"structure must be one of {names} and no subclass of them, whose W may be another, "
            f"got {got}; {advice}"
        )
    if isinstance(structure, Structure) and structure.columns is not None:
        raise ValueError(
            f"structure must have a square W, as all bilinear functions of tinyBIG have, got {structure}; "
            "leave columns out"
        )
    if not isinstance(w, Tensor):
        advice = "use torch.as_tensor"
        if isinstance(w, Mapping):
            advice = "pass one entry, such as checkpoint['w_instance_interdependence']"
        raise TypeError(f"w must be a tensor (*, l), got {type(w).__name__}; {advice}")


def _check_gaussians(
    gaussians: tuple[Tensor, Tensor] | None, n: int, r: int, w: Tensor
) -> tuple[Tensor, Tensor]:
    shapes = None if gaussians is None else [tuple(matrix.shape) for matrix in gaussians]
    if gaussians is None or shapes != [(n, r), (n, r)]:
        raise ValueError(
            f"gaussians must be tinyBIG's A and B, ({n}, {r}) each, got {shapes}; "
            "take them from parameter_fabrication.A and .B of the trained function"
        )
    return gaussians[0].to(w), gaussians[1].to(w)
