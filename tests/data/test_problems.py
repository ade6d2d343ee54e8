"""Words that were meant to be numbers: what is said of them, and which words are something else."""

import pandas as pd
import pytest

from lphm.data.problems import is_one_each, mixture, readable, require_one_form
from lphm.errors import InputError

TENS = range(10, 50)
MIXED = {
    "one word": [*map(str, TENS), "free"],
    "plain numbers and one with a sign that comes twice": [*(f"{i} €" for i in TENS), "$ 5"],
    "half with one sign": [f"{i} kg" if i % 2 else f"{i}00 g" for i in TENS],
    "dates and words": [*(f"{i - 9}.5.2024" for i in range(10, 41)), "soon", "later"],
    "durations": [*(f"{i}:30" for i in TENS), "noon"],
}
SOMETHING_ELSE = {
    "all are read": [f"€ {i}" for i in TENS],
    "words": [f"red {i}" for i in TENS],
    "codes, of which some look like numbers": [*map(str, TENS), *(f"A-{i}" for i in range(8))],
    "three signs": [f"{i} {('kg', 'g', 't')[i % 3]}" for i in TENS],
    "no cell": [None, None],
}


@pytest.mark.parametrize("kind", MIXED)
def test_what_was_meant_to_be_numbers_is_neither_read_nor_an_identifier(kind: str) -> None:
    column = pd.Series(MIXED[kind], name="c")
    assert mixture(column) is not None
    assert not is_one_each(column)
    wanted = "column 'c' must hold numbers or categories, got cells such as"
    with pytest.raises(InputError, match=wanted) as caught:
        readable(column.to_frame())
    assert [(fix.option, fix.value) for fix in caught.value.fixes] == [("drop", "c")]
    with pytest.raises(InputError, match="target 'c' must hold numbers or classes, got cells such as"):
        require_one_form(column)
    again = column.iloc[[-2, -1] * 5]  # categories
    assert list(readable(again.to_frame())) == ["c"]
    require_one_form(column[:20])  # so few words are classes


def test_the_message_counts_the_cells_and_names_the_first_that_differs() -> None:
    column = pd.Series([None, "€ 1", "$ 2", "€ 3", "€ 4", "$ 5", "€ 6"], index=range(3, 10))
    assert str(mixture(column)) == "cells such as '€ 1' in 4 of 6 rows, and '$ 2' in row 6"


def test_a_date_that_there_is_not_is_named_with_its_row() -> None:
    days = [f"{1 + i % 28:02}.{1 + i % 12:02}.{2020 + i % 5}" for i in range(60)]
    column = pd.Series([*days[:3], "31.02.2023", *days[3:]], name="sold")
    wanted = (
        "column 'sold' must hold numbers or categories, got cells such as '01.01.2020' in 60 of 61 rows, and "
        "'31.02.2023' in row 4; mend these cells, or leave it out"
    )
    with pytest.raises(InputError) as caught:
        readable(column.to_frame())
    assert str(caught.value) == wanted


@pytest.mark.parametrize("kind", SOMETHING_ELSE)
def test_words_that_are_something_else(kind: str) -> None:
    column = pd.Series(SOMETHING_ELSE[kind], name="c", dtype=object)
    assert mixture(column) is None
    require_one_form(column)


def test_a_tenth_of_the_cells_may_be_words() -> None:
    numbers = [str(i) for i in range(90)]
    assert mixture(pd.Series([*numbers, *"abcdefghij"])) is not None
    assert mixture(pd.Series([*numbers, *"abcdefghijk"])) is None
