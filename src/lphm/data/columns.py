"""The cells of a column as numbers or as words, whatever type the column has.

Every column holds one or the other, which is decided before training from all of its rows, by one rule for
files, directories and data frames (``holds_numbers``). From then on its cells are read as what the column
holds, and what a cell means does not depend on the cells beside it.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lphm.data.lacking import MOST_NAMED, lacking
from lphm.data.number_formats import other_decimal
from lphm.data.words import TRUTH, category_words, is_category, text, word
from lphm.errors import Fix, InputError, did_you_mean

#: Words that stand for a missing value in a column whose other values are numbers. In a column of words they
#: are words like others.
MISSING_WORDS = frozenset({"na", "n/a", "nan", "null", "none", "?", "-", ""})
#: Squares of larger numbers, and sums of these, may not be finite.
LARGEST = 1e150
#: The most standard deviations from the mean of training: squares of more may not be finite in float32.
FARTHEST = 1e15
#: What pandas calls columns of Python objects that are all numbers.
NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "decimal", "boolean"})
#: And those whose objects are read as words.
WORDS = frozenset({"string", "bytes", "mixed", "mixed-integer"})
CONTAINERS = (list, tuple, dict, set, frozenset, np.ndarray)
CONVERT = "convert it or leave it out"


def unusable_column(name: str, wanted: str, got: str, remedy: str = "leave it out") -> InputError:
    """The error for a column that does not hold what is wanted, and that can be dropped."""
    message = f"column {name!r} must hold {wanted}, got {got}; {remedy}"
    return InputError(message, option="drop", value=name, fixes=[Fix(name, "drop")])


def is_text(column: pd.Series) -> bool:
    """Whether the column holds text or categories by its type."""
    return isinstance(column.dtype, pd.CategoricalDtype) or bool(pd.api.types.is_string_dtype(column.dtype))


def _is_numeric(column: pd.Series) -> bool:
    types = pd.api.types
    return types.is_bool_dtype(column.dtype) or (
        types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype)
    )


def holds_numbers(column: pd.Series, name: str, is_target: bool = False) -> bool | None:
    """Whether a column holds numbers; if not, it holds words. None if every cell is missing.

    It holds numbers if it has a type of numbers or truth values, or if every cell is such a value, the text
    of a number, 'true' or 'false', or a word for a missing value such as 'NA'. A column of the type for
    categories holds words, whatever they look like.

    Raises:
        InputError: the cells are dates, lists or anything else that is neither.
    """
    if is_category(column):
        return False if column.notna().any() else None
    if _is_numeric(column):
        return True
    content = pd.api.types.infer_dtype(column.astype(object), skipna=True)
    if content == "empty":
        return None
    if content in NUMBERS:
        return True
    got = _containers(column)
    if content not in WORDS or got is not None:
        got = got or (content if column.dtype == object else str(column.dtype))
        if is_target:
            raise InputError(f"target {name!r} must hold numbers or classes, got {got}; convert it")
        raise unusable_column(name, "numbers or categories", got, CONVERT)
    numbers, unread = _read_numbers(column)
    return not unread.any() and bool(np.isfinite(numbers).any())


def _containers(column: pd.Series) -> str | None:
    """A description of the first cell that is a list or the like; None if no cell is."""
    arrow = column.dtype.pyarrow_dtype if isinstance(column.dtype, pd.ArrowDtype) else None
    if column.dtype != object and not (arrow and pa.types.is_nested(arrow)):
        return None
    first = next((cell for cell in column if isinstance(cell, CONTAINERS)), None)
    return None if first is None else f"values such as {first!r:.60}"


def column_numbers(column: pd.Series, name: str) -> np.ndarray:
    """A column as float64, ``nan`` where missing, also where a word says so; 'true' is 1 and 'false' 0.

    Raises:
        InputError: a cell is no number, or is so large that its square is not finite.
    """
    if _is_numeric(column):
        values: np.ndarray = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values, unread = _read_numbers(column)
        if unread.any():
            value, row = _first(column, unread)
            got = f"got {value!r:.80} in row {row}"
            raise InputError(f"column {name!r} must hold numbers, {got}{other_decimal(value, '.')}")
    _check_size(values, name, column)
    return values


def _check_size(values: np.ndarray, name: str, column: pd.Series) -> None:
    """Raise ``InputError`` if a number is infinite or too large."""
    large = np.abs(values) > LARGEST
    if large.any():
        value, row = _first(column, large)
        if np.isinf(values[large][0]):
            raise InputError(f"column {name!r} must hold finite numbers, got {value!s:.40} in row {row}")
        raise InputError(
            f"column {name!r} must hold numbers of at most {LARGEST:g}, got {value!s:.40} in row {row}; if "
            "it stands for a missing value, leave the cell empty"
        )


def check_distance(
    name: str, values: np.ndarray, mean: float, std: float, index: pd.Index | None = None
) -> None:
    """Raise ``InputError`` if a number is too far from those of training for a network to compute with."""
    far = np.abs(values - mean) > FARTHEST * std
    if far.any():
        place = int(far.argmax())
        row = "" if index is None else f" in row {row_number(index, place)}"
        raise InputError(
            f"column {name!r} must hold numbers near those of training, got {values[place]}{row}; if it "
            "stands for a missing value, leave the cell empty"
        )


def _read_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Cells as numbers, and which of them are neither a number nor a word for a missing value."""
    cells = column if pd.api.types.is_string_dtype(column.dtype) else column.astype(object)
    if cells.dtype == object:
        cells = cells.map(_number_or_text, na_action="ignore")
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    unread = np.isnan(numbers) & cells.notna().to_numpy(dtype=bool)
    if unread.any():
        words = cells[unread].astype(str).str.strip().str.lower()
        truth = words.map(TRUTH).to_numpy(dtype=np.float64)
        numbers = numbers.copy()
        numbers[unread] = truth
        unread[unread] = np.isnan(truth) & ~words.isin(MISSING_WORDS).to_numpy(dtype=bool)
    return numbers, unread


