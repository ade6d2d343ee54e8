"""Text files as people have them: separators, encodings, compression, and files that are something else."""

import bz2
import gzip
import lzma
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from lphm.data.tables import read_table
from lphm.data.text_files import described
from lphm.errors import InputError

HEADER, ROWS = ["größe", "name", "y"], [[1.5, "a, b", 0], [2.5, "é; |", 1]]
COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


def read(path: Path, content: bytes | str) -> pd.DataFrame:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def text(separator: str) -> str:
    return pd.DataFrame(ROWS, columns=HEADER).to_csv(index=False, sep=separator)


def same(frame: pd.DataFrame) -> bool:
    return list(frame) == HEADER and frame.to_numpy().tolist() == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_and_encoding_are_found_whatever_the_file_is_called(
    tmp_path: Path, separator: str, name: str, encoding: str
) -> None:
    frame = read(tmp_path / name, text(separator).encode(encoding))
    assert same(frame)
    assert frame.attrs["separator"] == separator
    assert frame.attrs["encoding"] == encoding.removesuffix("-sig")


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed_files_are_read_and_a_lying_ending_is_an_error(tmp_path: Path, ending: str) -> None:
    compressed = COMPRESS[ending](text(";").encode("cp1252"))
    assert same(read(tmp_path / f"T.CSV{ending.upper()}", compressed))
    for name, content in (
        (f"t.csv{ending}", text(",").encode()),
        (f"t.csv{ending}", compressed[:-9]),
        ("t.csv", COMPRESS[ending](text(",").encode() * 50)),
    ):
        with pytest.raises(InputError, match=r"must be a readable table, got: |got bytes that are no text"):
            read(tmp_path / name, content)


def test_what_is_found_is_said_where_it_is_not_the_usual(tmp_path: Path) -> None:
    assert described(read(tmp_path / "t.csv", text(",")).attrs) == ""
    semicolons = read(tmp_path / "t.csv", "a;b\n1,5;ä\n2;b\n".encode("cp1252"))
    assert described(semicolons.attrs) == "separated by ';', decimal commas, encoding cp1252"
    assert described(read(tmp_path / "t.csv", "a\tb\n1.5\t2\n").attrs) == "separated by tabs"
    assert described({}) == ""  # of a Parquet file


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        ("1,5;x", ","),
        ("-1,2345;x", ","),
        ("1.5;x", "."),
        ("1,5;2.5", ","),
        ("1,234;x", "."),  # maybe thousands
        ("a, b;x", "."),
    ],
)
def test_a_hint_of_the_decimal_mark(tmp_path: Path, cells: str, decimal: str) -> None:
    assert read(tmp_path / "t.csv", f"a;b\n{cells}\n").attrs["decimal"] == decimal


@pytest.mark.parametrize(
    ("content", "columns", "last"),
    [
        ("a\n1\n2\n", ["a"], [2]),
        ("\n\na;b\n\n1;2\n\n", ["a", "b"], [1, 2]),
        ("a;b\n1;2;\n3;4;\n", ["a", "b"], [3, 4]),
        ("a,b,y\n1,2\n3,4,5\n", ["a", "b", "y"], [3, 4, 5]),
        ("p(a|b|c),y\n1,2,\n3,4,\n", ["p(a|b|c)", "y"], [3, 4]),
        ("id,tags;more,y\n1,a;b,0\n", ["id", "tags;more", "y"], [1, "a;b", 0]),
        ('"price, EUR";"area, m2";y\n1,5;2;a\n1,5;2,5;b\n', ["price, EUR", "area, m2", "y"], None),
        ("price,EUR;y\n1,5;2,5\n3,5;4,5\n", ["price,EUR", "y"], ["3,5", "4,5"]),
        ("date;price,EUR;y\n1;1,5;0\n2;2,5;1\n", ["date", "price,EUR", "y"], [2, "2,5", 1]),
        ('a\ty\n"p\n;q,1"\t1\n"x\n\n2"\t2\n', ["a", "y"], ["x\n\n2", 2]),
        ("a,y\n" + '"p\nq",1\n' * 99 + "u,1\n", ["a", "y"], ["u", 1]),
        ("a;b\n1;2\n" + "x" * 200_000 + ";3\n", ["a", "b"], ["x" * 200_000, 3]),
        ("a,b\r1,2\r", ["a", "b"], [1, 2]),
    ],
)
def test_odd_files_have_the_separator_that_fits_the_rows(
    tmp_path: Path, content: str, columns: list[str], last: list | None
) -> None:
    frame = read(tmp_path / "t.csv", content)
    assert list(frame) == columns
    assert last is None or frame.iloc[-1].tolist() == last


def test_a_letter_that_is_no_utf_8_after_many_rows(tmp_path: Path) -> None:
    frame = read(tmp_path / "t.csv", b"a,y\n" + b"u,1\n" * 300_000 + b"\xe9,2\n")
    assert frame.iloc[-1].tolist() == ["é", 2]
    assert frame.attrs["encoding"] == "cp1252"
    assert read(tmp_path / "t.csv", b"a,y\n\xe9\x81,2\n").attrs["encoding"] == "latin-1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,y\né,1\nü,2\nß,3\n".encode() + b"\xe9,2\n", "got: 'utf-8' codec can't decode byte 0xe9"),
        (b"a,y\n\xe9\x00,2\n", "must be a text file, got bytes that are no text; a compressed file must be"),
        (b"\xff\xfea", "got: 'utf-16-le' codec can't decode byte 0x61"),
        (b"", "must hold a header and rows, got an empty file"),
    ],
)
def test_damaged_text_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path / "t.csv", content)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("t.xlsx", "save the sheet as CSV in the spreadsheet program"),
        ("t.xls", "save the sheet as CSV in the spreadsheet program"),
        ("t.json", r"pandas.read_json\('t.json'\).to_csv\('t.csv', index=False\)"),
        ("t.feather", r"pandas.read_feather\('t.feather'\).to_parquet\('t.parquet'\)"),
        ("t.csv.zip", "unpack it"),
        ("t.dat", "to CSV"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(InputError, match=rf"must be a \.csv, .* got {name}; convert it first: {remedy}$"):
        read(tmp_path / name, b"PK")
