"""Columns that say how rows are split and what they count: what their cells mean, and which are refused."""

import datetime

import numpy as np
import pandas as pd
import pytest

from lphm.data.dataset import Dataset
from lphm.data.row_columns import group_words, row_arrays, time_numbers
from lphm.data.row_options import RowOptions
from lphm.errors import InputError

DAYS = ["2023-12-31", "2024-01-01", "2024-01-03"]


def column(cells: object, name: str = "c") -> pd.Series:
    return pd.Series(cells, name=name)


@pytest.mark.parametrize(
    "cells",
    [
        DAYS,
        pd.to_datetime(DAYS),
        pd.to_datetime(DAYS).as_unit("s"),
        pd.to_datetime(DAYS).tz_localize("UTC"),
        [datetime.date.fromisoformat(day) for day in DAYS],
        ["2024-01-01T00:00+14:00", "2024-01-01T00:00Z", "2024-01-03T00:00"],
        pd.Series(pd.to_datetime(DAYS), dtype="timestamp[us][pyarrow]"),
    ],
)
def test_dates_of_any_type_are_seconds(cells: object) -> None:
    first = 1703980800.0 if cells[0] != "2024-01-01T00:00+14:00" else 1704067200.0 - 14 * 3600
    assert time_numbers(column(cells)).tolist() == [first, 1704067200.0, 1704240000.0]


@pytest.mark.parametrize("first", ["0001-01-01", "1500-01-01", "2500-06-01", "9999-12-31"])
def test_times_of_all_years_are_seconds(first: str) -> None:
    days = [datetime.datetime.fromisoformat(day) for day in (first, "2024-01-01")]
    since = datetime.datetime(1970, 1, 1)
    for cells in (
        [first, "2024-01-01"],
        [f"{first}T00:00Z", "2024-01-01T00:00Z"],
        [f"{day.day:02}.{day.month:02}.{day.year:04} 00:00" for day in days],
        [day.date() for day in days],
        pd.Series(days, dtype=object),
        np.array(days, "datetime64[s]"),
        pd.Series(np.array(days, "datetime64[us]")).dt.tz_localize("UTC"),
        pd.Series([day.date() for day in days], dtype="date32[pyarrow]"),
    ):
        assert time_numbers(column(cells)).tolist() == [(day - since).total_seconds() for day in days]


def test_numbers_are_times_as_they_are() -> None:
    for cells in ([1, 2, 10], ["1", "2", "10"], [1.0, 2.0, 10.0], pd.array([1, 2, 10], dtype="Int64")):
        assert time_numbers(column(cells)).tolist() == [1, 2, 10]
    assert time_numbers(column(pd.to_timedelta([1, 2], unit="s"))).tolist() == [1, 2]
    assert np.isnan(time_numbers(column(["2024-01-01", None]))[1])


def test_groups_are_words_the_same_for_equal_numbers_of_any_type() -> None:
    for cells in ([1, 2, 1], [1.0, 2.0, 1.0], ["1", "2", "1"], pd.Categorical(["1", "2", "1"])):
        assert group_words(column(cells)).tolist() == ["1", "2", "1"]
    assert group_words(column(["01", "1", "a"])).tolist() == ["01", "1", "a"]
    assert group_words(column(np.arange(2000) % 3)).tolist()[:4] == ["0", "1", "2", "0"]


@pytest.mark.parametrize(
    ("role", "cells", "message"),
    [
        (
            "group",
            ["p", None, "q"],
            "the group 'c' must be a word or a number in every row, got none in row 2",
        ),
        ("time", [1.0, 2.0, None], "the time 'c' must be a number or a date in every row, got none in row 3"),
        ("time", ["2024-01-01", None], "the time 'c' must be a number or a date .*, got none in row 2"),
        ("time", ["2024-01-01", "soon"], "the time 'c' must hold numbers or dates .*, got 'soon' in row 2"),
        ("time", [1.0, np.inf], "column 'c' must hold finite numbers, got inf in row 2"),
        ("weight", [1, -2, 3], "the weight 'c' must be a number of at least 0 in every row, got -2 in row 2"),
        ("weight", [1.0, 2.0, None], "the weight 'c' must be a number of at least 0 .*, got none in row 3"),
        ("weight", ["1", "much"], "column 'c' must hold numbers, got 'much' in row 2"),
        ("weight", [1.0, np.inf], "column 'c' must hold finite numbers, got inf in row 2"),
    ],
)
def test_cells_that_are_not_what_they_should_be(role: str, cells: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        row_arrays(pd.DataFrame({"c": cells}), RowOptions(**{role: "c"}))


def test_rows_are_split_in_one_way() -> None:
    with pytest.raises(InputError, match="rows must be split by group or by time, got both; leave one"):
        RowOptions(group="a", time="b")
    options = RowOptions(group="a", weight="b")
    assert options.columns == {"group": "a", "weight": "b"}
    assert options.columns_beside("y") == ["a", "b"]
    with pytest.raises(InputError, match="the weight must be another column than the target, got 'b' twice"):
        options.columns_beside("b")


def test_taking_rows_takes_what_is_known_of_them() -> None:
    numbers = np.arange(4.0)
    data = Dataset(
        "t",
        pd.DataFrame({"x": numbers}),
        pd.Series(numbers, name="y"),
        weight=numbers,
        groups=np.array(list("pqrs"), dtype=object),
        time=numbers,
    )
    taken = data.take(np.array([3, 1]))
    assert taken.groups.tolist() == ["s", "q"]
    assert taken.inputs["x"].tolist() == taken.target.tolist() == taken.time.tolist() == [3, 1]
    assert taken.weight.tolist() == taken.weights.tolist() == [3, 1]
    assert Dataset("t", data.inputs, data.target).take(np.array([2])).weights.tolist() == [1]
