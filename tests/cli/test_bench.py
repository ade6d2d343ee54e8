"""`lphm bench`: it measures what it says, after it has compared the results."""

import json
from pathlib import Path

import pytest
import torch

import lphm.cli.bench
from lphm import LPHM, InputError
from lphm.cli.bench import bench
from support.command import lphm as run

STRUCTURE = LPHM(n=12, p=3, q=4, r=2)


@pytest.mark.parametrize(("kind", "b", "m"), [("attribute", 12, 5), ("instance", 7, 12)])
def test_three_ways_and_their_parameters(kind: str, b: int, m: int) -> None:
    rows = bench(STRUCTURE, b, m, kind, seconds=0.01)
    assert {row.name: row.parameters for row in rows} == {
        "linear": m * m,
        "LPHM": STRUCTURE.num_parameters,
        "dense W": 144,
    }
    assert rows[0].ratio == 1
    assert all(row.ratio == pytest.approx(row.milliseconds / rows[0].milliseconds) for row in rows)


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = lphm.cli.bench.interdependence_apply
    monkeypatch.setattr(lphm.cli.bench, "interdependence_apply", lambda *a, **k: right(*a, **k) * 1.001)
    with pytest.raises(AssertionError):
        bench(STRUCTURE, 12, 5, seconds=0.01)


def test_a_dense_w_that_is_too_large_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lphm.cli.bench, "MOST_DENSE", 100)
    assert [row.name for row in bench(STRUCTURE, 12, 5, seconds=0.01)] == ["linear", "LPHM"]


def test_the_structure_must_fit() -> None:
    with pytest.raises(InputError, match="W must be 13 x 13 for attribute xi of 13 x 5 numbers"):
        bench(STRUCTURE, 13, 5)


def test_the_dense_way_is_the_formula() -> None:
    x, W = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 6, dtype=torch.float64)
    torch.testing.assert_close(lphm.cli.bench._dense(W, x, "attribute"), x @ (x.mT @ W @ x))
    V = torch.randn(4, 4, dtype=torch.float64)
    torch.testing.assert_close(lphm.cli.bench._dense(V, x, "instance"), (x @ V @ x.mT).mT @ x)


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path) -> None:
    sizes = ("--b", 24, "--m", 8, "--p", 4, "--r", 1)
    told = run("bench", *sizes, "--json", cwd=tmp_path)
    assert [row["name"] for row in json.loads(told.stdout)["table"]] == ["linear", "LPHM", "dense W"]
    assert "LPHM(n=24, p=4, q=4, r=1), X 24 x 8" in run("bench", *sizes, cwd=tmp_path).stdout
    for wrong in (("--kind", "none"), ("--b", 24, "--p", 5)):
        assert run("bench", *wrong, cwd=tmp_path).returncode == 2
