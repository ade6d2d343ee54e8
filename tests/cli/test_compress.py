"""``lphm compress``: what it prints is what ``lphm apply`` reads, and what it cannot use is one line."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lphm import LPHM
from lphm.structures import from_config
from support import reference

PROJECT = Path(__file__).parents[2]
STRUCTURE = LPHM(n=24, p=4, q=6, r=2)
RECTANGULAR = LPHM(n=24, columns=40, p=4, q=8, r=2)
RNG = np.random.default_rng(0)
OUT = ("--budget", 300, "-o", "w.safetensors")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Matrices that have a structure, that have none, and that cannot be used."""
    w = torch.from_numpy(RNG.standard_normal(STRUCTURE.num_parameters))
    W = STRUCTURE.to_dense(w)
    wide = RECTANGULAR.to_dense(torch.from_numpy(RNG.standard_normal(RECTANGULAR.num_parameters)))
    arrays = {
        "wide": wide.numpy(),
        "tall": RNG.standard_normal((40, 24)),
        "W": W.numpy(),
        "noise": RNG.standard_normal((24, 24)),
        "half": W.numpy().astype(np.float16),
        "big-endian": W.numpy().astype(">f4"),
        "x": RNG.standard_normal((20, 24)),
        "long": RNG.standard_normal((25, 3)),
        "ints": np.ones((4, 4), dtype=np.int64),
        "complex": np.ones((4, 4), dtype=np.complex64),
        "vector": np.ones(4),
        "nan": np.full((4, 4), np.nan),
        "empty": np.ones((0, 4)),
        "cube": np.ones((2, 3, 4)),
        "objects": np.array([[None]]),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    several = {"a.weight": W.bfloat16(), "a.bias": torch.ones(24), "b.weight": torch.ones(3, 3).int()}
    save_file(several, tmp_path / "model.safetensors")
    save_file({"only": W.float()}, tmp_path / "one.safetensors")
    (tmp_path / "text.npy").write_text("1,2\n3,4\n")
    (tmp_path / "text.safetensors").write_text("1,2\n3,4\n")
    huge = np.lib.format.open_memmap(tmp_path / "huge.npy", "w+", np.float32, (3, 3))
    header = (tmp_path / "huge.npy").read_bytes()[:128].replace(b"(3, 3), }      ", b"(999999,999999)}")[:128]
    assert len(header) == 128 == huge.offset
    (tmp_path / "huge.npy").write_bytes(header)
    with (tmp_path / "huge.npy").open("ab") as file:
        file.truncate(128 + 4 * 999_999**2)  # a hole
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["W.npy", "noise.npy", "one.safetensors", "big-endian.npy", "half.npy", "wide.npy", "tall.npy"],
)
def test_what_is_written_has_the_error_that_is_printed(files: Path, succeeding, name: str) -> None:
    printed = json.loads(succeeding("compress", name, *OUT, "--json"))
    w = load_file(files / "w.safetensors")["w"]
    with safe_open(files / "w.safetensors", "pt") as saved:
        config = json.loads(saved.metadata()["structure"])
    assert config == printed["structure"] == printed["table"][0]["structure"]
    structure = from_config(config)
    source = files / name
    npy = source.suffix == ".npy"
    W = torch.from_numpy(np.load(source).astype(float)) if npy else load_file(source)["only"]
    got = (reference.dense(structure, w) - W.double()).norm() / W.double().norm()
    assert printed["error"] == pytest.approx(got.item(), rel=1e-6, abs=1e-15)
    assert printed["parameters"] == len(w) <= 300
    errors = [row["error"] for row in printed["table"]]
    assert len(errors) > 5
    if name in ("W.npy", "one.safetensors"):
        assert structure == STRUCTURE
        assert printed["error"] < 1e-6
    if name == "wide.npy":
        assert structure == RECTANGULAR
        assert printed["error"] < 1e-13


def test_the_table_is_printed_best_first(files: Path, succeeding) -> None:
    printed = succeeding("compress", "W.npy", *OUT)
    assert "W.npy: 24 x 24, best first" in printed
    rows = [line for line in printed.splitlines() if "n=24" in line]
    assert str(STRUCTURE) in rows[0]
    assert "44 " in rows[0]
    assert len(rows) > 5
    assert "tall.npy: 40 x 24, best first" in succeeding("compress", "tall.npy", *OUT)
    assert succeeding("compress", "W.npy", *OUT, "--quiet") == ""


def test_a_structure_can_be_asked_for_and_a_tensor_named(files: Path, succeeding) -> None:
    more = ("--structure", "low-rank", "--structure", "toeplitz", "--tensor", "a.weight", "--json")
    printed = json.loads(succeeding("compress", "model.safetensors", *OUT, *more))
    assert {row["structure"]["name"] for row in printed["table"]} == {"low_rank", "toeplitz"}


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_apply_takes_the_structure_from_the_weights(files: Path, succeeding, kind: str) -> None:
    """20 rows of the attribute kind meet the leading part of W."""
    succeeding("compress", "W.npy", *OUT)
    succeeding("apply", "x.npy", "--weights", "w.safetensors", "--kind", kind, "-o", "out.npy", "--quiet")
    W, X = np.load(files / "W.npy"), np.load(files / "x.npy")
    want = X @ (X.T @ W[:20, :20] @ X) if kind == "attribute" else (X @ W @ X.T).T @ X
    np.testing.assert_allclose(np.load(files / "out.npy"), want, rtol=1e-10, atol=1e-9)


