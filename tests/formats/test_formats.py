"""What a released version wrote can be read, and computes what it computed: see docs/releases.md."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import lphm
from lphm.structures import from_config
from support.command import lphm as command

VERSIONS = sorted(path for path in Path(__file__).parent.iterdir() if (path / "layer.safetensors").exists())


def test_this_version_is_among_them() -> None:
    assert lphm.__version__ in [path.name for path in VERSIONS]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", ["table", "ridge", "network"])
def test_runs_predict_what_they_predicted(version: Path, kind: str, tmp_path: Path) -> None:
    folder = version / kind
    done = command("predict", folder / "run", folder / "new.csv", "-o", "now.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    now, then = (pd.read_csv(path) for path in (tmp_path / "now.csv", folder / "predicted.csv"))
    pd.testing.assert_frame_equal(now, then, rtol=1e-4, atol=1e-5)
    assert len(then) > 5
    assert then.nunique().min() > 1


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_the_state_of_a_layer_loads(version: Path) -> None:
    file = version / "layer.safetensors"
    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        structure = from_config(json.loads(opened.metadata()["structure"]))
    x, out = tensors.pop("x"), tensors.pop("out")
    layer = lphm.BilinearInterdependence(structure, channels=2, normalize="softmax", running_size=5)
    layer.load_state_dict(tensors)
    torch.testing.assert_close(layer.eval()(x), out)
