"""Counted flops and bytes: how close to the cost of a linear layer the formula can come.

A product of ``i x j`` and ``j x l`` counts ``2 i j l`` flops. A backward computes two products of the same
size for every product of the forward, so forward+backward takes three times the flops of the forward.
"""

from benchmarks.cases import Case
from benchmarks.layer_cases import LayerCase

#: Flops of forward+backward over those of the forward.
BACKWARD = 3


def linear_flops(case: Case) -> int:
    """``X @ M`` forward: ``2 b m²``."""
    return 2 * case.b * case.m**2


def thin_flops(case: Case) -> int:
    """Forward through the thin pair ``left, right`` ``(K, k)``, ``K = r min(p, q)``.

    The projections take 4 n k r + 2 p q r k flops. Applying xi takes 2 k² (K + d) with xi formed, or
    4 d k K without; the cheaper one counts.
    """
    n, k, p, q, r = case.n, case.k, case.p, case.q, case.r
    d, K = n, r * min(p, q)  # rows of the data that xi is applied to
    return 4 * n * k * r + 2 * p * q * r * k + min(2 * k * k * (K + d), 4 * d * k * K)


def dense_flops(case: Case) -> int:
    """Forward with ``W`` formed, ``((D xᵀ) W) x``; cheaper only where ``n`` is small compared with ``k``."""
    n, k, p, q, r = case.n, case.k, case.p, case.q, case.r
    return 2 * (n // p) * (n // q) * r + n * n + 4 * n * n * k + 2 * n**3


def fewest_flops(case: Case) -> int:
    """Forward, in the order with the fewest flops."""
    return min(thin_flops(case), dense_flops(case))


def flop_limit(case: Case) -> float:
    """Fewest flops divided by the linear layer's: the ratio of times if all flops took equally long."""
    return fewest_flops(case) / linear_flops(case)


def fewest_bytes(case: Case, itemsize: int, *, backward: bool) -> int:
    """Unavoidable bytes: read ``X``, write the result; in a backward also read ``X, G`` and write ``dX``.

    Parameters and intermediate results are not counted, so a fraction of the bandwidth computed from this
    describes the whole operation and not a single kernel.
    """
    return (5 if backward else 2) * case.b * case.m * itemsize


def layer_flop_limit(case: LayerCase) -> float:
    """Fewest flops of a layer divided by those of ``nn.Linear``, for one sample.

    ``W`` is formed once for all samples and not counted; products that all channels share count once.
    """
    n, k, d, K, C = case.n, case.k, case.d, case.K, case.channels
    thin = C * (4 * n * k * case.r + 2 * case.p**2 * case.r * k)
    if case.matrix:
        fewest = min(thin + C * 2 * k * k * K, C * (2 * n * n * k + 2 * n * k * k))
    elif case.normalize:
        fewest = min(thin + C * 2 * k * k * (K + d), C * (2 * n * n * k + 2 * k * k * (n + d)))
    else:
        products = [thin + C * min(2 * k * k * (K + d), 4 * d * k * K), 4 * n * n * k + 2 * n**3]
        fewest = min(products)
    return fewest / (2 * case.b * case.m**2)
