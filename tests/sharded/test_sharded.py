"""Rows over ranks: real processes, each beside one that has all rows."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import lphm
from support.processes import finish, start

WORKER = str(Path(__file__).parents[1] / "support" / "sharded_worker.py")
TOLERANCE = 1e-10


@pytest.fixture(scope="module", params=[2, 4])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank found."""
    folder = tmp_path_factory.mktemp(f"ranks{request.param}")
    for code, _, err in finish(start(request.param, ["-W", "error", WORKER, "cases", str(folder)]), 300):
        assert code == 0, err
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(request.param)]


@pytest.mark.parametrize("what", ["apply", "matrix", "instance", "DTensor", "sum_gradient=False", "second"])
def test_values_and_gradients_are_those_of_one_process(results: list[dict[str, Any]], what: str) -> None:
    compared = 0
    for rank, result in enumerate(results):
        for case, differences in result["cases"].items():
            if case.startswith(what):
                for name, found in differences.items():
                    assert found <= TOLERANCE, f"rank {rank}, {case}: {name} differs by {found}"
                    compared += 1
    assert compared >= len(results)


def test_without_the_sum_each_rank_has_only_its_part(results: list[dict[str, Any]]) -> None:
    assert [result["cases"]["parts differ"]["dw"] for result in results] == [0.0] * len(results)


@pytest.mark.parametrize(
    ("name", "odd_one", "the_others"),
    [
        ("columns", "ValueError: all ranks must have the same columns of x, got", None),
        (
            "refused",
            "ValueError: w must hold",
            "ValueError: all ranks must pass valid arguments, got an error on rank 1",
        ),
        ("missing", "ValueError: all ranks together must have 48 rows, got 47; pass partial=True", None),
        ("too many", "ValueError: all ranks together must have 48 rows, got", None),
        ("normalize", "ValueError: all ranks must have the same structure, kind and normalize", None),
        ("gradient", "ValueError: all ranks must have the same gradients to compute, got [0, 1", None),
        ("full", "TypeError: structure must reduce blocks of rows", None),
        ("rectangular", "ValueError: structure must have a square W where no process has all rows", None),
        ("softmax", "ValueError: normalize must be None or 'scale' for the instance kind", None),
        ("rows", "ValueError: rows must hold the number of rows of each rank", None),
    ],
)
def test_what_one_rank_cannot_do_all_refuse(
    results: list[dict[str, Any]], name: str, odd_one: str, the_others: str | None
) -> None:
    for rank, result in enumerate(results):
        must = odd_one if rank == 1 or the_others is None else the_others
        assert result["errors"][name].startswith(must), f"rank {rank}: {result['errors'][name]}"


@pytest.mark.parametrize("how", ["die", "hang"])
def test_a_rank_that_is_lost_ends_the_others(how: str) -> None:
    """Long before the timeout of 60 seconds if its process ended, and after that of 12 if it hangs."""
    processes = start(4, ["-W", "error", WORKER, how])
    lost = processes.pop(1)
    try:
        ended = finish(processes, 60)
    finally:
        lost.kill()
        lost.communicate()
    for code, out, err in ended:
        assert code == 3, err
        said = json.loads(out)
        assert said["step"] == 2
        assert said["seconds"] < 40
        assert said["error"].startswith("all ranks of the group must take part in a ")


def test_without_a_group_it_says_what_to_do() -> None:
    structure = lphm.LPHM(n=4, p=2, r=1)
    with pytest.raises(ValueError, match="init_process_group"):
        lphm.sharded.interdependence_apply(structure, torch.ones(8), torch.ones(4, 3))
