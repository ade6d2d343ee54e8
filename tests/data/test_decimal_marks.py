"""1.234 and 1,234 are thousands or not as the whole table says, at training and in a file of one row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.data.conversions import NumberFormat, find_conversions, target_conversion
from lphm.data.dataset import fit_inputs
from lphm.data.inputs import read_inputs
from lphm.data.readers import labelled_table, read_dataset, read_test
from lphm.data.row_options import RowOptions
from lphm.data.targets import fit_target
from lphm.errors import InputError
from lphm.estimators import LPHMRegressor

AREA = ["2.581", "1.983", "955", "1.631", "1.000", "780"]
READ = [2581, 1983, 955, 1631, 1000, 780]


def columns(rows: int = 60, **cells: list[str]) -> pd.DataFrame:
    """A table of text, the cells again and again; ``y`` is a class."""
    repeated = {name: [each[i % len(each)] for i in range(rows)] for name, each in cells.items()}
    return pd.DataFrame(repeated).assign(y=["yes", "no", "no"] * (rows // 3))


def write(path: Path, frame: pd.DataFrame, separator: str = ";") -> Path:
    frame.to_csv(path, sep=separator, index=False)
    return path


@pytest.mark.parametrize(
    ("separator", "area", "others", "read", "said"),
    [
        (";", AREA, ["3,2", "1,9"], READ, "separated by ';', decimal commas, area (2.581 read as 2581)"),
        (",", AREA, ["3,2", "1,9"], READ, "decimal commas, area (2.581 read as 2581)"),
        ("|", AREA, ["3,2 %", "4 %"], READ, "separated by '|', decimal commas, area (2.581 read as 2581)"),
        (
            ";",
            AREA,
            ["2.549,70 €", "9 €"],
            READ,
            "separated by ';', decimal commas, area (2.581 read as 2581)",
        ),
        (";", AREA, ["3,2", "n/a"], READ, "separated by ';', decimal commas, area (2.581 read as 2581)"),
        (";", ["-2.581", "NA", "9"], ["3,2"], [-2581, np.nan, 9], None),
        (";", ["2.581", "1.983"], ["3,2", "5"], [2581, 1983], None),
        (";", ["2.000", "", "500"], ["3,2", "5"], [2000, np.nan, 500], None),
        (";", ["2.000", "500"], ["red", "blue"], [2000, 500], "separated by ';', area (2.000 read as 2000)"),
        # Nothing but the column itself.
        (";", AREA, ["red", "blue"], READ, "separated by ';', area (2.581 read as 2581)"),
        (";", ["2.581", "1.983"], ["red"], [2.581, 1.983], "separated by ';', area (2.581 read as 2.581)"),
        (";", ["1.906", "1780"], ["red"], [1.906, 1780], "separated by ';', area (1.906 read as 1.906)"),
        (",", AREA, ["red", "blue"], [2.581, 1.983, 955, 1.631, 1, 780], ""),
        # Other numbers have decimal points.
        (";", AREA, ["0.5", "1.25"], [2.581, 1.983, 955, 1.631, 1, 780], "separated by ';'"),
        (";", ["1,234", "955"], ["0.5", "1.25"], [1234, 955], "separated by ';', area (1,234 read as 1234)"),
        (";", ["1,234", "955"], ["1,234.5", "7"], [1234, 955], "separated by ';', area (1,234 read as 1234)"),
        (",", ["1,234", "955"], ["0.5", "1.25"], [1234, 955], "area (1,234 read as 1234)"),
        (",", ["1,234", "955"], ["red", "blue"], [1234, 955], "area (1,234 read as 1234)"),
        (",", ["1,234", "955"], ["3,2", "5"], [1.234, 955], "decimal commas, area (1,234 read as 1.234)"),
        (";", ["1,234", "955"], ["red"], [1.234, 955], "separated by ';', area (1,234 read as 1.234)"),
        # The column decides for itself.
        (";", ["2.581", "12.5"], ["3,2"], [2.581, 12.5], "separated by ';', decimal commas"),
        (";", ["2.581", "0.955"], ["3,2"], [2.581, 0.955], "separated by ';', decimal commas"),
        (";", ["2.581,5", "955"], ["3,2"], [2581.5, 955], "separated by ';', decimal commas"),
    ],
)
def test_one_mark_for_the_file(
    tmp_path: Path, separator: str, area: list[str], others: list[str], read: list[float], said: str | None
) -> None:
    frame = columns(area=area, other=others, size=["1", "2", "3", "4"])
    data = read_dataset(write(tmp_path / "t.csv", frame, separator), "y")
    np.testing.assert_array_equal(data.inputs["area"][: len(read)], read)
    if said is not None:
        assert data.read_as == said
    # One row alone, in another file, is read in the same way.
    schema = fit_inputs(data)
    for place in range(len(area)):
        for mark in ",;":
            row = write(tmp_path / "row.csv", frame.iloc[[place]].drop(columns="y"), mark)
            inputs = read_inputs(row, schema)
            assert schema.encode(inputs.samples).allclose(
                schema.encode(data.inputs.iloc[[place]]), equal_nan=True
            )


def test_columns_without_such_cells_are_numbers_as_before(tmp_path: Path) -> None:
    frame = columns(
        rate=["3,2", "1,5"], number=["1", "2", ""], real=["0.126", "inf", "2.5"], plz=["1067", "9"]
    )
    frame["number"] = frame["number"].replace("", None)
    data = read_dataset(write(tmp_path / "t.csv", frame.replace("inf", "1e3")), "y")
    assert list(data.conversions) == ["rate"]
    assert data.inputs["real"][:3].tolist() == [0.126, 1000, 2.5]
    assert data.read_as == "separated by ';', decimal commas"


def test_a_target_with_thousands_also_with_few_distinct_cells(tmp_path: Path) -> None:
    frame = columns(rate=["3,2", "1,5", "2"]).assign(y=[*AREA, "2.000", "3.000"] * 7 + AREA[:4])
    path = write(tmp_path / "t.csv", frame)
    data = read_dataset(path, "y")
    assert data.target[:6].tolist() == READ
    assert data.read_as == "separated by ';', decimal commas, y (2.581 read as 2581)"
    target = fit_target(data.target, "regression", data.number)
    tested = read_test(write(tmp_path / "one.csv", frame.iloc[:1], ","), fit_inputs(data), target)
    assert tested.target.tolist() == [2581]
    assert target_conversion(pd.Series(["3,2", "1,5"], dtype=object)) is None  # classes


def test_series_with_thousands_among_their_values_and_steps(tmp_path: Path) -> None:
    steps = [f"{step:,}".replace(",", ".") for step in range(998, 1004)]
    frame = pd.DataFrame({"id": np.repeat(range(30), 6), "t": steps * 30, "a": AREA * 30, "b": ["0,5"] * 180})
    frame["y"] = np.where(frame["id"] % 2, "on", "off")
    data = read_dataset(write(tmp_path / "t.csv", frame), "y", series="id", step="t")
    assert data.inputs[0, :, 0].tolist() == READ
    schema = fit_inputs(data)
    new = read_inputs(write(tmp_path / "new.csv", frame.iloc[:6].drop(columns="y"), ","), schema)
    assert new.samples[0, :, 0].tolist() == READ
    wide = pd.DataFrame([AREA] * 40, columns=[f"t{i}" for i in range(6)]).assign(
        y=["on", "off"] * 20, b="0,5"
    )
    data = read_dataset(write(tmp_path / "wide.csv", wide), "y", ["b"], wide=r"t(\d)")
    assert data.inputs[0, :, 0].tolist() == READ


def test_times_and_weights_with_thousands(tmp_path: Path) -> None:
    frame = columns(rate=["3,2", "1,5"], w=AREA, t=AREA)
    data = read_dataset(write(tmp_path / "t.csv", frame), "y", options=RowOptions(time="t", weight="w"))
    assert data.weight[:6].tolist() == READ
    assert data.time[:6].tolist() == READ


def test_text_of_a_data_frame() -> None:
    frame = columns(area=AREA, rate=["3,2", "5"])
    assert labelled_table("t", frame, "y").inputs["area"][:6].tolist() == READ
    found = find_conversions(frame)
    assert found["area"] == NumberFormat(decimal=",", thousands=".")
    assert "area" not in find_conversions(frame.drop(columns="rate"))
    assert "area" not in find_conversions(frame.assign(other="0.5"))
    model = LPHMRegressor(members=1, epochs=1, width=8).fit(frame.drop(columns="y"), np.arange(60.0))
    numbers = frame.drop(columns="y").assign(area=READ * 10)
    np.testing.assert_array_equal(model.predict(numbers), model.predict(frame.drop(columns="y")))


@pytest.mark.parametrize(
    ("training", "later", "message"),
    [
        (
            ["3.2", "5.25"],
            "3,2",
            "column 'rate' must hold numbers, got '3,2' in row 1, which has a decimal comma; write "
            "numbers with a decimal point",
        ),
        (
            ["3,2", "5,25"],
            "3.25",
            "column 'rate' must hold a number such as 1234,5 in every row, as at training, got '3.25' "
            "in row 1, which has a decimal point; write numbers with a decimal comma",
        ),
        (["3.2", "5.25"], "high", "column 'rate' must hold numbers, got 'high' in row 1"),
    ],
)
def test_another_decimal_mark_than_at_training_is_named(
    tmp_path: Path, training: list[str], later: str, message: str
) -> None:
    frame = columns(rate=training, size=["1", "2", "3", "4"])
    schema = fit_inputs(read_dataset(write(tmp_path / "t.csv", frame), "y"))
    inputs = read_inputs(write(tmp_path / "new.csv", frame.iloc[:1].assign(rate=later)), schema)
    with pytest.raises(InputError) as caught:
        schema.encode(inputs.samples)
    assert str(caught.value) == message
