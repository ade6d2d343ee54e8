"""A table from a text or Parquet file: every column by its name, with the types that the file gives."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lphm.data.columns import is_text, require_distinct
from lphm.data.decimal_marks import settle_decimals
from lphm.data.text_files import COMPRESSIONS, SEPARATORS, content_suffix, open_text, read_text, table_layout
from lphm.errors import EDITED, InputError

#: Why a column is left out, that cannot stay.
UNNAMED, CONSTANT = "an index without a name", "one value in every row"
#: What may stand between the names of several columns.
BETWEEN = re.compile(r"[^\w.()\[\]/%-]")
TEXT = (".csv", ".tsv", ".txt")
#: How other files become tables that can be read.
SHEET = "save the sheet as CSV in the spreadsheet program"
CONVERSIONS = {
    **dict.fromkeys((".xls", ".xlsx", ".xlsm", ".xlsb", ".ods"), SHEET),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z"), "unpack it"),
    ".json": "pandas.read_json({0!r}).to_csv({1!r}, index=False)",
    ".jsonl": "pandas.read_json({0!r}, lines=True).to_csv({1!r}, index=False)",
    ".feather": "pandas.read_feather({0!r}).to_parquet({2!r})",
    ".orc": "pandas.read_orc({0!r}).to_parquet({2!r})",
    ".dta": "pandas.read_stata({0!r}).to_parquet({2!r})",
}


def read_table(path: Path, words: Collection[str] = ()) -> pd.DataFrame:
    """A text or Parquet file as a data frame, with rows numbered from 0.

    In text, cells of the columns ``words`` are text whatever they look like, text has no space around it, and
    only an empty cell is missing, not ``NA``; ``attrs`` has what was found: ``separator``, ``encoding`` and
    the decimal mark (``settle_decimals``). In Parquet, columns of the type for categories have it in the data
    frame, an index with a name is a column, and one without is left out, and named in ``attrs["left_out"]``.
    """
    with reading(path, "table"):
        if content_suffix(path) in TEXT:
            frame, encoding = read_text(path, lambda encoding: _read_rows(path, words, encoding))
            frame.attrs["encoding"] = encoding
        elif path.suffix.lower() == ".parquet":
            names = pq.read_schema(path).names
            require_distinct(path.name, names)
            unnamed = unnamed_index(names)
            named = [name for name in names if name not in unnamed]
            frame = data_frame(pq.read_table(path, columns=named), words)
            frame.attrs["left_out"] = unnamed
        else:
            kinds = f"a {', '.join(TEXT)} (or these with {', '.join(COMPRESSIONS)}) or .parquet file"
            raise InputError(
                f"the table must be {kinds}, got {path.name}; convert it first: {_conversion(path)}"
            )
    if frame.empty:
        raise InputError(f"{path} must hold rows, got {len(frame)} rows of {frame.shape[1]} columns")
    return frame


def require_separated(path: Path, frame: pd.DataFrame, wanted: Sequence[str]) -> None:
    """Raise ``InputError`` if a text file lacks columns because its separator is not known."""
    if frame.shape[1] > 1 or "separator" not in frame.attrs or set(wanted) <= set(frame.columns):
        return
    if not BETWEEN.search(frame.columns[0]):
        return
    missing = next(name for name in wanted if name not in frame.columns)
    *some, last = SEPARATORS.values()
    raise InputError(
        f"{path} must have the column {missing!r}, but was read as one column, {frame.columns[0][:60]!r}; "
        f"cells must be separated by {', '.join(some)} or {last}"
    )


def category_columns(schema: pa.Schema) -> set[str]:
    """The columns of the type for categories: Arrow's ``dictionary``, or written by pandas as ``category``.

    Of categories that are no text, Parquet keeps the values alone, and the pandas metadata their type. How a
    file encodes its pages does not count.
    """
    named = {field.name for field in schema if pa.types.is_dictionary(field.type)}
    with suppress(*EDITED, RecursionError):  # there is no such metadata, or it is damaged
        described = schema.pandas_metadata["columns"]
        named |= {each["field_name"] for each in described if each["pandas_type"] == "categorical"}
    return named


def data_frame(table: pa.Table, words: Collection[str] = ()) -> pd.DataFrame:
    """A data frame, in which columns of the type for categories have it, and the whole numbers of ``words``.

    As categories, these are exact also where one is missing.
    """
    categories = category_columns(table.schema)
    categories |= {f.name for f in table.schema if f.name in words and pa.types.is_integer(f.type)}
    for place, field in enumerate(table.schema):
        if field.name in categories and not pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).dictionary_encode())
    # Without the metadata, which would be parsed even where they are to be ignored.
    frame: pd.DataFrame = table.replace_schema_metadata().to_pandas()
    return frame


def _conversion(path: Path) -> str:
    how = CONVERSIONS.get(path.suffix.lower(), "to CSV")
    return how.format(path.name, path.with_suffix(".csv").name, path.with_suffix(".parquet").name)


def _read_rows(path: Path, words: Collection[str], encoding: str) -> pd.DataFrame:
    separator, header, first, codes = table_layout(path, encoding)
    if not header:
        raise InputError(f"{path} must hold a header and rows, got an empty file")
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]
    require_distinct(path.name, names)
    # Cells beyond the header are none where every row ends in a comma.
    more = [f"cell {place}" for place in range(len(header) + 1, len(first) + 1)]

    def read(types: Mapping[str, type], only: Sequence[str] | None = None) -> pd.DataFrame:
        with open_text(path, encoding) as file:
            return pd.read_csv(
                file,
                sep=separator,
                header=0,
                names=[*names, *more],
                usecols=only,
                index_col=False,
                dtype=types,
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
            )

    frame = read(dict.fromkeys(words, str))
    for name in more:
        if frame[name].notna().any():
            row = int(frame[name].notna().argmax()) + 1
            cells = f"{len(header)} cells in every row, as many as the header"
            raise InputError(f"{path} must have {cells}, got {name} in row {row}")
    for name in names:
        if is_text(frame[name]):
            frame[name] = frame[name].map(_stripped, na_action="ignore")
    frame = frame[names]
    frame.attrs |= {"separator": separator, "codes": codes}
    return settle_decimals(frame, separator, lambda only: read(dict.fromkeys(only, str), only))


def _stripped(cell: str | bool) -> str | bool | None:
    return cell if isinstance(cell, bool) else cell.strip() or None


def unnamed_index(names: Sequence[str]) -> list[str]:
    """The columns that pandas writes to Parquet for an index without a name: numbers of rows, as a rule."""
    return [name for name in names if re.fullmatch(r"__index_level_\d+__", name)]


@contextmanager
def reading(path: Path, content: str) -> Iterator[None]:
    """Everything that goes wrong when ``path`` is read is an ``InputError``."""
    if not path.is_file():
        state = "is a directory" if path.is_dir() else "does not exist"
        raise InputError(f"the data must be a file, got {path}, which {state}; check the path")
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every reader has exception types of its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path} must be a readable {content}, got: {reason}; check the file") from error
