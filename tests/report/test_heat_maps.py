"""Heat maps: their entries, and fewer cells than entries where there are many."""

from pathlib import Path

import numpy as np

from lphm.learn.evaluation import Evaluation
from lphm.report import write_report
from lphm.report.heat_maps import HeatMap, pool
from lphm.structures import Full
from support.report_cases import write_run
from support.report_reader import heat_map_of, page_of, section


def heat_map(*matrices: list) -> HeatMap:
    stack = np.array(matrices, dtype=float)
    return HeatMap("m", "m", stack, list("abc"), list("xy"), "{row} → {column}", (3, 2))


def test_entries_and_limits() -> None:
    signed = heat_map([[-2, 2], [0, 1], [-1, 0.123456]], [[0, 0], [0, 0], [-4, 0]])
    assert [cell[:3] for cell in signed.cells] == [
        (0, 0, -2), (1, 0, 2), (0, 1, 0), (1, 1, 1), (0, 2, -1), (1, 2, 0.1235),
    ]  # fmt: skip
    assert signed.cells[1][3] == "a → y: 2"
    assert signed.limits == [2, 4]
    assert signed.data["values"][0] == [-2, 2, 0, 1, -1, 0.1235]
    assert signed.largest(2) == ["a → x: -2", "a → y: 2"]
    assert signed.description == "m: heat map of 3 rows by 2 columns, entries from -2 to 2"


def test_the_scale_starts_at_zero_if_nothing_is_negative() -> None:
    assert heat_map([[0, 4], [1, 2], [3, 4]]).lowest == 0
    assert heat_map([[0, 4], [1, 2], [3, 4]], [[0, 4], [1, 2], [3, -1]]).lowest == -1
    assert heat_map([[0, 0], [0, 0], [0, 0]]).limits == [1]  # nothing is divided by zero


def test_pooling_averages_neighbours() -> None:
    matrix = np.arange(35.0).reshape(5, 7)
    rows, names = pool(matrix, list("abcde"), -2, 2)
    np.testing.assert_allclose(rows, [matrix[:3].mean(axis=0), matrix[3:].mean(axis=0)])
    assert names == ["a – c", "d – e"]
    columns, names = pool(np.stack([matrix, -matrix]), list("abcdefg"), -1, 4)
    np.testing.assert_allclose(columns[1, 0], [-0.5, -2.5, -4.5, -6])
    assert names == ["a – b", "c – d", "e – f", "g"]
    assert pool(matrix, list("abcde"), -2, 5)[0] is matrix


def test_a_wide_network_is_shown_in_few_cells(tmp_path: Path) -> None:
    write_run(tmp_path, width=90, blocks=1, instance=Full(n=90).to_config(), channels=1)
    page = page_of(write_report(tmp_path).parent)
    mean = Evaluation.load(tmp_path).interdependence["attribute"].mean
    matrix = heat_map_of(page, "attribute-xi")[1]
    assert matrix.shape == (64, 64)
    np.testing.assert_allclose(matrix[0, 0], mean[:2, :2].mean(), rtol=1e-3)
    np.testing.assert_allclose(matrix[-1, -1], mean[-1, -1], rtol=1e-3)
    assert "90 × 90 entries in 64 × 64 cells" in section(page, "interdependence").text
    assert heat_map_of(page, "w1-W")[1].shape == (32, 32)
    assert section(page, "factors").text.count("90 × 90 entries in 32 × 32 cells") == 1
    assert (tmp_path / "report.html").stat().st_size < 2e6
