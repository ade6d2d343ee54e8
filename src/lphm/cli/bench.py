"""The command ``bench``: what the layer costs on this machine, as ratios to a linear layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

from lphm._memory import memory_limit, require_memory
from lphm.cli.arguments import Printing, Sided, Structure
from lphm.errors import InputError
from lphm.learn.options import Checked, Count, StructureOptions, Threads, sizes_of

if TYPE_CHECKING:
    from torch import Tensor

    from lphm.structures import Structure as AnyStructure

#: A dense W of more numbers than this is not formed: 1 GB in float32.
MOST_DENSE = 2**28


@Parameter(name="*", group="Problem")
@dataclass(kw_only=True)
class Problem(Checked):
    """The product that is timed."""

    b: Count = 4096
    """Rows of X."""
    m: Count = 128
    """Columns of X."""
    kind: Sided = "attribute"
    """Which interdependence: X xi of the columns (attribute), or xiᵀ X of the rows (instance)."""
    threads: Threads = 1
    """Threads of torch."""


@dataclass(frozen=True)
class Timing:
    """What one way to compute the product costs."""

    name: str  # "linear", the structure's name, or "dense W"
    milliseconds: float  # median of a forward and backward pass
    ratio: float  # of that to the linear layer's
    parameters: int  # numbers that are learned


def bench(*, problem: Problem | None = None, structure: Structure = None, json: bool = False) -> None:
    """Time X xi on this machine beside a linear layer and a dense W, forward and backward.

    **Examples**

        lphm bench --b 4096 --m 128 --p 64 --r 8
        lphm bench --kind instance --json

    Args:
        json: Print the result as JSON, for scripts.
    """
    problem, structure = problem or Problem(), structure or StructureOptions()
    from lphm.cli.printing import columns, say
    from lphm.structures.named import structure_for

    _require_memory(problem)
    n = problem.b if problem.kind == "attribute" else problem.m
    try:
        W = structure_for(structure.structure, n, **sizes_of(structure))
    except ValueError as error:
        raise InputError(str(error)) from error
    _require_memory(problem, W)
    timings = measure(W, problem)
    cells = (
        (row.name, f"{row.ratio:.2f}", f"{row.milliseconds:.3g}", f"{row.parameters:,}") for row in timings
    )
    headings = ("X xi by", "over linear", "milliseconds", "parameters")
    table = columns(f"{W}, X {problem.b} x {problem.m}", headings, cells)
    say(table, {"table": [vars(row) for row in timings]}, Printing(json=json))


def _require_memory(problem: Problem, W: "AnyStructure | None" = None) -> None:
    """Raise ``InputError`` unless memory holds X, the linear layer and W, with outputs and gradients."""
    b, m = problem.b, problem.m
    numbers = 4 * b * m + 2 * m**2
    if W is not None:
        numbers += 2 * W.num_parameters + 2 * W.middle * (m if problem.kind == "attribute" else b)
    require_memory("X, W and their gradients", 4 * numbers, "choose smaller b, m, p, q, r or lags")


def measure(structure: "AnyStructure", problem: Problem, seconds: float = 1.0) -> list[Timing]:
    """Time a linear layer ``X @ M``, the structure and its dense ``W``, each for so many seconds.

    The results are compared before anything is timed. ``n`` of the structure is ``b`` for the attribute kind
    and ``m`` for the instance kind.
    """
    import torch
    from torch.utils.benchmark import Timer

    from lphm.nn.init import initialize_
    from lphm.ops.functional import interdependence_apply

    b, m, n, kind = problem.b, problem.m, structure.n, problem.kind
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(b, m, generator=generator).requires_grad_()
    weight = torch.randn(m, m, generator=generator).div_(m**0.5).requires_grad_()
    w = initialize_(structure, torch.empty(structure.num_parameters), generator=generator).requires_grad_()
    ways: dict[str, tuple[Callable[[], Tensor], Tensor]] = {
        "linear": (lambda: x @ weight, weight),
        type(structure).__name__: (lambda: interdependence_apply(structure, w, x, kind=kind), w),
    }
    if n * n <= min(MOST_DENSE, memory_limit() / 32):  # four such W in float64
        w64, x64 = w.detach().double(), x.detach().double()
        expected = dense_apply(structure.to_dense(w64), x64, problem)
        applied = interdependence_apply(structure, w64, x64, kind=kind)
        torch.testing.assert_close(applied, expected, rtol=1e-8, atol=1e-8)
        dense = structure.to_dense(w.detach()).requires_grad_()
        ways["dense W"] = (lambda: dense_apply(dense, x, problem), dense)
    timings: list[Timing] = []
    for name, (way, learned) in ways.items():
        names = {"way": way, "inputs": [x, learned], "dy": torch.randn_like(x)}
        timer = Timer("torch.autograd.grad(way(), inputs, dy)", globals=names, num_threads=problem.threads)
        milliseconds = 1000 * timer.blocked_autorange(min_run_time=seconds).median
        ratio = milliseconds / timings[0].milliseconds if timings else 1.0
        timings.append(Timing(name, milliseconds, ratio, learned.numel()))
    return timings


def dense_apply(W: "Tensor", x: "Tensor", problem: Problem) -> "Tensor":
    """``x @ xi`` or ``xiᵀ @ x``, associated as it costs least."""
    return x @ (x.mT @ (W @ x)) if problem.kind == "attribute" else x @ (W.mT @ (x.mT @ x))