def _number_or_text(cell: Any) -> float | str:
    try:
        return text(cell) if isinstance(cell, str | bytes) else float(cell)
    except OverflowError:
        return float("inf")
    except (TypeError, ValueError):
        return repr(cell)


def table_numbers(frame: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Columns of a table as float64, ``(N, columns)``; otherwise as ``column_numbers``."""
    # Choosing columns takes as long as a small network does with a row.
    chosen = frame if frame.columns.tolist() == list(names) else frame[list(names)]
    if all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in chosen.dtypes):
        values: np.ndarray = chosen.to_numpy(dtype=np.float64)
        if not (np.abs(values) > LARGEST).any():
            return values
    columns = [column_numbers(frame[name], name) for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))


def row_number(index: pd.Index, position: int) -> int:
    """The number of a row, counted from 1, in the table that the rows were taken from."""
    label = index[position]
    return (int(label) if isinstance(label, int | np.integer) else position) + 1


def _first(column: pd.Series, chosen: np.ndarray) -> tuple[Any, int]:
    """The first chosen value and the number of its row."""
    position = int(chosen.argmax())
    return column.iloc[position], row_number(column.index, position)


def as_numbers_or_words(frame: pd.DataFrame, numbers: dict[str, bool] | None = None) -> pd.DataFrame:
    """The same table with columns of numbers, and categories that are words.

    ``numbers`` says of columns whether they hold numbers; the others are decided by ``holds_numbers``.

    Raises:
        InputError: the cells are neither, or are no numbers in a column that is to hold them.
    """
    columns: dict[Any, Any] = {}
    for label in frame:
        column, name = frame[label], str(label)
        plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub"
        if numbers[name] if numbers and name in numbers else holds_numbers(column, name):
            columns[label] = column if plain else column_numbers(column, name)
        elif (got := _containers(column)) is not None:
            raise unusable_column(name, "numbers or categories", got, CONVERT)
        else:
            columns[label] = category_words(column)
    return pd.DataFrame(columns, index=frame.index)


def as_target(column: pd.Series, name: str, numbers: bool | None = None) -> pd.Series:
    """A target as numbers, truth values or words; missing where a cell or, among numbers, a word says so.

    ``numbers`` says whether it holds numbers; decided by ``holds_numbers`` if not given. One of the type for
    categories keeps it.
    """
    numbers = holds_numbers(column, name, is_target=True) if numbers is None else numbers
    if not numbers:
        return column if is_category(column) else column.astype(object)
    if _is_numeric(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return column
    words = column.astype(object).map(lambda cell: word(cell).strip().lower(), na_action="ignore")
    known = ~(words.isna() | words.isin(MISSING_WORDS))
    if words[known].isin(TRUTH).all():
        values = np.where(known, words == "true", np.array(None))
        return pd.Series(values, column.index, dtype=object, name=column.name)
    return pd.Series(column_numbers(column, name), column.index, name=column.name)


def plain_values(column: pd.Series) -> list[Any]:
    """Python values: bool, int, float or text. A whole float becomes an int."""
    return [plain_value(cell) for cell in column]


def plain_value(cell: Any) -> bool | int | float | str:
    """The same of one cell."""
    value = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float) else word(value)


def table_with(
    inputs: pd.DataFrame | np.ndarray, names: Sequence[str], source: str = "the table"
) -> pd.DataFrame:
    """The inputs, if they are a table, from ``source``, with all columns that a run was trained on."""
    if not isinstance(inputs, pd.DataFrame):
        got = f"{type(inputs).__name__} of {np.shape(inputs)}"
        raise InputError(f"samples must be rows of a table, got {got}")
    absent = [name for name in names if name not in inputs.columns]
    if absent:
        raise InputError(lacking(source, absent, inputs.columns.difference(names, sort=False)))
    return inputs


def require_named(source: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise ``InputError`` unless every name that a user gave is one of the columns of ``source``."""
    absent = list(dict.fromkeys(name for name in names if name not in columns))
    if not absent:
        return
    known = [str(column) for column in columns]
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    wanted = f"the column{'s'[: len(absent) - 1]} {', '.join(map(repr, absent))}"
    message = f"{source} must have {wanted}, got {', '.join(known[:MOST_NAMED])}{more}"
    several = next((name for name in absent if set(name.split(",")) <= set(known)), None)
    if several is not None:
        each = " and once for ".join(map(repr, several.split(",")))
        raise InputError(f"{message}; repeat the option, once for {each}")
    close = {name: did_you_mean(name, known) for name in absent}
    fixes = [Fix(right, instead_of=name) for name, right in close.items() if right is not None]
    if fixes:
        message += f"; did you mean {', '.join(repr(fix.value) for fix in fixes)}?"
    would_run = len(fixes) == len(absent)
    raise InputError(message, fixes=fixes if would_run else [])


def require_categories(
    source: str, categories: Collection[str], columns: Sequence[str], target: str, drop: Collection[str]
) -> None:
    """Raise ``InputError`` unless the columns that a user calls categories are features of ``source``."""
    require_named(source, list(categories), columns)
    for name in categories:
        if name == target:
            message = f"a category must be a feature, got the target {name!r}; for classes, choose the task"
            raise InputError(message, option="task", value="classification")
        if name in drop:
            raise InputError(f"column {name!r} must be a category or be left out, got both; choose one")


def require_distinct(source: str, columns: Sequence[str]) -> None:
    """Raise ``InputError`` if two columns of ``source`` have one name."""
    twice = pd.Index(columns).duplicated()
    if twice.any():
        name = columns[int(twice.argmax())]
        raise InputError(f"{source} must give every column a name of its own, got {name!r} twice; rename one")
