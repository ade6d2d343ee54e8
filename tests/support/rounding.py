"""How far results in float32, bfloat16 and float16 are from the oracle, as a share of a bound.

``PYTHONPATH=src:tests python -m support.rounding`` prints the largest shares, by type and size.

    √(Σ ‖result - oracle‖² / Σ ‖oracle‖²)  <=  C ε,      ε = u + √(n + K) 2⁻²⁶

Both sums go over draws of the data, so that a draw whose result happens to cancel decides nothing. ``u`` is
the unit roundoff of the type: every step rounds its result to it. The sums, of ``n + K`` products in a row at
most, are taken in float32 or better, and their errors have random signs. With softmax, an error of ``xi`` is
one of the exponent, so ``ε`` is multiplied by ``1 + max |xi|``, of ``xi`` before the softmax.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

import lphm
from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure, Toeplitz
from support import reference

ROUNDOFF = {torch.float32: 2**-24, torch.bfloat16: 2**-8, torch.float16: 2**-11}
NORMALIZE = [None, "scale", "softmax"]
#: ``C`` of every result and gradient.
CONSTANTS = dict.fromkeys(("xi", "X xi", "dX", "dw"), 3)


def structures(n: int, r: int) -> dict[str, Structure]:
    """Those of size ``n``, a power of 4, and rank ``r``; those without a rank for ``r = 1`` alone."""
    p = math.isqrt(n)
    found = {
        "lphm": LPHM(n=n, p=p, r=r),
        "lphm, p < q": LPHM(n=n, p=p // 2, q=2 * p, r=r),
        "low rank": LowRank(n=n, r=r),
        "random": RandomMatrixAdaptation(n=n, r=r),
        "dual": DualLPHM(n=n, p=p, r=min(r, 8)),
    }
    if r == 1:
        found["hm"] = HM(n=n, p=p)
    if r == 1 and n <= 256:  # the gradient of a coefficient, a sum over n rows, soon exceeds float16
        found["toeplitz"] = Toeplitz(n=n, lags=9)
    if r == 1 and n <= 1024:
        found["full"] = Full(n=n)
    return found


def shares(
    structure: Structure,
    kind: str,
    normalize: str | None,
    dtype: torch.dtype,
    batch: tuple[int, ...] = (),
    draws: int = 1,
) -> dict[str, float]:
    """The error of every result and gradient, as a share of its bound, on data of unit variance."""
    errors = dict.fromkeys(CONSTANTS, 0.0)
    sizes, steepest = errors.copy(), 0.0
    for seed in range(draws):
        w, x, G = drawn(structure, kind, dtype, batch, seed)
        got = results(
            lphm.interdependence_matrix, lphm.interdependence_apply, structure, w, x, G, kind, normalize
        )
        w, x, G = (t.double() for t in (w, x, G))
        want = results(reference.matrix, reference.apply, structure, w, x, G, kind, normalize)
        for name in CONSTANTS:
            errors[name] += (got[name].double() - want[name]).square().sum().item()
            sizes[name] += want[name].square().sum().item()
        if normalize == "softmax":
            steepest = max(steepest, reference.matrix(structure, w, x, kind).abs().max().item())
    epsilon = (ROUNDOFF[dtype] + math.sqrt(structure.n + structure.middle) * 2**-26) * (1 + steepest)
    return {name: math.sqrt(errors[name] / sizes[name]) / (C * epsilon) for name, C in CONSTANTS.items()}


def drawn(
    structure: Structure, kind: str, dtype: torch.dtype, batch: tuple[int, ...], seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """``w``, ``x`` and a gradient of the result, rounded to the type."""
    generator = torch.Generator().manual_seed(seed)
    w = lphm.initialize_(structure, torch.empty(structure.num_parameters), generator=generator)
    x, G = torch.randn(2, *batch, structure.n, 6, generator=generator)
    if kind == "instance":
        x, G = x.mT.contiguous(), G.mT.contiguous()
    return w.to(dtype), x.to(dtype), G.to(dtype)


def results(
    matrix: Callable[..., Tensor],
    apply: Callable[..., Tensor],
    structure: Structure,
    w: Tensor,
    x: Tensor,
    G: Tensor,
    kind: str,
    normalize: str | None,
) -> dict[str, Tensor]:
    """``xi``, ``X xi``, and the gradients of the latter."""
    w, x = w.detach().requires_grad_(), x.detach().requires_grad_()
    out = apply(structure, w, x, None, kind, normalize)
    dw, dx = torch.autograd.grad(out, (w, x), G)
    return {"xi": matrix(structure, w, x, kind, normalize).detach(), "X xi": out.detach(), "dX": dx, "dw": dw}


#: Sizes ``n``, ranks ``r`` and numbers of draws.
GRID = [(16, [1, 4], 32), (64, [1, 8], 16), (256, [1, 32], 8), (1024, [1, 32], 4), (4096, [1], 1)]


def main() -> None:
    """Print the largest shares."""
    for n, ranks, draws in GRID:
        largest: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(CONSTANTS, 0.0))
        for r, kind, normalize, dtype in product(ranks, ("attribute", "instance"), NORMALIZE, ROUNDOFF):
            for structure in structures(n, r).values():
                for batch in [(), (3,)] if n <= 256 else [()]:
                    row = largest[
                        f"{str(dtype)[6:]}, {'softmax' if normalize == 'softmax' else 'None and scale'}"
                    ]
                    for name, share in shares(structure, kind, normalize, dtype, batch, draws).items():
                        row[name] = max(row[name], share)
        for what, row in largest.items():
            print(
                f"n={n}, {what}:", ", ".join(f"{name} {share:.2f}" for name, share in row.items()), flush=True
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