def test_apply_refuses_another_structure_and_too_many_rows(files: Path, succeeding, failing) -> None:
    succeeding("compress", "W.npy", *OUT)
    weights = ("--weights", "w.safetensors", "-o", "out.npy")
    assert "got those of the weights, LPHM(n=24, p=4, q=6, r=2), as well" in failing(
        "apply", "x.npy", *weights, "--r", 2
    )
    assert "must have at least the n=25 rows of long.npy" in failing("apply", "long.npy", *weights)


def test_the_docs_read_what_is_written_as_a_layer(files: Path, succeeding) -> None:
    succeeding("compress", "wide.npy", *OUT)
    page = (PROJECT / "docs/structures.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    linear = torch.nn.Linear(40, 24)
    names: dict[str, Any] = {"linear": linear}
    exec(block, names)
    x = torch.randn(5, 40, dtype=torch.float64)
    got = names["layer"].double()(x)
    want = x @ torch.from_numpy(np.load(files / "wide.npy")).mT + linear.bias
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["attribute", "instance"])
@pytest.mark.parametrize("name", ["x.npy", "wide.npy", "tall.npy"])
def test_apply_refuses_a_rectangular_matrix(files: Path, succeeding, failing, kind: str, name: str) -> None:
    succeeding("compress", "wide.npy", *OUT)
    line = failing("apply", name, "--weights", "w.safetensors", "--kind", kind, "-o", "out.npy")
    if name == "tall.npy" and kind == "attribute":
        assert "must have at least the n=40 rows of tall.npy" in line
    else:
        assert "structure must have a square W where no process has all rows" in line


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"name": "lphm"}', '{"name": "x"}', '{"name": "full", "n": "3"}']
)
def test_apply_refuses_a_damaged_structure(files: Path, failing, text: str) -> None:
    save_file({"w": torch.ones(3)}, files / "w.safetensors", {"structure": text})
    line = failing("apply", "x.npy", "--weights", "w.safetensors", "-o", "out.npy")
    assert "weights must have metadata of a structure, got" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.npy", *OUT), "absent.npy must exist, got no such file or folder"),
        (
            ("vector.npy", *OUT),
            "vector.npy must hold a matrix (n, columns) of floating-point numbers, got (4,) float64",
        ),
        (
            ("cube.npy", *OUT),
            "must hold a matrix (n, columns) of floating-point numbers, got (2, 3, 4) float64",
        ),
        (
            ("empty.npy", *OUT),
            "must hold a matrix (n, columns) of floating-point numbers, got (0, 4) float64",
        ),
        (("ints.npy", *OUT), "got (4, 4) int64; convert it to float32 or float64"),
        (("complex.npy", *OUT), "got (4, 4) complex64; convert it to float32 or float64"),
        (("nan.npy", *OUT), "W must be finite, got nan or inf in it"),
        (("objects.npy", *OUT), "the matrix must be a readable .npy or .safetensors file, got objects.npy"),
        (("text.npy", *OUT), "the matrix must be a readable .npy or .safetensors file, got text.npy"),
        (("text.safetensors", *OUT), "the matrix must be a readable .npy or .safetensors file, got text.saf"),
        (("huge.npy", *OUT), "the search for huge.npy must fit into memory"),
        (("W.csv", *OUT), "the matrix must be a .npy or .safetensors file, got W.csv"),
        (("W.npy", "--budget", 3, "-o", "w.npy"), "the output must be a .safetensors file, got w.npy"),
        (
            ("one.safetensors", "--budget", 3, "-o", "one.safetensors"),
            "one.safetensors must not be an input, got the input file itself; choose another output",
        ),
        (("W.npy", *OUT, "--tensor", "a"), "a .npy file must be read without the name of a tensor"),
        (
            ("model.safetensors", *OUT),
            "must be read with the name of a matrix in it (a.weight, b.weight), got none; --tensor",
        ),
        (("model.safetensors", *OUT, "--tensor", "c"), "in it (a.weight, b.weight), got 'c'; --tensor"),
        (("model.safetensors", *OUT, "--tensor", "b.weight"), "got (3, 3) I32; convert it"),
        (("W.npy", "--budget", 0, "-o", "w.safetensors"), "budget must be a number above 0, got 0.0"),
        (
            ("W.npy", "--budget", 300.5, "-o", "w.safetensors"),
            "budget must be a whole number, or a share up to 1",
        ),
        (("W.npy", "--budget", "inf", "-o", "w.safetensors"), "budget must be a number above 0, got inf"),
        (("W.npy", "--budget", "nan", "-o", "w.safetensors"), "budget must be a number above 0, got nan"),
        (
            ("W.npy", "--budget", 5, "-o", "w.safetensors", "--structure", "low-rank"),
            "budget must be at least 48 parameters, those of LowRank(n=24, r=1), got 5",
        ),
        (("W.npy", *OUT, "--structure", "nope"), 'Invalid value "nope" for --structure'),
        (("W.npy", "-o", "w.safetensors"), "--budget requires an argument"),
    ],
)
def test_bad_input_is_one_line(files: Path, failing, arguments: tuple, message: str) -> None:
    assert message in failing("compress", *arguments)
