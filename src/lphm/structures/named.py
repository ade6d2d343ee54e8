"""Structures by their names in options and on the command line, with sizes that may be left open."""

import math
from typing import Any, TypeAlias

from lphm.errors import divisors
from lphm.structures import STRUCTURES, Structure
from lphm.structures.sizing import Sized

#: A size, or None to leave it open.
Size: TypeAlias = int | None
#: "lphm", "full", "low-rank", "hm", "dual-lphm", ...
NAMED = {name.replace("_", "-"): cls for name, cls in STRUCTURES.items()}


def structure_for(
    name: str,
    n: int,
    p: Size = None,
    q: Size = None,
    r: Size = None,
    budget: float | None = None,
    larger: bool = False,
) -> Structure:
    """The ``n x n`` structure of that name; sizes as ``lphm.learn.options.StructureOptions`` describes them.

    ``larger`` lets a budget choose a larger ``n``, too.

    Raises:
        ValueError: the name is unknown, a size does not divide ``n``, the structure has no such size, or the
            budget is too small.
    """
    if name not in NAMED:
        raise ValueError(f"structure must be one of {', '.join(NAMED)}, got {name!r}")
    cls = NAMED[name]
    given = {size: value for size, value in (("p", p), ("q", q), ("r", r)) if value is not None}
    if budget is not None:
        if given or not issubclass(cls, Sized):
            other = f"{', '.join(given)} as well" if given else f"structure {name!r}, which has none"
            raise ValueError(f"budget chooses the sizes of a structure, got {other}; leave one of them out")
        return cls.suggest(n, int(budget) if budget > 1 else float(budget), partial=larger)
    takes = cls.__dataclass_fields__
    if unknown := [size for size in given if size not in takes]:
        raise ValueError(f"structure {name!r} must be given sizes that it has, got {', '.join(unknown)}")
    defaults = {"p": min(divisors(n), key=lambda d: abs(d - math.sqrt(n))), "r": 2}
    sizes: dict[str, Any] = {size: value for size, value in (defaults | given).items() if size in takes}
    return cls(n=n, **sizes)


def structure_for_rows(
    name: str, rows: int, p: Size = None, q: Size = None, r: Size = None, budget: float | None = None
) -> Structure:
    """The structure for so many rows: its ``n`` is the least that holds them and that the sizes divide.

    Sizes that are left open are those with the fewest parameters: ``p³ = r n`` for LPHM, ``p² = n`` for
    DualLPHM. Arguments and errors as for ``structure_for``.
    """
    n = rows
    if budget is None and name in ("lphm", "dual-lphm"):
        r = r or 2
        best = (r * rows) ** (1 / 3) if name == "lphm" else rows**0.5
        p = p or max(1, min(rows, round(best)))
        step = math.lcm(p, q or p)
        n = math.ceil(rows / step) * step
    return structure_for(name, n, p, q, r, budget, True)
