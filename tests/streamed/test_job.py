"""``lphm apply`` as a user runs it: files in, one file out, whole or not at all, also after a kill."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import lphm
from lphm.errors import InputError
from lphm.streamed import job as apply_file
from lphm.streamed.files import RowFile, open_rows
from lphm.streamed.job import read_weights
from lphm.structures.named import structure_for_rows
from support.command import lphm as command

ROWS = 1000
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"id": [f"r{i}" for i in range(ROWS)]})
for _name in ("a", "b", "c", "d"):
    TABLE[_name] = RNG.standard_normal(ROWS).astype(np.float32)
NUMBERS = np.asfortranarray(TABLE[["a", "b", "c", "d"]].to_numpy())


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm.streamed.files.BLOCK_BYTES", 4 * 8 * 64)  # 64 rows


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    TABLE.to_parquet(path, row_group_size=300, index=False)
    return path


def applied(source: RowFile, output: Path, kind: str = "attribute", **more) -> np.ndarray:
    structure = (
        structure_for_rows("lphm", source.rows, r=3) if kind == "attribute" else lphm.LowRank(n=4, r=2)
    )
    w = read_weights(None, structure, 0)
    apply_file.apply_file(source, output, structure, w, kind, **more)
    x = torch.from_numpy(NUMBERS).double()
    return lphm.interdependence_apply(
        structure, w, x, kind=kind, normalize=more.get("normalize"), partial=True
    ).numpy()


@pytest.mark.parametrize(
    ("kind", "normalize"), [("attribute", None), ("attribute", "softmax"), ("instance", "scale")]
)
@pytest.mark.parametrize("layout", ["file", "directory", "rows.npy", "columns.npy"])
def test_the_output_is_that_of_all_rows_in_memory(
    tmp_path: Path, parquet: Path, layout: str, kind: str, normalize: str | None
) -> None:
    if layout == "directory":
        folder = tmp_path / "parts"
        folder.mkdir()
        for i, start in enumerate((0, 350, 600)):
            TABLE[start : (350, 600, ROWS)[i]].to_parquet(
                folder / f"{i}.parquet", row_group_size=100, index=False
            )
        source = open_rows(folder, keep=("id",))
    elif layout.endswith("npy"):
        np.save(tmp_path / "x.npy", NUMBERS if layout == "columns.npy" else np.ascontiguousarray(NUMBERS))
        source = open_rows(tmp_path / "x.npy")
    else:
        source = open_rows(parquet, keep=("id",))
    output = tmp_path / ("out.npy" if layout.endswith("npy") else "out.parquet")
    expected = applied(source, output, kind, normalize=normalize)
    if layout.endswith("npy"):
        found = np.load(output)
    else:
        table = pd.read_parquet(output)
        assert list(table.columns) == list(TABLE.columns)
        assert table["id"].tolist() == TABLE["id"].tolist()
        found = table[["a", "b", "c", "d"]].to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" in p.name) == []


def test_integers_and_booleans_become_float64(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": np.arange(50), "b": np.arange(50) % 2 == 0, "c": np.linspace(0, 1, 50)})
    table.to_parquet(tmp_path / "x.parquet")
    source = open_rows(tmp_path / "x.parquet")
    structure = structure_for_rows("lphm", 50)
    w = read_weights(None, structure, 0)
    apply_file.apply_file(source, tmp_path / "o.parquet", structure, w)
    found = pd.read_parquet(tmp_path / "o.parquet").to_numpy()
    x = torch.from_numpy(table.to_numpy(dtype=np.float64))
    expected = lphm.interdependence_apply(structure, w, x, partial=True).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


class KilledError(Exception):
    """Stands for a kill: nothing of the process goes on."""


@pytest.mark.parametrize("after", [1, 7, 15, 17, 24, 30])
def test_an_interrupted_job_goes_on_bit_for_bit(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(apply_file, "SAVED_EVERY", 0.0)
    applied(open_rows(parquet, keep=("id",)), tmp_path / "whole.parquet")
    whole = pd.read_parquet(tmp_path / "whole.parquet")
    source, seen = open_rows(parquet, keep=("id",)), 0
    blocks = source.blocks

    def counted(first: int = 0):
        nonlocal seen
        for block in blocks(first):
            seen += 1
            if seen == after:
                raise KilledError
            yield block

    source.blocks = counted  # type: ignore[method-assign]
    output = tmp_path / "out.parquet"
    with pytest.raises(KilledError):
        applied(source, output)
    assert not output.exists()
    with pytest.raises(InputError, match="--resume goes on with it, or delete"):
        applied(open_rows(parquet, keep=("id",)), output)
    with pytest.raises(InputError, match="differs in kind, structure, w"):
        applied(open_rows(parquet, keep=("id",)), output, "instance", resume=True)
    again = open_rows(parquet, keep=("id",))
    reread: list[int] = []
    own = again.blocks
    again.blocks = lambda first=0: (reread.append(first), own(first))[1]  # type: ignore[method-assign]
    applied(again, output, resume=True)
    pd.testing.assert_frame_equal(pd.read_parquet(output), whole, check_exact=True)
    blocks_of_a_pass = 4 * 5 - 1 - 2  # three row groups of 300 in fives, one of 100 in two
    assert blocks_of_a_pass == 17
    assert (reread[0] > 0) == (after > 1)


def test_a_killed_process_goes_on_bit_for_bit(tmp_path: Path) -> None:
    rows = 600_000
    table = pd.DataFrame(
        RNG.standard_normal((rows, 8)).astype(np.float32), columns=[f"x{i}" for i in range(8)]
    )
    table.to_parquet(tmp_path / "x.parquet", row_group_size=2000, index=False)
    arguments = ["apply", str(tmp_path / "x.parquet"), "--r", "4", "--quiet", "-o"]
    killed, whole = tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    process = subprocess.Popen([sys.executable, "-m", "lphm", *arguments, str(killed)])
    work = tmp_path / "killed.parquet.partial"
    deadline = time.monotonic() + 120
    while not list(work.glob("part-*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    assert work.exists()
    assert command(*arguments, str(killed), "--resume", cwd=tmp_path).returncode == 0
    assert command(*arguments, str(whole), cwd=tmp_path).returncode == 0
    pd.testing.assert_frame_equal(pd.read_parquet(killed), pd.read_parquet(whole), check_exact=True)
    assert not work.exists()


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (100_000, 1_600_000):
        names, one = [f"x{i}" for i in range(16)], RNG.standard_normal((100_000, 16)).astype(np.float32)
        schema = pa.schema([(name, pa.float32()) for name in names])
        with pq.ParquetWriter(tmp_path / "x.parquet", schema, use_dictionary=False) as writer:
            for _ in range(rows // len(one)):
                writer.write_table(pa.table(dict(zip(names, one.T.copy(), strict=True))))
        done = command(
            "apply", tmp_path / "x.parquet", "-o", tmp_path / "out.parquet", "--json", cwd=tmp_path
        )
        peaks.append(json.loads(done.stdout)["peak_memory_bytes"])
    assert peaks[1] - peaks[0] < 60 * 2**20  # the rows would be 205 MB, and the output as many
    assert len(pq.ParquetFile(tmp_path / "out.parquet").schema_arrow.names) == 16


def test_the_command_says_what_it_did(tmp_path: Path, parquet: Path) -> None:
    structure = lphm.LPHM(n=1000, p=10, q=20, r=2)
    w = torch.randn(structure.num_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    np.save(tmp_path / "w.npy", w.numpy())
    sizes = f"--p 10 --q 20 --r 2 --weights {tmp_path / 'w.npy'} --normalize scale".split()
    out, xi = tmp_path / "out.parquet", tmp_path / "xi.csv"
    done = command(
        "apply",
        str(parquet),
        "--drop",
        "id",
        "--matrix",
        str(xi),
        *sizes,
        "-o",
        str(out),
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rows"], told["columns"], told["parameters"]) == (1000, 4, structure.num_parameters)
    assert told["structure"] == structure.to_config()
    x = torch.from_numpy(NUMBERS).double()
    expected = lphm.interdependence_matrix(structure, w, x, normalize="scale")
    found = pd.read_csv(xi, index_col=0)
    assert list(found.columns) == list(found.index) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found.to_numpy(), expected.numpy(), rtol=1e-9)
    np.testing.assert_allclose(
        pd.read_parquet(out).to_numpy(),
        (x @ expected).numpy(),
        rtol=1e-5,
        atol=1e-6 * float((x @ expected).abs().max()),
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            [],
            "column 'id' must hold numbers, got large_string; leave it out with --drop 'id', or copy it",
        ),
        (["--drop", "no"], "must have the column 'no', got id, a, b, c, d"),
        (["--drop", "id", "--structure", "full"], "structure must have a thin middle"),
        (
            ["--drop", "id", "--kind", "instance", "--normalize", "softmax"],
            "normalize must be None or 'scale'",
        ),
        (["--drop", "id", "--weights", "w.npy"], "--weights must be a readable .npy or .safetensors file"),
        (["--drop", "id", "--kind", "instance", "--matrix", "xi.csv"], "--matrix must be a .csv file"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    tmp_path: Path, parquet: Path, more: list[str], message: str
) -> None:
    done = command("apply", str(parquet), "-o", str(tmp_path / "out.parquet"), *more, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_missing_value_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    table = TABLE.drop(columns="id").copy()
    table.loc[777, "c"] = np.nan
    table.to_parquet(tmp_path / "x.parquet", row_group_size=300, index=False)
    with pytest.raises(InputError, match=r"column 'c' must hold finite numbers, got nan in row 778"):
        applied(open_rows(tmp_path / "x.parquet"), tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    "name", ["x.txt", "none.parquet", "broken.parquet", "broken.npy", "flat.npy", "empty"]
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name == "flat.npy":
        np.save(path, np.ones(3))
    elif name != "none.parquet":
        path.write_bytes(b"no rows")
    with pytest.raises(InputError, match=name):
        open_rows(path)
