"""Structures by their names in options and on the command line, with sizes that may be left open."""

import math
from typing import Any

from lphm.errors import divisors
from lphm.structures import STRUCTURES, Structure
from lphm.structures.sizing import Sized


def structure_for(
    name: str,
    n: int,
    p: int | None = None,
    q: int | None = None,
    r: int | None = None,
    budget: float | None = None,
) -> Structure:
    """The ``n x n`` structure of that name.

    Args:
        name: ``"lphm"``, ``"full"``, ``"low-rank"``, ``"hm"`` or ``"dual-lphm"``.
        n: rows and columns of ``W``.
        p: row blocks of ``W``. Default: the divisor of ``n`` that is nearest to its square root.
        q: column blocks of ``W``. Default: ``p``.
        r: rank of the factors. Default: 2.
        budget: parameters to choose ``p``, ``q`` and ``r`` for; up to 1, a share of ``n²``.

    Raises:
        ValueError: the name is unknown, a size does not divide ``n``, the structure has no such size, or the
            budget is too small.
    """
    cls, given = _class(name), _given(p=p, q=q, r=r)
    if budget is not None:
        return _suggested(name, n, budget, given)
    takes = cls.__dataclass_fields__
    if unknown := [size for size in given if size not in takes]:
        raise ValueError(f"structure {name!r} must be given sizes that it has, got {', '.join(unknown)}")
    defaults = {"p": min(divisors(n), key=lambda d: abs(d - math.sqrt(n))), "r": 2}
    sizes: dict[str, Any] = {size: value for size, value in (defaults | given).items() if size in takes}
    return cls(n=n, **sizes)


def structure_for_rows(
    name: str,
    rows: int,
    p: int | None = None,
    q: int | None = None,
    r: int | None = None,
    budget: float | None = None,
) -> Structure:
    """The structure for so many rows: its ``n`` is the least that holds them and that the sizes divide.

    Sizes that are left open are those with the fewest parameters: ``p³ = r n`` for LPHM, ``p² = n`` for
    DualLPHM. Arguments and errors as for ``structure_for``.
    """
    if budget is not None:
        return _suggested(name, rows, budget, _given(p=p, q=q, r=r), partial=True)
    if name not in ("lphm", "dual-lphm"):
        return structure_for(name, rows, p, q, r)
    r = r or 2
    best = (r * rows) ** (1 / 3) if name == "lphm" else rows**0.5
    p = p or max(1, min(rows, round(best)))
    q = q or p
    step = math.lcm(p, q)
    return structure_for(name, math.ceil(rows / step) * step, p, q, r)


def _class(name: str) -> type[Structure]:
    named = {key.replace("_", "-"): cls for key, cls in STRUCTURES.items()}
    if name not in named:
        raise ValueError(f"structure must be one of {', '.join(named)}, got {name!r}")
    return named[name]


def _given(**sizes: int | None) -> dict[str, int]:
    return {name: value for name, value in sizes.items() if value is not None}


def _suggested(name: str, n: int, budget: float, given: dict[str, int], partial: bool = False) -> Structure:
    cls = _class(name)
    if given:
        raise ValueError(f"budget chooses the sizes, got {', '.join(given)} as well; leave one of them out")
    if not issubclass(cls, Sized):
        raise ValueError(
            f"budget chooses the sizes of a structure, got {name!r}, which has none; leave it out"
        )
    return cls.suggest(n, int(budget) if budget > 1 else float(budget), partial=partial)
