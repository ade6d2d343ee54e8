"""Rows that are the cells of a lattice."""

import torch
from torch import Tensor

from lphm.errors import require_positive
from lphm.structures.hm import HM
from lphm.structures.toeplitz import Toeplitz


def contiguity(rows: int, columns: int, queen: bool = False) -> tuple[HM, Tensor]:
    r"""``W[i, j] = 1`` for two neighbours on a lattice: a sum of two Kronecker products, one in each channel.

        rook     W = I ⊗ N + N ⊗ I              cells that share an edge
        queen    W = (I + N) ⊗ (I + N) - I ⊗ I  cells that share an edge or a corner

    with ``N[i, j] = 1`` for ``|i - j| = 1``, of the rows of the lattice on the left of ``⊗`` and of its
    columns on the right. The sum over the channels of ``xi = Zᵀ W Z`` of centred columns gives Moran's I of
    each column, and between columns,

        I = (n / Σ_ij W[i, j]) zᵀ W z / zᵀ z.

    Shape:
        ``w`` ``(2, rows² + columns²)``; ``X`` ``(rows · columns, k)``, a row for each cell, row by row.

    Args:
        rows: rows of the lattice.
        columns: columns of the lattice.
        queen: whether cells that share a corner are neighbours as well.

    Raises:
        ValueError: a size is below 1.
        TypeError: a size is not an int.

    Example:
        >>> structure, w = lphm.kernels.contiguity(2, 2)
        >>> structure.to_dense(w).sum(0).tolist()
        [[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0]]

    Reference:
        Moran (1950), Notes on continuous stochastic phenomena.
    """
    sizes = require_positive(rows=rows, columns=columns)
    (I, N), (J, M) = (_identity_and_neighbours(size) for size in sizes.values())
    first, second = ((I + N, J + M), (-I, J)) if queen else ((I, M), (N, J))
    structure = HM(n=len(I) * len(J), p=len(I), q=len(I))
    return structure, torch.stack([structure.pack(*first), structure.pack(*second)])


def _identity_and_neighbours(n: int) -> tuple[Tensor, Tensor]:
    if n == 1:
        return torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    t = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    return torch.eye(n, dtype=torch.float64), Toeplitz(n=n, lags=3).to_dense(t)
