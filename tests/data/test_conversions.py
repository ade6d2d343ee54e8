"""Columns that are written for people become numbers, at training and in a file of one row."""

import datetime
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from lphm.data.conversions import (
    Conversions,
    DateFormat,
    DurationFormat,
    NumberFormat,
    TextHash,
    convert,
    find_conversion,
    find_conversions,
    target_conversion,
)
from lphm.data.dataset import fit_inputs, infer_task
from lphm.data.inputs import read_inputs
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_schema import fit_stream
from lphm.data.readers import labelled_table, read_dataset, read_test
from lphm.data.targets import NumberTarget, fit_target
from lphm.errors import InputError
from lphm.estimators import LPHMRegressor

NUMBERS = {
    "euros": (["€ 1.234,50", "€ 250.000,00", "-€ 3,5"], [1234.5, 250_000, -3.5]),
    "dollars": (["$1,234.50", "$12", "-$3.5"], [1234.5, 12, -3.5]),
    "behind": (["1 234,5 EUR", "12 EUR", "999 EUR"], [1234.5, 12, 999]),
    "unit": (["12 kg", "13.5 kg", "1e0"[:1]], [12, 13.5, 1]),
    "area": (["88,6 m²", "154,7 m²", "90 m²"], [88.6, 154.7, 90]),
    "square feet": (["1,200 sq ft", "850 sq ft", "900 sq ft"], [1200, 850, 900]),
    "percent": (["12%", "3.5 %", "+4%"], [12, 3.5, 4]),
    "thousands": (["1,234", "12,000", "999"], [1234, 12_000, 999]),
    "comma": (["1,5", "2,75", "1000,2"], [1.5, 2.75, 1000.2]),
    "zero before a comma": (["0,123", "0,456", "1,000"], [0.123, 0.456, 1]),
    "points": (["1.234.567", "12.000", "7"], [1_234_567, 12_000, 7]),
    "Swiss": (["1'234.50", "12'000", "5"], [1234.5, 12_000, 5]),
    "euros with points alone": (["€ 100.500", "€ 99.000", "€ 7"], [100_500, 99_000, 7]),
    "euros with commas alone": (["€100,500", "€99,000", "€7"], [100_500, 99_000, 7]),
    "euros and cents": (["€ 1.50", "€ 2.75", "€ 3.125"], [1.5, 2.75, 3.125]),
    "dollars for a gallon": (["$3.459", "$3.479", "$4.019"], [3.459, 3.479, 4.019]),
    "typographic": (["1\u202f234,5", "\u22123,5", "2\u00a0000"], [1234.5, -3.5, 2000]),
}
NONE = {
    "plain": ["1", "2.5", "1e3"],
    "plain and missing": ["1", "NA", ""],
    "codes": ["B101", "B102", "B103"],
    "two units": ["12 kg", "13 g", "1 kg"],
    "words": ["red", "green", "blue"],
    "versions": ["1.2.3", "1.10.3", "2.0.0"],
    "addresses": ["1 Main Street", "2 Main Street", "3 Main Street"],
    "telephone": ["555-1234", "555-9999", "555-0000"],
    "ranges": ["10-20", "20-30", "30-40"],
    "no month 13": ["2024-13-01", "2024-01-01", "2024-02-02"],
    "two orders": ["31/01/2024", "01/31/2024", "02/02/2024"],
    "missing": [None, None, None],
}
FORMATS = {
    "%d.%m.%Y": ["31.01.2024", "01.02.2024"],
    "%m/%d/%Y": ["01/02/2024", "03/04/2024"],  # either order is possible
    "%d/%m/%Y": ["31/01/2024", "01/02/2024"],
    "%b %d, %Y": ["Jan 5, 2024", "Feb 7, 2024"],
    "%d-%b-%Y %H:%M:%S": ["05-Jan-2024 10:11:12", "06-Jan-2024 11:00:00"],
    "%m/%d/%Y %I:%M %p": ["01/13/2024 01:30 PM", "02/13/2024 02:30 AM"],
    "ISO8601": ["2024-01-31", "2024-02-01T10:00:00"],
}
DAY = datetime.date(2024, 2, 29)


