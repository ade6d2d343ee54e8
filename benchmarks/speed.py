"""Time of xi applied to its own data, as a ratio to a linear layer ``X @ M`` measured in the same run.

    python -m benchmarks.speed [--threads 2] [--rounds 15]

Each contender is checked against a float64 oracle before it is timed; rounds are interleaved, and the
ratios are of medians. ``by hand`` is what the library does, ``composed`` the same products
differentiated by autograd, ``dense`` forms W by ``torch.kron``.
"""

import argparse
import random
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

import lphm
from lphm import orders, fused, contraction

SIZES = {
    "attribute": [
        (16, 8, 4, 4, 1),
        (64, 16, 8, 8, 2),
        (256, 64, 16, 16, 4),
        (1024, 64, 32, 32, 4),
        (4096, 128, 64, 64, 8),
        (16384, 64, 128, 128, 8),
        (65536, 64, 256, 256, 4),
        (1024, 1024, 32, 32, 8),
    ],
    "instance": [(256, 64, 8, 8, 4), (4096, 128, 8, 8, 8), (16384, 64, 8, 8, 8), (1024, 1024, 32, 32, 8)],
}
LARGEST_DENSE = 4096  # a dense W of 16384 x 16384 takes a gigabyte, and minutes for the table


def dense(structure: lphm.LPHM, w: Tensor, x: Tensor, kind: str) -> Tensor:
    """What a user without this library writes: W by torch.kron, associated well."""
    A, S, T = structure.unpack(w)
    W = torch.kron(A, S @ T.T)
    return x @ (x.T @ (W @ x)) if kind == "attribute" else x @ (W.T @ (x.T @ x))


def oracle(structure: lphm.LPHM, w: Tensor, x: Tensor, kind: str) -> Tensor:
    """The formula by one einsum, which shares nothing with the library's products."""
    (A, S, T), rows = structure.unpack(w), x if kind == "attribute" else x.T  # (n, k)
    U = torch.einsum("psk,sr->prk", rows.unflatten(0, (structure.p, -1)), S)
    V = torch.einsum("qtk,tr->qrk", rows.unflatten(0, (structure.q, -1)), T)
    if kind == "attribute":
        return x @ torch.einsum("pq,prk,qrl->kl", A, U, V)
    return torch.einsum("pq,prk,qrl,km->lm", A, U, V, x)


def composed(structure: lphm.LPHM, w: Tensor, x: Tensor, kind: str) -> Tensor:
    """The library's orders, without its gradient by hand."""
    rows = (x if kind == "attribute" else x.mT).unsqueeze(0)
    order = contraction.choose_order(structure, 1, rows.shape[2], rows.shape[1])
    out = fused.compose(structure, order, w.unsqueeze(0), rows, rows.unsqueeze(1))[0, 0]
    return out if kind == "attribute" else out.mT


def ratios(kind: str, size: tuple[int, ...], rounds: int) -> dict[str, tuple[float, float]]:
    """Forward and forward+backward of every contender over the linear layer."""
    b, m, p, q, r = size
    structure = lphm.LPHM(n=b if kind == "attribute" else m, p=p, q=q, r=r)
    w = lphm.initialize_(structure, torch.empty(structure.num_parameters)).requires_grad_()
    x, G, M = torch.randn(b, m, requires_grad=True), torch.randn(b, m), torch.randn(m, m, requires_grad=True)
    contenders: dict[str, Callable[[], Tensor]] = {
        "linear": lambda: x @ M,
        "by hand": lambda: lphm.interdependence_apply(structure, w, x, kind=kind),
        "composed": lambda: composed(structure, w, x, kind),
    }
    if structure.n <= LARGEST_DENSE:
        contenders["dense"] = lambda: dense(structure, w, x, kind)
    with torch.no_grad():
        truth = oracle(structure, w.double(), x.double(), kind)
        for name, run in contenders.items():
            error = (run().double() - truth).norm() / truth.norm() if name != "linear" else torch.zeros(())
            assert error < 1e-4, f"{name} is off by {error:.1e} at {kind} {size}"

    def both(run: Callable[[], Tensor], leaf: Tensor) -> Callable[[], object]:
        return lambda: torch.autograd.grad(run(), (x, leaf), G)

    with torch.no_grad():
        forward = _medians(contenders, rounds)
    steps = {name: both(run, M if name == "linear" else w) for name, run in contenders.items()}
    backward = _medians(steps, rounds)
    return {
        name: (forward[name] / forward["linear"], backward[name] / backward["linear"])
        for name in contenders
        if name != "linear"
    }


def _medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in random.sample(list(runs.items()), len(runs)):  # nobody has a fixed predecessor
            start = time.perf_counter()
            run()
            if number >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = ("by hand", "composed", "dense")
    print(f"forward+backward (forward) over a linear layer; float32, {arguments.threads} threads\n")
    print(f"| kind | b, m, p, q, r | {' | '.join(names)} |")
    print("| --- | --- | --- | --- | --- |")
    for kind, sizes in SIZES.items():
        for size in sizes:
            found = ratios(kind, size, arguments.rounds)
            cells = [f"{found[n][1]:.2f} ({found[n][0]:.2f})" if n in found else "" for n in names]
            print(f"| {kind} | {', '.join(map(str, size))} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
