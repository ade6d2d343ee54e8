"""The leading singular triples of a matrix, which is decomposed as a whole only if it is small."""

from dataclasses import dataclass

import torch
from torch import Tensor

#: Matrices of more entries are not decomposed as a whole, which takes ``O(n³)``.
LARGE = 512**2
#: Columns more than the triples that are looked for, which speeds the iteration up.
MORE = 8


@dataclass(frozen=True)
class Effort:
    """When an iteration ends.

    After so many ``rounds``, or where one takes less than the share ``gain`` off the squared distance.
    ``starts`` is from how many singular vectors alternation starts.
    """

    starts: int = 3
    gain: float = 1e-9
    rounds: int = 1000


def leading(M: Tensor, k: int, effort: Effort) -> tuple[Tensor, Tensor, Tensor]:
    """``U`` ``(i, k)``, ``σ`` ``(k,)`` and ``Vᵀ`` ``(k, j)`` of ``M`` ``(i, j)``; fewer if ``M`` has fewer.

    The subspace iteration for a large ``M`` costs ``4 i j (k + 8)`` flops for a round, in which the distance
    from ``M`` to its projection decreases. A ``M`` of rank ``k`` is found up to rounding. The result is
    the same each time, and rounds end where they gain nothing: ``torch.svd_lowrank`` draws from the global
    generator and takes a number of rounds that the caller has to know.

    Reference:
        Halko, Martinsson and Tropp (2011), Finding structure with randomness, algorithm 4.4.
    """
    if M.numel() <= LARGE or min(M.shape) <= 4 * k:
        U, sigma, Vh = torch.linalg.svd(M, full_matrices=False)
        return U[:, :k], sigma[:k], Vh[:k]
    generator = torch.Generator(M.device).manual_seed(0)
    V = torch.randn(M.shape[1], k + MORE, dtype=M.dtype, device=M.device, generator=generator)
    total, found = M.square().sum(), M.new_zeros(())
    for _ in range(effort.rounds):
        U, _ = torch.linalg.qr(M @ V)
        V, R = torch.linalg.qr((U.mT @ M).mT)  # U Uᵀ M = U Rᵀ Vᵀ; M.mT @ U is up to five times slower
        before, found = found, R.square().sum()
        if found - before <= effort.gain * (total - before):
            break
    left, sigma, right = torch.linalg.svd(R.mT)
    return U @ left[:, :k], sigma[:k], (right @ V.mT)[:k]
