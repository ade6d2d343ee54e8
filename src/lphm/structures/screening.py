"""Which sizes of ``W = A ⊗ B`` are worth a fit: how well each one fits a small sketch of ``W``.

A sketch ``(G_p ⊗ G_s) W (G_q ⊗ G_t)ᵀ`` keeps the structure, because that of ``A ⊗ B`` is
``(G_p A G_qᵀ) ⊗ (G_s B G_tᵀ)``.
With random ``G`` of orthonormal rows it also keeps the shares of ``‖W‖²``, up to some percent.
"""

from collections.abc import Iterable
from functools import cache

import torch
from torch import Tensor

from lphm.structures.dual_lphm import DualLPHM
from lphm.structures.hm import HM
from lphm.structures.lphm import LPHM

#: Rows and columns of a sketch, and of those the most that a factor keeps while the other one has more.
SIDE, SHARED = 128, 11

Blocks = HM | LPHM | DualLPHM


@torch.no_grad()
def merits(W: Tensor, structures: Iterable[Blocks]) -> dict[Blocks, float]:
    """How much of ``‖W‖²`` each structure is likely to have: 1 for all, 0 for what it has of noise.

    A structure has more of a sketch than of ``W``, because the sketch has fewer entries and the structure as
    high a rank. How much more is measured by a sketch of noise.

    Args:
        W: the matrix ``(n, columns)``, not zero.
        structures: of this shape.
    """
    n, columns = W.shape
    found: dict[Blocks, float] = {}
    last, narrow = 0, W
    for structure in sorted(structures, key=lambda structure: structure.q):
        p, q = structure.p, structure.q
        if q != last:
            last, narrow = q, _sketched(W.mT, q).mT  # (n, at most SIDE)
        shape = (*_kept(p, n // p), *_kept(q, columns // q))
        ranks = _ranks(structure)
        noise = 0.0 if max(n, columns) <= SIDE else _share_of_noise(shape, ranks)
        share = _share(_sketched(narrow, p).reshape(shape), ranks)
        found[structure] = (share - noise) / max(1 - noise, torch.finfo().eps)
    return found


def _ranks(structure: Blocks) -> tuple[int, int]:
    """The largest ranks of ``A`` and ``B``."""
    r = structure.n if isinstance(structure, HM) else structure.r
    return (r if isinstance(structure, DualLPHM) else structure.n), r


def _share(sketch: Tensor, ranks: tuple[int, int]) -> float:
    """The share of ``‖sketch‖²`` that one round of alternation finds; ``sketch`` is ``(p, s, q, t)``."""
    p, s, q, t = sketch.shape
    R = sketch.transpose(1, 2).reshape(p * q, s * t)
    if not R.any():
        return 0.0
    _, _, Vh = torch.linalg.svd(R, full_matrices=False)
    U, sigma, Th = torch.linalg.svd(Vh[0].view(s, t), full_matrices=False)
    b = ((U * sigma)[:, : ranks[1]] @ Th[: ranks[1]]).flatten()
    a = (R @ b).view(p, q) / b.norm()
    kept: Tensor = torch.linalg.svdvals(a)[: ranks[0]]
    return float(kept.square().sum() / R.square().sum())


@cache
def _share_of_noise(shape: tuple[int, int, int, int], ranks: tuple[int, int]) -> float:
    return _share(torch.randn(shape, generator=torch.Generator().manual_seed(1)), ranks)


def _kept(p: int, s: int) -> tuple[int, int]:
    """Into how many blocks of how many rows ``p`` blocks of ``s`` rows are sketched."""
    rows = min(s, SIDE // min(p, SHARED))
    return min(p, SIDE // rows), rows


def _sketched(X: Tensor, p: int) -> Tensor:
    """``(G_p ⊗ G_s) X`` for ``X`` ``(n, k)``; a ``G`` that would not make it smaller is left out."""
    s = len(X) // p
    blocks, rows = _kept(p, s)
    X = X.reshape(p, s, -1)
    if rows < s:
        X = _orthonormal(rows, s).to(X) @ X
    X = X.reshape(p, -1)
    if blocks < p:
        X = _orthonormal(blocks, p).to(X) @ X
    return X.reshape(blocks * rows, -1)


def _orthonormal(rows: int, columns: int) -> Tensor:
    """Random orthonormal rows, so that the sketch of noise is noise."""
    G = torch.randn(columns, rows, generator=torch.Generator().manual_seed(0))
    Q: Tensor = torch.linalg.qr(G)[0]
    return Q.mT
