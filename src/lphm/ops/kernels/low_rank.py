"""LowRank, ``W = P Qᵀ``: ``[P|Q]ᵀ`` is one flat factor on one block of ``n`` rows."""

import torch
from torch import Tensor

from lphm.ops.kernels.blocks import backward_to_factor, backward_to_rows, multiply_blocks
from lphm.structures.low_rank import LowRank


def _factors_of(structure: LowRank, w: Tensor) -> Tensor:
    """``Pᵀ`` and ``Qᵀ`` in ``w``, a view ``(C, 2, r, n)``."""
    l, n, r = w.shape[-1], structure.n, structure.r
    return w.as_strided((w.numel() // l, 2, r, n), (l, n * r, 1, r), w.storage_offset())


def project(structure: LowRank, w: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """``left, right`` ``(N C, r, k)`` and the flat factor."""
    F = _factors_of(structure, w).reshape(-1, structure.n)  # (C 2 r, n)
    left, right = multiply_blocks(F, x).reshape(-1, 2, structure.r, x.shape[2]).unbind(1)
    return left, right, F


def project_backward(
    structure: LowRank, w: Tensor, x: Tensor, dleft: Tensor, dright: Tensor, needs_dx: bool, F: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The gradients of ``w`` and of ``x``."""
    dw, dY = torch.empty_like(w), torch.stack([dleft, dright], dim=1)  # (N C, 2, r, k)
    backward_to_factor(F, x, dY, _factors_of(structure, dw))
    return dw, backward_to_rows(F, x, dY, None) if needs_dx else None
