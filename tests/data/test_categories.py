"""Which columns are categories: by the type of the column, in every reader, and by the user's word."""

import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lphm.data.dataset import Dataset, fit_inputs, infer_task
from lphm.data.inputs import read_inputs
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_schema import fit_stream
from lphm.data.readers import labelled_table, open_directory, read_dataset
from lphm.data.schema import FeatureSchema
from lphm.data.summary import summarize
from lphm.errors import InputError

ROWS = 120
PLACE = np.arange(ROWS) % 4
HOLES = PLACE == 1
DAYS = pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02", "2021-01-01", "2021-01-02"])[PLACE])
LARGE = pd.Series(2**60 + PLACE, dtype="Int64")


def series(values: list, dtype: object = None) -> pd.Series:
    return pd.Series([values[place] for place in PLACE], dtype=dtype)


def arrow(values: list, kind: pa.DataType) -> pd.Series:
    return series(values, pd.ArrowDtype(kind))


def arrow_dictionary(values: list) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(series(values)).dictionary_encode()))


NUMBERS = {
    "int64": series([7, 1, 8, 9]),
    "uint8": series([7, 1, 8, 9], "uint8"),
    "float64 with holes": series([0.5, None, 2.0, 3.0]),
    "bool": series([True, False, True, False]),
    "Int64": series([7, 1, 8, 9], "Int64"),
    "Int64 with holes": series([7, None, 8, 9], "Int64"),
    "Float64 with holes": series([0.5, None, 2.0, 3.0], "Float64"),
    "boolean": series([True, False, True, False], "boolean"),
    "boolean with holes": series([True, None, True, False], "boolean"),
    "string of numbers": series(["7", None, "08", "9.5"], "string"),
    "text of truth": series(["true", "False", None, "True"]),
    "arrow int with holes": arrow([7, None, 8, 9], pa.int64()),
    "arrow double with holes": arrow([0.5, None, 2.0, 3.0], pa.float64()),
    "arrow bool with holes": arrow([True, None, True, False], pa.bool_()),
    "arrow decimal": arrow([decimal.Decimal(each) for each in range(4)], pa.decimal128(5, 2)),
    "arrow text of numbers": arrow(["7", None, "8", "9"], pa.string()),
}
#: Columns, and their words in order.
WORDS = {
    "text": (series(["a", "b", "c", "7"]), ["7", "a", "b", "c"]),
    "string with holes": (series(["a", None, "c", "7"], "string"), ["7", "a", "c"]),
    "arrow text with holes": (arrow(["a", None, "c", "7"], pa.string()), ["7", "a", "c"]),
    "arrow large text": (arrow(["a", "b", "c", "7"], pa.large_string()), ["7", "a", "b", "c"]),
    "arrow dictionary of text": (arrow_dictionary(["a", "b", "c", "7"]), ["7", "a", "b", "c"]),
    "arrow dictionary of digits": (arrow_dictionary(["07", "1", "8", "9"]), ["07", "1", "8", "9"]),
    "arrow dictionary of ints": (arrow_dictionary([7, 1, 8, 9]), ["1", "7", "8", "9"]),
    "category of text": (series(["a", "b", None, "7"], "category"), ["7", "a", "b"]),
    "category of digits": (series(["07", "1", "8", "9"], "category"), ["07", "1", "8", "9"]),
    "category of ints": (series([7, 1, 8, 9], "category"), ["1", "7", "8", "9"]),
    "category of ints with holes": (series([7, 1, 8, 9], "category").mask(HOLES), ["7", "8", "9"]),
    "category of floats": (series([7.0, None, 0.5, 9.0], "category"), ["0.5", "7", "9"]),
    "category of Int64": (series([7, None, 8, 9], "Int64").astype("category"), ["7", "8", "9"]),
    "category of truth": (series([True, None, True, False], "category"), ["False", "True"]),
    "category of boolean": (
        series([True, None, True, False], "boolean").astype("category"),
        ["False", "True"],
    ),
    "category of days": (DAYS.astype("category"), sorted(map(str, set(DAYS)))),
    "category with an order": (
        series([7, 1, 8, 9]).astype(pd.CategoricalDtype([9, 8, 7, 1], ordered=True)),
        ["1", "7", "8", "9"],
    ),
    "category of large ints": (LARGE.mask(HOLES).astype("category"), [str(2**60 + i) for i in (0, 2, 3)]),
}
#: Columns that hold numbers by their type or look, or nothing usable, and their words if a user says so.
SAID = {
    "int64": (NUMBERS["int64"], ["1", "7", "8", "9"]),
    "float64 with holes": (NUMBERS["float64 with holes"], ["0.5", "2", "3"]),
    "bool": (NUMBERS["bool"], ["False", "True"]),
    "boolean with holes": (NUMBERS["boolean with holes"], ["False", "True"]),
    "Int64 with holes": (NUMBERS["Int64 with holes"], ["7", "8", "9"]),
    "large Int64 with holes": (LARGE.mask(HOLES), [str(2**60 + i) for i in (0, 2, 3)]),
    "arrow int with holes": (NUMBERS["arrow int with holes"], ["7", "8", "9"]),
    "arrow decimal": (NUMBERS["arrow decimal"], ["0", "1", "2", "3"]),
    "text of digits": (series(["07", "7", "1", None]), ["07", "1", "7"]),
    "category of ints": (series([7, 1, 8, 9], "category"), ["1", "7", "8", "9"]),
    "days": (DAYS, sorted(map(str, set(DAYS)))),
}


