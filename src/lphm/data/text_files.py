"""Text files as people have them: compressed or not, in several encodings and with several separators."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import pyarrow as pa

from lphm.errors import InputError

#: What decompresses a file whose name ends so.
COMPRESSIONS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: pa.input_stream(str(path), compression="zstd"),
}
#: What stands between cells, and what it is called; where several fit equally well, the first of them.
SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
#: Digits that no program writes as a number. (Hours and months have two.)
CODE = re.compile(r"0\d\d+")
#: Lines from which the separator is found, and bytes from which UTF-16 is.
LINES, HEAD = 100, 4096
#: Bytes that text in a one-byte encoding does not have.
CONTROL = frozenset({*range(9), *range(14, 32)})
Content = TypeVar("Content")


class Layout(NamedTuple):
    """How a text file holds a table."""

    separator: str
    header: list[str]
    first: list[str]  # the cells of the first row
    codes: dict[str, str]  # columns of digits that begin with zeros in the first lines, and such a cell


def content_suffix(path: Path) -> str:
    """The suffix that says what a file holds, in lower case: ``.csv`` of ``a.csv.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSIONS else suffix


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """A text file, decompressed, with its line breaks as they are."""
    return io.TextIOWrapper(_open(path), encoding, newline="")


def _open(path: Path) -> IO[bytes]:
    decompress = COMPRESSIONS.get(path.suffix.lower())
    file: IO[bytes] = path.open("rb") if decompress is None else decompress(path)
    return file


def read_text(path: Path, read: Callable[[str], Content]) -> tuple[Content, str]:
    """What ``read`` makes of a file in its encoding, and the encoding: UTF-8, else UTF-16, cp1252 or latin-1.

    Raises:
        UnicodeDecodeError: it is damaged UTF-8 or UTF-16.
        InputError: it is no text.
    """
    with _open(path) as file:
        head = file.read(HEAD)
    zeros = [head[start::2].count(0) / (len(head) / 2 or 1) for start in (0, 1)]
    encoding: str | None
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif min(zeros) == 0 and max(zeros) > 0.75:  # without a mark, of letters with one byte that is zero
        encoding = "utf-16-be" if zeros[0] else "utf-16-le"
    else:
        try:
            return read("utf-8-sig"), "utf-8"
        except UnicodeDecodeError:
            encoding = _one_byte_encoding(path)
            if encoding is None:
                raise
    return read(encoding), encoding


def _one_byte_encoding(path: Path) -> str | None:
    """cp1252, or latin-1 where a byte has no meaning in it; None if most letters beyond ASCII are UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    present: set[int] = set()
    letters = broken = 0
    with _open(path) as file:
        while chunk := file.read(2**20):
            present |= set(chunk)
            beyond = re.findall("[^\x00-\x7f]", decoder.decode(chunk))
            letters, broken = letters + len(beyond), broken + beyond.count("\ufffd")
    if present & CONTROL:
        remedy = f"a compressed file must be named {', '.join(COMPRESSIONS)}"
        raise InputError(f"{path} must be a text file, got bytes that are no text; {remedy}")
    if letters > 2 * broken:
        return None
    try:
        bytes(present).decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def table_layout(path: Path, encoding: str) -> Layout:
    """How a text file holds a table, from its first lines.

    Of the separators that split the header, the one that splits the most rows in as many cells as the header,
    and of these the one with the most cells; the comma if none does. What is in quotes does not count.
    """
    with open_text(path, encoding) as file:
        lines = list(islice(file, LINES))
    found = {separator: list(_records(lines, separator)) for separator in SEPARATORS}

    def fit(separator: str) -> tuple[bool, float, int]:
        header, *rows = found[separator] or [[]]
        cells = len(header)
        right = sum(len(row) >= cells and not any(row[cells:]) for row in rows) / (len(rows) or 1)
        return cells > 1, right, cells

    separator = max(SEPARATORS, key=fit)
    records = (record for record in csv.reader(lines, delimiter=separator) if record)
    header, first = next(records, []), next(records, [])
    return Layout(separator, header, first, _codes(header, found[separator][1:]))


def _codes(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """The columns of numbers that no program writes as numbers, such as 01067, and a cell of each."""
    found = {}
    for name, *column in zip(
        header, *(row[: len(header)] for row in rows if len(row) >= len(header)), strict=True
    ):
        cells = [cell.strip() for cell in column if cell.strip()]
        code = next(filter(CODE.fullmatch, cells), None)
        if code is not None and all(map(str.isdecimal, cells)):
            found[name.strip()] = code
    return found


def _records(lines: Sequence[str], separator: str) -> Iterator[list[str]]:
    """The records of these lines that can be read, without blank ones."""
    with suppress(csv.Error):  # a cell is too long
        yield from filter(None, csv.reader(lines, delimiter=separator))


def described(layout: dict[Any, Any]) -> str:
    """What is not as in most files, in words, from the ``attrs`` of a table; empty if all is."""
    separator, encoding = layout.get("separator", ","), layout.get("encoding", "utf-8")
    parts = {
        f"separated by {SEPARATORS[separator]}": separator != ",",
        "decimal commas": layout.get("decimal") == ",",
        f"encoding {encoding}": encoding != "utf-8",
    }
    return ", ".join(part for part, said in parts.items() if said)
