"""How time and memory grow with the rows: the exponent of ``b``, for the attribute kind.

``p = q`` is the divisor of ``b`` nearest to its root, so that both factors of ``W`` grow alike; ``m = 64``
and ``r = 8`` stay. The linear layer beside it shows what an exponent of 1 looks like on this machine.
"""

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks import memory
from benchmarks.cases import Case
from benchmarks.contenders import LINEAR, LPHM
from benchmarks.runner import measure, say
from benchmarks.settings import Settings
from benchmarks.timing import Clock

ROWS = (1024, 3136, 10000, 32400, 102400, 313600, 1000000)
#: From here on a call costs more than its overhead, and memory more than a page here and there.
LARGE = 16000
QUANTITIES = ("seconds", "over_inputs")


def nearest_divisor(b: int) -> int:
    """The largest divisor of ``b`` up to its root, whose ratio to the root is the nearest to 1."""
    return next(p for p in range(math.isqrt(b), 0, -1) if b % p == 0)


def case_of(b: int) -> Case:
    """``b`` rows of 64 columns."""
    p = nearest_divisor(b)
    return Case("attribute", b, 64, p, p, 8)


def exponent(rows: list[int], values: list[float]) -> float | None:
    """The slope of ``log value`` in ``log b``, by least squares; None where two points are not there."""
    points = [(math.log(b), math.log(value)) for b, value in zip(rows, values, strict=True) if value > 0]
    if len({x for x, _ in points}) < 2:
        return None
    return float(np.polyfit(*zip(*points, strict=True), 1)[0])


def run(rows: list[int], settings: Settings, clock: Clock) -> dict[str, Any]:
    """Time in this process, memory in a fresh one for every size; and the fits."""
    points = [_point(case_of(b), settings, clock) for b in rows]
    fits = [
        {"contender": name, "from": first, "to": max(rows), **_fit(points, name, first)}
        for first in _firsts(rows)
        for name in ("lphm", "linear")
    ]
    return {"points": points, "fits": fits}


def _firsts(rows: list[int]) -> list[int]:
    """Where the fits begin: at the first size of all, and at the first beyond overhead."""
    large = [b for b in rows if b >= LARGE]
    return sorted({min(rows), min(large)}) if large else [min(rows)]


def _point(case: Case, settings: Settings, clock: Clock) -> dict[str, Any]:
    say(f"{case} ...")
    found = measure(case, [LPHM, LINEAR], settings, clock)
    for error in found["wrong"].values():
        say(f"  WRONG, not timed: {error}")
    times = found["both"]["seconds"]
    return {
        "case": asdict(case),
        "wrong": found["wrong"],
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
    """Exponents of time and of memory over the inputs, from ``first`` rows on."""
    chosen = [point for point in points if point["case"]["b"] >= first and name in point["contenders"]]
    rows = [point["case"]["b"] for point in chosen]
    return {
        quantity: exponent(rows, [point["contenders"][name][quantity] for point in chosen])
        for quantity in QUANTITIES
    }
