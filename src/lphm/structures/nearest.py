r"""From a dense ``W`` to the nearest matrix of a structure.

Everything about ``W = A ⊗ B`` follows from one rearrangement (Van Loan and Pitsianis, 1993): with the block
``(i, j)`` of ``W`` as row ``(i, j)`` of ``R(W)`` ``(pq, n²/(pq))``,

    ‖W - A ⊗ B‖_F = ‖R(W) - vec(A) vec(B)ᵀ‖_F,

so the best ``A, B`` are the first singular pair of ``R(W)``. Where ``A`` or ``B`` has to be of low rank, each
is found in turn while the other stays, which is a projection and has a closed form.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lphm.structures.base import DENSE_HOOKS, PAIR_HOOKS, Factors, Structure
from lphm.structures.dual_lphm import DualLPHM
from lphm.structures.full import Full
from lphm.structures.hm import HM
from lphm.structures.leading import Effort, leading
from lphm.structures.low_rank import LowRank
from lphm.structures.lphm import LPHM
from lphm.structures.random_matrix import RandomMatrixAdaptation, fixed_matrices
from lphm.structures.toeplitz import Toeplitz

#: What a class states about its ``W``.
HOOKS = DENSE_HOOKS | PAIR_HOOKS | {"factor_shapes"}
#: Singular vectors of ``R(W)`` of less than this share of the first one are no starts of alternation.
WEIGHT = 1e-12

Pair = tuple[Tensor, Tensor]


@torch.no_grad()
def nearest(structure: Structure, W: Tensor) -> Tensor:
    r"""The parameters ``w`` that minimise ``‖W - structure.to_dense(w)‖_F``.

    How they are found, and whether there can be better ones::

        Full                     w = W                                       exact
        LowRank                  the first r singular triples of W           exact (Eckart-Young)
        Toeplitz                 the mean of each diagonal                   exact
        HM                       the first singular pair of R(W)             exact (Van Loan-Pitsianis)
        LPHM, DualLPHM           A and B in turn, each by a closed form      a local minimum
        RandomMatrixAdaptation   λ₁ and λ₂ in turn, each by least squares    a local minimum

    A ``W`` that has the structure is found up to rounding. For any other, no round of alternation increases
    the distance, and the best of several starts is taken. The factors get entries of one size, as
    ``initialize_`` gives them, so that training can go on. Costs, in float64, ``O(n²)`` for a round, and
    up to ``n = 512`` a singular value decomposition of ``n²`` numbers, ``O(n³)``. Above, singular vectors are
    those of subspace iteration, ``O(n²)`` a round, until a round takes less than 1e-9 off the squared
    distance: for a ``W`` without structure, what is exact is then nearly so.

    Shape:
        ``W`` ``(*, n, columns)``; ``w`` ``(*, l)``, of the type of ``W`` and without a gradient.

    Args:
        structure: what ``W`` is to become.
        W: the matrix.

    Raises:
        ValueError: ``W`` is not ``n x columns``, or not finite.
        TypeError: ``W`` is not floating point, or there is no method for the structure: a class that states
            its own ``W`` defines ``nearest_factors(self, W)``, from ``W`` ``(n, columns)`` to its factors.

    Example:
        >>> structure = LPHM(n=96, p=8, q=8, r=4)
        >>> W = structure.to_dense(torch.randn(160))
        >>> torch.dist(structure.to_dense(nearest(structure, W)), W) < 1e-4 * W.norm()
        tensor(True)

    Reference:
        Van Loan and Pitsianis (1993), Approximation with Kronecker products.
    """
    if not isinstance(W, Tensor) or not W.is_floating_point():
        got = W.dtype if isinstance(W, Tensor) else type(W).__name__
        raise TypeError(f"W must be a floating-point torch.Tensor, got {got}")
    n, columns = structure.shape
    if W.dim() < 2 or W.shape[-2:] != structure.shape:
        raise ValueError(f"W must be (*, {n}, {columns}), got shape {tuple(W.shape)}")
    if not W.isfinite().all():
        raise ValueError("W must be finite, got nan or inf in it")
    vectors = [structure.pack(*nearest_factors(structure, M)) for M in W.double().reshape(-1, n, columns)]
    out = torch.stack(vectors) if vectors else W.new_empty(0, structure.num_parameters)
    return out.to(W.dtype).reshape(*W.shape[:-2], structure.num_parameters)


def nearest_factors(structure: Structure, W: Tensor, effort: Effort | None = None) -> Factors:
    """The factors of ``nearest`` for one finite ``W`` ``(n, columns)``.

    By the method of the most derived class that has one, as long as no class before it states ``W`` anew.
    """
    for cls in type(structure).__mro__:
        if "nearest_factors" in vars(cls):
            stated: Callable[[Tensor], Factors] = structure.nearest_factors  # type: ignore[attr-defined]
            return stated(W)
        if cls in METHODS:
            return _balanced(METHODS[cls](structure, W, effort or Effort()))
        if not HOOKS.isdisjoint(vars(cls)):
            break
    name = type(structure).__name__
    raise TypeError(
        f"structure must be one that lphm.nearest has a method for, got {structure!r}; "
        f"define {name}.nearest_factors(self, W), from W (n, n) to the factors nearest to it"
    )


def _low_rank(M: Tensor, r: int, effort: Effort) -> Pair:
    """``P`` ``(i, r)`` and ``Q`` ``(j, r)`` with ``P Qᵀ`` nearest to ``M`` ``(i, j)``; Eckart-Young."""
    U, sigma, Vh = leading(M, r, effort)
    root = sigma.sqrt()
    missing = r - len(root)  # r above what M has: zero columns
    return F.pad(U * root, (0, missing)), F.pad(Vh.mT * root, (0, missing))


def _truncated(M: Tensor, r: int, effort: Effort) -> Tensor:
    """The matrix of rank ``r`` nearest to ``M``."""
    if r >= min(M.shape):
        return M
    P, Q = _low_rank(M, r, effort)
    return P @ Q.mT


def _nearest_hm(structure: HM, W: Tensor, effort: Effort) -> Factors:
    p, q = structure.p, structure.q
    a, b = _low_rank(_rearranged(W, p, q), 1, effort)  # (p q, 1), (s t, 1)
    return a.reshape(p, q), b.reshape(structure.block)


def _nearest_lphm(structure: LPHM, W: Tensor, effort: Effort) -> Factors:
    p, q, r = structure.p, structure.q, structure.r
    A, B = _kronecker(W, (p, q), (min(p, q), r), effort)
    return A, *_low_rank(B, r, effort)


def _nearest_dual_lphm(structure: DualLPHM, W: Tensor, effort: Effort) -> Factors:
    r = structure.r
    A, B = _kronecker(W, (structure.p, structure.q), (r, r), effort)
    return *_low_rank(A, r, effort), *_low_rank(B, r, effort)


def _rearranged(W: Tensor, p: int, q: int) -> Tensor:
    """``R(W)`` ``(p q, s t)``: block ``(i, j)`` of ``W`` as a row."""
    s, t = W.shape[0] // p, W.shape[1] // q
    return W.reshape(p, s, q, t).transpose(1, 2).reshape(p * q, s * t)


def _kronecker(W: Tensor, blocks: tuple[int, int], ranks: tuple[int, int], effort: Effort) -> Pair:
    """``A`` ``(p, q)`` and ``B`` ``(n/p, columns/q)`` of these ranks with ``A ⊗ B`` near to ``W``.

    Given ``B``, ``‖R - a bᵀ‖² = ‖b‖² ‖a - R b / ‖b‖²‖² + what does not depend on a``: so the best ``A`` of a
    rank is the truncation of ``R b / ‖b‖²``, and the best ``B`` that of ``Rᵀ a / ‖a‖²``.
    """
    (p, q), (rank_A, rank_B) = blocks, ranks
    R, shape = _rearranged(W, p, q), (W.shape[0] // p, W.shape[1] // q)
    _, sigma, Vh = leading(R, effort.starts, effort)
    total = R.square().sum()

    def improved(pair: Pair) -> Pair:
        _, B = pair
        A = _truncated((R @ B.flatten()).view(p, q) / B.square().sum(), rank_A, effort)
        return A, _truncated((A.flatten() @ R).view(shape) / A.square().sum(), rank_B, effort)

    def distance(pair: Pair) -> float:
        a, b = (factor.flatten() for factor in pair)
        return (total - 2 * (a @ R) @ b + a.square().sum() * b.square().sum()).item()

    zero = W.new_zeros(p, q)
    if not sigma[0] > 0:
        return zero, W.new_zeros(shape)
    starts = Vh[sigma > WEIGHT * sigma[0]]
    return _best(
        [(zero, _truncated(v.view(shape), rank_B, effort)) for v in starts], improved, distance, effort
    )


def _nearest_random_matrix(structure: RandomMatrixAdaptation, W: Tensor, effort: Effort) -> Pair:
    """``λ₁`` ``(n,)`` and ``λ₂`` ``(r,)`` with ``diag(λ₁) A diag(λ₂) Bᵀ`` near to ``W``.

    Given ``λ₁ = d``, ``λ₂`` solves ``((Aᵀ diag(d²) A) ∘ (Bᵀ B)) λ₂ = diag(Aᵀ diag(d) W B)``; given ``λ₂``,
    each row of ``W`` is a multiple of that row of ``A diag(λ₂) Bᵀ``. Two starts come from
    ``(λ₁ λ₂ᵀ) ∘ A ≈ W B (Bᵀ B)⁻¹``, one is ``λ₁ = 1``.
    """
    A, B = fixed_matrices(structure.shape, structure.r, structure.seed, W.dtype, W.device)
    gram = B.mT @ B  # (r, r)

    def improved(pair: Pair) -> Pair:
        d, _ = pair
        scaled = d[:, None] * A
        second = torch.linalg.pinv((scaled.mT @ scaled) * gram, hermitian=True) @ (scaled * (W @ B)).sum(0)
        M = (A * second) @ B.mT
        size = M.square().sum(1)
        return torch.where(size > 0, (W * M).sum(1) / size, 0), second

    def distance(pair: Pair) -> float:
        d, second = pair
        return (W - (d[:, None] * A * second) @ B.mT).square().sum().item()

    C = W @ B @ torch.linalg.pinv(gram, hermitian=True)  # (n, r)
    firsts = [_low_rank(M, 1, effort)[0][:, 0] for M in (C * A, C / A)]
    starts = [(d, torch.zeros_like(A[0])) for d in (*firsts, torch.ones_like(A[:, 0]))]
    return _best(starts, improved, distance, effort)


def _nearest_toeplitz(structure: Toeplitz, W: Tensor, _effort: Effort) -> Factors:
    h = structure.largest_lag
    return (torch.stack([W.diagonal(lag).mean() for lag in range(-h, h + 1)]),)


def _best(
    starts: list[Pair],
    improved: Callable[[Pair], Pair],
    distance: Callable[[Pair], float],
    effort: Effort,
) -> Pair:
    """Alternation from every start until it stops to gain, and the nearest of its ends."""

    def settled(pair: Pair) -> Pair:
        last = float("inf")
        for _ in range(effort.rounds):
            pair = improved(pair)
            now = distance(pair)
            if now >= (1 - effort.gain) * last:
                break
            last = now
        return pair

    return min((settled(start) for start in starts), key=distance)


def _balanced(factors: Factors) -> Factors:
    """The same product from factors whose entries have one root mean square."""
    sizes = [factor.square().mean().sqrt() for factor in factors]
    common = torch.stack(sizes).prod() ** (1 / len(sizes))
    return tuple(
        torch.where(common > 0, factor * (common / size), factor)
        for factor, size in zip(factors, sizes, strict=True)
    )


#: From ``W`` to factors, by the exact class.
METHODS: dict[type[Structure], Callable[[Any, Tensor, Effort], Factors]] = {
    Full: lambda _structure, W, _effort: (W,),
    LowRank: lambda structure, W, effort: _low_rank(W, structure.r, effort),
    HM: _nearest_hm,
    LPHM: _nearest_lphm,
    DualLPHM: _nearest_dual_lphm,
    RandomMatrixAdaptation: _nearest_random_matrix,
    Toeplitz: _nearest_toeplitz,
}
