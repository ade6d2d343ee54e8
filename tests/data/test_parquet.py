"""Parquet files: one index of row groups; parts, schemas and batches of a directory, in little memory."""

import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lphm.data.columns import as_numbers_or_words
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_files import ParquetIndex, RowGroup
from lphm.data.parquet_schema import fit_stream
from lphm.data.tables import read_table
from lphm.errors import InputError
from lphm.streamed.files import open_rows
from support.children import read_an_epoch
from support.forked import start

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


def write(path: Path) -> Path:
    path.mkdir()
    for i in range(3):
        TABLE[300 * i : 300 * (i + 1)].to_parquet(path / f"{i}.parquet", row_group_size=70, index=False)
    (path / "README.txt").write_text("not a table")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that no test changes."""
    return write(tmp_path_factory.mktemp("data") / "flows")


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """The same, for a test that changes it."""
    return write(tmp_path / "flows")


def test_the_index_lists_every_row_group(folder: Path) -> None:
    index = ParquetIndex(folder)
    assert [file.name for file in index.files] == ["0.parquet", "1.parquet", "2.parquet"]
    assert [group.rows for group in index.groups] == 3 * [70, 70, 70, 70, 20]
    assert [group.first for group in index.groups[4:7]] == [280, 300, 370]
    assert [(group.file, group.place, group.offset) for group in index.groups[4:7]] == [
        (0, 4, 280),
        (1, 0, 0),
        (1, 1, 70),
    ]
    assert index.rows == ROWS
    for group in index.groups[::4]:
        rows = TABLE[group.first : group.first + group.rows].reset_index(drop=True)
        read = index.read(group, list(TABLE))
        assert list(read.index) == list(range(group.offset, group.offset + group.rows))  # as in the file
        pd.testing.assert_frame_equal(read.reset_index(drop=True), rows)
        batches = [batch.to_pandas() for batch in index.batches(group, ["z"], rows=30)]
        assert max(map(len, batches)) <= 30
        pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), rows[["z"]])
    alone = ParquetIndex(folder / "1.parquet")
    assert (len(alone.groups), alone.rows, alone.groups[1].first) == (5, 300, 70)


def test_training_and_apply_read_the_same_files(own_folder: Path) -> None:
    TABLE[:50].to_parquet(own_folder / ".3.parquet")  # hidden: it is still being written
    TABLE[:50].to_parquet(own_folder / "4.PARQUET")
    (own_folder / "5.parquet").mkdir()
    names = ["0.parquet", "1.parquet", "2.parquet", "4.PARQUET"]
    stream = ParquetStream(own_folder, "y")
    assert [file.name for file in stream.index.files] == names
    assert sum(group.rows for group in stream.groups) == ROWS + 50
    rows = open_rows(own_folder, drop=("kind", "y"))
    assert [name for name, *_ in rows.identity] == names
    assert rows.rows == ROWS + 50


def rows_of(stream: ParquetStream, part: str) -> pd.DataFrame:
    return pd.concat(list(stream.frames(part)), ignore_index=True)


def test_the_parts_are_a_partition_and_depend_on_the_seed(folder: Path) -> None:
    stream = ParquetStream(folder, "y", seed=1, validation=0.15)
    parts = {part: rows_of(stream, part) for part in ("train", "validation", "test")}
    together = pd.concat(parts.values()).sort_values("x", ignore_index=True)
    known = TABLE[TABLE["y"].notna()].sort_values("x", ignore_index=True)
    pd.testing.assert_frame_equal(together.astype(known.dtypes.to_dict()), known)
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
    unchanged = fit_stream(ParquetStream(folder, "y")).input.numeric
    assert [c.name for c in unchanged] == ["x", "z"]  # "same" does not vary
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


def test_directories_that_cannot_be_read(own_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must hold \.parquet files, got none"):
        ParquetStream(tmp_path, "y")
    with pytest.raises(InputError, match="flows must have the column 'label', got x, z, kind, same, y"):
        ParquetStream(own_folder, "label")
    damaged = own_folder / "9.parquet"
    damaged.write_bytes(b"PAR1 and no more")
    for index in (ParquetIndex, open_rows):
        with pytest.raises(InputError, match=r"9\.parquet must be a readable Parquet file"):
            index(own_folder)
    TABLE.assign(more=1).to_parquet(damaged)
    with pytest.raises(InputError, match=r"9\.parquet must have the columns of 0\.parquet, got .*more"):
        ParquetStream(own_folder, "y")


def files_of(folder: Path, **columns: tuple) -> Path:
    """A folder with a file for each of the parts of the columns; ``x`` and ``y`` come with them."""
    folder.mkdir()
    for file in range(2):
        table = {"x": RNG.standard_normal(60), "y": np.arange(60) % 2}
        for name, parts in columns.items():
            table[name] = pa.array(parts[file])
        pq.write_table(pa.table(table), folder / f"{file}.parquet", row_group_size=20)
    return folder


NUMBERS, LETTERS = list(range(60)), ["a", "b", "c"] * 20
TEXT, DATES = [str(number) for number in NUMBERS], pd.date_range("2020-01-01", periods=60)
#: Columns whose type differs from file to file, and what they hold in all of them.
DRIFT = {
    "int and double": ((NUMBERS, [0.5] * 60), True),
    "nothing and double": (([None] * 60, [0.5] * 30 + [1.5] * 30), True),
    "nothing and text": (([None] * 60, LETTERS), False),
    "int and text of numbers": ((NUMBERS, TEXT), True),
    "int and words": (([1, 2, 3] * 20, LETTERS), False),
    "numbers, then a word in the last row group": (([1, 2, 3] * 20, ["1"] * 59 + ["a"]), False),
    "dictionary and text": ((pa.array(LETTERS).dictionary_encode(), LETTERS), False),
    "truth and truth with holes": (([True, False] * 30, [True, None] * 30), True),
    "decimal and double": (([decimal.Decimal("1.5"), decimal.Decimal("2.5")] * 30, [0.5] * 60), True),
}


@pytest.mark.parametrize("case", DRIFT)
def test_what_a_column_holds_is_decided_from_all_row_groups(tmp_path: Path, case: str) -> None:
    parts, numbers = DRIFT[case]
    for order in (parts, parts[::-1]):
        stream = ParquetStream(files_of(tmp_path / f"d{order is parts}", k=order), "y")
        schema = fit_stream(stream).input
        where = schema.numeric if numbers else schema.categorical
        assert "k" in [column.name for column in where]
        frames = [stream.group(number)[0] for number in range(len(stream.groups))]
        file = pd.concat([pq.read_table(each).to_pandas() for each in stream.index.files], ignore_index=True)
        table = as_numbers_or_words(file[["x", "k"]])  # the rule of one file
        assert (table["k"].dtype.kind in "fiub") == numbers
        together = pd.concat([frame["k"].astype(object) for frame in frames], ignore_index=True)
        pd.testing.assert_series_equal(together.astype(table["k"].dtype), table["k"])
        schema.encode(frames[0])


def test_types_that_say_what_a_column_holds_are_not_read_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (["1", "a"] * 30, LETTERS)
    typed = (pa.array(TEXT).dictionary_encode(), TEXT)
    folder = files_of(tmp_path / "d", k=(NUMBERS, [0.5] * 60), c=words, n=(TEXT, TEXT), t=typed)
    read, seen = ParquetIndex.read, []

    def counted(self: ParquetIndex, group: RowGroup, columns: list[str]) -> pd.DataFrame:
        seen.extend(columns)
        return read(self, group, columns)

    monkeypatch.setattr(ParquetIndex, "read", counted)
    stream = ParquetStream(folder, "y")
    assert stream.numbers == {"x": True, "k": True, "c": False, "n": True, "t": False, "y": True}
    # Neither is written for people, by its first cells. Words until one is no number, numbers to the end.
    assert seen == ["c", "n", "c"] + ["n"] * 6


def test_a_directory_refuses_what_is_neither_before_it_reads_on(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "d", k=([0.5] * 60, DATES))
    with pytest.raises(InputError, match=r"1\.parquet: column 'k' must hold numbers or categories") as caught:
        ParquetStream(folder, "y")
    assert (caught.value.option, caught.value.value) == ("drop", "k")


def test_errors_of_a_directory_name_the_file_and_its_row(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "d", k=([0.5] * 60, [0.5] * 41 + [np.inf] + [0.5] * 18))
    with pytest.raises(InputError, match=r"1\.parquet: column 'k' must hold finite .* in row 42"):
        fit_stream(ParquetStream(folder, "y"))


@pytest.mark.parametrize("shift", [1e17, 1e40])
def test_a_number_too_far_from_the_training_part_is_found_before_the_training(
    tmp_path: Path, shift: float
) -> None:
    folder = files_of(tmp_path / "d", k=([0.5, 1.5] * 30, [0.5, 1.5] * 30))
    stream = ParquetStream(folder, "y")
    _, parts = stream.group(5)
    far = np.array([0.5, 1.5] * 30)
    far[40 + int(np.flatnonzero(parts == "test")[0])] = shift
    table = pq.read_table(folder / "1.parquet").drop(["k"]).append_column("k", pa.array(far))
    pq.write_table(table, folder / "1.parquet", row_group_size=20)
    with pytest.raises(InputError, match="column 'k' must hold numbers near those of training"):
        fit_stream(ParquetStream(folder, "y"))


def test_the_task_and_the_classes_follow_from_all_row_groups(tmp_path: Path) -> None:
    late = [0, 1] * 29 + [2, 2]
    for labels, message in (((late, late), None), (([0, 1] * 30, [0, 1] * 29 + [0, 2]), "got 1 of 2")):
        folder = files_of(tmp_path / f"d{message}", z=labels)
        if message is None:
            fitted = fit_stream(ParquetStream(folder, "z", ("y",)))
            assert fitted.target.classes == [0, 1, 2]
        else:
            with pytest.raises(InputError, match=message):
                fit_stream(ParquetStream(folder, "z", ("y",)))
    folder = files_of(tmp_path / "fractions", z=([0, 1] * 30, [0.0, 1.0] * 29 + [0.0, 0.5]))
    assert fit_stream(ParquetStream(folder, "z", ("y",))).target.task == "regression"
    folder = files_of(tmp_path / "text", z=([0, 1] * 30, ["0", "1"] * 30))
    assert fit_stream(ParquetStream(folder, "z", ("y",))).target.classes == [0, 1]


def test_files_that_other_programs_hide_and_other_orders_of_columns(tmp_path: Path) -> None:
    folder = files_of(tmp_path / "d")
    whole = pq.read_table(folder / "0.parquet")
    for hidden in ("._0.parquet", "_tmp.parquet", ".0.parquet.crc"):
        (folder / hidden).write_bytes(b"nothing that could be read")
    pq.write_table(whole.select(["y", "x"]), folder / "1.parquet")
    stream = ParquetStream(folder, "y")
    assert [file.name for file in stream.index.files] == ["0.parquet", "1.parquet"]
    pd.testing.assert_frame_equal(
        stream.index.read(stream.groups[-1], ["x", "y"]).reset_index(drop=True), whole.to_pandas()[["x", "y"]]
    )


def test_an_index_with_a_name_is_a_column_and_one_without_is_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": RNG.standard_normal(40), "y": [0, 1] * 20, "n": [3, 1] * 20})
    for name, made in (("named", frame.set_index("n")), ("unnamed", frame.drop(columns="n")[::-1])):
        folder = tmp_path / name
        folder.mkdir()
        made.to_parquet(folder / "t.parquet")
        columns = ["x", "n"] if name == "named" else ["x"]
        assert ParquetStream(folder, "y").columns == columns
        assert sorted(read_table(folder / "t.parquet").columns) == sorted([*columns, "y"])


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array(NUMBERS)] * 3, names=["y", "x", "y"])
    pq.write_table(table, tmp_path / "t.parquet")
    for read in (read_table, ParquetIndex, open_rows):
        with pytest.raises(InputError, match=r"t\.parquet must give every column .*, got 'y' twice"):
            read(tmp_path / "t.parquet")


def test_types_may_differ_between_the_files_of_a_stream(own_folder: Path) -> None:
    TABLE.assign(same=1).to_parquet(own_folder / "9.parquet")
    assert ParquetIndex(own_folder).rows == 2 * ROWS
    with pytest.raises(InputError, match=r"9\.parquet must have the types of 0\.parquet, got .*same int64"):
        ParquetIndex(own_folder, same_types=True)


def test_damage_in_a_row_group_is_one_line(own_folder: Path) -> None:
    file = own_folder / "1.parquet"
    content = bytearray(file.read_bytes())
    column = pq.ParquetFile(file).metadata.row_group(2).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + 40] = b"\xff" * 40
    file.write_bytes(content)
    stream = ParquetStream(own_folder, "y")
    with pytest.raises(InputError, match=r"1\.parquet must be a readable Parquet file, got") as caught:
        list(stream.frames("train"))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"1\.parquet must be a readable Parquet file, got"):
        list(open_rows(own_folder, drop=("kind", "y", "z")).blocks())


def test_free_text_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm.data.parquet_schema.MOST_CATEGORIES", 2)
    with pytest.raises(InputError, match=r"column 'kind' must hold .*, got text: more than 2") as caught:
        fit_stream(ParquetStream(folder, "y"))
    assert (caught.value.option, caught.value.value) == ("drop", "kind")


def test_progress_is_told_of_every_row_group(folder: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    fit_stream(ParquetStream(folder, "y"), progress=lambda *call: calls.append(call))
    assert calls == [("reading flows", done, 15) for done in range(1, 16)]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for files in (1, 8):  # 50,000 and 400,000 rows of 20 columns: 8 and 64 MB of float64
        folder = tmp_path / str(files)
        folder.mkdir()
        for i in range(files):
            table = pd.DataFrame(RNG.standard_normal((50_000, 20)), columns=[f"x{j}" for j in range(20)])
            table["y"] = table["x0"] + table["x1"]
            table.to_parquet(folder / f"{i:02}.parquet", row_group_size=5_000, index=False)
        ended = start(read_an_epoch, folder, cwd=tmp_path).wait()
        assert ended.returncode == 0, ended.stderr
        rows, peak = map(float, ended.stdout.split())
        assert abs(rows / (files * 50_000) - 0.8) < 0.01
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 28  # of 56 MB more on disk
