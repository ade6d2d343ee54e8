"""What the cells of a column are: numbers or words, whatever type the column has."""

import datetime
import decimal
import enum
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lphm.data.columns import (
    LARGEST,
    as_numbers_or_words,
    as_target,
    column_numbers,
    holds_numbers,
    plain_values,
    table_numbers,
)
from lphm.data.words import category_words
from lphm.errors import InputError

Color = enum.Enum("Color", "red green")
DAY = datetime.date(2020, 1, 1)


def arrow(values: list, kind: pa.DataType) -> pd.Series:
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


NUMBERS = {
    "int64": pd.Series([3, 1, 0]),
    "uint8": pd.Series([3, 1, 0], dtype="uint8"),
    "float16": pd.Series([3, 1, 0], dtype="float16"),
    "longdouble": pd.Series([3, 1, 0], dtype=np.longdouble),
    "nullable": pd.Series([3, 1, 0], dtype="Int64"),
    "sparse": pd.Series(pd.arrays.SparseArray([3.0, 1.0, 0.0])),
    "arrow int": arrow([3, 1, 0], pa.int64()),
    "arrow decimal": arrow([decimal.Decimal(3), decimal.Decimal(1), decimal.Decimal(0)], pa.decimal128(5, 2)),
    "decimal": pd.Series([decimal.Decimal("3.0"), decimal.Decimal(1), decimal.Decimal(0)]),
    "int objects": pd.Series([3, 1, 0], dtype=object),
    "int and float objects": pd.Series([3, 1.0, 0], dtype=object),
    "bool and int objects": pd.Series([3, True, False], dtype=object),
    "text": pd.Series(["3", " 1.0 ", "0e5"]),
    "text of numbers and truth": pd.Series(["3", "TRUE", "false"]),
    "arrow text": arrow(["3", "1", "0"], pa.string()),
    "bytes": pd.Series([b"3", b"1", b"0"]),
}
TRUTH = {
    "bool": pd.Series([True, False]),
    "nullable": pd.Series([True, False], dtype="boolean"),
    "arrow": arrow([True, False], pa.bool_()),
    "objects": pd.Series([True, False], dtype=object),
    "text": pd.Series(["true", "FALSE"]),
    "sparse": pd.Series(pd.arrays.SparseArray([True, False])),
}
WORDS = {
    "text": (pd.Series(["a", "b"]), ["a", "b"]),
    "objects": (pd.Series(["a", "b"], dtype=object), ["a", "b"]),
    "string": (pd.Series(["a", "b"], dtype="string"), ["a", "b"]),
    "arrow": (arrow(["a", "b"], pa.large_string()), ["a", "b"]),
    "arrow dictionary": (
        pd.Series(pd.arrays.ArrowExtensionArray(pa.array(["a", "b"]).dictionary_encode())),
        ["a", "b"],
    ),
    "category": (pd.Series(["b", "a"], dtype="category"), ["b", "a"]),
    "category of digits": (pd.Series(["01", "1"], dtype="category"), ["01", "1"]),
    "category of ints": (pd.Series([7, 8], dtype="category"), ["7", "8"]),
    "category of floats": (pd.Series([7.0, 0.5], dtype="category"), ["7", "0.5"]),
    "category of truth": (pd.Series([True, False], dtype="category"), ["True", "False"]),
    "intervals": (pd.Series(pd.cut([0, 5], [-1, 1, 9])), ["(-1, 1]", "(1, 9]"]),
    "category of dates": (
        pd.Series(pd.to_datetime(["2020-01-01"] * 2)).astype("category"),
        ["2020-01-01 00:00:00"] * 2,
    ),
    "numbers and text": (pd.Series([1, "a"], dtype=object), ["1", "a"]),
    "truth and text": (pd.Series(["true", "maybe"]), ["true", "maybe"]),
    "zeros in front": (pd.Series(["01", "x"]), ["01", "x"]),
    "a word for missing": (pd.Series(["NA", "x"]), ["NA", "x"]),
    "bytes": (pd.Series([b"a", b"\xff"]), ["a", "\\xff"]),
    "uuid": (pd.Series([uuid.UUID(int=1), uuid.UUID(int=2)]), [str(uuid.UUID(int=1)), str(uuid.UUID(int=2))]),
    "enum": (pd.Series([Color.red, Color.green]), ["Color.red", "Color.green"]),
}
NEITHER = {
    "dates": pd.Series([DAY, DAY]),
    "datetime64": pd.Series(pd.to_datetime(["2020", "2021"])),
    "time zone": pd.Series(pd.to_datetime(["2020", "2021"])).dt.tz_localize("UTC"),
    "timedelta": pd.Series(pd.to_timedelta([1, 2], unit="D")),
    "period": pd.Series(pd.PeriodIndex(["2020", "2021"], freq="Y")),
    "interval": pd.Series(pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2)])),
    "arrow date": arrow([DAY, DAY], pa.date32()),
    "arrow list": arrow([[1], [2]], pa.list_(pa.int64())),
    "complex": pd.Series([1j, 2.0]),
    "complex objects": pd.Series([1j, 2j], dtype=object),
    "lists": pd.Series([[1], [2]]),
    "arrays": pd.Series([np.zeros(2), np.zeros(2)]),
    "dictionaries": pd.Series([{}, {}]),
    "tuples": pd.Series([(1, 2), (3, 4)]),
    "sets": pd.Series([{1}, {2}]),
    "text and lists": pd.Series(["a", [1]]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_every_type(kind: str) -> None:
    column = NUMBERS[kind]
    assert holds_numbers(column, "c")
    np.testing.assert_array_equal(column_numbers(column, "c"), [3, 1, 0])
    assert as_numbers_or_words(pd.DataFrame({"c": column}))["c"].dtype.kind in "fiu"
    missing = pd.concat([column.astype(object), pd.Series([None, np.nan, pd.NA, "NA", "?"], dtype=object)])
    np.testing.assert_array_equal(column_numbers(missing, "c"), [3, 1, 0] + [np.nan] * 5)


@pytest.mark.parametrize("kind", TRUTH)
def test_truth_is_one_and_zero(kind: str) -> None:
    assert holds_numbers(TRUTH[kind], "c")
    assert column_numbers(TRUTH[kind], "c").tolist() == [1, 0]


@pytest.mark.parametrize("kind", WORDS)
def test_words_of_every_type(kind: str) -> None:
    column, words = WORDS[kind]
    assert holds_numbers(column, "c") is False
    assert list(category_words(column)) == words
    assert list(category_words(column.astype(object))) == words  # asked in another type
    assert list(category_words(column.iloc[:1])) == words[:1]  # alone
    many = pd.concat([column] * 600, ignore_index=True)
    assert list(category_words(many)) == words * 600
    assert (
        category_words(pd.concat([column.astype(object), pd.Series([None, np.nan, pd.NA])])).isna().sum() == 3
    )


@pytest.mark.parametrize("kind", NEITHER)
def test_what_is_neither_is_refused_in_one_line(kind: str) -> None:
    with pytest.raises(InputError, match="column 'c' must hold numbers or categories, got ") as caught:
        holds_numbers(NEITHER[kind], "c")
    assert (caught.value.option, caught.value.value) == ("drop", "c")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "column", [pd.Series([None, None], dtype=object), pd.Series([None] * 2, dtype="category")]
)
def test_a_column_without_a_cell_is_nothing(column: pd.Series) -> None:
    assert holds_numbers(column, "c") is None


