"""Random matrix adaptation: W = diag(λ₁) A diag(λ₂) Bᵀ with A and B fixed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from lphm.errors import require_at_least, require_positive
from lphm.structures.base import Factors
from lphm.structures.sizing import Sized
from lphm.structures.thin import Thin

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class RandomMatrixAdaptation(Thin, Sized):
    r"""Random matrix adaptation, ``W = diag(λ₁) A diag(λ₂) Bᵀ``.

    ``A`` and ``B`` are ``n x r``, drawn once from ``seed`` and never trained; the vector holds
    ``[λ₁, λ₂]``, ``l = n + r``. The thin pair is ``left, right = (diag(λ₁) A diag(λ₂))ᵀ X, Bᵀ X`` with
    ``K = r``; ``right`` is one for all channels.

    NOTE[DIFF]: the columns of ``A`` and ``B`` are Gaussian in direction, but each has length ``√n``, not
    only on average: so ``E‖W‖_F² = gain²`` holds for every seed, not only over all seeds.

    Args:
        n: rows and columns of ``W``.
        r: rank of ``W``.
        seed: of ``A`` and ``B``; the same matrices on every device and, up to rounding, in every type.

    Raises:
        ValueError: a size is below 1, or ``seed`` below 0.
        TypeError: a size or ``seed`` is not an int.

    Example:
        >>> RandomMatrixAdaptation(n=96, r=4).num_parameters     # 96 + 4; dense: 9216
        100

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence with random matrix
        adaptation (RMA) reconciliation; VeRA (Kopiczko et al., 2024, arXiv:2310.11454).
    """

    r: int
    seed: int = 0
    name: ClassVar[str] = "random_matrix"

    def __post_init__(self) -> None:
        require_positive(n=self.n, r=self.r)
        require_at_least(0, seed=self.seed)

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``λ₁`` ``(n,)``, ``λ₂`` ``(r,)``."""
        return {"λ₁": (self.n,), "λ₂": (self.r,)}

    @property
    def terms(self) -> int:
        """``W[i, j] = λ₁[i] Σ_r A[i, r] λ₂[r] B[j, r]``: ``r`` products, ``A`` and ``B`` of unit size."""
        return self.r

    @property
    def middle(self) -> int:
        """``K = r``."""
        return self.r

    def projection_flops(self, k: int) -> int:
        """``(diag(λ₁) A diag(λ₂))ᵀ X`` and ``Bᵀ X``."""
        return 4 * self.n * self.r * k

    def largest_rank(self, rows: int | None = None) -> int:
        """``r``, or as many as there are rows."""
        return min(self.r, self.n if rows is None else rows)

    @property
    def degrees_of_freedom(self) -> int:
        """``l``, less the scale that ``λ₁`` and ``λ₂`` share."""
        return min(self.n + self.r - 1, self.n**2)

    @classmethod
    def _smallest(cls, n: int) -> "Iterator[Self]":
        yield cls(n=n, r=1)

    @property
    def _last_useful_r(self) -> int:
        return self.n

    def _block_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``diag(λ₁) A diag(λ₂)`` ``(C, n, r)`` and ``B`` ``(1, n, r)``, of one block."""
        first, second = factors  # λ₁ (C, n), λ₂ (C, r)
        A, B = fixed_matrices(self.n, self.r, self.seed, first.dtype, first.device)
        return first.unsqueeze(2) * A * second.unsqueeze(1), B.unsqueeze(0)

    def _dense(self, *factors: Tensor) -> Tensor:
        P, B = self._block_factors(factors)
        return P @ B.mT  # (C, n, n)

    def _join(self, factors: Factors, U: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return U.squeeze(2), V.squeeze(2)  # (N, C, r, k), (N, C or 1, r, k)


def fixed_matrices(
    n: int, r: int, seed: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """``A`` and ``B`` of a seed, ``(n, r)`` each with columns of length ``√n``."""
    return _drawn(n, r, seed, dtype, device)


# What torch.compiler.assume_constant_result does, which would load the compiler (2 s) for everyone.
fixed_matrices._dynamo_marked_constant = True  # type: ignore[attr-defined]


@lru_cache(maxsize=128)
def _drawn(n: int, r: int, seed: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Drawn once, on a thread of its own, where the caller's modes are not in force.

    A tensor made under ``inference_mode``, ``vmap`` or a tracer belongs to it, and what is kept here has
    to serve all that come after.
    """

    def draw() -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        both = torch.randn(2, n, r, generator=generator, dtype=torch.float64, device="cpu")
        A, B = (both * (n**0.5 / both.norm(dim=1, keepdim=True))).to(device, dtype)
        return A, B

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(draw).result()
