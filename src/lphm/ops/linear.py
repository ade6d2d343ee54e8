"""``x Wᵀ`` of a structured ``W``, which is not formed: by the factors of each structure, one after another.

The functions are for exact types, as the kernels are; any other structure is multiplied by its dense ``W``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lphm.structures.base import Factors, Structure
from lphm.structures.dual_lphm import DualLPHM
from lphm.structures.full import Full
from lphm.structures.hm import HM
from lphm.structures.low_rank import LowRank, OneBlock
from lphm.structures.lphm import LPHM
from lphm.structures.random_matrix import RandomMatrixAdaptation
from lphm.structures.toeplitz import Toeplitz


def multiply(structure: Structure, w: Tensor, x: Tensor) -> Tensor:
    """``x Wᵀ``, as ``torch.nn.functional.linear`` has it.

    Shape:
        ``w`` ``(l,)``; ``x`` ``(*, columns)``; the result ``(*, n)``.
    """
    n, columns = structure.shape
    rows = x.reshape(-1, columns)
    method = METHODS.get(type(structure))
    out = method(structure, structure.unpack(w), rows) if method else rows @ structure.to_dense(w).mT
    return out.reshape(*x.shape[:-1], n)


def _full(_: Full, factors: Factors, x: Tensor) -> Tensor:
    (W,) = factors
    return x @ W.mT


def _one_block(structure: OneBlock, factors: Factors, x: Tensor) -> Tensor:
    P, Q = structure.row_factors(tuple(factor.unsqueeze(0) for factor in factors))  # (1, n or columns, r)
    return x @ Q.squeeze(0) @ P.squeeze(0).mT


def _hm(structure: HM, factors: Factors, x: Tensor) -> Tensor:
    """``B`` and then ``A``, or ``A`` first where that takes fewer flops."""
    (A, B), (p, q), (s, t) = factors, (structure.p, structure.q), structure.block
    blocks = torch.unflatten(x, -1, (q, t))  # (N, q, t)
    if q * s * (t + p) <= p * t * (q + s):
        return (A @ (blocks @ B.mT)).flatten(1)
    return ((A @ blocks) @ B.mT).flatten(1)


def _lphm(structure: LPHM, factors: Factors, x: Tensor) -> Tensor:
    A, S, T = factors
    V = torch.unflatten(x, -1, (structure.q, -1)) @ T  # (N, q, r)
    return ((A @ V) @ S.mT).flatten(1)


def _dual_lphm(structure: DualLPHM, factors: Factors, x: Tensor) -> Tensor:
    P, Q, S, T = factors
    V = torch.unflatten(x, -1, (structure.q, -1)) @ T  # (N, q, r)
    return ((P @ (Q.mT @ V)) @ S.mT).flatten(1)


def _toeplitz(structure: Toeplitz, factors: Factors, x: Tensor) -> Tensor:
    """The right side of the pair, ``W Y`` with ``Y = xᵀ``, and nothing on the left."""
    (t,) = factors
    nothing = x.new_empty(1, structure.n, 0)
    _, right = structure.pair_from_factors((t.unsqueeze(0),), nothing, x.mT.unsqueeze(0))  # (1, 1, n, N)
    return right[0, 0].mT


#: From factors and ``x`` ``(N, columns)`` to ``x Wᵀ`` ``(N, n)``, by the exact class.
METHODS: dict[type[Structure], Callable[[Any, Factors, Tensor], Tensor]] = {
    Full: _full,
    LowRank: _one_block,
    HM: _hm,
    LPHM: _lphm,
    DualLPHM: _dual_lphm,
    RandomMatrixAdaptation: _one_block,
    Toeplitz: _toeplitz,
}
