"""What the layer costs on this machine, as ratios to a linear layer: forward and backward of `X @ xi`."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from lphm.errors import InputError
from lphm.nn.init import initialize_
from lphm.ops.checks import Kind
from lphm.ops.functional import interdependence_apply
from lphm.structures import Structure

#: A dense W of more numbers than this is not formed: 1 GB in float32.
MOST_DENSE = 2**28


@dataclass(frozen=True)
class Measured:
    """One way to compute.

    Args:
        name: "linear", the structure's name, or "dense W".
        milliseconds: median of a forward and backward pass.
        ratio: of that to the linear layer's.
        parameters: numbers that are learned.
    """

    name: str
    milliseconds: float
    ratio: float
    parameters: int


def bench(
    structure: Structure,
    b: int,
    m: int,
    kind: Kind = "attribute",
    *,
    threads: int = 1,
    seconds: float = 1.0,
    seed: int = 0,
) -> list[Measured]:
    """Time a linear layer ``X @ M``, the structure, and the dense ``W`` that it stands for.

    The results are compared before the clock starts.

    Args:
        structure: what ``W`` is, ``n = b`` for the attribute kind and ``m`` for the instance kind.
        b: rows of ``X``.
        m: columns of ``X``.
        kind: "attribute" or "instance".
        threads: threads of torch.
        seconds: for each of the three.
        seed: of the numbers in ``X`` and ``w``.

    Raises:
        InputError: the structure does not fit ``X``.
    """
    n = b if kind == "attribute" else m
    if structure.n != n:
        raise InputError(f"W must be {n} x {n} for {kind} xi of {b} x {m} numbers, got {structure}")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(b, m, generator=generator).requires_grad_()
    weight = torch.randn(m, m, generator=generator).div_(m**0.5).requires_grad_()
    w = initialize_(structure, torch.empty(structure.num_parameters), generator=generator).requires_grad_()
    ways: dict[str, tuple[Callable[[], Tensor], list[Tensor], int]] = {
        "linear": (lambda: x @ weight, [x, weight], m * m),
        type(structure).__name__: (
            lambda: interdependence_apply(structure, w, x, kind=kind),
            [x, w],
            structure.num_parameters,
        ),
    }
    if n * n <= MOST_DENSE:
        dense = structure.to_dense(w.detach()).requires_grad_()
        ways["dense W"] = (lambda: _dense(dense, x, kind), [x, dense], n * n)
        _check(structure, w, x, kind)
    median = {name: _median(way, inputs, threads, seconds) for name, (way, inputs, _) in ways.items()}
    return [
        Measured(name, 1000 * median[name], median[name] / median["linear"], parameters)
        for name, (_, _, parameters) in ways.items()
    ]


def _dense(W: Tensor, x: Tensor, kind: Kind) -> Tensor:
    """``x @ xi`` or ``xiᵀ @ x``, associated as it costs least."""
    if kind == "attribute":
        return x @ (x.mT @ (W @ x))
    return x @ (W.mT @ (x.mT @ x))


def _check(structure: Structure, w: Tensor, x: Tensor, kind: Kind) -> None:
    """Raise ``AssertionError`` unless the structure and its dense ``W`` give the same, in float64."""
    w64, x64 = w.detach().double(), x.detach().double()
    fast = interdependence_apply(structure, w64, x64, kind=kind)
    torch.testing.assert_close(fast, _dense(structure.to_dense(w64), x64, kind), rtol=1e-8, atol=1e-8)


def _median(way: Callable[[], Tensor], inputs: list[Tensor], threads: int, seconds: float) -> float:
    """Median seconds of a forward and backward pass."""
    upstream = torch.randn_like(way())

    def both() -> None:
        torch.autograd.grad(way(), inputs, upstream)

    both()
    timer = Timer("both()", globals={"both": both}, num_threads=threads)
    return float(timer.blocked_autorange(min_run_time=seconds).median)
