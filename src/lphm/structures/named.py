"""Structures by their names in options and on the command line, with sizes that may be left open."""

import math
from typing import Any

from lphm.errors import divisors
from lphm.structures import STRUCTURES, Structure
from lphm.structures.sizing import Sized

#: "lphm", "full", "low-rank", "hm", "dual-lphm", ...
NAMED = {name.replace("_", "-"): cls for name, cls in STRUCTURES.items()}


def require_sizes(name: str, sizes: dict[str, Any]) -> None:
    """Raise ``ValueError`` unless the structure of that name has all sizes, and the budget, that are given.

    ``sizes`` are those of ``structure_for``; None stands for one that is not given.
    """
    if name not in NAMED:
        raise ValueError(f"structure must be one of {', '.join(NAMED)}, got {name!r}")
    cls = NAMED[name]
    given = {size: value for size, value in sizes.items() if value is not None}
    if given.pop("budget", None) is not None and (given or not issubclass(cls, Sized)):
        other = f"{', '.join(given)} as well" if given else f"structure {name!r}, which has none"
        raise ValueError(f"budget chooses the sizes of a structure, got {other}; leave one of them out")
    if unknown := [size for size in given if size not in cls.__dataclass_fields__]:
        own = [size for size in sizes if size in cls.__dataclass_fields__]
        takes = f"sizes that it has ({', '.join(own)})" if own else "no sizes"
        got = ", ".join(f"{size}={given[size]}" for size in unknown)
        raise ValueError(
            f"structure {name!r} must be given {takes}, got {got}; leave {', '.join(unknown)} out"
        )


def structure_for(
    name: str,
    n: int,
    p: int | None = None,
    q: int | None = None,
    r: int | None = None,
    lags: int | None = None,
    budget: float | None = None,
    larger: bool = False,
) -> Structure:
    """The ``n x n`` structure of that name; sizes as ``lphm.learn.options.StructureOptions`` describes them.

    With ``larger``, ``n`` is the least size of at least so many rows that ``p`` and ``q`` divide. Then sizes
    that are left open are those with the fewest parameters: ``p³ = r n`` for LPHM, ``p² = n`` for DualLPHM.
    The lags of Toeplitz that are left open reach as far as is usual for correlograms, ``10 log₁₀ n`` rows.

    Raises:
        ValueError: the name is unknown, a size does not divide ``n``, the structure has no such size, or the
            budget is too small.
    """
    sizes: dict[str, Any] = {"p": p, "q": q, "r": r, "lags": lags}
    require_sizes(name, sizes | {"budget": budget})
    cls = NAMED[name]
    if budget is not None:
        assert issubclass(cls, Sized)
        return cls.suggest(n, int(budget) if budget > 1 else float(budget), partial=larger)
    given = {size: value for size, value in sizes.items() if value is not None}
    sizes = {
        "p": min(divisors(n), key=lambda d: abs(d - math.sqrt(n))),
        "r": 2,
        "lags": usual_lags(n),
    } | given
    if larger and name in ("lphm", "dual-lphm"):
        best = (sizes["r"] * n) ** (1 / 3) if name == "lphm" else n**0.5
        sizes["p"] = p or max(1, min(n, round(best)))
        step = math.lcm(sizes["p"], q or sizes["p"])
        n = math.ceil(n / step) * step
    return cls(n=n, **{size: value for size, value in sizes.items() if size in cls.__dataclass_fields__})


def usual_lags(n: int) -> int:
    """0 and ``10 log₁₀ n`` lags of either sign, as R's ``ccf`` has them, but none above ``n / 2``."""
    return 1 + 2 * min(int(10 * math.log10(n)), n // 2)