def test_numbers_as_words_are_the_same_in_every_type() -> None:
    for one in (1, 1.0, np.int8(1), np.float32(1), decimal.Decimal("1.00"), "1", b"1"):
        assert list(category_words(pd.Series([one, "a"], dtype=object))) == ["1", "a"]
    assert list(category_words(pd.Series([1.0, 2.5]))) == ["1", "2.5"]


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.inf, "finite numbers, got inf in row 2"),
        (1e200, "at most 1e\\+150, got 1e\\+200 in row 2"),
        pytest.param(10**400, "got '?1000", id="400 digits"),
    ],
)
def test_numbers_too_large_for_their_square_are_refused(value: Any, got: str) -> None:
    for column in (pd.Series([1, value], dtype=object), pd.Series(["1", str(value)])):
        with pytest.raises(InputError, match=f"column 'c' must hold .*{got}"):
            column_numbers(column, "c")
    with pytest.raises(InputError, match="column 'c' must hold"):
        table_numbers(pd.DataFrame({"c": [0.0, 2 * LARGEST]}), ["c"])
    assert column_numbers(pd.Series([LARGEST]), "c") == LARGEST


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (["a", "b", None], ["a", "b", None]),
        (["1", "2", "NA"], [1, 2, None]),
        (["true", "False", "?"], [True, False, None]),
        ([True, None, False], [True, None, False]),
        ([1.0, 2.0, np.nan], [1, 2, None]),
        (pd.Series([1, 0, None], dtype="Int64"), [1, 0, None]),
        (pd.Series([1, 0, None], dtype="category"), [1, 0, None]),
        (arrow(["a", "b", None], pa.string()), ["a", "b", None]),
        (arrow([True, False, None], pa.bool_()), [True, False, None]),
    ],
)
def test_targets(column: Any, values: list) -> None:
    target = as_target(pd.Series(column), "y")
    got = [
        None if missing else plain_values(pd.Series([cell], dtype=object))[0]
        for cell, missing in zip(target, target.isna(), strict=True)
    ]
    assert got == values
    assert list(map(type, got)) == list(map(type, values))


# Columns of a table at once.


@pytest.mark.parametrize(
    "types",
    [{}, {"a": "float32", "b": "int8"}, {"a": "Float64", "b": "Int64"}, {"a": "float16", "b": "uint8"}],
)
def test_columns_together_are_those_one_by_one(types: dict[str, str]) -> None:
    frame = pd.DataFrame(
        {"a": [1.5, None, 3.0], "b": [4, 5, 6], "c": [True, False, True], "d": ["1", "?", "2"]}
    )
    got = table_numbers(frame.astype(types), ["c", "a", "b"])
    np.testing.assert_array_equal(got, [[1, 1.5, 4], [0, np.nan, 5], [1, 3, 6]])
    assert got.dtype == np.float64
    with_text = table_numbers(frame.astype(types), ["d", "b"])
    np.testing.assert_array_equal(with_text, [[1, 4], [np.nan, 5], [2, 6]])
    assert table_numbers(frame, []).shape == (3, 0)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"a": [1.0, 2.0], "b": [0.0, -np.inf]}, "column 'b' must hold finite numbers, got -inf in row 2"),
        ({"a": [1.0, 2.0], "b": ["1", "two"]}, "column 'b' must hold numbers, got 'two' in row 2"),
        (
            {"a": [1.0, 2.0], "b": pd.to_datetime(["2020", "2021"])},
            "column 'b' must hold numbers, got Timestamp",
        ),
    ],
)
def test_errors_name_the_column(frame: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table_numbers(pd.DataFrame(frame), ["a", "b"])