def column(cells: list) -> pd.Series:
    return pd.Series(cells, name="c", dtype=object)


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_with_signs_and_marks(kind: str) -> None:
    cells, numbers = NUMBERS[kind]
    found = find_conversion(column(cells))
    assert isinstance(found, NumberFormat)
    missing = column([*cells, None, "n/a", f" {cells[0]} "])
    assert found == find_conversion(missing)
    expected = [*numbers, np.nan, np.nan, numbers[0]]
    np.testing.assert_array_equal(found.numbers(missing)["c"], expected)
    assert found.numbers(column(cells[:1]))["c"] == numbers[0]  # alone
    np.testing.assert_array_equal(
        found.numbers(pd.Series(numbers, name="c"))["c"], numbers
    )  # already numbers


@pytest.mark.parametrize("kind", NONE)
def test_what_is_not_written_for_people_is_left_as_it_is(kind: str) -> None:
    assert find_conversion(column(NONE[kind])) is None
    frame = pd.DataFrame({"c": NONE[kind]})
    assert convert(frame, {}) is frame


def test_a_comma_means_what_the_separator_of_the_file_suggests(tmp_path: Path) -> None:
    cells = column(["1,234", "2,345"])
    assert find_conversion(cells).numbers(cells)["c"].tolist() == [1234, 2345]
    assert find_conversion(cells, "likely").numbers(cells)["c"].tolist() == [1.234, 2.345]


@pytest.mark.parametrize("form", FORMATS)
def test_dates_in_text(form: str) -> None:
    cells = column([*FORMATS[form], None, "NA"])
    found = find_conversion(cells)
    assert isinstance(found, DateFormat)
    assert found.format == form
    dates = pd.to_datetime(cells[:2], format=form)
    numbers = found.numbers(cells)
    assert list(numbers) == found.names("c")
    days = (dates - pd.Timestamp(0)) / pd.Timedelta(days=1)
    np.testing.assert_allclose(numbers["c: days"], [*days, np.nan, np.nan])
    assert "year" not in found.parts  # which does not vary


@pytest.mark.parametrize(
    "dates",
    [
        pd.Series(pd.date_range("2023-12-31 22:00", periods=3, freq="h")),
        pd.Series(pd.date_range("2023-12-31 22:00", periods=3, freq="h", tz="Asia/Tokyo")),  # the local hour
        pd.Series(list(pd.date_range("2023-12-31 22:00", periods=3, freq="h")), dtype=object),
        pd.Series(["2023-12-31T22:00:00Z", "2024-01-01T00:00:00+01:00", "2023-12-31T16:00:00-08:00"]),
    ],
)
def test_dates_of_every_type_become_their_parts(dates: pd.Series) -> None:
    found = find_conversion(dates.rename("t"))
    numbers = found.numbers(dates.rename("t"))
    assert found.parts == ("year", "month", "day", "weekday", "hour", "days")
    expected = {"year": [2023, 2023, 2024], "month": [12, 12, 1], "day": [31, 31, 1], "weekday": [6, 6, 0]}
    for part, values in {**expected, "hour": [22, 23, 0]}.items():
        assert numbers[f"t: {part}"].tolist() == values
    np.testing.assert_allclose(numbers["t: days"], 19722 + np.array([22, 23, 24]) / 24)


DISTANT = [datetime.datetime(1500, 1, 1, 3), datetime.datetime(1999, 5, 3), datetime.datetime(9999, 12, 31)]


@pytest.mark.parametrize(
    "cells",
    [
        [str(day) for day in DISTANT],
        [f"{day}+00:00" for day in DISTANT],
        [day.strftime("%d.%m.%Y %H:%M") for day in DISTANT],
        [day.strftime("%Y/%m/%d %H:%M:%S") for day in DISTANT],
        pd.Series(DISTANT, dtype=object),
        pd.Series([pd.Timestamp(day).as_unit("us") for day in DISTANT], dtype=object),
        pd.Series([np.datetime64(day) for day in DISTANT], dtype=object),
        # These two together, of which the second one counts nanoseconds.
        pd.Series([DISTANT[0], pd.Timestamp(DISTANT[1]).as_unit("ns"), DISTANT[2]], dtype=object),
        np.array(DISTANT, "datetime64[s]"),
        pd.Series(np.array(DISTANT, "datetime64[us]")).dt.tz_localize("UTC"),
        pd.Series(DISTANT, dtype="timestamp[us][pyarrow]"),
    ],
)
def test_dates_of_all_years_are_read(cells: object) -> None:
    """Nanoseconds in 64 bits, which pandas counts, reach from 1677 to 2262."""
    dates = pd.Series(cells, name="t")
    found = find_conversion(dates)
    assert isinstance(found, DateFormat)
    numbers = found.numbers(dates)
    for part in ("year", "month", "day", "hour"):
        assert numbers[f"t: {part}"].tolist() == [getattr(day, part) for day in DISTANT]
    assert numbers["t: weekday"].tolist() == [day.weekday() for day in DISTANT]
    first = datetime.date(1970, 1, 1).toordinal()
    assert numbers["t: days"].tolist() == [day.toordinal() - first + day.hour / 24 for day in DISTANT]


