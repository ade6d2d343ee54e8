"""W without structure: one parameter for each of its entries."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lphm.structures.base import Factors, Structure, dense_pair


@dataclass(frozen=True, kw_only=True)
class Full(Structure):
    r"""Every entry of ``W`` is a parameter of its own.

    ``W = reshape(w)``, ``l = n²``, ``left, right = X, W X``, ``K = n``.

    Args:
        n: rows and columns of ``W``.

    Example:
        >>> Full(n=4).num_parameters
        16

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence.
    """

    name: ClassVar[str] = "full"

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``W`` alone."""
        return {"W": (self.n, self.n)}

    @property
    def terms(self) -> int:
        """An entry of ``W`` is one parameter."""
        return 1

    @property
    def middle(self) -> int:
        """``K = n``: there is no thin middle."""
        return self.n

    def projection_flops(self, k: int) -> int:
        """``W X``."""
        return 2 * self.n**2 * k

    def _dense(self, *factors: Tensor) -> Tensor:
        (W,) = factors
        return W  # (C, n, n)

    def _project(self, factors: Factors, x: Tensor) -> tuple[Tensor, Tensor]:
        (W,) = factors  # (C, n, n)
        rows = x.shape[1]
        return dense_pair(W[:, :rows, :rows], x)  # (N, 1, rows, k), (N, C, rows, k)
