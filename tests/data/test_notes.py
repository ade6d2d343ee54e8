"""What is said of cells that were read, though not as their writer may have meant them."""

from pathlib import Path

import pandas as pd
import pytest

from lphm.data.dataset import fit_inputs
from lphm.data.inputs import read_inputs
from lphm.data.readers import read_dataset, read_test
from lphm.data.targets import fit_target
from lphm.errors import InputError


def write(path: Path, separator: str = ";", rows: int = 60, **cells: list[str]) -> Path:
    """A text file of these cells, again and again; ``y`` is a class."""
    repeated = {name: [each[i % len(each)] for i in range(rows)] for name, each in cells.items()}
    pd.DataFrame(repeated).assign(y=["yes", "no"] * (rows // 2)).to_csv(path, sep=separator, index=False)
    return path


@pytest.mark.parametrize("missing", [[], ["", "n/a"]])
def test_words_among_numbers_make_categories_and_that_is_said(tmp_path: Path, missing: list[str]) -> None:
    ages = [str(20 + i % 10) for i in range(60)]
    ages[3] = ages[40] = "unbekannt"
    ages[10 : 10 + len(missing)] = missing
    data = read_dataset(write(tmp_path / "t.csv", age=ages, x=["1", "2", "4"]), "y")
    assert data.notes == {
        "age": f"age: {58 - len(missing)} of {60 - len(missing)} cells are such as '20', but not 'unbekannt' "
        "(2 rows): used as categories; leave such cells empty to use numbers or dates"
    }
    ages[20:26] = ["unknown"] * 6  # less than nine tenths are numbers
    assert read_dataset(write(tmp_path / "t.csv", age=ages, x=["1", "2"]), "y").notes == {}
    data = read_dataset(write(tmp_path / "t.csv", age=[*ages[:10]], x=["1", "2"]), "y", categories=["age"])
    assert data.notes == {}


def test_zip_codes_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", plz=["20095", "01067", "", "80331"], hour=["05", "12"], k=["x007", "y"])
    data = read_dataset(path, "y")
    assert data.notes == {"plz": "plz looks like a code (01067): --category plz"}
    assert read_dataset(path, "y", categories=["plz"]).notes == {}


@pytest.mark.parametrize(
    ("cells", "rate", "month", "note"),
    [
        (
            ["01/02/2023", "03/03/2023"],
            "0.5",
            1,
            "d: month first, though no cell shows it: 01/02/2023 is read as 2023-01-02; write dates as "
            "2024-12-31 if that is wrong",
        ),
        (
            ["01/02/2023", "03/03/2023"],
            "0,5",
            2,
            "d: day first, though no cell shows it: 01/02/2023 is read as 2023-02-01; write dates as "
            "2024-12-31 if that is wrong",
        ),
        (["01/02/2023", "13/03/2023"], "0.5", 2, None),
        (["01/02/2023", "03/13/2023"], "0,5", 1, None),
        (["01.02.2023", "03.03.2023"], "0,5", 2, None),
        (["2023-02-01", "2023-03-03"], "0,5", 2, None),
    ],
)
def test_the_order_of_dates_that_no_cell_shows(
    tmp_path: Path, cells: list[str], rate: str, month: int, note: str | None
) -> None:
    data = read_dataset(write(tmp_path / "t.csv", d=cells, rate=[rate, "2", "3"]), "y")
    assert data.inputs["d: month"].iloc[0] == month
    assert data.notes == ({} if note is None else {"d": note})


def test_a_file_that_is_one_column_says_which_separators_there_are(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path / "t.csv", a=["1", "2", "4"], b=["5", "2"]), "y")
    path = write(tmp_path / "hash.csv", "#", a=["1", "2"], b=["5", "2"])
    schema, target = fit_inputs(data), fit_target(data.target, "classification")
    for missing, read in (
        ("y", lambda: read_dataset(path, "y")),
        ("y", lambda: read_test(path, schema, target)),
        ("a", lambda: read_inputs(path, schema)),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value) == (
            f"{path} must have the column {missing!r}, but was read as one column, 'a#b#y'; cells must be "
            "separated by ',', ';', tabs or '|'"
        )
