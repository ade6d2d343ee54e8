"""The ways to contract ``data · xᵀ · W · x``: what each costs, the choice, and each in plain operators."""

from enum import Enum

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.structures.base import Structure, dense_pair
from lphm.structures.row_blocks import is_transpose

#: W may be formed for n > k up to this size: below it the cost of a call is the number of operators.
TINY = 64
#: What a flop of a projection through thin blocks costs, in flops of a wide product.
THIN_FLOP = 8
#: What the operators that a thin projection takes more than W does cost at any size, in such flops.
THIN_CALLS = 2**17


class Order(Enum):
    """The ways to contract ``data · xᵀ · W · x``: through the thin pair, or with ``W`` formed."""

    MATRIX = "data (leftᵀ right)"
    FACTORED = "(data leftᵀ) right"
    DENSE_MATRIX = "data (xᵀ (W x))"
    DENSE_FACTORED = "((data xᵀ) W) x"


def choose_order(structure: Structure, samples: int, k: int, d: int) -> Order:
    """The cheapest order, by counted flops; ``W`` is formed only where it is no larger than the data.

    Args:
        structure: what ``W`` is.
        samples: matrices ``x`` that share one ``W``.
        k: columns of ``x`` in the core's orientation; rows and columns of ``xi``.
        d: rows of ``data`` in the core's orientation.
    """
    n, K = structure.n, structure.middle
    project = THIN_CALLS + THIN_FLOP * samples * structure.projection_flops(k)
    flops: dict[Order, float] = {
        Order.MATRIX: project + samples * 2 * k * k * (K + d),
        Order.FACTORED: project + samples * 4 * d * k * K,
    }
    if n <= max(k, TINY):
        flops[Order.DENSE_MATRIX] = structure.dense_flops + samples * 2 * k * (n * n + n * k + d * k)
        flops[Order.DENSE_FACTORED] = structure.dense_flops + samples * 2 * d * n * (2 * k + n)
    # Plain comparisons: where a size is a symbol, torch.compile turns each into a guard.
    best = Order.MATRIX
    for order, cost in flops.items():
        if cost < flops[best]:
            best = order
    return best


def count_samples(x: Tensor) -> int:
    """``N`` of ``x`` ``(N, n, k)``; 1 in a graph that is being traced, for it has to serve any ``N``."""
    return 1 if torch.compiler.is_compiling() else x.shape[0]


def thin_pair(structure: Structure, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """``left, right`` with ``xᵀ W x = leftᵀ right``: ``(N, C or 1, K, k)`` each.

    ``left, right = x, W x`` is such a pair as well, and the cheaper one where ``n`` is small.
    """
    n, k, K, samples = structure.n, x.shape[2], structure.middle, count_samples(x)
    thin = THIN_CALLS + samples * (THIN_FLOP * structure.projection_flops(k) + 2 * k * k * K)
    dense = structure.dense_flops + samples * 2 * k * n * (n + k)
    return _pair(structure, dense < thin and n <= max(k, TINY), w, x)


def _pair(structure: Structure, dense: bool, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    if dense:
        rows = x.shape[1]
        return dense_pair(structure.to_dense(w)[:, :rows, :rows], x)
    return structure._project(structure.unpack(w), x)


def compose(structure: Structure, order: Order, w: Tensor, x: Tensor, data: Tensor) -> Tensor:
    """``data @ xi`` in plain operators, for autograd to differentiate as often as it likes.

    Shape:
        ``w`` ``(C, l)``; ``x`` ``(N, rows, k)``, ``rows <= n``; ``data`` ``(N, C or 1, d, k)``; the result
        ``(N, C, d, k)``.
    """
    if order is Order.DENSE_FACTORED:
        N, rows, _ = x.shape
        W = structure.to_dense(w)[:, :rows, :rows].expand(N, -1, -1, -1)  # (N, C, rows, rows)
        return product(product(product(data, x.mT.unsqueeze(1)), W), x.unsqueeze(1), x)
    left, right = _pair(structure, order is Order.DENSE_MATRIX, w, x)  # (N, C or 1, K, k)
    if order is Order.FACTORED:
        return product(product(data, left.mT), right, x)
    return product(data, product(left.mT, right), x)


def compose_one(structure: Structure, order: Order, kind: Kind, w: Tensor, x: Tensor) -> Tensor:
    """``x`` mixed by its own ``xi``: one sample and one channel, in as few operators as it takes.

    Shape:
        ``w`` ``(l,)``; ``x`` and the result ``(b, m)``.
    """
    attribute = kind == "attribute"
    rows, columns = (x, x.t()) if attribute else (x.t(), x)  # (n, k) and (k, n)
    if order is Order.DENSE_FACTORED:
        a, b = rows.mm(columns).mm(structure._dense_one(w)), rows  # (n, n), (n, k)
    elif order is Order.DENSE_MATRIX:
        a, b = rows, columns.mm(structure._dense_one(w).mm(rows))  # (n, k), (k, k)
    else:
        left, right = structure._project_one(w, rows)  # (K, k)
        factored = order is Order.FACTORED
        a, b = (rows.mm(left.t()), right) if factored else (rows, left.t().mm(right))
    return a.mm(b) if attribute else b.t().mm(a.t())


def product(a: Tensor, b: Tensor, like: Tensor | None = None) -> Tensor:
    """``(N, C or 1, i, j) @ (N, C or 1, j, l)`` to ``(N, C, i, l)``, by one ``bmm`` without copies.

    A factor that all channels share is multiplied once, with the other channels' side by side. The
    result lies in memory as ``like`` does: transposed if that is a transpose.
    """
    if like is not None and is_transpose(like):
        return product(b.mT, a.mT).mT
    (N, C, i, _), l = a.shape, b.shape[-1]
    if C == 1 and b.shape[1] > 1:
        wide = b.transpose(1, 2).flatten(2)  # (N, j, C l)
        return a.squeeze(1).bmm(wide).view(N, i, b.shape[1], l).transpose(1, 2)
    if b.shape[1] == 1 and C > 1:
        return a.flatten(1, 2).bmm(b.squeeze(1)).view(N, C, i, l)
    return a.flatten(0, 1).bmm(b.flatten(0, 1)).view(N, C, i, l)


def orient(x: Tensor, kind: Kind) -> Tensor:
    """To the core's orientation, and back: the instance kind is the attribute kind on the transpose."""
    return x if kind == "attribute" else x.mT
