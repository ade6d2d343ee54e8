"""The structures under test: one row each. A new structure gets its row here, its dense equal in the oracle.

A row names a typical case (nothing is 1, nothing is equal to anything else) and every edge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from hypothesis import strategies as st
from torch import Tensor

from lphm import LPHM, Full, Structure
from lphm.errors import divisors

Transposed = tuple[Structure, Tensor]


@dataclass(frozen=True)
class Row:
    """How to build a structure, and what is known of it."""

    typical: Structure
    large: Structure  # n above every threshold, for memory and the choice of order
    edges: dict[str, Structure]
    num_parameters: Callable[[Structure], int]
    middle: Callable[[Structure], int]
    transposed: Callable[[Structure, Tensor], Transposed] | None  # another structure and w with its Wᵀ
    drawn: st.SearchStrategy[Structure] = field(repr=False)

    @property
    def cases(self) -> dict[str, Structure]:
        """All of them, by name."""
        return {"typical": self.typical, **self.edges}


sizes = st.integers(1, 24)
ranks = st.integers(1, 4)
partitions = sizes.flatmap(
    lambda n: st.fixed_dictionaries(
        {"n": st.just(n), "p": st.sampled_from(divisors(n)), "q": st.sampled_from(divisors(n))}
    )
)


def _transposed_lphm(structure: Structure, w: Tensor) -> Transposed:
    A, S, T = structure.unpack(w)
    other = LPHM(n=structure.n, p=structure.q, q=structure.p, r=structure.r)
    return other, other.pack(A.mT, T, S)


ROWS = {
    "full": Row(
        typical=Full(n=12),
        large=Full(n=512),
        edges={"n=1": Full(n=1), "n prime": Full(n=7), "n above the forming size": Full(n=72)},
        num_parameters=lambda s: s.n**2,
        middle=lambda s: s.n,
        transposed=lambda s, w: (s, s.pack(s.unpack(w)[0].mT)),
        drawn=st.builds(lambda n: Full(n=n), sizes),
    ),
    "lphm": Row(
        typical=LPHM(n=12, p=2, q=3, r=2),
        large=LPHM(n=512, p=16, q=8, r=2),
        edges={
            "n=1": LPHM(n=1, p=1, q=1, r=1),
            "n=1, r=3": LPHM(n=1, p=1, q=1, r=3),
            "n prime, p=1, q=n": LPHM(n=7, p=1, q=7, r=2),
            "n prime, p=n, q=1": LPHM(n=7, p=7, q=1, r=2),
            "p=1": LPHM(n=12, p=1, q=3, r=2),
            "q=1": LPHM(n=12, p=4, q=1, r=2),
            "p=n": LPHM(n=12, p=12, q=3, r=2),
            "q=n": LPHM(n=12, p=4, q=12, r=2),
            "p=q=1": LPHM(n=12, p=1, q=1, r=2),
            "p=q=n": LPHM(n=12, p=12, q=12, r=2),
            "p=q": LPHM(n=12, p=4, q=4, r=2),
            "p>q": LPHM(n=12, p=6, q=2, r=3),
            "r=1": LPHM(n=12, p=2, q=6, r=1),
            "r above the block": LPHM(n=12, p=6, q=4, r=5),
            "q by default": LPHM(n=12, p=3, r=2),
            "n above the forming size, p<q": LPHM(n=72, p=8, q=9, r=2),
            "n above the forming size, p>q": LPHM(n=72, p=12, q=4, r=2),
            "n above the forming size, p=q": LPHM(n=72, p=6, q=6, r=2),
        },
        num_parameters=lambda s: s.p * s.q + s.r * (s.n // s.p + s.n // s.q),
        middle=lambda s: s.r * min(s.p, s.q),
        transposed=_transposed_lphm,
        drawn=st.builds(lambda sizes, r: LPHM(**sizes, r=r), partitions, ranks),
    ),
}

#: For tests that are about something else than the structure.
TYPICAL = {name: row.typical for name, row in ROWS.items()}
LARGE = {name: row.large for name, row in ROWS.items()}


def draw(
    structure: Structure,
    kind: str = "attribute",
    batch: tuple[int, ...] = (2,),
    channels: int | None = 3,
    k: int = 5,
    d: int = 4,
    dtype: torch.dtype = torch.float64,
    requires_grad: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """``w``, ``x`` and ``data`` that fit; ``d`` is what ``data`` has more or fewer of than ``x``."""
    w = torch.randn(*([] if channels is None else [channels]), structure.num_parameters, dtype=dtype)
    x, data = torch.randn(*batch, structure.n, k, dtype=dtype), torch.randn(*batch, d, k, dtype=dtype)
    if kind == "instance":
        x, data = x.mT.contiguous(), data.mT.contiguous()
    x, w = x / structure.n**0.5, w / w.shape[-1] ** 0.25
    return tuple(t.detach().requires_grad_(requires_grad) for t in (w, x, data))
