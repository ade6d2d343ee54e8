"""A run folder: written whole, read back equal, and refused with one line when it was tampered with."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from lphm.errors import InputError
from lphm.learn.run import (
    load_run,
    save_run,
    write_atomically,
)
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
    assert config["network"]["attribute"] == {"name": "lphm", "n": 8, "p": 2, "q": 4, "r": 1}


def test_prediction_in_pieces_is_the_same(folder: Path) -> None:
    run = load_run(folder)
    torch.testing.assert_close(run.outputs(FRAME, batch_size=5), run.outputs(FRAME), rtol=1e-5, atol=1e-6)


def test_write_atomically_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_renames(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        written = temporary.stat().st_ino
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_ino == written


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_runs(folder: Path, case: str) -> None:
    damage, message = DAMAGE[case]
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a run must be a folder that 'lphm train' wrote"):
        load_run(tmp_path / "nowhere")
