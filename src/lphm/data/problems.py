"""Everything that is wrong with the columns of a table, in one message."""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lphm.data.columns import as_numbers_or_words, holds_numbers, is_text, row_number, unusable_column
from lphm.data.conversions import MOST_WORDS, find_conversion
from lphm.errors import InputError

#: Blanks in a cell, on average, from which on words are sentences.
FEWEST_BLANKS = 5
#: Cells of one form are read if the first few are; the most forms of a column that are compared.
CELLS_OF_A_FORM, MOST_FORMS = 3, 50
#: The least share of cells that are numbers in one way, and the largest of cells that are no numbers at all,
#: where a column was meant to hold numbers.
FEWEST_READ, MOST_UNREAD = 0.5, 0.1
DIGITS = re.compile(r"\d+")


def readable(features: pd.DataFrame, categories: Collection[str] = ()) -> pd.DataFrame:
    """The table as ``as_numbers_or_words`` gives it, with ``categories`` as words.

    Raises:
        InputError: columns hold neither numbers nor categories; the message names all of them.
    """
    columns, problems = {}, {}
    for label in features:
        name = str(label)
        try:
            read = as_numbers_or_words(features[[label]], dict.fromkeys(categories, False))[label]
        except InputError as error:
            problems[name] = error
            continue
        columns[label] = read
        problem = text_problem(read, name, name in categories)
        if problem is not None and (name in categories or not is_one_each(read)):
            problems[name] = problem
    if len(problems) == 1:
        raise next(iter(problems.values()))
    if problems:
        holds = "; ".join(str(error).split("; ")[0] for error in problems.values())
        fixes = [fix for error in problems.values() for fix in error.fixes]
        raise InputError(f"{len(problems)} columns cannot be used: {holds}; leave them out", fixes=fixes)
    return pd.DataFrame(columns, index=features.index)


def text_problem(column: pd.Series, name: str, is_category: bool) -> InputError | None:
    """The error for words of which too many are distinct; None for others and for numbers.

    In a category one word must occur twice, in another column half of the words.
    """
    if not is_text(column):
        return None
    distinct, present = column.nunique(), int(column.notna().sum())
    got = f"{distinct} distinct values in {len(column)} rows"
    if not is_category and distinct > max(2, present / 2) and (mixed := mixture(column)):
        return unusable_column(name, "numbers or categories", str(mixed), "mend these cells, or leave it out")
    if is_category:
        if distinct > max(2, present - 1):
            return unusable_column(name, "categories that occur in several rows", got)
    elif distinct > max(2, present / 2):
        remedy = "say that it holds categories, or leave it out"
        return unusable_column(name, "numbers or categories", f"text: {got}", remedy)
    return None


def is_one_each(column: pd.Series) -> bool:
    """Whether there is another word in every row, and no sentences."""
    if not is_text(column) or column.isna().any() or column.duplicated().any() or mixture(column):
        return False
    return float(np.mean([str(cell).count(" ") for cell in column])) < FEWEST_BLANKS


def require_one_form(target: pd.Series) -> None:
    """Raise ``InputError`` if a target of many distinct words was meant to hold numbers."""
    if is_text(target) and target.nunique() > MOST_WORDS and (mixed := mixture(target)):
        wanted = f"target {target.name!r} must hold numbers or classes"
        raise InputError(f"{wanted}, got {mixed}; mend these cells, or leave them empty")


class Mixture(NamedTuple):
    """Words that were meant to be numbers, dates or durations, of which some are not."""

    example: str
    read: int  # how many cells are like the example
    cells: int
    other: str  # the first word that differs
    others: int  # how many cells hold this word
    row: int  # the number of its row

    def __str__(self) -> str:
        of_all = f"in {self.read} of {self.cells} rows"
        return f"cells such as {self.example!r:.60} {of_all}, and {self.other!r:.60} in row {self.row}"


def mixture(column: pd.Series) -> Mixture | None:
    """What words are that were meant to be numbers, dates or durations, and one that differs.

    None if most words are something else, or all are read. Cells have one form if they differ in digits only.
    """
    words = column.dropna().astype(object).map(str)  # categories may be numbers
    forms = words.map(lambda cell: DIGITS.sub("0", cell))
    read: list[str] = []
    unread: dict[str, bool] = {}  # forms, and whether each is read by itself
    for form in forms.value_counts().index[:MOST_FORMS]:
        cells = words[forms == form].unique()[:CELLS_OF_A_FORM].tolist()
        if _are_read([*read, *cells]):
            read += cells
        else:
            unread[form] = _are_read(cells)
    others = forms.isin(unread) if unread else _unread(words, read)
    no_numbers = forms.isin([form for form, is_read in unread.items() if not is_read])
    if not read or not others.any() or others.mean() > FEWEST_READ or no_numbers.mean() > MOST_UNREAD:
        return None
    first = int(others.to_numpy().argmax())
    other, good = words.iloc[first], words[~others].iloc[0]
    row = row_number(words.index, first)
    return Mixture(good, int((~others).sum()), len(words), other, int((words == other).sum()), row)


def _unread(words: pd.Series, read: Sequence[str]) -> pd.Series:
    """The words of the forms of ``read`` that are no numbers, dates or durations, such as 31.02.2024."""
    found = find_conversion(pd.Series(read, dtype=object))
    return pd.Series(False, words.index) if found is None else ~found.readable(words)


def _are_read(cells: Sequence[str]) -> bool:
    """Whether these words are numbers, dates or durations, all written in one way."""
    column = pd.Series(cells, dtype=object)
    return bool(holds_numbers(column, "")) or find_conversion(column) is not None
