"""Rows that belong to groups: clusters of units, or the periods of a panel."""

from collections.abc import Hashable, Iterable
from operator import eq
from typing import Any

import torch
from torch import Tensor

from lphm._memory import require_memory
from lphm.errors import require_at_least
from lphm.kernels.series import bartlett_weights
from lphm.structures.lphm import LPHM
from lphm.structures.toeplitz import Toeplitz


def clusters(groups: Iterable[Any]) -> tuple[LPHM, Tensor]:
    r"""``W[i, j] = 1`` for two rows of one cluster.

        W = I_p ⊗ (1 1ᵀ)        xi = Σ_g s_g s_gᵀ with the sums of rows s_g = Σ_{i in g} x_i

    of ``p`` clusters of ``n/p`` rows each. With the scores of a regression, ``x_i = e_i z_i``, it is the
    middle of the cluster-robust covariance. The rows of ``X`` have to be in the order of ``by_group``, which
    fills clusters with rows of zeros up to the largest one.

    Shape:
        ``w`` ``(p² + 2 n/p,)`` for ``p`` clusters and ``n`` rows with those of zeros.

    Args:
        groups: the cluster of each row: labels that can be sorted.

    Raises:
        ValueError: there is no row, or a label is missing.
        TypeError: the labels cannot be sorted.

    Example:
        >>> structure, w = lphm.kernels.clusters(["a", "a", "b", "b"])
        >>> structure, structure.to_dense(w)[1].tolist()
        (LPHM(n=4, p=2, q=2, r=1), [1.0, 1.0, 0.0, 0.0])

    Reference:
        Liang and Zeger (1986), Longitudinal data analysis using generalized linear models; Arellano (1987),
        Computing robust standard errors for within-groups estimators.
    """
    return driscoll_kraay(groups, 0)


def driscoll_kraay(periods: Iterable[Any], lags: int) -> tuple[LPHM, Tensor]:
    r"""The weights of Bartlett between the periods of a panel, the same for all pairs of its units.

        W = A ⊗ (1 1ᵀ)        A[s, t] = max(0, 1 - |s - t| / (lags + 1))

    so ``xi`` is that of ``bartlett`` for the sums over the units of each period. With the scores of a
    regression, ``x_i = e_i z_i``, it is the middle of a covariance that holds with any dependence between
    units. The rows of ``X`` have to be in the order of ``by_group``, which fills periods with rows of zeros
    up to the one with the most units. Periods without any row are not seen: the next one is one lag away.

    Shape:
        ``w`` ``(p² + 2 n/p,)`` for ``p`` periods and ``n`` rows with those of zeros.

    Args:
        periods: the period of each row: labels that can be sorted.
        lags: the largest lag that counts, below the number of periods.

    Raises:
        ValueError: ``lags`` is negative or too large, there is no row, or a label is missing.
        TypeError: the labels cannot be sorted.

    Example:
        >>> structure, w = lphm.kernels.driscoll_kraay([1935, 1935, 1936, 1936, 1937, 1937], 1)
        >>> structure, structure.to_dense(w)[0].tolist()
        (LPHM(n=6, p=3, q=3, r=1), [1.0, 1.0, 0.5, 0.5, 0.0, 0.0])

    Reference:
        Driscoll and Kraay (1998), Consistent covariance matrix estimation with spatially dependent panel
        data.
    """
    sizes = [len(rows) for rows in _rows(periods).values()]
    lags = require_at_least(0, lags=lags)["lags"]
    p = len(sizes)
    if lags >= p:
        raise ValueError(f"lags must be below the number of periods, {p}, got lags={lags}")
    require_memory(f"A ({p}, {p}) of the groups", 16 * p**2, "use fewer groups")
    A = Toeplitz(n=p, lags=2 * lags + 1).to_dense(bartlett_weights(lags))
    structure = LPHM(n=p * max(sizes), p=p, q=p, r=1)
    ones = torch.ones(max(sizes), 1, dtype=torch.float64)
    return structure, structure.pack(A, ones, ones)


def by_group(x: Tensor, groups: Iterable[Any]) -> Tensor:
    """The rows of ``x`` in the order of their groups, each filled with rows of zeros up to the largest one.

    Groups are in the order of their sorted labels, and the rows of a group in that of ``x``. Rows of zeros
    add nothing to ``xi``. Where all groups are equally large and in order, it is ``x``.

    Shape:
        ``x`` ``(*, rows, k)``, the result ``(*, n, k)`` with ``n`` of the structure of ``clusters``.

    Args:
        x: rows that are not in order.
        groups: the label of each row.

    Raises:
        ValueError: there are more or fewer labels than rows; others as ``clusters``.
        TypeError: the labels cannot be sorted.

    Example:
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> lphm.kernels.by_group(x, ["b", "a", "b"]).flatten().tolist()
        [2.0, 0.0, 1.0, 3.0]
    """
    members = list(_rows(groups).values())
    rows, size = sum(map(len, members)), max(map(len, members))
    if x.dim() < 2 or x.shape[-2] != rows:
        raise ValueError(f"x must be (*, {rows}, k), a row for each label, got shape {tuple(x.shape)}")
    order = torch.tensor([row for group in members for row in group], device=x.device)
    places = [place * size + i for place, group in enumerate(members) for i in range(len(group))]
    filled = x.new_zeros(*x.shape[:-2], len(members) * size, x.shape[-1])
    return filled.index_copy(-2, torch.tensor(places, device=x.device), x.index_select(-2, order))


def _rows(groups: Iterable[Any]) -> dict[Hashable, list[int]]:
    """The rows of each group, in the order of the labels."""
    labels = groups.tolist() if hasattr(groups, "tolist") else list(groups)
    members: dict[Any, list[int]] = {}
    for row, label in enumerate(labels):
        if label is None or not eq(label, label):
            raise ValueError(f"labels must be there for all rows, got {label!r} in row {row}")
        members.setdefault(label, []).append(row)
    if not members:
        raise ValueError("labels must be there for at least one row, got none")
    try:
        return {label: members[label] for label in sorted(members)}
    except TypeError as error:
        raise TypeError(f"labels must be of one type that can be sorted, got: {error}") from error