def table(column: pd.Series) -> pd.DataFrame:
    x = np.random.default_rng(0).standard_normal(ROWS).round(3)
    return pd.DataFrame({"x": x, "c": column, "y": np.arange(ROWS) % 2})


def write(folder: Path, *frames: pd.DataFrame) -> Path:
    folder.mkdir()
    for number, frame in enumerate(frames):
        frame.to_parquet(folder / f"{number}.parquet", row_group_size=30, index=False)
    return folder


def schemas(frame: pd.DataFrame, folder: Path, categories: tuple[str, ...] = ()) -> dict[str, FeatureSchema]:
    """What the data frame, a file and a directory make of the same rows."""
    half = len(frame) // 2
    write(folder / "d", frame[:half], frame[half:])
    frame.to_parquet(folder / "t.parquet")
    made = {
        "frame": fit_inputs(labelled_table("t", frame, "y", (), categories)),
        "file": fit_inputs(read_dataset(folder / "t.parquet", "y", categories=categories)),
        "directory": fit_stream(open_directory(folder / "d", "y", categories=categories)).input,
    }
    assert all(isinstance(schema, FeatureSchema) for schema in made.values())
    return made


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_are_numbers_in_every_reader(tmp_path: Path, case: str) -> None:
    for reader, schema in schemas(table(NUMBERS[case]), tmp_path).items():
        assert [column.name for column in schema.numeric] == ["x", "c"], reader


@pytest.mark.parametrize("case", WORDS)
def test_categories_are_categories_in_every_reader(tmp_path: Path, case: str) -> None:
    column, words = WORDS[case]
    for reader, schema in schemas(table(column), tmp_path).items():
        assert [(each.name, each.categories) for each in schema.categorical] == [("c", words)], reader


@pytest.mark.parametrize("case", SAID)
def test_columns_that_a_user_calls_categories_are_categories_in_every_reader(
    tmp_path: Path, case: str
) -> None:
    column, words = SAID[case]
    for reader, schema in schemas(table(column), tmp_path, ("c",)).items():
        assert [(each.name, each.categories) for each in schema.categorical] == [("c", words)], reader


