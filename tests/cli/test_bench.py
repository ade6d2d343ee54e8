"""`lphm bench`: it times what it says, after it has compared the results."""

import json
from pathlib import Path

import pytest
import torch

import lphm.ops.functional
from lphm import LPHM
from lphm.cli import app
from lphm.cli.bench import Problem, Timing, dense_apply, measure
from support.command import lphm as run

STRUCTURE = LPHM(n=12, p=3, q=4, r=2)


@pytest.mark.parametrize(
    "problem", [Problem(b=12, m=5, kind="attribute"), Problem(b=7, m=12, kind="instance")]
)
def test_three_ways_and_their_parameters(problem: Problem) -> None:
    rows = measure(STRUCTURE, problem, seconds=0.01)
    assert {row.name: row.parameters for row in rows} == {
        "linear": problem.m**2,
        "LPHM": STRUCTURE.num_parameters,
        "dense W": 144,
    }
    assert rows[0].ratio == 1
    assert all(row.ratio == pytest.approx(row.milliseconds / rows[0].milliseconds) for row in rows)


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = lphm.ops.functional.interdependence_apply
    monkeypatch.setattr(lphm.ops.functional, "interdependence_apply", lambda *a, **k: right(*a, **k) * 1.001)
    with pytest.raises(AssertionError):
        measure(STRUCTURE, Problem(b=12, m=5), seconds=0.01)


def test_a_dense_w_that_is_too_large_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm.cli.bench.MOST_DENSE", 100)
    assert [row.name for row in measure(STRUCTURE, Problem(b=12, m=5), seconds=0.01)] == ["linear", "LPHM"]


def test_the_dense_way_is_the_formula() -> None:
    x, W = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 6, dtype=torch.float64)
    torch.testing.assert_close(dense_apply(W, x, Problem(kind="attribute")), x @ (x.mT @ W @ x))
    V = torch.randn(4, 4, dtype=torch.float64)
    torch.testing.assert_close(dense_apply(V, x, Problem(kind="instance")), (x @ V @ x.mT).mT @ x)


@pytest.mark.slow
def test_on_the_command_line(tmp_path: Path) -> None:
    printed = run("bench", "--b", 24, "--m", 8, "--p", 4, "--r", 1, cwd=tmp_path).stdout
    assert "LPHM(n=24, p=4, q=4, r=1), X 24 x 8" in printed
    assert all(name in printed for name in ("linear", "LPHM", "dense W"))


def test_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    timing = Timing("linear", 1.5, 1.0, 64)
    monkeypatch.setattr("lphm.cli.bench.measure", lambda *_: [timing])
    app(["bench", "--m", "8", "--b", "24", "--json"])
    assert json.loads(capsys.readouterr().out) == {"table": [vars(timing)]}