def test_a_distant_date_is_read_beside_others_at_prediction() -> None:
    """Whatever types the cells have; a cell that is no date, or too distant beside others, is named."""
    found = DateFormat(parts=("year", "days"))
    cells = [
        datetime.date(1500, 1, 1),
        "2020-01-05 12:00:00.5",
        None,
        np.datetime64("12000-01-01"),
        "9999-01-01",
    ]
    numbers = found.numbers(pd.Series(cells, name="t", dtype=object))
    np.testing.assert_array_equal(numbers["t: year"], [1500, 2020, np.nan, 12000, 9999])
    assert numbers["t: days"][1] == 18266 + 43200.5 / 86400
    for wrong in ("9999-13-01", "0000-00-00", np.datetime64("300000-01-01", "s"), 3.5):
        with pytest.raises(
            InputError, match=r"column 't' must hold a date such as 2024-12-31 .*, got .* row 2"
        ):
            found.numbers(pd.Series([cells[0], wrong, "2020-01-01"], name="t", dtype=object))


@pytest.mark.parametrize(
    ("cells", "seconds"),
    [
        (["01:30", "12:45", None], [5400, 45_900, np.nan]),
        (["1 days 02:03:04", "0 days 00:00:01.5"], [93_784, 1.5]),
        ([datetime.time(1, 30), None], [5400, np.nan]),
        ([datetime.timedelta(hours=2), datetime.timedelta(0)], [7200, 0]),
        (pd.to_timedelta([1, None], unit="h"), [3600, np.nan]),
    ],
)
def test_durations_are_seconds(cells: object, seconds: list[float]) -> None:
    found = find_conversion(pd.Series(cells, name="c"))
    assert found == DurationFormat()
    np.testing.assert_array_equal(found.numbers(pd.Series(cells, name="c"))["c"], seconds)


@pytest.mark.parametrize(
    ("cells", "other", "got"),
    [
        (
            ["€ 1", "€ 2"],
            "$ 3",
            "a number such as 1234.5 € in every row, as at training, got '\\$ 3' in row 2",
        ),
        (["1,5", "2,5"], "1.234,5", "a number such as 1234,5 "),
        (["31.01.2024"], "soon", "a date such as 31.12.2024 .* got 'soon' in row 2"),
        (["31.01.2024"], "2024-01-31", "a date such as 31.12.2024 "),
        (["01:30"], "noon", "a duration such as 01:30:00 .* got 'noon' in row 2"),
        (["31.01.2024"], 20240131, "a date such as 31.12.2024 .* got 20240131 in row 2"),
        (["01:30"], 90, "a duration such as 01:30:00 .* got 90 in row 2"),
        ([DAY], "soon", "a date such as 2024-12-31 .* got 'soon' in row 2"),
    ],
)
def test_a_cell_that_is_written_otherwise_is_refused(cells: list, other: str, got: str) -> None:
    found = find_conversion(column(cells))
    with pytest.raises(InputError, match=f"column 'c' must hold {got}"):
        found.numbers(column([cells[0], other]))


def test_numbers_alone_are_no_dates() -> None:
    found = find_conversion(column(["31.01.2024", "01.02.2024"]))
    with pytest.raises(InputError, match=r"must hold a date such as 31\.12\.2024"):
        found.numbers(pd.Series([20240131, 20240201], name="c"))


def test_a_whole_number_that_parquet_keeps_as_a_category_is_a_number() -> None:
    found = find_conversion(column(["1,234", "2,345"]))
    assert found.numbers(pd.Series([5, None, 7], name="c").astype("category"))["c"][[0, 2]].tolist() == [5, 7]


def test_a_date_does_not_take_the_place_of_another_column() -> None:
    frame = pd.DataFrame({"t": ["2023-01-01", "2024-02-01"], "t: year": [1.0, 2.0]})
    with pytest.raises(InputError, match="column 't' becomes 't: year', which is a column too; rename"):
        convert(frame, find_conversions(frame))