@pytest.mark.parametrize("case", [*WORDS, *(f"said: {name}" for name in SAID)])
def test_a_prediction_does_not_depend_on_the_type_of_the_column(tmp_path: Path, case: str) -> None:
    column, _ = SAID[case.removeprefix("said: ")] if case.startswith("said") else WORDS[case]
    frame = table(column)
    schema = fit_inputs(labelled_table("t", frame, "y", (), ["c"]))
    expected = schema.encode(frame)
    assert len(expected[:, 1].unique()) == column.nunique(dropna=False)
    others = {"object": frame.astype({"c": object}), "category": frame.assign(c=column.astype("category"))}
    others["plain"] = frame.assign(c=pd.Series(column.astype(object).tolist()).infer_objects())
    many = pd.concat([others["plain"]] * 10, ignore_index=True)  # read in another way than few rows
    torch.testing.assert_close(schema.encode(many), torch.cat([expected] * 10))
    for name in ("category", "plain"):
        others[name].to_parquet(tmp_path / f"{name}.parquet")
        others[f"{name} in Parquet"] = read_inputs(tmp_path / f"{name}.parquet", schema)[0]
    frame.to_csv(tmp_path / "t.csv", index=False)
    others["CSV"] = read_inputs(tmp_path / "t.csv", schema)[0]
    for name, other in others.items():
        torch.testing.assert_close(schema.encode(other), expected, msg=f"as {name}")


def test_numbers_that_a_file_only_encodes_by_a_dictionary_are_numbers(tmp_path: Path) -> None:
    frame = table(series([7, 1, 8, 9]))
    plain = pa.Table.from_pandas(frame.drop(columns="c"), preserve_index=False).replace_schema_metadata()
    typed = plain.append_column("c", pa.array(frame["c"]).dictionary_encode())
    for name, made in (("pages", plain.append_column("c", pa.array(frame["c"]))), ("type", typed)):
        folder = tmp_path / name
        folder.mkdir()
        pq.write_table(made, folder / "t.parquet", use_dictionary=True)
        encodings = pq.read_metadata(folder / "t.parquet").row_group(0).column(2).encodings
        assert "RLE_DICTIONARY" in encodings
        file, directory = fit_inputs(read_dataset(folder / "t.parquet", "y")), ParquetStream(folder, "y")
        assert not file.has_categories
        assert directory.numbers["c"]


def test_one_file_that_has_the_type_for_categories_decides_for_its_directory(tmp_path: Path) -> None:
    ints, categories = table(series([7, 1, 8, 9])), table(series([7, 1, 8, 9], "category"))
    for number, frames in enumerate([(ints, categories), (categories, ints)]):
        schema = fit_stream(ParquetStream(write(tmp_path / str(number), *frames), "y")).input
        assert [column.categories for column in schema.categorical] == [["1", "7", "8", "9"]]
        assert schema.encode(ints)[:, 1].tolist() == schema.encode(categories)[:, 1].tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"columns": 3}',
        b'{"columns": [{"field_name": ["c"], "pandas_type": "categorical"}]}',
        b'{"columns": [{"pandas_type": "categorical"}]}',
        b'{"columns": [{"field_name": "z", "pandas_type": "categorical"}]}',
    ],
    ids=lambda content: str(content[:70]),
)
def test_damaged_metadata_of_pandas_are_none(tmp_path: Path, content: bytes) -> None:
    made = pa.Table.from_pandas(table(series([7, 1, 8, 9])), preserve_index=False)
    pq.write_table(made.replace_schema_metadata({b"pandas": content}), tmp_path / "t.parquet")
    assert not fit_inputs(read_dataset(tmp_path / "t.parquet", "y")).has_categories
    assert ParquetStream(tmp_path, "y").numbers == {"x": True, "c": True, "y": True}


# What a user calls a category, and cannot be one.


def test_codes_of_a_csv_file_keep_their_zeros(tmp_path: Path) -> None:
    table(series(["01", "1", "2", None])).to_csv(tmp_path / "t.csv", index=False)
    assert not fit_inputs(read_dataset(tmp_path / "t.csv", "y")).has_categories
    schema = fit_inputs(read_dataset(tmp_path / "t.csv", "y", categories=["c"]))
    assert schema.categorical[0].categories == ["01", "1", "2"]
    again = read_inputs(tmp_path / "t.csv", schema).samples
    assert len(schema.encode(again)[:, 1].unique()) == 4


def test_a_category_of_a_bundled_set() -> None:
    data = read_dataset("diabetes", None, categories=["sex"])
    assert [len(column.categories) for column in fit_inputs(data).categorical] == [2]
    assert len(data) == 442
    pd.testing.assert_series_equal(data.target, read_dataset("diabetes", None).target)
    assert summarize(data)["features"][1]["type"] == "category"


