"""Rows that follow one another in time: one weight for each lag."""

import torch
from torch import Tensor

from lphm.errors import require_at_least, require_positive
from lphm.structures.toeplitz import Toeplitz


def identity(n: int) -> tuple[Toeplitz, Tensor]:
    r"""``W = I``: ``xi = Σ_i x_i x_iᵀ``, ``n`` times the covariance of centred columns.

    With the scores of a regression, ``x_i = e_i z_i``, it is the middle of White's covariance (HC0).

    Shape:
        ``w`` ``(1,)``.

    Args:
        n: rows of ``X``.

    Example:
        >>> structure, w = lphm.kernels.identity(4)
        >>> structure.to_dense(w).equal(torch.eye(4).double())
        True

    Reference:
        White (1980), A heteroskedasticity-consistent covariance matrix estimator.
    """
    return Toeplitz(n=n, lags=1), torch.ones(1, dtype=torch.float64)


def lag(n: int, k: int) -> tuple[Toeplitz, Tensor]:
    r"""``W[i, i + k] = 1``: ``xi = Σ_i x_i x_{i+k}ᵀ``, ``n`` times the covariance at lag ``k``.

    The columns have to be centred for that. ``xi[a, b]`` is large if column ``b`` repeats column ``a`` after
    ``k`` rows.

    Shape:
        ``w`` ``(2 |k| + 1,)``.

    Args:
        n: rows of ``X``.
        k: the lag, between ``-(n - 1)`` and ``n - 1``.

    Raises:
        ValueError: ``k`` is too large.

    Example:
        >>> structure, w = lphm.kernels.lag(3, 1)
        >>> structure.to_dense(w).tolist()
        [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]

    Reference:
        Brockwell and Davis (1991), Time Series: Theory and Methods, chapter 11, with ``xi / n = Γ(-k)``.
    """
    n = require_positive(n=n)["n"]
    k = require_at_least(1 - n, k=k)["k"]
    h = _checked("k", abs(k), n)
    t = torch.zeros(2 * h + 1, dtype=torch.float64)
    t[h + k] = 1
    return Toeplitz(n=n, lags=2 * h + 1), t


def bartlett(n: int, lags: int) -> tuple[Toeplitz, Tensor]:
    r"""The long-run covariance of Newey and West, with weights that fall to 0 after ``lags``.

        W[i, j] = max(0, 1 - |i - j| / (lags + 1))        xi = Σ_τ (1 - |τ| / (lags + 1)) Σ_i x_i x_{i+τ}ᵀ

    ``xi`` is positive semidefinite. With the scores of a regression, ``x_i = e_i z_i``, it is the middle of
    the covariance that holds with heteroskedasticity and autocorrelation (HAC).

    Shape:
        ``w`` ``(2 lags + 1,)``.

    Args:
        n: rows of ``X``.
        lags: the largest lag that counts, ``m`` of the paper, below ``n``.

    Raises:
        ValueError: ``lags`` is negative or too large.

    Example:
        >>> structure, w = lphm.kernels.bartlett(96, 3)
        >>> w.tolist()
        [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]

    Reference:
        Newey and West (1987), A simple, positive semi-definite, heteroskedasticity and autocorrelation
        consistent covariance matrix, equation 5.
    """
    n = require_positive(n=n)["n"]
    h = _checked("lags", require_at_least(0, lags=lags)["lags"], n)
    return Toeplitz(n=n, lags=2 * h + 1), bartlett_weights(h)


def bartlett_weights(lags: int) -> Tensor:
    """``1 - |τ| / (lags + 1)`` for ``τ`` from ``-lags`` to ``lags``."""
    return 1 - torch.arange(-lags, lags + 1, dtype=torch.float64).abs() / (lags + 1)


def _checked(name: str, lag: int, n: int) -> int:
    if lag >= n:
        raise ValueError(f"{name} must be below n, the number of rows, got {name}={lag}, n={n}")
    return lag
