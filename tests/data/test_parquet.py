"""A directory of Parquet files: parts, schemas and batches as the table would give them, in little memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.errors import InputError
from support.command import lphm, summary

RNG = np.random.default_rng(0)
ROWS = 900
TABLE = pd.DataFrame(
    {
        "x": RNG.standard_normal(ROWS) * 3 + 1e6,
        "z": RNG.standard_normal(ROWS),
        "kind": RNG.choice(["u", "v", "w"], ROWS),
        "same": 1.0,
    }
)
TABLE["y"] = np.where(TABLE["z"] + (TABLE["kind"] == "u") > 0.3, "yes", "no")
TABLE.loc[::50, "z"] = np.nan
TABLE.loc[::90, "y"] = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "flows"
    path.mkdir()
    for i, start in enumerate(range(0, ROWS, 300)):
        TABLE[start : start + 300].to_parquet(path / f"{i}.parquet", row_group_size=70, index=False)
    (path / "README.txt").write_text("not a table")
    return path


def rows_of(stream: ParquetStream, part: str) -> pd.DataFrame:
    return pd.concat(list(stream.frames(part)), ignore_index=True)


def test_the_parts_are_a_partition_and_depend_on_the_seed(folder: Path) -> None:
    stream = ParquetStream(folder, "y", seed=1, validation=0.15)
    parts = {part: rows_of(stream, part) for part in ("train", "validation", "test")}
    together = pd.concat(parts.values()).sort_values("x", ignore_index=True)
    known = TABLE[TABLE["y"].notna()].sort_values("x", ignore_index=True)
    pd.testing.assert_frame_equal(together, known)
    assert abs(len(parts["test"]) / ROWS - 0.2) < 0.04
    assert abs(len(parts["validation"]) / ROWS - 0.12) < 0.04
    assert rows_of(ParquetStream(folder, "y", seed=1, validation=0.15), "test").equals(parts["test"])
    assert not rows_of(ParquetStream(folder, "y", seed=2), "test").equals(parts["test"])


def test_one_pass_fits_what_the_table_would(folder: Path) -> None:
    stream = ParquetStream(folder, "y", ("same",))
    fitted, train = fit_stream(stream), rows_of(stream, "train")
    assert fitted.rows["train"] == len(train)
    assert fitted.rows["test"] == len(rows_of(stream, "test"))
    for column in fitted.input.numeric:
        assert column.mean == pytest.approx(train[column.name].mean(), rel=1e-12)
        assert column.std == pytest.approx(train[column.name].std(ddof=0), rel=1e-9)
    assert [c.name for c in fitted.input.numeric] == ["x", "z"]
    assert fitted.input.categorical[0].categories == ["u", "v", "w"]
    assert fitted.target.classes == ["no", "yes"]
    assert [c.name for c in fit_stream(ParquetStream(folder, "y")).input.numeric] == [
        "x",
        "z",
    ]  # "same" tells nothing
    regression = fit_stream(ParquetStream(folder, "z"))
    assert regression.target.mean == pytest.approx(rows_of(ParquetStream(folder, "z"), "train")["z"].mean())


def test_an_epoch_holds_every_row_once_and_is_known_by_its_number(folder: Path) -> None:
    stream = ParquetStream(folder, "y")
    fitted = fit_stream(stream)
    batches = StreamBatches(stream, "train", fitted, 32, seed=0)
    first, again, second = (list(batches.epoch(number)) for number in (0, 0, 1))
    assert len(first) == len(batches)
    assert [len(y) for _, y, _ in first[:-1]] == [32] * (len(first) - 1)
    for a, b in zip(first, again, strict=True):
        assert all(torch.equal(u.nan_to_num(), v.nan_to_num()) for u, v in zip(a, b, strict=True))
    assert not torch.equal(first[0][0], second[0][0])
    whole = fitted.input.encode(rows_of(stream, "train"))
    for epoch in (first, second):
        seen = torch.cat([x for x, _, _ in epoch])
        assert torch.equal(seen[:, 0].sort().values, whole[:, 0].sort().values)
    assert not torch.equal(torch.cat([x for x, _, _ in first])[:, 0], whole[:, 0])
    plain = StreamBatches(stream, "train", fitted, 32, seed=0, shuffle=False)
    in_order = torch.cat([x for x, _, _ in plain.epoch(5)])[:, 0]
    assert torch.equal(in_order.sort().values, whole[:, 0].sort().values)
    assert torch.equal(in_order, torch.cat([x for x, _, _ in plain.epoch(6)])[:, 0])


def test_what_cannot_be_streamed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must hold \.parquet files, got none"):
        ParquetStream(tmp_path, "y")
    with pytest.raises(InputError, match="must have the column 'label'"):
        ParquetStream(folder, "label")
    (folder / "9.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"9\.parquet must be a readable Parquet file"):
        ParquetStream(folder, "y")
    TABLE.assign(more=1).to_parquet(folder / "9.parquet")
    with pytest.raises(InputError, match=r"9\.parquet must have the columns of 0\.parquet"):
        ParquetStream(folder, "y")


def test_free_text_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm.data.parquet_schema.MOST_CATEGORIES", 2)
    with pytest.raises(
        InputError, match="column 'kind' must hold numbers or categories, got text: more than 2"
    ):
        fit_stream(ParquetStream(folder, "y"))


@pytest.mark.slow
def test_on_the_command_line(folder: Path) -> None:
    where = folder.parent
    options = ("train", "flows", "--target", "y", "--drop", "same", "--epochs", 8)
    table = summary(lphm(*options, "-o", "run", cwd=where))
    assert float(table["test accuracy"]) > 0.85
    metrics = json.loads((where / "run" / "metrics.json").read_text())
    assert metrics["rows"] == {
        "train": len(rows_of(ParquetStream(folder, "y"), "train")),
        "test": len(rows_of(ParquetStream(folder, "y"), "test")),
    }
    assert (where / "run" / "report.html").exists()
    assert lphm(*options, "-o", "again", cwd=where).returncode == 0
    assert (where / "run/weights.safetensors").read_bytes() == (
        where / "again/weights.safetensors"
    ).read_bytes()
    stopping = summary(lphm(*options, "--early-stopping", "-o", "stop", cwd=where))
    assert "best" in stopping["epochs"]
    refused = lphm(*options, "--folds", 3, cwd=where)
    assert refused.returncode == 2
    assert "a directory takes no --folds" in refused.stderr


MEASURE = """
import resource, sys
from pathlib import Path
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
stream = ParquetStream(Path(sys.argv[1]), "y")
fitted = fit_stream(stream)
rows = sum(len(y) for _, y, _ in StreamBatches(stream, "train", fitted, 256, seed=0).epoch(0))
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for files in (2, 16):  # 100,000 and 800,000 rows of 20 columns: 16 and 128 MB of float64
        folder = tmp_path / str(files)
        folder.mkdir()
        for i in range(files):
            table = pd.DataFrame(RNG.standard_normal((50_000, 20)), columns=[f"x{j}" for j in range(20)])
            table["y"] = table["x0"] + table["x1"]
            table.to_parquet(folder / f"{i:02}.parquet", row_group_size=10_000, index=False)
        out = subprocess.run(
            [sys.executable, "-c", MEASURE, str(folder)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert abs(int(out[0]) / (files * 50_000) - 0.8) < 0.01
        peaks.append(int(out[1]) / 1024)
    assert peaks[1] - peaks[0] < 60  # MB, of 112 more on disk
