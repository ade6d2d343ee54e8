"""Tables: what is read, and the errors for what cannot be read or learned from."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.data.columns import column_numbers
from lphm.data.dataset import check_target, infer_task
from lphm.data.readers import labelled_table
from lphm.data.tables import read_table
from lphm.errors import InputError


def test_csv_and_parquet_read_alike(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, None, 3.0], "b": ["NA", "x", None], "c": [1, 2, 3]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    csv, parquet = read_table(tmp_path / "t.csv"), read_table(tmp_path / "t.parquet")
    for read in (csv, parquet):
        assert read["b"].tolist()[:2] == ["NA", "x"]  # a category called NA is no missing value
        assert read["b"].isna().tolist() == [False, False, True]
        assert read["a"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "does not exist"),
        ("t.dat", "a,b\n1,2\n", r"must be a \.csv, \.tsv, \.txt .* or \.parquet file, got t\.dat"),
        ("t.csv", "", "must hold a header and rows, got an empty file"),
        ("t.csv", "a,b\n", "must hold rows, got 0 rows of 2 columns"),
        ("t.csv", 'a,b\n1,2\n"3', "must be a readable table"),
        ("t.csv", "a,b\n1,2\n1,2,3,4\n", "must be a readable table, got: Error tokenizing"),
        ("t.csv", "a,b\n1,2,\n1,2,3\n", "must have 2 cells in every row, .* got cell 3 in row 2"),
        (
            "t.csv",
            "a,b,c,d\n1,2,3,4,5,6\n1,2,3,4\n",
            "must have 4 cells in every row, .* got cell 5 in row 1",
        ),
        ("t.csv", "y,a, y\n1,2,3\n", r"t\.csv must give every column a name of its own, got 'y' twice"),
        ("t.parquet", "not parquet at all", "must be a readable table"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / name)


def test_csv_as_programs_write_it(tmp_path: Path) -> None:
    plain = [["1.5", "x"], ["2.5", "y"], ["", ""]]
    for text in (
        "a,b\n1.5,x\n2.5,y\n,\n",
        "a,b\n1.5,x,\n2.5,y,\n,,\n",  # a comma at the end of every row
        "a,b\n1.5,x,,\n2.5,y,,\n,,,\n",
        "\ufeffa,b\r\n1.5,x\r\n2.5,y\r\n,\r\n",
        "a, b\n 1.5, x\n2.5 ,y \n,  \n",
        '\n"a","b"\n\n"1.5","x"\n"2.5","y"\n,\n',
        "a,b\r1.5,x\r2.5,y\r,\r",
    ):
        (tmp_path / "t.csv").write_bytes(text.encode())
        table = read_table(tmp_path / "t.csv")
        assert list(table) == ["a", "b"]
        assert table.astype(object).fillna("").astype(str).to_numpy().tolist() == plain, text
    (tmp_path / "t.csv").write_text(",x,\n7,1,\n8,2,\n")
    assert list(read_table(tmp_path / "t.csv")) == ["Unnamed: 0", "x", "Unnamed: 2"]
    (tmp_path / "t.csv").write_text("a,b\n01,02\n")
    assert read_table(tmp_path / "t.csv", ["b"]).to_numpy().tolist() == [[1, "02"]]


def test_folders_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory"):
        read_table(tmp_path)
    (tmp_path / "t.csv").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(InputError, match="must be a text file, got bytes that are no text"):
        read_table(tmp_path / "t.csv")


def test_labelled_table_leaves_out_rows_without_target() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "z": [1, 1, 1], "y": [1.0, None, 0.0]})
    made = labelled_table("t", frame, "y", drop=["z"])
    assert list(made.inputs) == ["x"]
    assert made.inputs["x"].tolist() == [1, 3]
    assert made.target.tolist() == [1, 0]


def test_errors_name_the_row_of_the_file() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, np.inf, 4.0], "y": [1, None, 0, 1]})
    with pytest.raises(InputError, match="column 'x' must hold finite numbers, got inf in row 3"):
        labelled_table("t", frame, "y")  # one row before it has no target
    features = labelled_table("t", frame.fillna({"y": 1}).replace(np.inf, 3.0), "y").inputs
    taken = features.assign(x=["1", "2", "three", "4"]).iloc[[2, 3]]
    with pytest.raises(InputError, match="column 'x' must hold numbers, got 'three' in row 3"):
        column_numbers(taken["x"], "x")


def test_labelled_table_refuses_missing_columns_and_rows() -> None:
    frame = pd.DataFrame({"x": [1, 2], "y": [None, None]})
    with pytest.raises(InputError, match=r"t must have the column 'z', got x, y"):
        labelled_table("t", frame, "z")
    with pytest.raises(InputError, match="1 columns beside 'y' and 0 rows in which it is not missing"):
        labelled_table("t", frame, "y")
    with pytest.raises(InputError, match="0 columns beside 'y'"):
        labelled_table("t", pd.DataFrame({"y": [1, 2]}), "y")


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (["a", "b"] * 20, "classification"),
        ([True, False] * 20, "classification"),
        ([0, 1, 2, 3] * 10, "classification"),
        ([0.0, 1.0] * 20, "classification"),
        ([0.5, 1.0] * 20, "regression"),
        (list(range(40)), "regression"),
        (list(np.linspace(0, 1, 40)), "regression"),
    ],
)
def test_infer_task(target: list, task: str) -> None:
    assert infer_task(pd.Series(target)) == task


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        ([1, 0] * 5, "classification", "at least 20 rows with a target, got 10"),
        (["a"] * 30, "classification", "target 'y' must have at least 2 classes, got only 'a'"),
        (["a"] * 28 + ["b"] * 2, "classification", "at least 3 rows, got 2 of 'b'"),
        ([5.0] * 30, "regression", "target 'y' must vary, got 5 in every row"),
        (["a", "b"] * 15, "regression", "column 'y' must hold numbers, got 'a' in row 1"),
        ([1.0] * 29 + [float("inf")], "regression", "must hold finite numbers, got inf in row 30"),
    ],
)
def test_targets_that_cannot_be_learned(target: list, task: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_target(pd.Series(target, name="y"), task)
