"""The structures under test: one row each. A new structure gets its row here, its dense equal in the oracle.

A row names a typical case (nothing is 1, nothing is equal to anything else) and every edge.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure, Toeplitz
from lphm.errors import divisors

Transposed = tuple[Structure, Tensor]


@dataclass(frozen=True)
class Row:
    """How to build a structure, and what is known of it.

    ``rectangular`` and ``drawn_rectangular`` are for a structure that has a meaning for two sets of data.
    """

    typical: Structure
    large: Structure  # n above every threshold, for memory and the choice of order
    edges: dict[str, Structure]
    num_parameters: Callable[[Structure], int]
    middle: Callable[[Structure], int]
    transposed: Callable[[Structure, Tensor], Transposed]  # a structure and w that have its Wᵀ
    drawn: st.SearchStrategy[Structure] = field(repr=False)
    rectangular: dict[str, Structure] = field(default_factory=dict)
    large_rectangular: Structure | None = None
    drawn_rectangular: st.SearchStrategy[Structure] | None = field(default=None, repr=False)

    @property
    def cases(self) -> dict[str, Structure]:
        """All square ones, by name."""
        return {"typical": self.typical, **self.edges}

    @property
    def two_sets(self) -> dict[str, Structure]:
        """What is computed for two sets of data: every rectangular one, and a square one."""
        return {"square": self.typical, **self.rectangular}


sizes = st.integers(1, 24)
ranks = st.integers(1, 4)
partitions = sizes.flatmap(
    lambda n: st.fixed_dictionaries(
        {"n": st.just(n), "p": st.sampled_from(divisors(n)), "q": st.sampled_from(divisors(n))}
    )
)


wide = st.tuples(sizes, sizes).flatmap(
    lambda shape: st.fixed_dictionaries(
        {
            "n": st.just(shape[0]),
            "columns": st.just(shape[1]),
            "p": st.sampled_from(divisors(shape[0])),
            "q": st.sampled_from(divisors(shape[1])),
        }
    )
)


def turned(structure: Structure, **changes: int) -> Structure:
    """With as many rows as columns before, and the other way round."""
    n, columns = structure.shape
    return replace(structure, n=columns, columns=n, **changes)


def swapped(structure: Structure) -> Structure:
    """The structure of the transpose: q row blocks and p column blocks."""
    return turned(structure, p=structure.q, q=structure.p)


def transposed_full(structure: Full, w: Tensor) -> Transposed:
    (W,) = structure.unpack(w)
    return turned(structure), turned(structure).pack(W.mT)


def transposed_low_rank(structure: LowRank, w: Tensor) -> Transposed:
    P, Q = structure.unpack(w)
    return turned(structure), turned(structure).pack(Q, P)


def transposed_hm(structure: HM, w: Tensor) -> Transposed:
    A, B = structure.unpack(w)
    return swapped(structure), swapped(structure).pack(A.mT, B.mT)


def transposed_lphm(structure: LPHM, w: Tensor) -> Transposed:
    A, S, T = structure.unpack(w)
    return swapped(structure), swapped(structure).pack(A.mT, T, S)


def transposed_dual_lphm(structure: DualLPHM, w: Tensor) -> Transposed:
    P, Q, S, T = structure.unpack(w)
    return swapped(structure), swapped(structure).pack(Q, P, T, S)


def transposed_as_full(structure: Structure, w: Tensor) -> Transposed:
    """Of a structure that no other has the transpose of."""
    full = Full(n=structure.shape[1], columns=structure.n)
    return full, full.pack(structure.to_dense(w).mT)


def hm_middle(structure: HM) -> int:
    """Rows of the side that ``A ⊗ B`` is not applied to, which is the one where that takes more flops."""
    n, columns = structure.shape
    p, q = structure.p, structure.q
    of_y, of_x = (n // p) * columns + n * q, n * (columns // q) + p * columns
    return columns if of_x < of_y else n


#: Every way in which blocks can be degenerate, for the three Kronecker structures.
BLOCKS = {
    "n=1": {"n": 1, "p": 1, "q": 1},
    "n prime, p=1, q=n": {"n": 7, "p": 1, "q": 7},
    "n prime, p=n, q=1": {"n": 7, "p": 7, "q": 1},
    "p=1": {"n": 12, "p": 1, "q": 3},
    "q=1": {"n": 12, "p": 4, "q": 1},
    "p=n": {"n": 12, "p": 12, "q": 3},
    "q=n": {"n": 12, "p": 4, "q": 12},
    "p=q=1": {"n": 12, "p": 1, "q": 1},
    "p=q=n": {"n": 12, "p": 12, "q": 12},
    "p=q": {"n": 12, "p": 4, "q": 4},
    "p>q": {"n": 12, "p": 6, "q": 2},
    "q by default": {"n": 12, "p": 3},
    "n above the forming size, p<q": {"n": 72, "p": 8, "q": 9},
    "n above the forming size, p>q": {"n": 72, "p": 12, "q": 4},
    "n above the forming size, p=q": {"n": 72, "p": 6, "q": 6},
}
#: The same for the structures that have a rank and no blocks.
RANKS = {
    "n=1": {"n": 1, "r": 1},
    "n=1, r=3": {"n": 1, "r": 3},
    "n prime": {"n": 7, "r": 2},
    "r=1": {"n": 12, "r": 1},
    "r=n": {"n": 6, "r": 6},
    "r above n": {"n": 6, "r": 8},
    "n above the forming size": {"n": 72, "r": 3},
}


#: Rectangular W, for the three Kronecker structures: with more columns and with fewer.
WIDE = {
    "more columns": {"n": 12, "columns": 15, "p": 2, "q": 3},
    "fewer columns": {"n": 20, "columns": 12, "p": 4, "q": 6},
    "p>q, more columns": {"n": 12, "columns": 40, "p": 6, "q": 4},
    "blocks of one size": {"n": 12, "columns": 18, "p": 4, "q": 6},
    "p=q": {"n": 12, "columns": 20, "p": 4, "q": 4},
    "q by default": {"n": 12, "columns": 9, "p": 3},
    "one column": {"n": 12, "columns": 1, "p": 3, "q": 1},
    "one row": {"n": 1, "columns": 8, "p": 1, "q": 4},
    "above the forming size": {"n": 72, "columns": 90, "p": 8, "q": 9},
}
#: The same for the structures that have a rank and no blocks.
WIDE_RANKS = {
    "more columns": {"n": 12, "columns": 15, "r": 3},
    "fewer columns": {"n": 20, "columns": 12, "r": 2},
    "one column": {"n": 12, "columns": 1, "r": 2},
    "r above the columns": {"n": 7, "columns": 5, "r": 6},
    "above the forming size": {"n": 72, "columns": 90, "r": 3},
}
shapes = {"n": sizes, "columns": sizes}


ROWS = {
    "full": Row(
        typical=Full(n=12),
        large=Full(n=512),
        edges={"n=1": Full(n=1), "n prime": Full(n=7), "n above the forming size": Full(n=72)},
        num_parameters=lambda s: s.n * (s.columns or s.n),
        middle=lambda s: s.n,
        transposed=transposed_full,
        drawn=st.builds(lambda n: Full(n=n), sizes),
        rectangular={
            "more columns": Full(n=12, columns=15),
            "fewer columns": Full(n=20, columns=12),
            "one column": Full(n=7, columns=1),
            "above the forming size": Full(n=72, columns=90),
        },
        large_rectangular=Full(n=512, columns=320),
        drawn_rectangular=st.builds(Full, **shapes),
    ),
    "low_rank": Row(
        typical=LowRank(n=12, r=3),
        large=LowRank(n=512, r=8),
        edges={name: LowRank(**arguments) for name, arguments in RANKS.items()},
        num_parameters=lambda s: s.n * s.r + (s.columns or s.n) * s.r,
        middle=lambda s: s.r,
        transposed=transposed_low_rank,
        drawn=st.builds(lambda n, r: LowRank(n=n, r=r), sizes, ranks),
        rectangular={name: LowRank(**arguments) for name, arguments in WIDE_RANKS.items()},
        large_rectangular=LowRank(n=512, columns=320, r=8),
        drawn_rectangular=st.builds(LowRank, **shapes, r=ranks),
    ),
    "hm": Row(
        typical=HM(n=12, p=2, q=3),
        large=HM(n=512, p=16, q=8),
        edges={name: HM(**arguments) for name, arguments in BLOCKS.items()},
        num_parameters=lambda s: s.p * s.q + (s.n // s.p) * ((s.columns or s.n) // s.q),
        middle=hm_middle,
        transposed=transposed_hm,
        drawn=st.builds(lambda sizes: HM(**sizes), partitions),
        rectangular={name: HM(**arguments) for name, arguments in WIDE.items()},
        large_rectangular=HM(n=512, columns=320, p=16, q=8),
        drawn_rectangular=st.builds(lambda sizes: HM(**sizes), wide),
    ),
    "lphm": Row(
        typical=LPHM(n=12, p=2, q=3, r=2),
        large=LPHM(n=512, p=16, q=8, r=2),
        edges={
            **{name: LPHM(**arguments, r=2) for name, arguments in BLOCKS.items()},
            "r=1": LPHM(n=12, p=2, q=6, r=1),
            "r above the block": LPHM(n=12, p=6, q=4, r=5),
        },
        num_parameters=lambda s: s.p * s.q + s.r * (s.n // s.p + (s.columns or s.n) // s.q),
        middle=lambda s: s.r * min(s.p, s.q),
        transposed=transposed_lphm,
        drawn=st.builds(lambda sizes, r: LPHM(**sizes, r=r), partitions, ranks),
        rectangular={name: LPHM(**arguments, r=2) for name, arguments in WIDE.items()},
        large_rectangular=LPHM(n=512, columns=320, p=16, q=8, r=2),
        drawn_rectangular=st.builds(lambda sizes, r: LPHM(**sizes, r=r), wide, ranks),
    ),
    "dual_lphm": Row(
        typical=DualLPHM(n=12, p=2, q=3, r=2),
        large=DualLPHM(n=512, p=16, q=8, r=3),
        edges={
            **{name: DualLPHM(**arguments, r=2) for name, arguments in BLOCKS.items()},
            "r=1": DualLPHM(n=12, p=2, q=6, r=1),
            "r above the block": DualLPHM(n=12, p=6, q=4, r=5),
        },
        num_parameters=lambda s: s.r * (s.p + s.q + s.n // s.p + (s.columns or s.n) // s.q),
        middle=lambda s: s.r**2,
        transposed=transposed_dual_lphm,
        drawn=st.builds(lambda sizes, r: DualLPHM(**sizes, r=r), partitions, ranks),
        rectangular={name: DualLPHM(**arguments, r=2) for name, arguments in WIDE.items()},
        large_rectangular=DualLPHM(n=512, columns=320, p=16, q=8, r=3),
        drawn_rectangular=st.builds(lambda sizes, r: DualLPHM(**sizes, r=r), wide, ranks),
    ),
    "random_matrix": Row(
        typical=RandomMatrixAdaptation(n=12, r=3),
        large=RandomMatrixAdaptation(n=512, r=8),
        edges={
            **{name: RandomMatrixAdaptation(**arguments) for name, arguments in RANKS.items()},
            "another seed": RandomMatrixAdaptation(n=12, r=3, seed=7),
        },
        num_parameters=lambda s: s.n + s.r,
        middle=lambda s: s.r,
        transposed=transposed_as_full,
        drawn=st.builds(lambda n, r: RandomMatrixAdaptation(n=n, r=r), sizes, ranks),
        rectangular={name: RandomMatrixAdaptation(**arguments) for name, arguments in WIDE_RANKS.items()},
        large_rectangular=RandomMatrixAdaptation(n=512, columns=320, r=8),
        drawn_rectangular=st.builds(RandomMatrixAdaptation, **shapes, r=ranks),
    ),
    "toeplitz": Row(
        typical=Toeplitz(n=12, lags=7),
        large=Toeplitz(n=512, lags=9),
        edges={
            "n=1": Toeplitz(n=1, lags=1),
            "n=2": Toeplitz(n=2, lags=3),
            "lag 0 alone": Toeplitz(n=12, lags=1),
            "every lag": Toeplitz(n=7, lags=13),
            "every lag but the last": Toeplitz(n=7, lags=11),
            "several blocks": Toeplitz(n=72, lags=5),
            "whole blocks": Toeplitz(n=96, lags=3),
            "blocks of as many rows as lags": Toeplitz(n=90, lags=35),
            "more lags than rows, in two blocks": Toeplitz(n=72, lags=99),
        },
        num_parameters=lambda s: s.lags,
        middle=lambda s: s.n,
        transposed=lambda s, w: (turned(s), w.flip(-1)),
        drawn=st.integers(1, 80).flatmap(
            lambda n: st.builds(lambda h: Toeplitz(n=n, lags=2 * h + 1), st.integers(0, n - 1))
        ),
        rectangular={
            "more columns": Toeplitz(n=12, columns=15, lags=7),
            "fewer columns": Toeplitz(n=20, columns=12, lags=5),
            "columns without a lag": Toeplitz(n=7, columns=40, lags=5),
            "rows without a lag": Toeplitz(n=100, columns=7, lags=5),
            "one column": Toeplitz(n=12, columns=1, lags=1),
            "every lag": Toeplitz(n=7, columns=9, lags=13),
            "several blocks, more columns": Toeplitz(n=72, columns=90, lags=5),
            "several blocks, fewer columns": Toeplitz(n=90, columns=72, lags=35),
            "several blocks, many more columns": Toeplitz(n=72, columns=200, lags=3),
        },
        large_rectangular=Toeplitz(n=512, columns=320, lags=9),
        drawn_rectangular=st.tuples(st.integers(1, 80), st.integers(1, 80)).flatmap(
            lambda shape: st.builds(
                lambda h: Toeplitz(n=shape[0], columns=shape[1], lags=2 * h + 1),
                st.integers(0, min(shape) - 1),
            )
        ),
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
    rows: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``w``, ``x`` and ``data`` that fit; ``d`` is what ``data`` has more or fewer of than ``x``.

    ``rows`` below ``n`` makes ``x`` partial.
    """
    rows = structure.n if rows is None else rows
    w = torch.randn(*([] if channels is None else [channels]), structure.num_parameters, dtype=dtype)
    x, data = torch.randn(*batch, rows, k, dtype=dtype), torch.randn(*batch, d, k, dtype=dtype)
    if kind == "instance":
        x, data = x.mT.contiguous(), data.mT.contiguous()
    x, w = x / structure.n**0.5, w / w.shape[-1] ** 0.25
    return tuple(t.detach().requires_grad_(requires_grad) for t in (w, x, data))


def draw_two_sets(
    structure: Structure,
    kind: str = "attribute",
    batch: tuple[int, ...] = (2,),
    channels: int | None = 3,
    k: tuple[int, int] = (5, 7),
    d: int = 4,
    dtype: torch.dtype = torch.float64,
    requires_grad: bool = True,
    rows: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``w``, ``x``, ``y`` and ``data`` that fit; ``k`` and ``rows`` are of both sets, else as ``draw``."""
    sizes = structure.shape if rows is None else rows
    w, x, data = draw(structure, kind, batch, channels, k[0], d, dtype, requires_grad, sizes[0])
    y = torch.randn(*batch, sizes[1], k[1], dtype=dtype) / structure.shape[1] ** 0.5
    y = y.mT.contiguous() if kind == "instance" else y
    return w, x, y.requires_grad_(requires_grad), data
