"""Wide tables of series: which columns are the steps, and the errors for those that cannot be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from lphm.data.dataset import fit_inputs
from lphm.data.inputs import read_inputs
from lphm.data.readers import read_dataset, read_test
from lphm.data.row_options import RowOptions
from lphm.data.schema import SeriesSchema
from lphm.data.targets import fit_target
from lphm.data.wide_tables import wide_columns
from lphm.errors import InputError

FRAME = pd.DataFrame(
    {
        "id": ["p", "q", "r"],
        "ch_10": [0.4, 1.4, 2.4],
        "ch_2": [0.2, None, 2.2],
        "ch_1": [0.1, 1.1, 2.1],
        "ch_4": [0.3, 1.3, 2.3],
        "state": ["u", "v", None],
    }
)
nan = np.nan


def test_steps_are_ordered_by_number_and_missing_ones_are_gaps(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    data = read_dataset(tmp_path / "t.csv", "state", ["id"], wide=r"ch_(\d+)")
    expected = np.array([[0.1, 0.2, nan, 0.3, *[nan] * 5, 0.4], [1.1, nan, nan, 1.3, *[nan] * 5, 1.4]])
    np.testing.assert_array_equal(data.inputs, expected[..., None])
    assert list(data.target) == ["u", "v"]  # the third has none
    schema = fit_inputs(data)
    assert schema.column_labels == ["channel 1"]
    again = SeriesSchema.model_validate_json(schema.model_dump_json())
    shuffled = FRAME[["state", "ch_1", "ch_4", "id", "ch_2", "ch_10"]].assign(more="x")
    shuffled.to_parquet(tmp_path / "t.parquet")
    array = read_inputs(tmp_path / "t.parquet", again).samples
    assert array.shape == (3, 10, 1)
    np.testing.assert_array_equal(array[:2], data.inputs)
    test = read_test(tmp_path / "t.parquet", again, fit_target(data.target, "classification"))
    np.testing.assert_array_equal(test.inputs, data.inputs)
    shuffled.drop(columns="ch_4").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet lacks the column 'ch_4' of the training; add it"):
        read_inputs(tmp_path / "t.parquet", again)


def test_columns_of_rows_are_no_steps(tmp_path: Path) -> None:
    FRAME.assign(ch_3=[7, 8, 9]).to_csv(tmp_path / "t.csv", index=False)
    options = RowOptions(group="id", weight="ch_3")
    data = read_dataset(tmp_path / "t.csv", "state", wide=r"ch_(\d+)", options=options)
    assert data.inputs.shape == (2, 10, 1)
    assert data.groups.tolist() == ["p", "q"]
    assert data.weight.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("expression", "columns", "wide", "channels"),
    [
        (
            r"(?P<channel>\w+)_(?P<step>\d+)",
            "a_2 b_c_1 b_c_2 a_1",
            [["b_c_1", "a_1"], ["b_c_2", "a_2"]],
            "b_c a",
        ),
        (r"(?P<channel>\w)(\d)", "b1 b2 a2", [["b1", None], ["b2", "a2"]], "b a"),
        (r"(\d)(\w)", "1b 2b", [["1b"], ["2b"]], "b"),
        (r"(\d)(?P<step>\d)", "11 21 12", [["11", "21"], ["12", None]], "1 2"),
        (r"t(-?\d+)", "t5 t-5 t0", [["t-5"], ["t0"], ["t5"]], None),
        (r"t(\d+)", "t400 t410 t430", [["t400"], ["t410"], [None], ["t430"]], None),
        (r"t(\d+)", "t7", [["t7"]], None),
    ],
)
def test_groups_of_the_expression(expression: str, columns: str, wide: list, channels: str | None) -> None:
    found, names = wide_columns("t", columns.split(), expression)
    if channels is None:
        assert names is None
        assert found == wide
    else:
        order = [names.index(each) for each in channels.split()]
        assert sorted(order) == list(range(len(names)))
        assert [[step[i] for i in order] for step in found] == wide


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("ch_(", "wide must be a regular expression, got 'ch_(': missing )"),
        ("ch_", r"wide must have a group for the step, such as ch_(\d+), and at most one more"),
        ("(ch)(_)(.)", "wide must have a group for the step"),
        (r"(?P<when>c)h_(\d+)", "wide must have a group for the step"),
        ("(?P<when>ch_.+)", "wide must have a group for the step"),
        (
            r"x(\d+)",
            r"wide must match names of columns of t.csv, got 'x(\\d+)' and id, ch_10, ch_2, ch_1, ch_4",
        ),
        (r"(.+)", "the step in the name of a column must be a whole number, got 'id' in 'id'"),
        (r"ch_(\d+)|i(d)", "the step in the name of a column must be a whole number, got None in 'id'"),
        (r"ch_(\d).?", "a step must have one column, got 'ch_10' and 'ch_1'"),
        (r"ch_(\d+)", "every column of t.csv must be matched by wide or be left out, got 'id'"),
    ],
)
def test_expressions_that_do_not_fit(tmp_path: Path, expression: str, message: str) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "t.csv", "state", wide=expression)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(ch_1="x"), "column 'ch_1' must hold numbers, got 'x' in row 1"),
        (lambda f: f.assign(ch_99999999=1), "must be evenly spaced, got 5 between 1 and 99999999"),
        (lambda f: f.assign(state=None), "must have a row in which 'state' is not missing, got none"),
        (lambda f: f.drop(columns="state"), "must have the column 'state'"),
    ],
)
def test_wide_tables_that_cannot_be_read(tmp_path: Path, change, message: str) -> None:
    change(FRAME).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / "t.csv", "state", ["id"], wide=r"ch_(\d+)")


def test_wide_goes_with_tables_alone(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 3, 2)), y=np.zeros(4))
    with pytest.raises(InputError, match=r"must be long \(series and step\) or wide, got both"):
        read_dataset(tmp_path / "t.csv", "state", series="id", step="ch_1", wide="c(.)")
    with pytest.raises(InputError, match="must be a table where a column is a category"):
        read_dataset(tmp_path / "t.csv", "state", categories=["id"], wide="c(.)")
    for source in (tmp_path / "a.npz", "iris"):
        with pytest.raises(InputError, match="must be read without series, step, wide"):
            read_dataset(source, None, wide="c(.)")


def test_a_schema_names_a_column_for_every_channel() -> None:
    plain = {"steps": 2, "channels": [{"name": "a", "mean": 0, "std": 1}]}
    SeriesSchema.model_validate({**plain, "wide": [["a1"], [None]]})
    for wide in ([["a1", "b1"], ["a2", "b2"]], [["a1"], []], []):
        with pytest.raises(ValidationError, match="must name a column, or None, for each channel"):
            SeriesSchema.model_validate({**plain, "wide": wide})
