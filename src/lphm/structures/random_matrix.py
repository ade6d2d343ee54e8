"""Random matrix adaptation: W = diag(λ₁) A diag(λ₂) Bᵀ with A and B fixed."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lphm.errors import require_at_least, require_positive
from lphm.structures.base import Factors, cached_constant
from lphm.structures.low_rank import OneBlock


@dataclass(frozen=True, kw_only=True)
class RandomMatrixAdaptation(OneBlock):
    r"""Random matrix adaptation, ``W = diag(λ₁) A diag(λ₂) Bᵀ``.

    ``A`` and ``B`` are ``n x r``, drawn once from ``seed`` and never trained; the vector holds ``[λ₁, λ₂]``,
    ``l = n + r``. The thin pair is ``left, right = (diag(λ₁) A diag(λ₂))ᵀ X, Bᵀ X`` with
    ``K = r``; ``right`` is one for all channels.

    NOTE[DIFF]: the columns of ``A`` and ``B`` are Gaussian in direction, but each has length ``√n`` (or
    ``√columns``), not only on average: so ``E‖W‖_F² = gain²`` holds for every seed, not only over all seeds.

    Args:
        n: rows of ``W``, and columns of a square one.
        columns: as ``Structure``; then ``B`` is ``columns x r``.
        r: rank of ``W``.
        seed: of ``A`` and ``B``; the same matrices on every device and, up to rounding, in every type.

    Raises:
        ValueError, TypeError: as ``Structure``; ``seed`` is an int, at least 0.

    Example:
        >>> RandomMatrixAdaptation(n=96, r=4).num_parameters     # 96 + 4; dense: 9216
        100

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), parameterized bilinear interdependence with random matrix
        adaptation (RMA) reconciliation; VeRA (Kopiczko et al., 2024, arXiv:2310.11454).
    """

    seed: int = 0
    name: ClassVar[str] = "random_matrix"

    def __post_init__(self) -> None:
        sizes = {name: size for name, size in self._given.items() if name != "seed"}
        self._take(require_positive(**sizes) | require_at_least(0, seed=self.seed))

    @property
    def factor_shapes(self) -> dict[str, tuple[int, ...]]:
        """``λ₁`` ``(n,)``, ``λ₂`` ``(r,)``."""
        return {"λ₁": (self.n,), "λ₂": (self.r,)}

    @property
    def degrees_of_freedom(self) -> int:
        """``l``, less the scale that ``λ₁`` and ``λ₂`` share."""
        return min(self.n + self.r - 1, math.prod(self.shape))

    def row_factors(self, factors: Factors) -> tuple[Tensor, Tensor]:
        """``diag(λ₁) A diag(λ₂)`` ``(C, n, r)`` and ``B`` ``(1, columns, r)``, of one block."""
        first, second = factors  # λ₁ (C, n), λ₂ (C, r)
        fixed = fixed_matrices(self.shape, self.r, self.seed, first.dtype, first.device)
        A, B = map(torch.ops.aten.lift_fresh, fixed)  # as torch.tensor does, for FakeTensorMode
        return first.unsqueeze(2) * A * second.unsqueeze(1), B.unsqueeze(0)

    dense_from_factors = OneBlock.dense_from_factors  # stated again: it follows from these row factors


@cached_constant
def fixed_matrices(
    shape: tuple[int, int], r: int, seed: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """``A`` ``(n, r)`` and ``B`` ``(columns, r)`` of a seed, their columns of length ``√n`` and ``√columns``.

    They are kept for every later call, so a thread of its own draws them: a tensor that is made under
    ``inference_mode``, ``vmap`` or a tracer belongs to that mode, and modes end at the thread.
    """

    def draw() -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        both = torch.randn(2, max(shape), r, generator=generator, dtype=torch.float64, device="cpu")
        A, B = (M[:rows] * (rows**0.5 / M[:rows].norm(dim=0)) for M, rows in zip(both, shape, strict=True))
        return A.to(device, dtype), B.to(device, dtype)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(draw).result()
