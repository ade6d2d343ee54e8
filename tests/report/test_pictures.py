"""Matrices as pictures: their colours, and fewer cells than entries where there are many."""

import re
from pathlib import Path

import numpy as np
import pytest

from lphm.learn.evaluation import Evaluation
from lphm.report import write_report
from lphm.report.colors import level_rules
from lphm.report.heatmaps import HeatMap, pooled
from lphm.structures import Full
from support.report_cases import write_run
from support.report_reader import page_of, picture, section


def heat_map(*matrices: list, signed: bool = True) -> HeatMap:
    arrays = [np.array(matrix, dtype=float) for matrix in matrices]
    return HeatMap("m", "m", list("abc"), list("xy"), arrays, signed)


def test_levels_of_colour() -> None:
    signed = heat_map([[-2, 2], [0, 1], [-1, 0.5]])
    assert [cell[2] for cell in signed.cells] == ["d0", "d40", "d20", "d30", "d10", "d25"]
    assert [cell[:2] for cell in signed.cells[:3]] == [(0, 0), (1, 0), (0, 1)]
    assert signed.cells[1][3] == "a → y: 2"
    assert [cell[2] for cell in heat_map([[0, 4], [1, 2], [3, 4]], signed=False).cells] == [
        "q0", "q40", "q10", "q20", "q30", "q40",
    ]  # fmt: skip
    assert [cell[2] for cell in heat_map([[0, 0], [0, 0], [0, 0]]).cells] == ["d20"] * 6
    assert signed.strongest(2) == ["a → x: -2", "a → y: 2"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_far_from_zero_stands_out_from_the_page(theme: str) -> None:
    colors = dict(re.findall(r"\.(\w+){--c:#(\w+)}", level_rules(theme)))
    assert len(colors) == 2 * 41

    def brightness(level: str) -> float:
        parts = [int(colors[level][i : i + 2], 16) for i in (0, 2, 4)]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722])) * (1 if theme == "dark" else -1)

    assert (np.diff([brightness(f"q{i}") for i in range(41)]) > 0).all()
    assert (np.diff([brightness(f"d{i}") for i in range(20, 41)]) > 0).all()
    assert (np.diff([brightness(f"d{i}") for i in range(21)]) < 0).all()


def test_pooling_averages_neighbours() -> None:
    matrix = np.arange(35.0).reshape(5, 7)
    rows, names = pooled(matrix, list("abcde"), -2, 2)
    np.testing.assert_allclose(rows, [matrix[:3].mean(axis=0), matrix[3:].mean(axis=0)])
    assert names == ["a – c", "d – e"]
    columns, names = pooled(np.stack([matrix, -matrix]), list("abcdefg"), -1, 4)
    np.testing.assert_allclose(columns[1, 0], [-0.5, -2.5, -4.5, -6])
    assert names == ["a – b", "c – d", "e – f", "g"]
    assert pooled(matrix, list("abcde"), -2, 5)[0] is matrix


def test_a_wide_network_is_shown_in_few_cells(tmp_path: Path) -> None:
    write_run(tmp_path, width=90, blocks=1, instance=Full(n=90).to_config(), channels=1)
    write_report(tmp_path)
    page = page_of(tmp_path)
    mean = Evaluation.load(tmp_path).interdependence["attribute"].mean
    matrix = picture(page, "attribute-xi")[1]
    assert matrix.shape == (64, 64)
    np.testing.assert_allclose(matrix[0, 0], mean[:2, :2].mean(), rtol=1e-3)
    np.testing.assert_allclose(matrix[-1, -1], mean[-1, -1], rtol=1e-3)
    assert "90 × 90 entries in 64 × 64 cells" in section(page, "interdependence").text
    assert picture(page, "w1-W")[1].shape == (32, 32)
    assert (tmp_path / "report.html").stat().st_size < 2e6
