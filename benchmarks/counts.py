"""Counted flops and bytes: how near to a linear layer the formula can come at all.

A product of ``i x j`` and ``j x l`` counts ``2 i j l`` flops. A backward computes two products of the
same size for every product of the forward, so forward+backward is three times the forward.
"""

from benchmarks.cases import Case

#: Flops of forward+backward over those of the forward.
BACKWARD = 3


def linear_flops(case: Case) -> int:
    """``X @ M`` forward: ``2 b m²``."""
    return 2 * case.b * case.m**2


def thin_flops(case: Case) -> int:
    """Through the thin pair ``left, right`` ``(K, k)``, forward: the projections and the cheaper order.

    4 n k r + 2 p q r k   and   2 k² (K + d) with xi formed, or 4 d k K past it;   K = r min(p, q)
    """
    n, k, p, q, r = case.n, case.k, case.p, case.q, case.r
    d, K = n, r * min(p, q)  # xi is applied to the data themselves
    return 4 * n * k * r + 2 * p * q * r * k + min(2 * k * k * (K + d), 4 * d * k * K)


def dense_flops(case: Case) -> int:
    """With ``W`` formed, ``((D xᵀ) W) x``, forward: worth it only where ``n`` is small against ``k``."""
    n, k, p, q, r = case.n, case.k, case.p, case.q, case.r
    return 2 * (n // p) * (n // q) * r + n * n + 4 * n * n * k + 2 * n**3


def fewest_flops(case: Case) -> int:
    """Forward, by whichever order counts the fewest."""
    return min(thin_flops(case), dense_flops(case))


def flop_limit(case: Case) -> float:
    """Fewest flops over the linear layer's: the ratio of times if all flops cost the same."""
    return fewest_flops(case) / linear_flops(case)


def fewest_bytes(case: Case, itemsize: int, *, backward: bool) -> int:
    """What cannot be avoided: ``X`` read and the result written; then ``X, G`` read and ``dX`` written.

    Parameters and everything in between are left out, so a fraction of bandwidth computed from
    this is one that the whole operation reaches, not what a kernel of it does.
    """
    return (5 if backward else 2) * case.b * case.m * itemsize
