"""Low rank: W = P Qᵀ."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from lphm.structures.base import Factors
from lphm.structures.row_blocks import blocks_backward, blocks_forward, blocks_transposed
from lphm.structures.sizing import Sized
from lphm.structures.thin import Thin

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class LowRank(Thin, Sized):
    r"""``W`` of rank ``r``, ``W = P Qᵀ``.

    ``P`` and ``Q`` are ``n x r``. The vector holds ``[P, Q]``, each row-major, ``l = 2 n r``; the thin
    pair is ``left, right = Pᵀ X, Qᵀ X`` with ``K = r``. It is ``LPHM`` with ``p = q = 1`` and ``A = 1``.

    Args:
        n: rows and columns of ``W``.
        r: rank of ``W``.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is not an int.

    Example:
        >>> LowRank(n=96, r=4).num_parameters     # 2 · 96 · 4; dense: 9216
        768

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence with low-rank
        reconciliation (LoRR).
    """

    r: int
    name: ClassVar[str] = "low_rank"

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``P`` and ``Q``, ``(n, r)`` each."""
        return {"P": (self.n, self.r), "Q": (self.n, self.r)}

    @property
    def terms(self) -> int:
        """``W[i, j] = Σ_r P[i, r] Q[j, r]``: ``r`` products."""
        return self.r

    @property
    def middle(self) -> int:
        """``K = r``."""
        return self.r

    def projection_flops(self, k: int) -> int:
        """``Pᵀ X`` and ``Qᵀ X``."""
        return 4 * self.n * self.r * k

    def largest_rank(self, rows: int | None = None) -> int:
        """``r``, or as many as there are rows."""
        return min(self.r, self.n if rows is None else rows)

    @property
    def degrees_of_freedom(self) -> int:
        """``r (2 n - r)``, what the matrices of rank ``r`` have."""
        r = self.largest_rank()
        return r * (2 * self.n - r)

    @classmethod
    def _smallest(cls, n: int) -> "Iterator[Self]":
        yield cls(n=n, r=1)

    @property
    def _last_useful_r(self) -> int:
        return self.n

    def _dense(self, *factors: Tensor) -> Tensor:
        P, Q = factors
        return P @ Q.mT  # (C, n, n)

    def _block_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        P, Q = factors
        return P, Q  # all of x is one block

    def _join(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return U.squeeze(2), V.squeeze(2)  # (N, C, r, k) each

    # By hand: [P|Q]ᵀ is one flat factor on one block of n rows.

    def _thin_view(self, w: Tensor) -> Tensor:
        l, n, r = w.shape[-1], self.n, self.r
        return w.as_strided((w.numel() // l, 2, r, n), (l, n * r, 1, r), w.storage_offset())

    def _project_keeping(self, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
        F = self._thin_view(w).reshape(-1, self.n)  # (C 2 r, n)
        left, right = blocks_forward(F, x).reshape(-1, 2, self.r, x.shape[2]).unbind(1)  # (N C, r, k)
        return left, right, F

    def _project_backward(
        self, w: Tensor, x: Tensor, dleft: Tensor, dright: Tensor, needs_dx: bool, F: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        dw, dY = torch.empty_like(w), torch.stack([dleft, dright], dim=1)  # (N C, 2, r, k)
        blocks_backward(F, x, dY, self._thin_view(dw))
        return dw, blocks_transposed(F, x, dY, None) if needs_dx else None
