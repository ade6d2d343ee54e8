"""How time and memory grow with the rows: the exponent of ``b``, for the attribute kind.

``p = q`` is the divisor of ``b`` nearest to its square root, so that both factors of ``W`` grow at the same
rate; ``m = 64`` and ``r = 8`` are fixed. The exponents of a linear layer, measured on the same machine, show
what linear growth looks like.
"""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks import memory
from benchmarks.cases import Case
from benchmarks.contenders import LINEAR, LPHM
from benchmarks.runner import log, measure
from benchmarks.settings import Settings
from benchmarks.timing import Clock

ROWS = (1024, 3136, 10000, 32400, 102400, 313600, 1000000)
#: From this number of rows on, call overhead and single pages of memory are negligible.
LARGE = 16000
QUANTITIES = ("seconds", "over_inputs")


def nearest_divisor(b: int) -> int:
    """The largest divisor of ``b`` that is at most its square root."""
    return next(p for p in range(math.isqrt(b), 0, -1) if b % p == 0)


def case_of(b: int) -> Case:
    """The case with ``b`` rows of 64 columns."""
    p = nearest_divisor(b)
    return Case("attribute", b, 64, p, p, 8)


def exponent(rows: list[int], values: list[float]) -> float | None:
    """The slope of ``log value`` over ``log b``, by least squares; None with fewer than two points."""
    points = [(math.log(b), math.log(value)) for b, value in zip(rows, values, strict=True) if value > 0]
    if len({x for x, _ in points}) < 2:
        return None
    return float(np.polyfit(*zip(*points, strict=True), 1)[0])


def run(rows: list[int], settings: Settings, clock: Clock) -> dict[str, Any]:
    """Measure time in this process and memory in a new one for every size, and fit the exponents."""
    points = [_point(case_of(b), settings, clock) for b in rows]
    fits = [
        {"contender": name, "from": first, "to": max(rows), **_fit(points, name, first)}
        for first in _starts(rows)
        for name in ("lphm", "linear")
    ]
    return {"points": points, "fits": fits}


def _starts(rows: list[int]) -> list[int]:
    """The sizes at which the fits start: the smallest, and the smallest of the large ones."""
    large = [b for b in rows if b >= LARGE]
    return sorted({min(rows), min(large)}) if large else [min(rows)]


def _point(case: Case, settings: Settings, clock: Clock) -> dict[str, Any]:
    log(f"{case} ...")
    result = measure(case, [LPHM, LINEAR], settings, clock)
    for error in result["wrong"].values():
        log(f"  WRONG, not timed: {error}")
    times = result["both"]["seconds"]
    return {
        "case": asdict(case),
        "wrong": result["wrong"],
        "contenders": {
            contender.name: {
                "seconds": times[contender.name]["median"],
                "rounds": times[contender.name]["rounds"],
                **memory.in_fresh_process(contender, case, settings),
            }
            for contender in (LPHM, LINEAR)
            if contender.name in times
        },
    }


def _fit(points: list[dict[str, Any]], name: str, first: int) -> dict[str, float | None]:
    """Exponents of time and of memory above the inputs, from ``first`` rows on."""
    chosen = [point for point in points if point["case"]["b"] >= first and name in point["contenders"]]
    rows = [point["case"]["b"] for point in chosen]
    return {
        quantity: exponent(rows, [point["contenders"][name][quantity] for point in chosen])
        for quantity in QUANTITIES
    }
