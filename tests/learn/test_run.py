"""A run folder: written whole, read back equal, and refused with one line when it was tampered with."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch.utils._python_dispatch import TorchDispatchMode

from lphm.errors import InputError
from lphm.learn import run as run_module
from lphm.learn.config import NetworkConfig
from lphm.learn.options import NetworkOptions
from lphm.learn.run import Run, load_run, save_run
from support.predictions import LAYOUTS, Inputs, drawn_run, select
from support.runs import DAMAGE, FRAME, edit_config, make_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_run(make_run(), tmp_path / "run", {"a": 1})
    return tmp_path / "run"


def test_round_trip(tmp_path: Path) -> None:
    run = make_run()
    save_run(run, tmp_path / "run", {"test": {"accuracy": 1.0}})
    back = load_run(tmp_path / "run")
    assert back.config == run.config
    pd.testing.assert_frame_equal(back.predict(FRAME), run.predict(FRAME), check_exact=True)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "config.json",
        "metrics.json",
        "weights.safetensors",
    ]


def test_config_holds_the_structures_themselves(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["network"]["attribute"] == {"name": "lphm", "n": 4, "p": 2, "q": 4, "r": 1}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_runs(folder: Path, case: str) -> None:
    damage, message = DAMAGE[case]
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("edges", [[0.0, 0.0], [1.0, 0.5], [0.0, float("inf")], ["low", "high"]])
def test_edges_of_a_configuration_must_increase(folder: Path, edges: list) -> None:
    edit_config(lambda config: config["input"]["numeric"][0].update(edges=edges))(folder)
    with pytest.raises(
        InputError, match=r"config.json must describe a run, got at input.features.numeric.0.edges"
    ):
        load_run(folder)


def test_other_edges_than_at_training_do_not_fit_the_weights(folder: Path) -> None:
    edit_config(lambda config: config["input"]["numeric"][0].update(edges=[0.0, 1.0]))(folder)
    with pytest.raises(
        InputError, match=r"tensor 'embedding.pieces' must be \(1, 1, 1, 8\) .*, got \(1, 2, 1, 8\)"
    ):
        load_run(folder)


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not a run folder \(it has no config.json\)"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("row", [0, 5, 11])
def test_a_prediction_that_is_not_finite_names_its_row(row: int) -> None:
    run = make_run()
    at = torch.tensor([row])
    run.network.register_forward_hook(lambda _module, _args, outputs: outputs.index_fill(0, at, torch.nan))
    with pytest.raises(InputError, match=rf"must be finite numbers, got \[.*\] for row {row + 1}; "):
        run.predict(FRAME)


def test_progress_counts_the_samples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []
    run = load_run(folder)
    monkeypatch.setattr(run_module, "MOST_SAMPLES", 4)
    monkeypatch.setattr(run_module, "SIDE_NUMBERS", 1)  # two blocks, as there is one member
    run.outputs(FRAME, progress=lambda *report: reports.append(report))
    assert reports == [("predicting", done, 12) for done in (8, 12)]


def test_bounds_hold_for_options_and_for_a_saved_configuration_alike() -> None:
    for wrong in ({"width": 0}, {"channels": 0}, {"dropout": 1.0}, {"members": 1001}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be a"):
            NetworkOptions(**wrong)
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            NetworkConfig(**{"dropout": 0.1, "attribute": None, "instance": None, **wrong})


# A sample gets the same answer bit for bit, whatever it is asked for with.

RNG = np.random.default_rng(0)


def assert_alone_as_in_any_company(run: Run, inputs: Inputs, size: int) -> None:
    """The answer of a sample does not depend on others, on their order or on its place in a block."""
    every = run.outputs(inputs)
    assert every.isfinite().all()
    assert len(every.unique(dim=0)) > 1
    order = RNG.permutation(len(inputs))
    assert torch.equal(run.outputs(select(inputs, order)), every[order])
    for i in (0, len(inputs) - 1):
        assert torch.equal(run.outputs(select(inputs, [i])), every[i : i + 1])
        places = run.outputs(select(inputs, [i] * size))  # every place of a block
        assert torch.equal(places, every[i].expand(size, -1))
    for few in (2, 3, 7):
        assert torch.equal(run.outputs(select(inputs, range(few))), every[:few])


@pytest.mark.parametrize("columns", [1, 3, 9, 20, 33])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("members", [1, 2, 3, 8])
def test_a_sample_gets_the_same_answer_bit_for_bit(
    columns: int, layout: str, classes: int, members: int
) -> None:
    run, inputs = drawn_run(layout, columns, classes, members)
    size, _, most = run_module._blocks(run.network, "cpu")
    assert size * most > len(inputs) > size
    assert_alone_as_in_any_company(run, inputs, size)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("members", [1, 3])
def test_also_in_the_small_blocks_of_wide_samples(
    most: int, layout: str, classes: int, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, inputs = drawn_run(layout, 9, classes, members, width=12)
    numbers = members * run.network.embedding.rows * 12
    monkeypatch.setattr(run_module, "BLOCK_NUMBERS", most * numbers)
    size, *_ = run_module._blocks(run.network, "cpu")
    assert size <= most
    assert_alone_as_in_any_company(run, inputs, size)


OTHERS: dict[str, dict[str, Any]] = {
    "attribute": {"kind": "attribute"},
    "instance": {"kind": "instance"},
    "none": {"kind": "none"},
    "full": {"structure": "full"},
    "blocks": {"blocks": 2, "instance_channels": 2, "width": 64},
    "narrow": {"width": 2},
    # All xi together have more numbers than are kept; one member's have not.
    "many xi": {"columns": 64, "width": 8, "kind": "instance", "instance_channels": 8, "members": 4},
    "members take turns": {"columns": 128, "width": 8},
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_also_for_other_networks(options: dict[str, Any], threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        run, inputs = drawn_run("table", **{"columns": 20, "classes": 3, "members": 2, **options})
        assert_alone_as_in_any_company(run, inputs, run_module._blocks(run.network, "cpu")[0])
    finally:
        torch.set_num_threads(before)


class Products(TorchDispatchMode):
    """Notes of all matrix products which shapes they have, and whether they are alone in their batch.

    A product that is alone may be rounded differently from one among others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[Any, ...]] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket.__name__ in {"mm", "addmm", "bmm", "baddbmm", "matmul"}:
            a, b = args[-2:]
            batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            self.found.add((*a.shape[-2:], *b.shape[-2:], batch.numel() == 1))
        return function(*args, **(kwargs or {}))