@pytest.mark.parametrize(
    ("categories", "drop", "message"),
    [
        (["z"], [], "must have the column 'z', got x, c, y"),
        (["y"], [], "a category must be a feature, got the target 'y'; for classes, choose the task"),
        (["c"], ["c"], "column 'c' must be a category or be left out, got both; choose one"),
        (["c", "z"], ["c"], "must have the column 'z'"),
    ],
)
def test_columns_that_cannot_be_categories_are_one_error(
    tmp_path: Path, categories: list[str], drop: list[str], message: str
) -> None:
    frame = table(NUMBERS["int64"])
    write(tmp_path / "d", frame)
    frame.to_csv(tmp_path / "t.csv", index=False)
    for read in (
        lambda: read_dataset(tmp_path / "t.csv", "y", drop, categories=categories),
        lambda: read_dataset(tmp_path / "d" / "0.parquet", "y", drop, categories=categories),
        lambda: open_directory(tmp_path / "d", "y", drop, categories=categories),
    ):
        with pytest.raises(InputError, match=message) as caught:
            read()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", [[[1]] * ROWS, [{"a": 1}] * ROWS])
def test_lists_are_no_categories_whatever_a_user_says(tmp_path: Path, column: list) -> None:
    frame = table(pd.Series(column))
    write(tmp_path / "d", frame)
    for read in (
        lambda: labelled_table("t", frame, "y", (), ["c"]),
        lambda: read_dataset(tmp_path / "d" / "0.parquet", "y", categories=["c"]),
        lambda: fit_stream(open_directory(tmp_path / "d", "y", categories=["c"])),
    ):
        with pytest.raises(
            InputError, match="column 'c' must hold numbers or categories, got values such as"
        ):
            read()


def test_series_and_images_have_no_categories(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [1, 1], "t": [1, 2], "u": [1.0, 2.0], "y": "p"})
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "t.npz", X=np.zeros((2, 3, 2)), y=[0, 1])
    for source, more in (("digits", {}), ("t.npz", {}), ("t.csv", {"series": "id", "step": "t"})):
        place = source if source == "digits" else tmp_path / source
        with pytest.raises(InputError, match=f"{source} must be a table where a column is a category, got"):
            read_dataset(place, "digit" if source == "digits" else "y", categories=["u"], **more)


def test_the_wish_for_many_categories_is_granted_unless_none_occurs_twice() -> None:
    most = pd.Series([f"code {place}" for place in [0, *range(ROWS - 1)]])
    with pytest.raises(InputError, match=r"'c' must hold .*, got text: 119 distinct values in 120 rows; say"):
        labelled_table("t", table(most), "y")
    for data in (
        labelled_table("t", table(most), "y", (), ["c"]),
        labelled_table("t", table(most.astype("category")), "y"),
    ):
        assert len(fit_inputs(data).categorical[0].categories) == ROWS - 1
        with pytest.raises(InputError, match="column 'c' must hold categories that occur in several rows"):
            fit_inputs(data.take(np.arange(1, ROWS)))


# Targets.


def target_of_categories() -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(ROWS) / 7, "y": pd.Series(np.arange(ROWS) % 30, dtype="category")})


def test_a_target_of_the_type_for_categories_is_classes_unless_the_task_is_regression(tmp_path: Path) -> None:
    frame = target_of_categories()
    folder = write(tmp_path / "d", frame[:60], frame[60:])
    for data in (labelled_table("t", frame, "y"), read_file(folder, frame)):
        assert infer_task(data.target) == "classification"
        assert infer_task(data.target.astype(int)) == "regression"
    classes = fit_stream(ParquetStream(folder, "y")).target
    assert (classes.task, classes.classes) == ("classification", list(range(30)))
    number = fit_stream(ParquetStream(folder, "y"), "regression").target
    assert number.task == "regression"
    assert number.mean == pytest.approx(14.5, abs=2)


def read_file(folder: Path, frame: pd.DataFrame) -> Dataset:
    frame.to_parquet(folder.parent / "t.parquet")
    return read_dataset(folder.parent / "t.parquet", "y")
