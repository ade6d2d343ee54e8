"""One rank of the tests of ``lphm.sharded``: every case beside one process that has all rows, in float64.

    python sharded_worker.py cases FOLDER | die | hang

with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set. ``cases`` writes FOLDER/RANK.json: by case and by what
is compared, the largest difference over the largest entry; or what was raised.
"""

# ruff: noqa: B023, PERF203 - what a case compares is called at once; what each attempt raises is the point

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Toeplitz
from lphm.errors import RankLostError
from lphm.sharded import interdependence_apply, interdependence_matrix
from support import reference

N = 48


class DoubledLPHM(LPHM):
    """Twice ``W``, by a pair of its own."""

    def pair_from_factors(self, factors: tuple[Tensor, ...], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        left, right = super().pair_from_factors(factors, x, y)
        return 2 * left, right


class DoubledLowRank(LowRank):
    """Twice ``W``, by row factors of its own."""

    def row_factors(self, factors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        P, Q = super().row_factors(factors)
        return 2 * P, Q


reference.DENSE["DoubledLPHM"] = lambda w, **sizes: 2 * reference.lphm(w, **sizes)
reference.DENSE["DoubledLowRank"] = lambda w, **sizes: 2 * reference.low_rank(w, **sizes)
STRUCTURES = {
    "lphm p > q": LPHM(n=N, p=8, q=4, r=3),
    "lphm p < q": LPHM(n=N, p=4, q=8, r=2),
    "lphm p = q": LPHM(n=N, p=8, q=8, r=2),
    "dual": DualLPHM(n=N, p=8, q=4, r=2),
    "low rank": LowRank(n=N, r=3),
    "random": RandomMatrixAdaptation(n=N, r=3, seed=1),
    "toeplitz": Toeplitz(n=N, lags=9),
    "toeplitz, more lags than rows of a rank": Toeplitz(n=N, lags=59),
    "toeplitz, lag 0": Toeplitz(n=N, lags=1),
    "a pair of its own": DoubledLPHM(n=N, p=8, q=4, r=2),
    "row factors of its own": DoubledLowRank(n=N, r=3),
}
Counts = list[int]
#: Channels, batch and columns.
SHAPES: list[tuple[int | None, tuple[int, ...], int]] = [(None, (), 5), (2, (3,), 5), (None, (), 40)]


def cuts(ranks: int) -> dict[str, tuple[Counts, bool]]:
    """Rows of each rank, and whether some are missing."""
    even, half = N // ranks, N // ranks // 2
    return {
        "even": ([even] * ranks, False),
        "whole blocks, uneven": ([12] * (ranks - 1) + [N - 12 * (ranks - 1)], False)
        if ranks < 4
        else ([24, 12, 0, 12], False),
        "blocks of one side broken": ([30, 18] if ranks == 2 else [6, 12, 12, 18], False),
        "broken blocks": ([even + 5, *[even] * (ranks - 2), even - 5], False),
        "short last shard": ([even] * (ranks - 1) + [half], True),
        "short and broken": ([even + 1] * (ranks - 1) + [half - 3], True),
        "no rows at the end": ([N // (ranks - 1)] * (ranks - 1) + [0], False),
        "no rows at first": ([0] + [7] * (ranks - 1), True),
    }


def compared(
    run: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    oracle: Any,
    w: Tensor,
    x: Tensor,
    data: Tensor | None,
    starts: Counts,
    replicated: bool = False,
) -> dict[str, float]:
    """Values and gradients of this rank beside those of one process; the loss is a sum over all ranks."""
    rank = dist.get_rank()
    own = slice(starts[rank], starts[rank + 1])
    w_all, x_all = w.clone().requires_grad_(), x.clone().requires_grad_()
    d_all = None if data is None else data.clone().requires_grad_()
    expected = oracle(w_all, x_all, d_all)
    weights = torch.randn(dist.get_world_size(), *expected.shape, generator=seeded(1), dtype=torch.float64)
    if not replicated:  # a row of the output is on one rank, and so is its share of the loss
        weights = weights[:1]
    wanted = torch.autograd.grad(
        (expected * weights).sum(), [w_all, x_all, *([] if d_all is None else [d_all])]
    )
    w_own, x_own = w.clone().requires_grad_(), x[..., own, :].clone().requires_grad_()
    d_own = None if data is None else data[..., own, :].clone().requires_grad_()
    found = run(w_own, x_own, d_own)
    mine = weights[rank] if replicated else weights[0][..., own, :]
    got = torch.autograd.grad((found * mine).sum(), [w_own, x_own, *([] if d_own is None else [d_own])])
    here = expected if replicated else expected[..., own, :]
    pairs = {"value": (found, here), "dw": (got[0], wanted[0]), "dX": (got[1], wanted[1][..., own, :])}
    if data is not None:
        pairs["dD"] = (got[2], wanted[2][..., own, :])
    return {name: difference(*pair) for name, pair in pairs.items()}


def difference(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape, f"{tuple(found.shape)} and {tuple(expected.shape)}"
    found, expected = found.detach(), expected.detach()
    if not expected.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-300))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def cases(ranks: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, (cut, (counts, partial)) in enumerate(cuts(ranks).items()):
        starts = [sum(counts[:i]) for i in range(ranks + 1)]
        for number, (name, structure) in enumerate(STRUCTURES.items()):
            # Each of these meets every structure, and every cut: all of them with all would take a minute.
            channels, batch, m = SHAPES[(place + number) % len(SHAPES)]
            w = random(*(() if channels is None else (channels,)), structure.num_parameters, seed=2)
            x = random(*batch, starts[-1], m, seed=3)
            data = random(*batch, starts[-1], m, seed=4) if channels else None
            for normalize in (None, "scale", "softmax"):
                small = w / 10 if normalize == "softmax" else w  # a saturated one has no gradient to compare
                key = f"{cut} | {name} | C={channels} m={m} {normalize}"
                found[f"apply | {key}"] = compared(
                    lambda w, x, d: interdependence_apply(
                        structure, w, x, d, normalize=normalize, partial=partial
                    ),
                    lambda w, x, d: reference.apply(structure, w, x, d, normalize=normalize),
                    small,
                    x,
                    data,
                    starts,
                )
            found[f"matrix | {cut} | {name} | C={channels} m={m}"] = compared(
                lambda w, x, _: interdependence_matrix(structure, w, x, partial=partial, rows=counts),
                lambda w, x, _: reference.matrix(structure, w, x),
                w,
                x,
                None,
                starts,
                replicated=True,
            )
        for name, structure in {
            "lphm": LPHM(n=6, p=3, q=2, r=2),
            "full": Full(n=6),
            "hm": HM(n=6, p=3, q=2),
            "toeplitz": Toeplitz(n=6, lags=5),
            "low rank": LowRank(n=6, r=2),
        }.items():
            for channels, normalize, own in ((None, None, False), (2, "scale", True)):
                w = random(*(() if channels is None else (channels,)), structure.num_parameters, seed=2)
                x = random(2, starts[-1], 6, seed=3)
                data = random(2, starts[-1], 4, seed=4) if own else None
                found[f"instance | {cut} | {name} | C={channels} {normalize}"] = compared(
                    lambda w, x, d: interdependence_apply(structure, w, x, d, "instance", normalize),
                    lambda w, x, d: reference.apply(structure, w, x, d, "instance", normalize),
                    w,
                    x,
                    data,
                    starts,
                )
    return found


def other_gradients(ranks: int) -> dict[str, Any]:
    """The gradient of w left to others; second derivatives."""
    structure, each = STRUCTURES["lphm p > q"], N // ranks
    own = slice(each * dist.get_rank(), each * (dist.get_rank() + 1))
    w, x = random(structure.num_parameters, seed=2), random(N, 5, seed=3)
    mine = w.clone().requires_grad_()
    interdependence_apply(structure, mine, x[own], sum_gradient=False).square().sum().backward()
    alone = mine.grad.clone()
    dist.all_reduce(mine.grad)
    w_all, x_all = w.clone().requires_grad_(), x.clone().requires_grad_()
    reference.apply(structure, w_all, x_all).square().sum().backward()
    found = {"sum_gradient=False": {"dw": difference(mine.grad, w_all.grad)}}
    found["parts differ"] = {"dw": float(difference(alone * ranks, w_all.grad) < 1e-3)}

    def penalty(apply: Any, w: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        (dx,) = torch.autograd.grad(apply(structure, w, x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), (w, x))

    one = penalty(reference.apply, w.clone().requires_grad_(), x.clone().requires_grad_())
    many = penalty(interdependence_apply, w.clone().requires_grad_(), x[own].clone().requires_grad_())
    found["second derivatives"] = {"dw": difference(many[0], one[0]), "dX": difference(many[1], one[1][own])}
    return found


def dtensors(ranks: int) -> dict[str, Any]:
    mesh, found = init_device_mesh("cpu", (ranks,)), {}
    for b in (N, N - 2):
        structure = STRUCTURES["lphm p > q"]
        w = distribute_tensor(random(structure.num_parameters, seed=2), mesh, [Replicate()]).requires_grad_()
        x = distribute_tensor(random(b, 5, seed=3), mesh, [Shard(0)]).requires_grad_()
        out = interdependence_apply(structure, w, x, partial=True)
        xi = interdependence_matrix(structure, w, x, "scale", partial=True)
        assert isinstance(out, DTensor)
        assert (out.placements, out.shape) == ((Shard(0),), (b, 5))
        (out.square().sum() + xi.sin().sum()).backward()
        w_all, x_all = (t.full_tensor().detach().requires_grad_() for t in (w, x))
        expected, one = (
            reference.apply(structure, w_all, x_all),
            reference.matrix(structure, w_all, x_all, normalize="scale"),
        )
        (expected.square().sum() + one.sin().sum()).backward()
        found[f"DTensor b={b}"] = {
            "value": difference(out.full_tensor(), expected),
            "xi": difference(xi.full_tensor(), one),
            "dw": difference(w.grad.full_tensor(), w_all.grad),
            "dX": difference(x.grad.full_tensor(), x_all.grad),
        }
    return found


def errors(ranks: int) -> dict[str, str]:
    """What every rank is told when one of them, or all, ask for what cannot be."""
    rank, structure = dist.get_rank(), STRUCTURES["lphm p = q"]
    w, x = random(structure.num_parameters, seed=2), random(N // ranks, 5, seed=3)
    odd = rank == 1
    attempts: dict[str, Callable[[], object]] = {
        "columns": lambda: interdependence_apply(structure, w, x[:, : 4 if odd else 5]),
        "refused": lambda: interdependence_apply(structure, w[1:] if odd else w, x),
        "missing": lambda: interdependence_apply(structure, w, x[1:] if odd else x),
        "too many": lambda: interdependence_apply(structure, w, x[:1].expand(N, -1)),
        "normalize": lambda: interdependence_apply(structure, w, x, normalize="scale" if odd else None),
        "gradient": lambda: interdependence_apply(structure, w, x.clone().requires_grad_(odd)),
        "full": lambda: interdependence_apply(Full(n=N), random(N * N, seed=1), x),
        "rectangular": lambda: interdependence_apply(LowRank(n=N, columns=5, r=1), random(N + 5, seed=1), x),
        "softmax": lambda: interdependence_apply(
            LowRank(n=5, r=1), random(10, seed=1), x, None, "instance", "softmax"
        ),
        "rows": lambda: interdependence_apply(structure, w, x, rows=[N // ranks]),
    }
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            found[name] = "nothing was raised"
        except (ValueError, TypeError) as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def lose(how: str) -> None:
    """Rank 1 is lost before its third call; the others say what they are told, and after how long."""
    structure = STRUCTURES["lphm p = q"]
    w, x = (
        random(structure.num_parameters, seed=2).requires_grad_(),
        random(N // dist.get_world_size(), 5, seed=3),
    )
    for step in range(4):
        if step == 2 and dist.get_rank() == 1:
            if how == "hang":
                time.sleep(60)
            os._exit(9)
        begun = time.monotonic()
        try:
            interdependence_apply(structure, w, x).sum().backward()
        except RankLostError as error:
            print(
                json.dumps({"step": step, "seconds": time.monotonic() - begun, "error": str(error)}),
                flush=True,
            )
            os._exit(3)  # the group is broken: nothing is left to be closed


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=timedelta(seconds=12 if sys.argv[1] == "hang" else 60))
    if sys.argv[1] == "cases":
        ranks = dist.get_world_size()
        found = {"cases": cases(ranks) | other_gradients(ranks) | dtensors(ranks), "errors": errors(ranks)}
        (Path(sys.argv[2]) / f"{dist.get_rank()}.json").write_text(json.dumps(found))
    else:
        lose(sys.argv[1])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