def test_a_format_that_no_date_has_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be one that dates are read in, got '%Q'"):
        DateFormat(format="%Q")


def test_a_target_with_few_distinct_cells_is_classes() -> None:
    assert target_conversion(column([f"{i % 5} kg" for i in range(100)])) is None
    assert target_conversion(column([f"{i} kg" for i in range(100)])) == NumberFormat(sign="kg")
    assert target_conversion(column([f"2024-01-{i + 1:02}" for i in range(28)])) is None


def test_the_words_of_a_text_count() -> None:
    cells = column(["Two rooms, a garden.", "a GARDEN; two rooms", "three rooms", None, "rooms"])
    hashed = TextHash(buckets=8)
    numbers = np.stack([*hashed.numbers(cells).values()])
    assert list(hashed.numbers(cells)) == hashed.names("c") == [f"c: {i}" for i in range(8)]
    np.testing.assert_array_equal(numbers[:, 0], numbers[:, 1])
    assert (numbers[:, 0] != numbers[:, 2]).any()
    np.testing.assert_allclose(np.linalg.norm(numbers, axis=0), [1, 1, 1, np.nan, 1])
    rooms, bucket = numbers[:, 4], zlib.crc32(b"rooms") % 8
    assert abs(rooms[bucket]) == 1
    alone = np.stack([*hashed.numbers(cells[:1]).values()])
    np.testing.assert_array_equal(alone[:, 0], numbers[:, 0])


# The way through files.


