"""W without structure: one parameter for each of its entries."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lphm.structures.base import Factors, Structure


@dataclass(frozen=True, kw_only=True)
class Full(Structure):
    r"""Every entry of ``W`` is a parameter of its own.

    ``W = reshape(w)``, ``l = n²``, ``left, right = X, W X``, ``K = n``.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; then ``l = n columns``.

    Example:
        >>> Full(n=4).num_parameters
        16

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence.
    """

    name: ClassVar[str] = "full"
    terms = 1  # an entry of W is one parameter

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``W`` alone."""
        return {"W": self.shape}

    def dense_from_factors(self, factors: Factors) -> Tensor:
        """``W`` itself."""
        (W,) = factors
        return W  # (C, n, columns)
