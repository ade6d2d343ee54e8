"""``.ts`` files of the time-series archives: how they are read, and the errors for those that cannot be."""

from pathlib import Path

import numpy as np
import pytest

from lphm.data.dataset import fit_inputs, infer_task
from lphm.data.inputs import read_inputs
from lphm.data.readers import read_dataset, read_test
from lphm.data.row_options import RowOptions
from lphm.data.targets import fit_target
from lphm.data.ts_files import read_ts
from lphm.errors import InputError

nan = np.nan
HEADER = """# words of the authors
%more words

@problemName Some Thing
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true Up down
@data
"""
DATA = "1,?,3:4,5,6:Up\n\n1.5e0, 2 :-1,nan:down\n# a comment\n7:8,9:?\n"


def read(path: Path, content: str) -> tuple:
    path.write_text(content)
    return read_ts(path)


def test_channels_lengths_missing_values_and_classes(tmp_path: Path) -> None:
    array, labels = read(tmp_path / "a.ts", HEADER + DATA)
    expected = [
        [[1, 4], [nan, 5], [3, 6]],
        [[1.5, -1], [2, nan], [nan, nan]],
        [[7, 8], [nan, 9], [nan, nan]],
    ]
    np.testing.assert_array_equal(array, expected)
    assert labels.name == "class"
    assert labels.tolist() == ["Up", "down", nan]
    data = read_dataset(tmp_path / "a.ts", None)
    assert list(data.target) == ["Up", "down"]
    assert data.inputs.shape == (2, 3, 2)
    schema, target = fit_inputs(data), fit_target(data.target, "classification")
    assert read_inputs(tmp_path / "a.ts", schema).samples.shape == (3, 3, 2)
    np.testing.assert_array_equal(read_test(tmp_path / "a.ts", schema, target).inputs, data.inputs)


def test_few_series_of_numbered_classes_are_classes_and_numbers_are_numbers(tmp_path: Path) -> None:
    head = "@PROBLEMNAME x\n@timestamps False\n@classlabel TRUE 1 2 3\n@Data\n"
    (tmp_path / "a.ts").write_text(head + "1,2:3\n2,3:1\n4,5:2\n")
    data = read_dataset(tmp_path / "a.ts", "kind")
    assert infer_task(data.target) == "classification"
    assert (data.target.name, list(data.target)) == ("kind", ["3", "1", "2"])
    (tmp_path / "a.ts").write_text("@targetLabel true\n@data\n1,2:3.5\n2,3:?\n4,5:2\n")
    data = read_dataset(tmp_path / "a.ts", None)
    assert infer_task(data.target) == "regression"
    assert (data.target.name, list(data.target)) == ("target", [3.5, 2])


def test_a_file_without_labels_can_be_predicted_but_not_trained_on(tmp_path: Path) -> None:
    for head in ("", "@classLabel false\n", "@classLabel\n@targetLabel false\n"):
        array, labels = read(tmp_path / "a.ts", f"{head}@data\n1,2:3,4\n")
        assert array.tolist() == [[[1, 3], [2, 4]]]
        assert labels is None
        with pytest.raises(InputError, match=r"must have labels .* got none"):
            read_dataset(tmp_path / "a.ts", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER.replace("@timeStamps false", "@timeStamps True") + DATA, "must be without time stamps"),
        (HEADER + DATA.replace("1.5e0", "one"), "got could not convert string to float: 'one' in line 14"),
        (
            HEADER + "(2007-01-01 00:00:00,241.97):Up",
            r"got could not convert string to float: '\(2007-01-01 00'",
        ),
        (HEADER + "1,2:3,4:up", "got the class 'up', which the header does not name in line 12"),
        (HEADER + "1,2,3", "got the class '1,2,3', which"),
        (HEADER + "1:2:Up\n1:Up", "the same channels in every series, got 2 and, in line 13, 1"),
        (HEADER + "Up", "got no values in line 12"),
        (HEADER + "x" * 9999 + ":Up", "'xxxxx[^']*$"),
        (HEADER, "must hold series below @data, got none"),
        (HEADER.replace("@data", "") + DATA, r"must begin with lines .* got '1,\?,3:4,5,6:Up' in line 12"),
        ("", "must have a line '@data', got none"),
        ("@targetLabel true\n@data\n1,2:x\n", "got could not convert string to float: 'x' in line 3"),
        ("@targetLabel true\n@data\n1,2:?\n", "must have a series with a label, got none"),
        ("@data\n\x00\x01\n", "could not convert"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.ts").write_text(content)
    with pytest.raises(InputError, match=message):
        fit_inputs(read_dataset(tmp_path / "a.ts", None))


def test_columns_belong_to_tables(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text(HEADER + DATA)
    with pytest.raises(InputError, match="must be read without group, time and weight"):
        read_dataset(tmp_path / "a.ts", None, options=RowOptions(group="a"))
    with pytest.raises(InputError, match="must be read without series, step, wide and drop"):
        read_dataset(tmp_path / "a.ts", None, ["a"])
    with pytest.raises(InputError, match="must be a table where a column is a category"):
        read_dataset(tmp_path / "a.ts", None, categories=["a"])