SIZES = [{"columns": columns, "members": members} for columns in (1, 9) for members in (1, 2)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [*SIZES, *OTHERS.values()], ids=str)
def test_products_are_the_same_for_few_and_many_samples(layout: str, options: dict[str, Any]) -> None:
    run, inputs = drawn_run(layout, **{"columns": 20, "classes": 3, "members": 2, **options})
    found = []
    for count in (1, 11, len(inputs)):
        with Products() as products:
            run.outputs(select(inputs, range(count)))
        found.append(products.found)
    assert len(found[0]) > 3
    assert found[0] == found[1] == found[2]


def test_many_samples_are_computed_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    run, inputs = drawn_run("table", 20, 3, 2)
    monkeypatch.setattr(run_module, "SIDE_NUMBERS", 2 * 16 * 2 * 20 * 16)  # of two blocks of 16 samples
    batches = []
    run.network.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))
    every = run.outputs(inputs)
    assert batches == [32, 16]
    batches.clear()
    run.outputs(select(inputs, [0]))
    assert batches == [16]
    monkeypatch.setattr(run_module, "SIDE_NUMBERS", 1)
    assert torch.equal(run.outputs(inputs), every)


def test_blocks_are_as_large_as_the_network_is_small() -> None:
    found = [run_module._blocks(drawn_run("table", n, 0, 4)[0].network, "cpu") for n in (3, 200, 800)]
    assert found[0][0] == run_module.MOST_SAMPLES
    assert found[0][0] > found[1][0] > found[2][0] >= 1
    assert found[0][2] > found[1][2] >= found[2][2] >= 1


def test_another_device_than_a_cpu_gets_one_large_block() -> None:
    network = drawn_run("table", 20, 3, 1)[0].network
    assert run_module._blocks(network, "cuda") == (run_module.MOST_DEVICE_SAMPLES, 1, 1)


def test_no_samples_have_no_answers(folder: Path) -> None:
    run = load_run(folder)
    assert run.outputs(FRAME[:0]).shape == (0, 2)
    assert list(run.predict(FRAME[:0]).columns) == ["y", "probability_no", "probability_yes"]


def test_the_answer_is_that_of_the_members_in_float64() -> None:
    for layout in LAYOUTS:
        for classes in (3, 0):
            run, inputs = drawn_run(layout, 9, classes, 3)
            members = copy.deepcopy(run.network).double()(run.config.input.encode(inputs).double())
            want = members.mean(dim=1)
            torch.testing.assert_close(run.outputs(inputs).double(), want, rtol=1e-4, atol=1e-4)
