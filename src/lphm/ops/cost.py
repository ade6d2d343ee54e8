"""What each order of ``data · xᵀ · W · x`` costs, the one place that chooses, and the one rule of scaling.

A graph that is being traced has to serve every number that a symbol stands for, so nothing here may depend on
it: the choices count a symbol as ``ENDLESS``, and take what grows slowest with it.
"""

import math
from enum import Enum

import torch
from torch import Tensor

from lphm.ops.checks import Normalize
from lphm.structures.base import Structure

#: Largest ``W`` that may be formed for ``n > k``: below it the number of operators is what costs.
TINY = 64
#: ``xi`` is formed for softmax up to this many times the width of a head, and up to so many rows.
WIDE, MOST_ROWS = 8, 256
#: Largest ``n`` for which the maps of the pair are formed, and applied as one product for all channels.
TALL = 128
#: Cost of one flop in the thin blocks of a projection, in flops of a wide product.
THIN_FLOP = 8
#: Fixed overhead of the thin path over the dense one, in flops of a wide product.
THIN_OVERHEAD = 2**17
#: What a size counts as that is a symbol of a graph; above every size that is a number.
ENDLESS = 2**40


class Order(Enum):
    """The orders of the products in ``data · xᵀ · W · x``: through the pair, or with ``W`` formed."""

    MATRIX = "data (leftᵀ right)"
    FACTORED = "(data leftᵀ) right"
    DENSE_MATRIX = "data (xᵀ (W x))"
    DENSE_FACTORED = "((data xᵀ) W) x"


def choose_order(
    structure: Structure, samples: int, k: int, d: int, by_hand: bool = False, columns: int | None = None
) -> Order:
    """The cheapest order, by counted flops; ``W`` is formed only where it is no larger than the data.

    Args:
        structure: what ``W`` is.
        samples: matrices ``x`` that share one ``W``.
        k: columns of ``x`` in the core's orientation; rows of ``xi``.
        d: rows of ``data`` in the core's orientation.
        by_hand: leave out the order that has no gradient by hand.
        columns: columns of ``y`` and of ``xi``; ``k`` if not given.
    """
    (n, j), K, l = structure.shape, structure.middle, k if columns is None else columns
    may_be_dense = may_form_dense(structure, k, l)
    k, d, l = counted(k), counted(d), counted(l)
    order = Order.FACTORED if skips_matrix(K, k, d, l) else Order.MATRIX
    pair = 2 * d * (k + l) * K if order is Order.FACTORED else 2 * k * l * (K + d)
    best: float = THIN_OVERHEAD + samples * (THIN_FLOP * structure.projection_flops((k + l) // 2) + pair)
    if not may_be_dense:
        return order
    dense: dict[Order, float] = {
        Order.DENSE_MATRIX: structure.dense_flops + samples * 2 * l * (n * j + n * k + d * k),
        Order.DENSE_FACTORED: structure.dense_flops + samples * 2 * d * (n * k + n * j + j * l),
    }
    for formed, cost in dense.items():
        if cost < best and not (by_hand and formed is Order.DENSE_MATRIX):
            order, best = formed, cost
    return order


def forms_dense_pair(
    structure: Structure, samples: int, k: int, width: int = 0, columns: int | None = None
) -> bool:
    """Whether ``x, W y`` is a cheaper pair than the structure's own, ``xi`` included.

    Args:
        structure: what ``W`` is.
        samples: matrices ``x`` that share one ``W``.
        k: columns of ``x`` in the core's orientation; rows of ``xi``.
        width: rows that the pair is padded to; a dense pair of no more rows needs no copy of ``x``.
        columns: columns of ``y`` and of ``xi``; ``k`` if not given.
    """
    (n, j), K, l = structure.shape, structure.middle, k if columns is None else columns
    may_be_dense = may_form_dense(structure, k, l)
    k, l, width = counted(k), counted(l), counted(width)
    if K < n <= width:
        return may_be_dense
    thin = THIN_OVERHEAD + samples * (THIN_FLOP * structure.projection_flops((k + l) // 2) + 2 * k * l * K)
    dense = structure.dense_flops + samples * 2 * l * n * (j + k)
    return dense < thin and may_be_dense


def may_form_dense(structure: Structure, k: int, columns: int) -> bool:
    """Whether ``W`` is no larger than data of so many columns, or tiny; a symbol may stand for one column."""
    fewest = 1 if is_symbol(k) or is_symbol(columns) else min(k, columns)
    return max(structure.shape) <= max(fewest, TINY)


def forms_small_xi(structure: Structure, k: int, d: int) -> bool:
    """Whether the softmax of ``xi`` is applied with ``xi`` formed, by ``ops/fused_softmax.py``.

    An attention kernel spends more on wide heads, where forming ``xi`` takes large products only.
    """
    K, n = structure.middle, structure.n
    return k <= min(max(TINY, WIDE * max(K, d)), MOST_ROWS) and K <= n <= TALL


def skips_matrix(K: int, k: int, d: int, columns: int | None = None) -> bool:
    """Whether ``(data leftᵀ) right``, ``4 d k K`` flops, costs less than ``data (leftᵀ right)``."""
    l = k if columns is None else columns
    return d * (k + l) * K < k * l * (K + d)


def count_samples(x: Tensor) -> int:
    """``N`` of ``x`` ``(N, n, k)``; 1 in a graph that is being traced, for it has to serve any ``N``."""
    return 1 if torch.compiler.is_compiling() or is_symbol(x.shape[0]) else x.shape[0]


def is_symbol(size: int) -> bool:
    """Whether a size is not a number but a symbol of a graph that is being traced."""
    if torch.compiler.is_dynamo_compiling():  # a symbol is an int there, and before torch 2.8 never found
        has_value = getattr(torch.fx.experimental.symbolic_shapes, "has_static_value", None)
        return has_value is not None and not has_value(size)
    return isinstance(size, torch.SymInt)


def counted(size: int) -> int:
    """A size as the choices count it: a number as it is, a symbol as ``ENDLESS``."""
    return ENDLESS if is_symbol(size) else size


def scale_of(structure: Structure, normalize: Normalize) -> float:
    """The factor of ``xi``: ``1 / n`` (``1 / √(n columns)``) for ``normalize="scale"``, else 1."""
    return 1 / math.prod(structure.shape) ** 0.5 if normalize == "scale" else 1.0


def split_scale(scale: float) -> tuple[float, float]:
    """``scale`` as a product of two factors of about equal size, the first of them a power of two.

    Scaling comes before the sums, which float16 could not hold otherwise; and not in one factor, because
    float16 has few bits for entries of ``W / n``.
    """
    first = 2.0 ** round(math.log2(scale) / 2)
    return first, scale / first
