"""Arrays and long tables of series: how they are read, and the errors for those that cannot be."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.columns import plain_values
from lphm.data.dataset import Dataset, fit_inputs
from lphm.data.fitting import fit_series
from lphm.data.inputs import read_inputs
from lphm.data.long_tables import labelled_series
from lphm.data.readers import labelled_table, open_directory, read_dataset, read_test
from lphm.data.row_options import RowOptions
from lphm.data.targets import fit_target
from lphm.errors import InputError
from lphm.nn.embeddings import ended

LONG = pd.DataFrame(
    {
        "id": ["b", "a", "b", "a", "b", "c"],
        "t": [2, 10, 1, 9, 3, 1],
        "u": [0.2, 1.0, 0.1, 0.9, 0.3, 5.0],
        "v": [2.0, 10.0, 1.0, None, 3.0, 5.0],
        "y": ["p", "q", "p", "q", "p", None],
    }
)


def test_bundled_sets_by_name() -> None:
    sizes = {
        name: read_dataset(name, None) for name in ("digits", "iris", "wine", "breast-cancer", "diabetes")
    }
    assert {n: len(d) for n, d in sizes.items()} == {
        "digits": 1797,
        "iris": 150,
        "wine": 178,
        "breast-cancer": 569,
        "diabetes": 442,
    }
    assert set(sizes["iris"].target) == {"setosa", "versicolor", "virginica"}
    assert sizes["digits"].grid == (8, 8)


def test_arrays(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(4, 3, 2), np.array(["a", "b", "a", "b"])
    np.savez(tmp_path / "a.npz", X=x, y=y, channels=np.array(["left", "right"]))
    data = read_dataset(tmp_path / "a.npz", None)
    assert (data.inputs == x).all()
    assert list(data.target) == list(y)
    schema = fit_inputs(data)
    assert schema.column_labels == ["left", "right"]
    encoded = schema.encode(read_inputs(tmp_path / "a.npz", schema)[0])
    np.testing.assert_allclose(encoded.mean(dim=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(encoded.std(dim=(0, 1), correction=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((4, 3, 2))}, "must hold an array 'y', got X"),
        ({"X": np.zeros((4, 3)), "y": np.zeros(4)}, r"X \(N, steps, channels\) and y \(N,\), got \(4, 3\)"),
        ({"X": np.zeros((4, 3, 2)), "y": np.zeros(3)}, r"got \(4, 3, 2\) and \(3,\)"),
        ({"X": np.array([{}, {}], dtype=object), "y": np.zeros(2)}, "must be a readable .npz file, got: "),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / "a.npz", None)


def test_a_long_table_of_series(tmp_path: Path) -> None:
    LONG.to_csv(tmp_path / "long.csv", index=False)
    data = read_dataset(tmp_path / "long.csv", "y", series="id", step="t")
    assert list(data.target) == ["p", "q"]  # b, a; c has no target
    assert data.channels == ("u", "v")
    np.testing.assert_array_equal(data.inputs[1, :, 0], [0.9, 1.0, np.nan])  # in the order of t
    np.testing.assert_array_equal(data.inputs[0, :, 1], [1.0, 2.0, 3.0])
    schema = fit_inputs(data)
    assert (schema.series, schema.step, schema.steps) == ("id", "t", 3)
    again, names, *_ = read_inputs(tmp_path / "long.csv", schema)
    assert again.shape == (3, 3, 2)  # prediction needs no target
    assert list(names["id"]) == ["b", "a", "c"]  # in the order of the file
    assert schema.encode(data.inputs)[1, 2].isnan().all()  # the series has ended
    assert schema.encode(data.inputs)[1, 0].isnan().tolist() == [False, True]  # a gap
    assert schema.gaps == [1]


def test_series_end_where_all_channels_are_missing_from_there_on() -> None:
    array = np.arange(24.0).reshape(2, 4, 3)
    schema = fit_series(array)
    whole = schema.encode(array)
    array[0, 1] = array[0, 3, :2] = array[1, 2:] = np.nan
    encoded = schema.encode(array)
    missing = torch.from_numpy(np.isnan(array))
    assert torch.equal(encoded.isnan(), missing)
    assert torch.equal(encoded[~missing], whole[~missing])
    assert ended(encoded).tolist() == [[False] * 4, [False, False, True, True]]
    longer = np.concatenate([array, np.full((2, 5, 3), np.nan)], axis=1)
    for same in (longer, array[1:, :2], longer[1:, :3]):
        torch.testing.assert_close(schema.encode(same)[-1], encoded[1], equal_nan=True)
    longer[0, 4, 0] = 1.0
    with pytest.raises(InputError, match=r"series must be \(N, 4 steps or fewer"):
        schema.encode(longer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(t=1), "a step must occur once in a series, got t 1 twice in"),
        (
            lambda f: f.assign(y=["p", "q", "r", "q", "p", "p"]),
            "must have one value in every series, got 2 in 'b'",
        ),
        (lambda f: f.assign(u="x"), "column 'u' must hold numbers, got 'x'"),
        (lambda f: f.drop(columns=["u", "v"]), "must have a channel beside 'id', 't' and 'y', got none"),
        (lambda f: f.drop(columns="t"), "must have the column 't', got id, u, v, y"),
        (lambda f: f.assign(id=[None, *f["id"][1:]]), "must be there in every row"),
        (lambda f: f.assign(y=None), "got no series with one"),
    ],
)
def test_long_tables_that_cannot_be_read(tmp_path: Path, change, message: str) -> None:
    change(LONG).to_parquet(tmp_path / "long.parquet")
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "long.parquet", "y", series="id", step="t")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "times",
    [
        ["1", "2", "10"],
        ["2023-12-31", "2024-01-01", "2024-01-02"],
        ["2023-12-31T23:59", "2024-01-01T00:00", "2024-01-01T00:01"],
        pd.to_datetime(["2023-12-31", "2024-01-01", "2024-01-02"]),
        pd.to_datetime(["2023-12-31", "2024-01-01", "2024-01-02"]).tz_localize("Europe/Zurich"),
        [datetime.date(2023, 12, 31), datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)],
        pd.to_timedelta([1, 2, 10], unit="D"),
        [0.1, 0.2, 1.0],
        ["12/30/2023", "12/31/2023", "1/1/2024"],
        ["30.12.2023", "31.12.2023", "01.01.2024"],
        ["1:30", "2:10", "12:00"],
    ],
)
def test_steps_are_numbers_or_dates(times) -> None:
    frame = pd.DataFrame({"id": 1, "t": times, "u": [1.0, 2.0, 3.0], "y": "p"})
    data = labelled_series("f", frame.iloc[[2, 0, 1]], "y", (), "id", "t")
    assert data.inputs[0, :, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "times", [["31/01/2024", "01/31/2024", "02/02/2024"], ["t8", "t9", "t10"], ["1", "2", "x"]]
)
def test_steps_whose_order_is_not_clear_are_refused(times: list[str]) -> None:
    frame = pd.DataFrame({"id": 1, "t": times, "u": [1.0, 2.0, 3.0], "y": "p"})
    with pytest.raises(InputError, match=r"step 't' must hold numbers or dates .*, got '.*' in row [13]"):
        labelled_series("f", frame, "y", (), "id", "t")


def test_the_row_of_a_long_table_is_that_of_the_file() -> None:
    frame = LONG.assign(u=[0.2, 1.0, 0.1, np.inf, 0.3, 5.0])
    with pytest.raises(InputError, match="column 'u' must hold finite numbers, got inf in row 4"):
        labelled_series("f", frame, "y", (), "id", "t")


def test_names_of_series_are_text_as_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text("id,t,u,y\n1,1,0.5,p\n01,1,1.5,q\n")
    data = read_dataset(tmp_path / "long.csv", "y", series="id", step="t")
    assert data.inputs.shape == (2, 1, 1)
    names = read_inputs(tmp_path / "long.csv", fit_inputs(data)).beside
    assert list(names["id"]) == ["1", "01"]


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["p", "q"], ["p", "q"]),
        ([1.0, np.nan], [1]),
        ([b"p", b"q"], ["p", "q"]),
        (np.array([1, 0], dtype=object), None),
        ([True, False], [False, True]),
    ],
)
def test_targets_of_arrays(tmp_path: Path, y: list, classes: list | None) -> None:
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 3, 2)), y=np.array(y))
    if classes is None:
        with pytest.raises(InputError, match="must be a readable"):
            read_dataset(tmp_path / "a.npz", None)
    else:
        assert set(plain_values(read_dataset(tmp_path / "a.npz", None).target)) == set(classes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"y": np.array(["2020", "2021"], dtype="datetime64[Y]")},
            "target 'y' must hold numbers or classes",
        ),
        ({"y": np.array([1j, 2])}, "target 'y' must hold numbers or classes, got complex"),
        ({"y": np.zeros(2, dtype=[("a", "f8")])}, "must hold y as numbers or text"),
        ({"y": [0, 1], "channels": "a"}, r"must hold channels \(2,\), a name for each, got \(\)"),
        ({"y": [0, 1], "channels": ["a", "a"]}, "the channels of .* got 'a' twice"),
        ({"y": [0, 1], "X": np.zeros((2, 3, 2)) + 1j}, "series must hold numbers, got the type complex128"),
        ({"y": [0, 1], "X": np.full((2, 3, 2), 1e200)}, r"of at most 1e\+150, got 1e\+200 at"),
        (
            {"y": [0, 1], "X": np.full((2, 3, 2), np.nan)},
            "series must hold numbers, got missing values alone",
        ),
        ({"y": [0, 1], "X": np.full((2, 3, 2), "one")}, "series must hold numbers, got"),
    ],
)
def test_arrays_that_are_no_numbers(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", **{"X": np.zeros((2, 3, 2)), **arrays})
    with pytest.raises(InputError, match=message):
        fit_inputs(read_dataset(tmp_path / "a.npz", None))


def test_arrays_in_another_byte_order(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(4, 3, 2), np.array([0.5, 1.5, 2.5, 3.5])
    np.savez(tmp_path / "a.npz", X=x.astype(">f4"), y=y.astype(">f8"), w=y.astype(">i2"))
    data = read_dataset(tmp_path / "a.npz", None, options=RowOptions(weight="w"))
    part = data.take(np.array([2, 0]))
    assert (part.target.tolist(), part.weight.tolist()) == ([2.5, 0.5], [2, 0])
    assert (part.inputs == x[[2, 0]]).all()


def test_series_and_step_go_together(tmp_path: Path) -> None:
    LONG.to_csv(tmp_path / "long.csv", index=False)
    with pytest.raises(InputError, match="needs both series and step, got one of them"):
        read_dataset(tmp_path / "long.csv", "y", series="id")


def test_series_that_do_not_fit_the_schema() -> None:
    schema = fit_series(np.zeros((2, 5, 3)))
    assert schema.encode(np.ones((1, 4, 3))).shape == (1, 5, 3)
    for bad in (np.zeros((1, 6, 3)), np.zeros((1, 5, 2)), np.zeros((5, 3)), pd.DataFrame({"a": [1]})):
        with pytest.raises(InputError, match="series must be"):
            schema.encode(bad)
    with pytest.raises(InputError, match=r"got inf at \(sample, step, channel\) \(0, 1, 2\)"):
        schema.encode(np.where(np.arange(15).reshape(1, 5, 3) == 5, np.inf, 0.0))
    with pytest.raises(InputError, match="got 2 names for 3"):
        fit_series(np.zeros((2, 5, 3)), ["a", "b"])


# Groups, times and weights.


def of_rows(data: Dataset) -> list[list]:
    return [array.tolist() for array in (data.groups, data.time, data.weight) if array is not None]


def test_columns_of_rows_are_no_features_and_are_read_alike_from_every_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.1, 0.2, 0.3], "g": ["01", "1", "01"], "w": [1, 2, 0], "y": [0.5, None, 1]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    options = RowOptions(group="g", weight="w")
    for name in ("t.csv", "t.parquet"):
        data = read_dataset(tmp_path / name, "y", options=options)
        assert list(data.inputs) == ["x"]
        assert of_rows(data) == [["01", "01"], [1, 0]]  # of the rows with a target
        assert data.row_options is options
        test = read_test(tmp_path / name, fit_inputs(data), fit_target(data.target, "regression"), options)
        assert of_rows(test) == of_rows(data)
        dated = read_dataset(tmp_path / name, "y", ["g"], options=RowOptions(time="w"))
        assert of_rows(dated) == [[1, 0]]
    for options, message in (
        (RowOptions(group="h"), r"t\.csv must have the column 'h', got x, g, w, y"),
        (RowOptions(weight="y"), "the weight must be another column than the target, got 'y' twice"),
    ):
        with pytest.raises(InputError, match=message):
            read_dataset(tmp_path / "t.csv", "y", options=options)


def test_a_missing_cell_counts_only_in_rows_with_a_target() -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "g": ["p", None, "q"], "y": [0.5, None, 1.0]})
    assert of_rows(labelled_table("t", frame, "y", options=RowOptions(group="g"))) == [["p", "q"]]
    with pytest.raises(InputError, match=r"the group 'g' .* got none in row 2"):
        labelled_table("t", frame.fillna({"y": 2.0}), "y", options=RowOptions(group="g"))


def test_a_category_is_no_group(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "g": [1, 2, 1], "c": [1, 1, 2], "y": [0.5, 0.7, 1.0]})
    data = labelled_table("t", frame, "y", categories=["c"], options=RowOptions(group="g"))
    assert (data.categories, of_rows(data)) == (("c",), [["1", "2", "1"]])
    (tmp_path / "d").mkdir()
    frame.to_parquet(tmp_path / "d" / "0.parquet")
    for read in (
        lambda: labelled_table("t", frame, "y", categories=["g"], options=RowOptions(group="g")),
        lambda: open_directory(tmp_path / "d", "y", categories=["g"], options=RowOptions(group="g")),
    ):
        with pytest.raises(InputError, match="column 'g' must be a category or be left out, got both"):
            read()


def test_bundled_sets_have_no_columns_of_rows() -> None:
    with pytest.raises(InputError, match="iris must be read without series, step, wide, drop, group"):
        read_dataset("iris", None, options=RowOptions(group="species"))
    assert read_dataset("iris", None, options=RowOptions(test="t.csv")).row_options.test == "t.csv"


def test_columns_of_a_long_table_have_one_value_in_every_series() -> None:
    frame = LONG.assign(g=["p", "q", "p", "q", "p", "p"], w=[2, 1, 2, 1, 2, 7]).iloc[[0, 2, 3, 1, 5, 4]]
    for options, expected in (
        (RowOptions(group="g", weight="w"), [["p", "q"], [2, 1]]),  # c has no target
        (RowOptions(time="w"), [[2, 1]]),
        (RowOptions(group="id"), [["b", "a"]]),
    ):
        data = labelled_series("f", frame, "y", ("g", "w"), "id", "t", options)
        assert of_rows(data) == expected
        assert data.channels == ("u", "v")
    with pytest.raises(InputError, match="the weight 't' must have one value in every series, got 3 in 'b'"):
        labelled_series("f", frame, "y", ("g",), "id", "t", RowOptions(weight="t"))
    with pytest.raises(InputError, match="the group 'g' must have one value in every series, got 2 in 'a'"):
        labelled_series("f", frame.assign(g=[*"ppqppp"]), "y", ("w",), "id", "t", RowOptions(group="g"))


def test_a_long_table_for_the_test_part_is_read_with_its_columns_of_rows(tmp_path: Path) -> None:
    LONG.assign(g=["p", "q", "p", "q", "p", "p"]).to_csv(tmp_path / "long.csv", index=False)
    options = RowOptions(group="g")
    data = read_dataset(tmp_path / "long.csv", "y", series="id", step="t", options=options)
    target = fit_target(data.target, "classification")
    assert of_rows(read_test(tmp_path / "long.csv", fit_inputs(data), target, options)) == [["p", "q"]]
    LONG.to_csv(tmp_path / "long.csv", index=False)
    assert of_rows(read_test(tmp_path / "long.csv", fit_inputs(data), target)) == []
    with pytest.raises(InputError, match=r"long\.csv lacks the column 'g' of the training; add it"):
        read_test(tmp_path / "long.csv", fit_inputs(data), target, options)


def test_arrays_of_rows(tmp_path: Path) -> None:
    arrays = {"X": np.zeros((3, 3, 2)), "y": np.array([0.5, np.nan, 1.0]), "g": np.array(list("pqr"))}
    np.savez(tmp_path / "a.npz", w=np.array([1, 2, 3]), **arrays)
    data = read_dataset(tmp_path / "a.npz", None, options=RowOptions(group="g", weight="w"))
    assert of_rows(data) == [["p", "r"], [1, 3]]
    assert of_rows(read_dataset(tmp_path / "a.npz", None, options=RowOptions(time="w"))) == [[1, 3]]
    for options, message in (
        (RowOptions(group="h"), "must hold an array 'h', got"),
        (
            RowOptions(weight="X"),
            r"must hold X \(3,\), a value for each of X, got \(3, 3, 2\) of type float64",
        ),
        (RowOptions(group="y"), "the group must be another column than the target, got 'y' twice"),
    ):
        with pytest.raises(InputError, match=message):
            read_dataset(tmp_path / "a.npz", None, options=options)