def houses(rows: int = 60) -> pd.DataFrame:
    days = pd.Timestamp("2023-11-20") + pd.to_timedelta(np.arange(rows), unit="D")
    return pd.DataFrame(
        {
            "sold": days.strftime("%d.%m.%Y"),
            "size": [f"{40 + i},5 m²" for i in range(rows)],
            "zone": ["a", "b", "c"] * (rows // 3),
            "price": [f"€ {100 + i}.500" for i in range(rows)],
        }
    )


def test_a_file_is_read_at_training_and_later_in_the_same_way(tmp_path: Path) -> None:
    houses().to_csv(tmp_path / "h.csv", index=False)
    data = read_dataset(tmp_path / "h.csv", "price")
    assert infer_task(data.target) == "regression"
    assert data.target[:2].tolist() == [100_500, 101_500]
    parts = ["sold: year", "sold: month", "sold: day", "sold: weekday", "sold: days"]
    assert list(data.inputs) == [*parts, "size", "zone"]
    schema, target = fit_inputs(data), fit_target(data.target, "regression", data.number)
    assert isinstance(target, NumberTarget)
    assert target.unit == "€"
    assert schema.columns_of_table == ["sold", "size", "zone"]
    encoded = schema.encode(data.inputs)
    # One row: its size alone would be read as a number without decimals.
    row = houses().iloc[[7]].assign(size="1000", price="€ 5.500")
    row.to_csv(tmp_path / "one.csv", index=False)
    inputs = read_inputs(tmp_path / "one.csv", schema).samples
    later = schema.encode(inputs)
    np.testing.assert_array_equal(later[0, :5], encoded[7, :5])
    size = next(each for each in schema.numeric if each.name == "size")
    assert later[0, 5].item() == pytest.approx((1000 - size.mean) / size.std)
    test = read_test(tmp_path / "one.csv", schema, target)
    assert test.target.tolist() == [5500]
    with pytest.raises(InputError, match="the table lacks the column 'sold' of the training; add it"):
        schema.encode(inputs.drop(columns="sold"))


def test_a_number_with_points_between_thousands_is_read_so_in_a_file_of_one_row(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [f"{1 + i}.234.567" for i in range(29)] + ["1.500"], "y": range(30)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    schema = fit_inputs(read_dataset(tmp_path / "t.csv", "y"))
    (tmp_path / "one.csv").write_text("x\n1.500\n")  # which is 1.5 for a reader of CSV
    inputs = read_inputs(tmp_path / "one.csv", schema).samples
    assert schema.encode(inputs)[0] == schema.encode(frame[["x"]])[29]


def test_a_category_is_not_converted() -> None:
    frame = pd.DataFrame({"c": ["1,5", "2,5"] * 20, "x": range(40), "y": range(40)})
    assert not labelled_table("t", frame, "y", categories=["c"]).conversions
    assert not labelled_table("t", frame.astype({"c": "category"}), "y").conversions
    assert list(labelled_table("t", frame, "y").conversions) == ["c"]


def test_a_directory_is_read_as_a_file(tmp_path: Path) -> None:
    frame = houses().assign(
        at=pd.date_range("2024-01-01", periods=60, freq="7h"), took=pd.to_timedelta(np.arange(60), unit="min")
    )
    (tmp_path / "d").mkdir()
    frame[:33].to_parquet(tmp_path / "d" / "0.parquet", row_group_size=9)
    frame[33:].to_parquet(tmp_path / "d" / "1.parquet")
    stream = ParquetStream(tmp_path / "d", "price")
    fitted = fit_stream(stream)
    frame.to_parquet(tmp_path / "t.parquet")
    data = read_dataset(tmp_path / "t.parquet", "price")
    assert stream.conversions == data.conversions
    assert stream.columns == list(data.inputs)
    assert fitted.target.unit == "€"
    got = pd.concat([frame for part in stream.parts for frame in stream.frames(part)])
    read = data.inputs.assign(price=data.target)
    pd.testing.assert_frame_equal(
        got.sort_values("price", ignore_index=True).astype({"zone": str}), read.astype({"zone": str})
    )
    assert set(fitted.input.sources) == {"sold", "size", "zone", "at", "took"}


def test_estimators_convert_a_data_frame() -> None:
    X = houses().drop(columns="price")
    y = np.arange(60.0)
    model = LPHMRegressor(members=1, epochs=2, random_state=0).fit(X, y)
    conversions: Conversions = model.run_.config.input.conversions
    assert sorted(conversions) == ["size", "sold"]
    assert model.predict(X.iloc[:1])[0] == model.predict(X)[0]
    dates = X.assign(sold=pd.to_datetime(X["sold"], format="%d.%m.%Y"))
    np.testing.assert_array_equal(model.predict(dates), model.predict(X))


def test_what_is_numbers_already_stays_as_it_is() -> None:
    for found in (NumberFormat(sign="€"), DurationFormat()):
        numbers = found.numbers(pd.Series([90, None, 30], dtype="Int64", name="c"))["c"]
        np.testing.assert_array_equal(numbers, [90.0, np.nan, 30.0])
        assert numbers.dtype == np.float64


def test_durations_are_converted_once_in_training() -> None:
    clock = [f"{i // 60:02}:{i % 60:02}" for i in range(60, 160)]
    model = LPHMRegressor(members=1, width=8, epochs=1)
    data = labelled_table("t", pd.DataFrame({"took": clock, "y": np.arange(100) / 3}), "y")
    schema = fit_inputs(data)
    assert schema.encode(data.inputs).equal(schema.encode(pd.DataFrame({"took": clock})))
    assert model.fit(pd.DataFrame({"took": clock}), data.target).predict(data.inputs).shape == (100,)


def test_a_cell_of_another_type_is_refused() -> None:
    found = find_conversion(column(["€ 1", "€ 2"]))
    with pytest.raises(InputError, match=r"must hold a number such as 1234\.5 € .* in row 2"):
        found.numbers(column(["€ 1", datetime.date(2024, 1, 31)]))


def test_numbers_with_signs_at_both_sides_are_words() -> None:
    assert find_conversion(column(["€ 5 m", "€ 6 m"])) is None
    assert find_conversion(column([*(f"€ {i}" for i in range(60)), "€ 6 m"])) is None


def test_all_cells_must_be_durations() -> None:
    assert find_conversion(column(["01:30", "12:45", "noon"])) is None


def test_a_target_of_few_distinct_cells_is_classes() -> None:
    cells = [f"{i} €" for i in range(21)]
    assert target_conversion(column(cells[:20])) is None
    assert target_conversion(column(cells)) == NumberFormat(sign="€")


def test_words_are_hashed_with_their_signs() -> None:
    # crc32 of "fine" is 2 modulo 4, of "broken" 0, both with a leading bit of 1; "the" is 2, with 0.
    numbers = TextHash(buckets=4).numbers(column(["Fine, fine broken", "the", None, "the fine", "\ud800"]))
    table = np.array([*numbers.values()]).T
    np.testing.assert_allclose(table[0], np.array([1, 0, 2, 0]) / 5**0.5)
    np.testing.assert_allclose(table[1], [0, 0, -1, 0])
    assert np.isnan(table[2]).all()
    np.testing.assert_allclose(table[3], np.zeros(4))
    assert np.isfinite(table[4]).all()
