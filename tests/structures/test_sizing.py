"""Sizes chosen by the package: within the budget, none better, and what is said of them is true."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lphm import (
    HM,
    LPHM,
    BilinearInterdependence,
    DualLPHM,
    Full,
    LowRank,
    RandomMatrixAdaptation,
    Toeplitz,
    nearest,
)
from lphm.structures.sizing import Sized
from support.registry import ROWS, draw

SIZED = [LowRank, HM, LPHM, DualLPHM, RandomMatrixAdaptation, Toeplitz]
every_class = pytest.mark.parametrize("cls", SIZED, ids=lambda cls: cls.name)
drawn = st.one_of(*(ROWS[cls.name].drawn for cls in SIZED))
wide = st.one_of(*(ROWS[cls.name].drawn_rectangular for cls in SIZED))
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def every_choice(cls: type[Sized], n: int) -> Iterator[Sized]:
    """By trial: every p, q and r up to n, and every number of lags, that the constructor takes."""
    counts = {"p": range(1, n + 1), "q": range(1, n + 1), "r": range(1, n + 1), "lags": range(1, 2 * n, 2)}
    names = [name for name in counts if name in cls.__dataclass_fields__]
    for values in product(*(counts[name] for name in names)):
        sizes = dict(zip(names, values, strict=True))
        if all(n % sizes.get(name, 1) == 0 for name in "pq"):
            yield cls(n=n, **sizes)


CHOICES = {(cls, n): list(every_choice(cls, n)) for cls in SIZED for n in range(1, 17)}


def rank_of(W: torch.Tensor) -> int:
    return int(torch.linalg.matrix_rank(W, rtol=1e-9))


@quick
@given(drawn | wide, st.data())
def test_largest_rank_is_reached_by_random_parameters(structure: Sized, data: st.DataObject) -> None:
    W = structure.to_dense(torch.randn(structure.num_parameters, dtype=torch.float64))
    assert structure.largest_rank() == rank_of(W)
    rows = data.draw(st.integers(1, min(structure.shape)))
    assert structure.largest_rank(rows) == rank_of(W[:rows, :rows])


@quick
@given((drawn | wide).filter(lambda structure: max(structure.shape) <= 12))
def test_degrees_of_freedom_are_the_rank_of_the_jacobian(structure: Sized) -> None:
    w = torch.randn(structure.num_parameters, dtype=torch.float64)
    jacobian = torch.func.jacrev(structure.to_dense)(w).flatten(0, 1)  # (n², l)
    assert structure.degrees_of_freedom == rank_of(jacobian)


@settings(quick, max_examples=150)
@given(st.sampled_from(SIZED), st.integers(1, 12), st.integers(1, 200), st.booleans())
def test_no_other_sizes_are_better(cls: type[Sized], n: int, budget: int, partial: bool) -> None:
    padded = range(n, n + math.isqrt(n) + 1) if partial else (n,)
    fitting = [
        (s.largest_rank(n), -size, s.degrees_of_freedom, -s.num_parameters)
        for size in padded
        for s in CHOICES[cls, size]
        if s.num_parameters <= budget
    ]
    if not fitting:
        with pytest.raises(ValueError, match="budget must be at least"):
            cls.suggest(n, budget, partial=partial)
        return
    found = cls.suggest(n, budget, partial=partial)
    assert found.num_parameters <= budget
    merit = (found.largest_rank(n), -found.n, found.degrees_of_freedom, -found.num_parameters)
    assert merit == max(fitting)


@quick
@given(st.sampled_from(SIZED), st.integers(1, 400), st.floats(0.001, 1.0), st.booleans())
def test_the_budget_is_respected(cls: type[Sized], n: int, share: float, partial: bool) -> None:
    try:
        found = cls.suggest(n, share, partial=partial)
    except ValueError as error:
        least = int(re.match(r"budget must be at least (\d+) parameters", str(error)).group(1))
        assert least > share * n**2
        found = cls.suggest(n, least, partial=partial)
        assert found.num_parameters == least
        return
    assert found.num_parameters <= share * n**2
    assert n <= found.n <= n + (math.isqrt(n) if partial else 0)


@pytest.mark.parametrize(
    ("n", "budget", "partial", "expected"),
    [
        (96, 160, False, LPHM(n=96, p=8, q=8, r=4)),
        (96, 0.02, False, LPHM(n=96, p=8, q=8, r=5)),
        (1, 3, False, LPHM(n=1, p=1, q=1, r=1)),
        (1, 3, True, LPHM(n=1, p=1, q=1, r=1)),
        (97, 200, False, LPHM(n=97, p=1, q=1, r=1)),
        (97, 200, True, LPHM(n=100, p=10, q=10, r=5)),
        (100, 200, True, LPHM(n=100, p=10, q=10, r=5)),
        (97, 10, False, Toeplitz(n=97, lags=9)),
        (97, 11, True, Toeplitz(n=97, lags=11)),
        (97, 0.5, False, Toeplitz(n=97, lags=193)),
    ],
)
def test_what_is_suggested(n: int, budget: float, partial: bool, expected: Sized) -> None:
    assert type(expected).suggest(n, budget, partial=partial) == expected


@pytest.mark.parametrize("n", [144, 400, 1024])
def test_the_law_for_lphm(n: int) -> None:
    """``l`` parameters buy a rank of about ``l² / (8 n)``."""
    for budget in (n, 2 * n):
        found = LPHM.suggest(n, budget)
        assert 0.6 < found.largest_rank() / (budget**2 / (8 * n)) <= 1


@pytest.mark.parametrize("kind", ["attribute", "instance"])
@pytest.mark.parametrize("cls", [HM, LPHM, DualLPHM])
def test_a_prime_n_runs_through_a_layer(cls: type[Sized], kind: str) -> None:
    structure = cls.suggest(31, 0.2, partial=True)
    assert structure.n > 31
    assert 1 < structure.p < structure.n
    layer = BilinearInterdependence(structure, kind, partial=True)
    x = torch.randn(2, 31, 5) if kind == "attribute" else torch.randn(2, 5, 31)
    assert layer(x).shape == x.shape


def test_every_block_of_a_padded_structure_is_used() -> None:
    for n in (13, 31, 53, 97):
        for budget in (3 * n, 0.3):
            structure = LPHM.suggest(n, budget, partial=True)
            w, _, _ = draw(structure, rows=n)
            W = structure.to_dense(w)[:, :n, :n]
            (gradient,) = torch.autograd.grad(W.square().sum(), w)
            assert gradient.ne(0).all(), structure


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"n": 96, "budget": 59},
            ValueError,
            "budget must be at least 64 parameters, those of LPHM(n=96, p=4, q=4, r=1), got 59",
        ),
        (
            {"n": 97, "budget": 0.01},
            ValueError,
            "budget must be at least 195 parameters, those of LPHM(n=97, p=1, q=1, r=1), "
            "got 0.01 of 9409, that is 94; partial=True takes 65, LPHM(n=100, p=4, q=5, r=1)",
        ),
        (
            {"n": 1, "budget": 2},
            ValueError,
            "budget must be at least 3 parameters, those of LPHM(n=1, p=1, q=1, r=1), got 2",
        ),
        (
            {"n": 12, "budget": 1.5},
            ValueError,
            "budget must be an int, a number of parameters, or a float above 0 and up to 1, "
            "a share of the entries of W, got 1.5",
        ),
        (
            {"n": 12, "budget": float("nan")},
            ValueError,
            "budget must be an int, a number of parameters, or a float above 0 and up to 1, "
            "a share of the entries of W, got nan",
        ),
        (
            {"n": 12, "budget": "all"},
            TypeError,
            "budget must be an int or a float, got 'all' of type str",
        ),
        (
            {"n": 12, "budget": True},
            TypeError,
            "budget must be an int or a float, got True of type bool",
        ),
        ({"n": 0, "budget": 10}, ValueError, "n must be at least 1, got n=0"),
        ({"n": 1.0, "budget": 10}, TypeError, "n must be an int, got 1.0 of type float"),
    ],
)
def test_errors(arguments: dict[str, object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        LPHM.suggest(**arguments)


@every_class
def test_explain_counts(cls: type[Sized]) -> None:
    structure = ROWS[cls.name].large
    text = structure.explain()
    assert text.startswith(f"{structure}\n")
    assert f"{structure.num_parameters} parameters, " in text
    assert f"rank up to {structure.largest_rank()} of 512" in text
    assert f"K = {structure.middle} rows" in text
    assert f"{structure.projection_flops(1)} flops for a column of X, where Full takes 524288" in text
    with pytest.raises(ValueError, match=r"^rows must be between 1 and n=512, got rows=513$"):
        structure.explain(513)


def test_explain_says_what_is_better() -> None:
    poor, good = LPHM(n=96, p=4, r=4), LPHM.suggest(96, 208)
    assert poor.explain().splitlines()[-1] == f"{good} reaches rank {good.largest_rank()} with 208"
    assert good.explain().splitlines()[-1] == "no LPHM of n=96 with as few parameters reaches a higher rank"
    padded = LPHM.suggest(97, 200, partial=True).explain(97)
    assert padded.splitlines()[0] == "LPHM(n=100, p=10, q=10, r=5) for 97 rows, with partial=True"
    assert "200 parameters, 2.13% of the 9409 of Full" in padded
    assert "no LPHM of n=97" in padded


@pytest.mark.parametrize(("n", "share"), [(60, 0.05), (96, 0.05), (100, 0.05), (64, 0.1)])
def test_explain_names_hm_where_it_holds_every_w_with_fewer_parameters(n: int, share: float) -> None:
    full = LPHM.suggest(n, share)
    same = HM(n=n, p=full.p, q=full.q)
    assert full.r == full.largest_useful_r
    assert same.num_parameters < full.num_parameters
    assert (
        full.explain().splitlines()[-1] == f"{same} holds every such W with {same.num_parameters} parameters"
    )
    W = full.to_dense(torch.randn(full.num_parameters, dtype=torch.float64))
    assert torch.dist(same.to_dense(nearest(same, W)), W) < 1e-12 * W.norm()
    assert "holds every" not in replace(full, r=full.r - 1).explain()


def test_explain_names_hm_for_a_rectangular_w_too() -> None:
    for r, named in ((5, False), (6, True), (9, True)):
        text = LPHM(n=60, columns=96, p=10, q=8, r=r).explain()
        assert (
            text.endswith("\nHM(n=60, columns=96, p=10, q=8) holds every such W with 152 parameters") is named
        )


def test_a_structure_without_sizes_has_nothing_to_suggest() -> None:
    assert not hasattr(Full, "suggest")


@pytest.mark.parametrize(("p", "q"), [(2, 6), (6, 2)])
def test_ranks_are_bounded_by_the_shorter_side_of_a_factor(p: int, q: int) -> None:
    """Of the factors, ``2 x 6`` and ``12 x 4`` or their transposes."""
    sizes = {"n": 24, "p": p, "q": q}
    assert HM(**sizes).kronecker_ranks == (2, 4)
    assert [LPHM(**sizes, r=r).kronecker_ranks for r in (1, 3, 9)] == [(2, 1), (2, 3), (2, 4)]
    assert [DualLPHM(**sizes, r=r).kronecker_ranks for r in (1, 3, 9)] == [(1, 1), (2, 3), (2, 4)]
    assert [cls(**sizes, r=1).largest_useful_r for cls in (LPHM, DualLPHM)] == [4, 4]
    assert DualLPHM(n=6, p=6, q=3, r=1).largest_useful_r == 3
    assert RandomMatrixAdaptation(n=3, r=20).degrees_of_freedom == 9
    assert HM(**sizes).largest_useful_r == 0


def test_explain_of_few_rows() -> None:
    assert "W of rank up to 1 of 1" in LPHM(n=96, p=8, q=8, r=4).explain(1)
    assert "reaches rank" in LPHM(n=100, p=2, q=2, r=1).explain(97)  # with more rows than 97: it is prime


@pytest.mark.parametrize("budget", [0.0, 1.5])
def test_a_share_is_above_0_and_up_to_1(budget: float) -> None:
    with pytest.raises(
        ValueError, match=r"^budget must be an int, a number of parameters, or a float above 0"
    ):
        LPHM.suggest(96, budget)


def test_a_search_tries_no_more_rows_than_it_is_bound_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LPHM.suggest(97, budget=200, partial=True).n == 100
    monkeypatch.setattr("lphm.structures.sizing.MOST_MORE", 2)
    assert LPHM.suggest(97, budget=200, partial=True).n <= 99


# Rectangular W.


def every_rectangular_choice(cls: type[Sized], n: int, columns: int) -> Iterator[Sized]:
    """By trial: every p, q and number of lags that the constructor takes, and r up to the shorter side."""
    counts = {
        "p": range(1, n + 1),
        "q": range(1, columns + 1),
        "r": range(1, min(n, columns) + 1),
        "lags": range(1, 2 * min(n, columns), 2),
    }
    names = [name for name in counts if name in cls.__dataclass_fields__]
    for values in product(*(counts[name] for name in names)):
        sizes = dict(zip(names, values, strict=True))
        if n % sizes.get("p", 1) == 0 and columns % sizes.get("q", 1) == 0:
            yield cls(n=n, columns=columns, **sizes)


@settings(quick, max_examples=100)
@given(st.sampled_from(SIZED), st.integers(1, 9), st.integers(1, 9), st.integers(1, 100))
def test_no_other_sizes_of_a_rectangular_w_are_better(
    cls: type[Sized], n: int, columns: int, budget: int
) -> None:
    def merit(s: Sized) -> tuple[int, ...]:
        return s.largest_rank(), s.degrees_of_freedom, -s.num_parameters

    fitting = [merit(s) for s in every_rectangular_choice(cls, n, columns) if s.num_parameters <= budget]
    if not fitting:
        with pytest.raises(ValueError, match="budget must be at least"):
            cls.suggest(n, budget, columns=columns)
        return
    found = cls.suggest(n, budget, columns=columns)
    assert found.shape == (n, columns)
    assert found.num_parameters <= budget
    assert merit(found) == max(fitting)


def test_a_share_is_of_the_entries_of_a_rectangular_w() -> None:
    assert LowRank.suggest(10, 0.5, columns=40) == LowRank(n=10, columns=40, r=4)  # 200 of 400
    text = (
        "budget must be at least 50 parameters, those of LowRank(n=10, columns=40, r=1), "
        "got 0.1 of 400, that is 40"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        LowRank.suggest(10, 0.1, columns=40)


def test_as_many_columns_as_rows_are_a_square_w() -> None:
    for cls in SIZED:
        assert cls.suggest(12, 40, columns=12) == cls.suggest(12, 40)


def test_what_is_explained_of_a_rectangular_w() -> None:
    assert LPHM(n=64, columns=96, p=8, q=8, r=2).explain() == (
        "LPHM(n=64, columns=96, p=8, q=8, r=2)\n"
        "104 parameters, 1.69% of the 6144 of Full\n"
        "W of rank up to 16 of 64, through left and right of K = 16 rows\n"
        "896 flops for a column of X and one of Y, where Full takes 12288; then 32 for an entry of xi\n"
        "no LPHM of n=64, columns=96 with as few parameters reaches a higher rank"
    )
    poor = LPHM(n=64, columns=96, p=2, q=2, r=2)
    better = LPHM.suggest(64, poor.num_parameters, columns=96)
    assert poor.explain().splitlines()[-1] == (
        f"{better} reaches rank {better.largest_rank()} with {better.num_parameters}"
    )


def test_a_rectangular_w_is_for_all_rows() -> None:
    text = "rows must be None for a rectangular W, got rows=5, W LowRank(n=6, columns=8, r=1)"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        LowRank(n=6, columns=8, r=1).explain(5)
    text = (
        "partial must be False for a rectangular W, got partial=True, n=7, columns=8; "
        "round n and columns up yourself, to numbers with more divisors"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        LPHM.suggest(7, 40, columns=8, partial=True)
