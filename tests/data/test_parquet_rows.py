"""Rows of a directory that are split by group or by time, and that are weighted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.data.row_options import RowOptions
from lphm.data.statistics import MOST_POINTS, Distribution
from lphm.errors import InputError

RNG = np.random.default_rng(0)
ROWS = 600
NAMES = RNG.integers(0, 60, ROWS)
TIMES = RNG.integers(0, 100, ROWS)
TABLE = pd.DataFrame(
    {"number": np.arange(ROWS), "g": NAMES, "t": TIMES, "w": RNG.integers(0, 4, ROWS), "y": [0.5, 1.5] * 300}
)
PARTS = ("train", "validation", "test")


def write(folder: Path, table: pd.DataFrame = TABLE, **types: pa.DataType) -> Path:
    """Two files; in the second, columns have these types."""
    folder.mkdir()
    for file in range(2):
        part = pa.Table.from_pandas(table[300 * file : 300 * (file + 1)], preserve_index=False)
        for name in types if file else ():
            cells = part[name].cast(pa.string()) if pa.types.is_dictionary(types[name]) else part[name]
            part = part.set_column(part.schema.get_field_index(name), name, cells.cast(types[name]))
        pq.write_table(part, folder / f"{file}.parquet", row_group_size=70)
    return folder


def numbers(stream: ParquetStream) -> dict[str, list[int]]:
    """The rows of each part."""
    return {part: pd.concat(stream.frames(part))["number"].astype(int).tolist() for part in PARTS}


def stream_of(folder: Path, seed: int = 0, **columns: str) -> ParquetStream:
    drop = tuple({"g", "t", "w"} - set(columns.values()))
    return ParquetStream(folder, "y", drop, seed, validation=0.25, options=RowOptions(**columns))


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.float64(), pa.string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_group_is_in_one_part_whatever_its_type_in_a_file(tmp_path: Path, kind: pa.DataType) -> None:
    stream = stream_of(write(tmp_path / "d", g=kind), group="g")
    assert stream.columns == ["number"]
    parts = numbers(stream)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(ROWS))
    groups = {part: {*NAMES[rows]} for part, rows in parts.items()}
    assert sum(map(len, groups.values())) == len({*NAMES})
    assert abs(len(groups["test"]) - 12) <= 6
    assert abs(len(groups["validation"]) - 12) <= 6
    other = numbers(stream_of(tmp_path / "d", seed=1, group="g"))
    assert {*NAMES[other["test"]]} != groups["test"]


def test_the_part_of_a_row_does_not_depend_on_rows_without_a_target(tmp_path: Path) -> None:
    whole = numbers(stream_of(write(tmp_path / "whole")))
    table = TABLE.assign(y=TABLE["y"].where(RNG.random(ROWS) < 0.7))
    left = numbers(stream_of(write(tmp_path / "left", table)))
    assert left == {part: [row for row in rows if table["y"].notna()[row]] for part, rows in whole.items()}


@pytest.mark.parametrize("dates", [False, True])
def test_the_latest_rows_are_tested_on_and_those_before_validate(tmp_path: Path, dates: bool) -> None:
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(TIMES, unit="D")
    types = {"t": pa.date32() if dates else pa.float64()}
    folder = write(tmp_path / "d", TABLE.assign(t=days) if dates else TABLE, **types)
    parts = numbers(stream_of(folder, time="t"))
    assert sorted(np.concatenate(list(parts.values()))) == list(range(ROWS))
    train, validation, test = (TIMES[parts[part]] for part in PARTS)
    assert train.max() < validation.min()  # so rows of one time are in one part
    assert validation.max() < test.min()
    assert abs(len(test) / ROWS - 0.2) < 0.03
    assert abs(len(validation) / ROWS - 0.2) < 0.03
    assert numbers(stream_of(folder, seed=1, time="t")) == parts


def test_the_share_of_larger_numbers() -> None:
    shares = Distribution.of(np.array([1.0, 2.0, 2.0, 4.0, np.nan])).share_above(
        np.array([0, 1, 2, 3, 4, 9.0])
    )
    assert shares.tolist() == [1, 0.75, 0.25, 0.25, 0, 0]
    many, asked = RNG.exponential(size=100_000), np.linspace(0, 8, 50)
    expected = [(many > number).mean() for number in asked]
    np.testing.assert_allclose(Distribution.of(many).share_above(asked), expected, atol=4 / MOST_POINTS)


def test_weights_come_with_the_rows_of_a_batch_and_have_mean_1(tmp_path: Path) -> None:
    stream = stream_of(write(tmp_path / "d"), weight="w")
    fitted = fit_stream(stream)
    parts = numbers(stream)
    assert fitted.weight == pytest.approx(TABLE["w"][parts["train"]].mean())
    for part in ("train", "validation"):
        batches = StreamBatches(stream, part, fitted, 32, 0).epoch(0)
        x, _, weight = map(torch.cat, zip(*batches, strict=True))
        (column,) = fitted.input.numeric
        rows = (x[:, 0].double() * column.std + column.mean).round().long()
        assert sorted(rows.tolist()) == sorted(parts[part])
        np.testing.assert_allclose(weight, TABLE["w"].to_numpy()[rows] / fitted.weight, rtol=1e-6)
    unweighted = fit_stream(stream_of(tmp_path / "d"))
    assert unweighted.weight == 1
    assert unweighted.input == fitted.input  # weights do not change how rows are encoded


@pytest.mark.parametrize(
    ("columns", "change", "message"),
    [
        ({"group": "h"}, {}, "d must have the column 'h', got number, g, t, w, y"),
        ({"weight": "y"}, {}, "the weight must be another column than the target, got 'y' twice"),
        (
            {"time": "t"},
            {"t": "soon"},
            "the time 't' must hold numbers in all files, or dates .* got (large_)?string",
        ),
        (
            {"time": "t", "test": "t.csv"},
            {},
            "a directory must be split by a file of test rows, by group or by time, got two of them; leave",
        ),
        ({"group": "g", "test": "t.csv"}, {}, "got two of them; leave one"),
    ],
)
def test_columns_that_cannot_be_used(tmp_path: Path, columns: dict, change: dict, message: str) -> None:
    folder = write(tmp_path / "d", TABLE.assign(**change))
    with pytest.raises(InputError, match=message):
        ParquetStream(folder, "y", options=RowOptions(**columns))


def test_times_are_of_one_kind_in_all_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "d", t=pa.timestamp("s"))
    with pytest.raises(InputError, match=r"must hold numbers in all files, .* got dates and numbers"):
        stream_of(folder, time="t")


@pytest.mark.parametrize("role", ["group", "time", "weight"])
def test_a_missing_cell_is_named_by_its_file_and_row(tmp_path: Path, role: str) -> None:
    column = {"group": "g", "time": "t", "weight": "w"}[role]
    table = TABLE.astype({column: float})
    table.loc[305, column] = np.nan
    with pytest.raises(InputError, match=rf"1\.parquet: the {role} '{column}' must be .*, got none in row 6"):
        fit_stream(stream_of(write(tmp_path / "d", table), **{role: column}))
    table.loc[305, "y"] = np.nan  # a row without a target is left out
    fit_stream(stream_of(write(tmp_path / "other", table), **{role: column}))


@pytest.mark.parametrize(
    ("columns", "change", "message"),
    [
        ({"group": "g"}, {"g": 1}, r"d must hold enough rows for a \w+ part, got none in it"),
        ({"time": "t"}, {"t": 1}, "d must hold enough rows for a training part, got none in it"),
        ({"weight": "w"}, {"w": 0}, r"enough rows for a training part, got \d+ rows of weight 0 in it"),
        (
            {"weight": "w", "time": "t"},
            {"w": (abs(TIMES - 70) > 12).astype(int)},
            r"enough rows for a validation part, got \d+ rows of weight 0 in it",
        ),
    ],
)
def test_every_part_needs_rows_that_count(tmp_path: Path, columns: dict, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_stream(stream_of(write(tmp_path / "d", TABLE.assign(**change)), **columns))
