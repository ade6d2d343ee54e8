"""The structure, and its sizes, that come nearest to a matrix with a number of parameters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import Any

import torch
from torch import Tensor

from lphm.structures.base import Factors, Structure
from lphm.structures.dual_lphm import DualLPHM
from lphm.structures.full import Full
from lphm.structures.hm import HM
from lphm.structures.leading import Effort
from lphm.structures.low_rank import LowRank
from lphm.structures.lphm import LPHM
from lphm.structures.nearest import nearest_factors
from lphm.structures.screening import merits
from lphm.structures.sizing import Sized, parameter_limit
from lphm.structures.toeplitz import Toeplitz

#: What is searched, all sizes of each. Random matrices that are only scaled fit no ``W`` better than another.
SEARCHED: tuple[type[Structure], ...] = (LPHM, DualLPHM, HM, LowRank, Toeplitz, Full)
#: How many sizes of a structure with blocks are fitted.
FITTED = 3
#: What a fit for the comparison takes, and what the fit of the best one does.
COARSE, FINE = Effort(starts=1, gain=1e-4, rounds=10), Effort(gain=1e-5, rounds=30)
#: Relative errors, and singular values or coefficients, that are only rounding: of float64, and of others.
ROUNDING = 1e-14, 1e-5


@dataclass(frozen=True, kw_only=True, repr=False)
class Compressed:
    """What ``lphm.compress`` has found: a structure, and the vector that brings it nearest to a matrix ``W``.

    Attributes:
        structure: the structure, with its sizes.
        vector: its parameters ``w`` ``(l,)``, of the type and on the device of ``W``, without a gradient.
        error: ``‖W - structure.to_dense(w)‖_F / ‖W‖_F``; 0 for a matrix of zeros.
        others: what else was fitted, best first.

    Example:
        >>> found = compress(torch.eye(6), budget=20, structures=[Toeplitz, LowRank])
        >>> found.structure, found.error < 1e-6, len(found.others)
        (Toeplitz(n=6, lags=1), True, 1)
        >>> [round(x, 4) for x in found.vector.tolist()]
        [1.0]
        >>> compress(torch.ones(2, 3), budget=1.0, structures=[Full])
        <Compressed Full(n=2, columns=3): 6 parameters, error 0, 0 others>
    """

    structure: Structure
    vector: Tensor
    error: float
    others: "tuple[Compressed, ...]" = ()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.structure}: {self.structure.num_parameters} parameters, "
            f"error {self.error:.3g}, {len(self.others)} others>"
        )


@torch.no_grad()
def compress(W: Tensor, budget: float, structures: Sequence[type[Structure]] = SEARCHED) -> Compressed:
    r"""The structured matrix of at most ``budget`` parameters that comes nearest to ``W``.

    Of all structures and all of their sizes it is the one of the least

        error = ‖W - structure.to_dense(w)‖_F / ‖W‖_F        w = lphm.nearest(structure, W),

    as far as the search finds it: how well each size of LPHM, DualLPHM and HM fits is estimated from a sketch
    of ``W``, and the best three of each structure are fitted, in ``O(n columns)`` each. ``r`` and ``lags``
    are the largest that the budget allows, without those that turn out to be zero. Among errors that are
    only rounding, the fewest parameters are best, so that a ``W`` that has a structure is found.

    Shape:
        ``W`` ``(n, columns)``, such as the weight of an ``nn.Linear``, ``(out_features, in_features)``.

    Args:
        W: the matrix.
        budget: an int, the largest number of parameters; or a float above 0 and up to 1, a share of the
            entries of ``W``.
        structures: which classes are searched.

    Raises:
        ValueError: ``W`` has no entries or is not finite, or no structure has so few parameters.
        TypeError: ``W`` is not floating point, a structure cannot be searched, or ``budget`` is not a number.

    Example:
        >>> structure = LPHM(n=96, p=8, q=4, r=2)
        >>> W = structure.to_dense(torch.randn(104, dtype=torch.float64))
        >>> found = compress(W, budget=500)
        >>> found.structure, found.error < 1e-12
        (LPHM(n=96, p=8, q=4, r=2), True)

    Reference:
        Van Loan and Pitsianis (1993), Approximation with Kronecker products; Halko, Martinsson and Tropp
        (2011), Finding structure with randomness.
    """
    _check_matrix(W)
    limit = parameter_limit(W.numel(), budget)
    scale = W.abs().max().double()
    M = W.double() / torch.where(scale > 0, scale, 1)  # its squares are neither 0 nor infinite
    choices = _choices(M, limit, budget, structures)
    fits = sorted((_fitted(choice, W, M, scale, COARSE) for choice in choices), key=_order)
    first, *others = fits
    best = min(first, _fitted(first.structure, W, M, scale, FINE), key=_order)
    return replace(best, others=tuple(others))


def _check_matrix(W: Tensor) -> None:
    """Raise unless ``W`` is a matrix of finite floating-point numbers."""
    if not isinstance(W, Tensor) or not W.is_floating_point():
        got = W.dtype if isinstance(W, Tensor) else type(W).__name__
        raise TypeError(f"W must be a floating-point torch.Tensor, got {got}")
    if W.dim() != 2 or not W.numel():
        raise ValueError(f"W must be a matrix (n, columns) with entries, got shape {tuple(W.shape)}")
    if not W.isfinite().all():
        raise ValueError("W must be finite, got nan or inf in it")


def _choices(M: Tensor, limit: int, budget: float, structures: Sequence[type[Structure]]) -> list[Structure]:
    """What is worth a fit."""
    unknown = [cls for cls in structures if cls not in SEARCHED]
    if unknown or not structures:
        known = ", ".join(cls.__name__ for cls in SEARCHED)
        raise TypeError(f"structures must be some of {known}, got {unknown or 'none'}")
    found: list[Structure] = []
    for cls in structures:
        sizes = [size for size in _sizes(cls, M.shape, limit) if size.num_parameters <= limit]
        if issubclass(cls, HM | LPHM | DualLPHM):
            merit = merits(M.float(), sizes)
            sizes = nlargest(FITTED, sizes, key=merit.__getitem__)
        found += sizes
    if not found:
        smallest = (size for cls in structures for size in _sizes(cls, M.shape))
        least = min(smallest, key=lambda structure: structure.num_parameters)
        raise ValueError(
            f"budget must be at least {least.num_parameters} parameters, those of {least}, got {budget}"
        )
    return found


def _sizes(cls: type[Structure], shape: tuple[int, ...], limit: int | None = None) -> list[Any]:
    n, columns = shape
    if issubclass(cls, Sized):
        return list(cls.every_size(n, columns, limit=limit))
    return [cls(n=n, columns=columns)]


def _fitted(structure: Structure, W: Tensor, M: Tensor, scale: Tensor, effort: Effort) -> Compressed:
    """The nearest to ``M``, for ``W = scale M``."""
    structure, factors = _without_zeros(structure, nearest_factors(structure, M, effort), _rounding(W))
    share = scale ** (1 / len(factors))  # W is a product of them
    vector = (structure.pack(*factors) * share).to(W.dtype)
    distance = torch.dist(structure.to_dense(vector.double() / share), M)
    return Compressed(structure=structure, vector=vector, error=(distance / M.norm()).nan_to_num(0).item())


def _rounding(W: Tensor) -> float:
    return ROUNDING[0] if W.dtype == torch.float64 else ROUNDING[1]


def _order(fit: Compressed) -> tuple[float, int]:
    """Best first; errors that differ by rounding are one, so that all machines choose the same."""
    return float(f"{max(fit.error, _rounding(fit.vector)):.10e}"), fit.structure.num_parameters


def _without_zeros(structure: Structure, factors: Factors, rounding: float) -> tuple[Structure, Factors]:
    """The same ``W`` without the columns of factors, or the largest lags, that only rounding fills."""
    if isinstance(structure, Toeplitz):
        (t,) = factors
        h = structure.largest_lag
        used = (t.abs() > rounding * t.abs().max()).nonzero().flatten() - h
        most = int(used.abs().max()) if len(used) else 0
        return replace(structure, lags=2 * most + 1), (t[h - most : h + most + 1],)
    if not isinstance(structure, LPHM | DualLPHM | LowRank):
        return structure, factors
    first = factors[:1] if isinstance(structure, LPHM) else ()  # A, which has no rank
    ranked = factors[len(first) :]
    sizes = [P.norm(dim=0) * Q.norm(dim=0) for P, Q in zip(ranked[::2], ranked[1::2], strict=True)]
    r = max(1, *(int((size > rounding * size.max()).sum()) for size in sizes))
    return replace(structure, r=r), (*first, *(factor[:, :r] for factor in ranked))
