"""Everything that is wrong with the columns of a table, in one message."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from lphm.data.columns import as_numbers_or_words, is_text, unusable_column
from lphm.errors import Fix, InputError

#: Blanks in a cell, on average, from which on words are sentences.
FEWEST_BLANKS = 5


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
        fixes = [Fix(name, "drop") for name in problems]
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
    if is_category:
        if distinct > max(2, present - 1):
            return unusable_column(name, "categories that occur in several rows", got)
    elif distinct > max(2, present / 2):
        remedy = "say that it holds categories, or leave it out"
        return unusable_column(name, "numbers or categories", f"text: {got}", remedy)
    return None


def is_one_each(column: pd.Series) -> bool:
    """Whether there is another word in every row, and no sentences."""
    if not is_text(column) or column.isna().any() or column.duplicated().any():
        return False
    return float(np.mean([str(cell).count(" ") for cell in column])) < FEWEST_BLANKS
