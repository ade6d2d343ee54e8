"""Where the numbers of a column lie, from all of them or part by part, and the edges that follow."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.data.fitting import FEWEST_PIECES, MOST_PIECES, NUMBERS_OF_A_PIECE, fit_features
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_schema import fit_stream
from lphm.data.schema import NumericColumn
from lphm.data.statistics import MOST_POINTS, Distribution

PIECES = 16
RNG = np.random.default_rng(0)
MILLION = {
    "normal": RNG.standard_normal(1_000_000),
    "long tail": RNG.exponential(size=1_000_000) ** 3,
    "in order": np.sort(RNG.standard_normal(1_000_000)),
    "in order backwards": -np.sort(RNG.standard_normal(1_000_000)),
    "few values": RNG.integers(0, 30, 1_000_000).astype(float),
}


def in_parts(values: np.ndarray, part: int) -> Distribution:
    merged = Distribution()
    for first in range(0, len(values), part):
        merged.merge(Distribution.of(values[first : first + part]))
    return merged


def rank_error(values: np.ndarray, edges: list[float]) -> float:
    """How far the inner edges are from the share of the numbers that should be below them."""
    ordered, shares = np.sort(values), np.arange(1, PIECES) / PIECES
    low, high = (np.searchsorted(ordered, edges[1:-1], side) / len(values) for side in ("left", "right"))
    return float(np.maximum(low - shares, shares - high).max())


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 1000, MOST_POINTS])
def test_it_is_exact_while_there_are_few_numbers(count: int) -> None:
    values = RNG.standard_normal(count)
    edges = Distribution.of(values).edges(PIECES)
    quantiles = np.quantile(values, np.arange(1, PIECES) / PIECES, method="inverted_cdf")
    assert edges == sorted({values.min(), *quantiles, values.max()})
    for part in (1 if count < 100 else 100, 7):
        assert in_parts(values, max(part, count // 50)).edges(PIECES) == edges


@pytest.mark.parametrize("name", MILLION)
@pytest.mark.parametrize("part", [1_000_000, 70_000, 1_000, 130])
def test_quantiles_of_a_million_numbers(name: str, part: int) -> None:
    values = MILLION[name]
    distribution = in_parts(values, part)
    edges = distribution.edges(PIECES)
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    assert set(edges) <= set(values)
    assert len(edges) == PIECES + 1
    assert rank_error(values, edges) < (0.0006 if part == len(values) else 0.01)
    assert distribution.weights.sum() == pytest.approx(1e6)


@pytest.mark.parametrize("part", [1_000, 100_000])
def test_it_takes_little_memory(part: int) -> None:
    merged = Distribution()
    for first in range(0, 1_000_000, part):
        one = Distribution.of(MILLION["normal"][first : first + part])
        merged.merge(one)
        assert max(len(one.points), len(merged.points)) <= MOST_POINTS
        assert len(merged.points) == len(merged.weights)
    assert len(pickle.dumps(merged)) < 20 * MOST_POINTS


@pytest.mark.parametrize("part", [100_000, 999])
def test_a_frequent_number_is_one_edge_and_leaves_the_others_to_the_rest(part: int) -> None:
    rest = np.arange(1, 20_001) / 20_000
    values = RNG.permutation(np.concatenate([np.zeros(70_000), np.full(10_000, 2.0), rest]))
    edges = in_parts(values, part).edges(10)  # 0 takes a piece, and so does 2
    assert (edges[0], edges[-1]) == (0, 2)
    assert np.allclose(edges[1:-1], np.arange(1, 8) / 8, atol=0.02)


@pytest.mark.parametrize("distinct", [1, 2, 9, 10])
def test_few_distinct_numbers_are_all_edges(distinct: int) -> None:
    values = np.repeat(np.arange(distinct, dtype=float), np.arange(1, distinct + 1) ** 2)
    assert Distribution.of(values).edges(16) == list(range(distinct))


def test_extremes_that_come_first_and_last_are_kept() -> None:
    values = np.concatenate([[-1e9], RNG.standard_normal(50_000), [1e9]])
    for part in (len(values), 999):
        edges = in_parts(values, part).edges(PIECES)
        assert (edges[0], edges[-1]) == (-1e9, 1e9)
        assert max(map(abs, edges[1:-1])) < 4  # and nothing but the extremes


def test_missing_numbers_and_empty_parts_count_for_nothing() -> None:
    values = RNG.standard_normal(3000)
    holes = values.copy()
    holes[::3] = np.nan
    assert Distribution.of(holes).edges(PIECES) == Distribution.of(values[np.arange(3000) % 3 > 0]).edges(
        PIECES
    )
    merged = Distribution()
    assert merged.edges(PIECES) == []
    for part in (np.empty(0), np.full(5, np.nan), values, np.empty(0)):
        merged.merge(Distribution.of(part))
    assert merged.edges(PIECES) == Distribution.of(values).edges(PIECES)
    empty = Distribution()
    empty.merge(Distribution())
    assert empty.edges(PIECES) == []


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([7.0], [7]),
        ([7.0] * 9000, [7]),
        ([0.0, 1.0] * 50, [0, 1]),
        ([0.0] * 9900 + [1.0] * 100, [0, 1]),
        ([0.0, 0.0, 0.0, 5.0, 9.0], [0, 5, 9]),
        ([-0.0, 0.0, 1.0], [0, 1]),
    ],
)
def test_edges_are_distinct_numbers_of_the_column(values: list[float], edges: list[float]) -> None:
    assert Distribution.of(np.array(values)).edges(PIECES) == edges


def test_the_order_of_the_parts_decides_and_nothing_else() -> None:
    parts = np.array_split(MILLION["normal"], 40)
    first, again = (Distribution(), Distribution())
    for part in parts:
        first.merge(Distribution.of(part))
        again.merge(pickle.loads(pickle.dumps(Distribution.of(part))))
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.weights, again.weights)


# What schemas make of it.


def test_the_schema_of_a_small_stream_is_that_of_the_table(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "x": RNG.standard_normal(900) * 3 + 1e6,
            "z": RNG.exponential(size=900),
            "days": RNG.integers(0, 7, 900),
            "kind": RNG.choice(["u", "v"], 900),
        }
    )
    table.loc[::11, "z"] = np.nan
    table["y"] = RNG.choice(["no", "yes"], 900)
    table.to_parquet(tmp_path / "t.parquet", row_group_size=70, index=False)
    stream = ParquetStream(tmp_path, "y")
    train = pd.concat(stream.frames("train")).drop(columns="y")
    one, other = fit_features(train), fit_stream(stream).input
    assert [c.edges for c in one.numeric] == [c.edges for c in other.numeric]
    pieces = [len(train[name].dropna()) // NUMBERS_OF_A_PIECE for name in ("x", "z")]
    assert [len(c.edges) for c in one.numeric] == [pieces[0] + 1, pieces[1] + 1, 7]
    assert one.categorical == other.categorical
    for a, b in zip(one.numeric, other.numeric, strict=True):
        assert (a.name, a.mean, a.std) == (b.name, pytest.approx(b.mean), pytest.approx(b.std))


def test_edges_in_a_schema_increase_in_standard_deviations_too() -> None:
    column = fit_features(pd.DataFrame({"x": RNG.standard_normal(500) * 3 + 1e6})).numeric[0]
    assert (np.diff(column.edges) > 0).all()
    edges = np.array(column.standardised_edges)
    np.testing.assert_allclose(edges, (np.array(column.edges) - column.mean) / column.std, rtol=1e-12)


@pytest.mark.parametrize(
    ("edges", "message"),
    [([0.0, 0.0], "edges must increase"), ([1.0, 0.0], "edges must increase"), ([np.nan], "finite number")],
)
def test_edges_that_do_not_increase_are_refused(edges: list[float], message: str) -> None:
    assert NumericColumn(name="x", mean=0, std=1, edges=[]).standardised_edges == []
    with pytest.raises(ValueError, match=message):
        NumericColumn(name="x", mean=0, std=1, edges=edges)


@pytest.mark.parametrize(
    ("numbers", "pieces"),
    [
        (6, FEWEST_PIECES),
        (FEWEST_PIECES * NUMBERS_OF_A_PIECE + NUMBERS_OF_A_PIECE - 1, FEWEST_PIECES),
        ((FEWEST_PIECES + 1) * NUMBERS_OF_A_PIECE, FEWEST_PIECES + 1),
        (MOST_PIECES * NUMBERS_OF_A_PIECE - 1, MOST_PIECES - 1),
        (MOST_PIECES * NUMBERS_OF_A_PIECE + 200, MOST_PIECES),
    ],
)
def test_a_column_has_a_piece_for_so_many_numbers(numbers: int, pieces: int) -> None:
    values = np.random.default_rng(0).standard_normal(1000)
    values[numbers:] = np.nan
    (column,) = fit_features(pd.DataFrame({"x": values})).numeric
    assert len(column.edges) == pieces + 1
