"""Structures by name: sizes that are left open, and what is refused."""

from functools import partial
from typing import get_args

import pytest

from lphm import LPHM, DualLPHM, Full, LowRank, Toeplitz
from lphm.learn.options import StructureName
from lphm.structures.named import structure_for

structure_for_rows = partial(structure_for, larger=True)


@pytest.mark.parametrize(("n", "p"), [(8, 2), (64, 8), (65, 5), (97, 1), (16, 4)])
def test_p_is_the_divisor_nearest_the_root(n: int, p: int) -> None:
    assert structure_for("lphm", n) == LPHM(n=n, p=p, q=p, r=2)
    assert structure_for("full", n) == Full(n=n)
    assert structure_for("dual-lphm", n, p=n, q=1, r=3) == DualLPHM(n=n, p=n, q=1, r=3)


@pytest.mark.parametrize("name", get_args(StructureName))
def test_every_name_of_the_options_is_a_structure(name: str) -> None:
    assert structure_for(name, 12).n == 12
    assert structure_for_rows(name, 13).n >= 13


def test_a_budget_chooses_the_sizes() -> None:
    assert structure_for("lphm", 96, budget=160) == LPHM.suggest(96, 160)
    assert structure_for("lphm", 96, budget=160.0) == LPHM.suggest(96, 160)
    assert structure_for("lphm", 96, budget=0.05) == LPHM.suggest(96, 0.05)
    assert structure_for_rows("lphm", 97, budget=200) == LPHM.suggest(97, 200, partial=True)
    assert structure_for("low-rank", 4, budget=1) == LowRank(n=4, r=2)  # all n² parameters
    assert structure_for("low-rank", 1, budget=2) == LowRank(n=1, r=1)  # two parameters
    assert structure_for_rows("lphm", 97, budget=0.05) == LPHM.suggest(97, 0.05, partial=True)


@pytest.mark.parametrize("rows", [1, 2, 7, 1000, 1009, 123_457])
@pytest.mark.parametrize("name", ["lphm", "dual-lphm", "low-rank"])
def test_sizes_left_open_are_those_with_the_fewest_parameters(rows: int, name: str) -> None:
    chosen = structure_for_rows(name, rows, r=3)
    assert rows <= chosen.n < rows + 600
    if name == "lphm":
        for p in {max(1, chosen.p // 2), min(rows, 2 * chosen.p)}:
            assert chosen.num_parameters <= structure_for_rows(name, rows, p=p, r=3).num_parameters


def test_the_blocks_of_dual_lphm_are_near_the_root() -> None:
    assert structure_for_rows("dual-lphm", 1000) == DualLPHM(n=1024, p=32, q=32, r=2)
    assert structure_for_rows("hm", 12) == structure_for("hm", 12)


@pytest.mark.parametrize("function", [structure_for, structure_for_rows])
@pytest.mark.parametrize(("n", "lags"), [(1, 1), (2, 3), (3, 3), (12, 13), (64, 37), (1000, 61)])
def test_lags_left_open_reach_as_far_as_those_of_a_correlogram(function, n: int, lags: int) -> None:
    assert function("toeplitz", n) == Toeplitz(n=n, lags=lags)
    assert function("toeplitz", n, lags=1) == Toeplitz(n=n, lags=1)


def test_a_budget_is_spent_on_lags() -> None:
    assert structure_for("toeplitz", 96, budget=9) == structure_for("toeplitz", 96, budget=10)
    assert structure_for("toeplitz", 96, budget=9) == Toeplitz(n=96, lags=9)
    assert structure_for_rows("toeplitz", 4, budget=1) == Toeplitz(n=4, lags=7)  # all n² parameters


@pytest.mark.parametrize("rows", [1, 17, 1000])
def test_n_is_the_least_multiple_of_the_sizes_that_holds_the_rows(rows: int) -> None:
    assert structure_for_rows("lphm", rows, p=4, q=6, r=3) == LPHM(n=rows + -rows % 12, p=4, q=6, r=3)


@pytest.mark.parametrize("function", [structure_for, structure_for_rows])
@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("dense", {}, "structure must be one of full, low-rank, hm, lphm, dual-lphm, .*got 'dense'"),
        ("full", {"p": 4}, "structure 'full' must be given no sizes, got p=4; leave p out"),
        ("low-rank", {"q": 4, "r": 1}, r"must be given sizes that it has \(r\), got q=4; leave q out"),
        ("toeplitz", {"p": 4, "r": 1}, r"that it has \(lags\), got p=4, r=1; leave p, r out"),
        ("hm", {"r": 3}, r"structure 'hm' must be given sizes that it has \(p, q\), got r=3; leave r out"),
        ("lphm", {"lags": 3}, r"sizes that it has \(p, q, r\), got lags=3; leave lags out"),
        ("toeplitz", {"lags": 3, "budget": 90}, "got lags as well; leave one of them out"),
        (
            "lphm",
            {"p": 4, "budget": 90},
            "got p as well; leave one of them out",
        ),
        (
            "full",
            {"budget": 90},
            "got structure 'full', which has none",
        ),
        ("lphm", {"budget": 3}, "budget must be at least .* parameters"),
    ],
)
def test_what_is_refused(function, name: str, sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(name, 36, **sizes)


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="p must divide n, got p=5, n=12"):
        structure_for("lphm", 12, p=5)
