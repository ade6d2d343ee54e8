"""A run folder: written whole, read back equal, and refused with one line when it was tampered with."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from lphm.errors import InputError
from lphm.learn.options import NetworkOptions
from lphm.learn.run import NetworkConfig, load_run, save_run
from support.runs import DAMAGE, FRAME, make_run


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


def test_prediction_in_pieces_is_the_same(folder: Path) -> None:
    run = load_run(folder)
    torch.testing.assert_close(run.outputs(FRAME, batch_size=5), run.outputs(FRAME), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_runs(folder: Path, case: str) -> None:
    damage, message = DAMAGE[case]
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is not a run folder \(it has no config.json\)"):
        load_run(tmp_path / "nowhere")


def test_progress_counts_the_samples(folder: Path) -> None:
    reports = []
    run = load_run(folder)
    run.outputs(FRAME, batch_size=5, progress=lambda *report: reports.append(report))
    assert reports == [("predicting", done, 12) for done in (5, 10, 12)]


def test_bounds_hold_for_options_and_for_a_saved_configuration_alike() -> None:
    for wrong in ({"width": 0}, {"channels": 0}, {"dropout": 1.0}, {"members": 1001}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be a"):
            NetworkOptions(**wrong)
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            NetworkConfig(**{"dropout": 0.1, "attribute": None, "instance": None, **wrong})
