"""Cells as words, and where words are among the categories of a training."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from lphm.data.words import FEW_CELLS, word, word_codes


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (2**60 + 1, str(2**60 + 1)),
        (np.int64(2**60 + 1), str(2**60 + 1)),
        (10**400, "1" + "0" * 400),
        (np.float32(3), "3"),
        (-0.5, "-0.5"),
        (decimal.Decimal("1.00"), "1"),
        (True, "True"),
        (np.False_, "False"),
        (b"a\xff", "a\\xff"),
        (pd.Timestamp("2024-01-31"), "2024-01-31 00:00:00"),
    ],
)
def test_a_cell_as_a_word(cell: object, text: str) -> None:
    assert word(cell) == text


@pytest.mark.parametrize(
    ("words", "cells", "places"),
    [
        (["1", "2"], [2, 1.0, "2", "2.0", "1.00", "1.5", "01"], [1, 0, 1, 1, 0, -1, -1]),
        (["1.0", "2.0"], [2, 1.0, "2", "2.0"], [1, 0, 1, 1]),
        (["1", "1.0"], ["1", "1.0", 1], [0, 1, 0]),  # both were there in training
        (["01", "1"], ["1", "01", "1.0", "01.0"], [1, 0, 1, 0]),
        (["-3", "3"], ["-3.0", 3.0], [0, 1]),
        (["False", "True"], [True, "true", "FALSE", 1, 0.0, "1.0", "yes"], [1, 1, 0, 1, 0, 1, -1]),
        (["0", "1"], [True, "False"], [1, 0]),
        (["no", "true"], ["TRUE", "No"], [1, -1]),
        (
            ["2024-01-31", "2024-02-01"],
            [
                pd.Timestamp("2024-02-01"),
                datetime.date(2024, 1, 31),
                "2024-01-31 00:00:00",
                "2024-02-01 10:00:00",
            ],
            [1, 0, 0, -1],
        ),
        (["2024-01-31 00:00:00"], ["2024-01-31"], [0]),
        (["1.1"], ["1.10", "v1.0"], [-1, -1]),
        (["nan"], [None, np.nan, pd.NA, "nan"], [-1, -1, -1, 0]),
        ([], ["a"], [-1]),
    ],
)
def test_a_word_is_found_as_it_is_or_as_another_program_writes_it(
    words: list[str], cells: list, places: list[int]
) -> None:
    assert word_codes(pd.Series(cells, dtype=object), words).tolist() == places
    for place, cell in zip(places, cells, strict=True):  # alone, and among many
        many = pd.Series([cell] * FEW_CELLS)
        assert word_codes(many[:1], words).tolist() == [place]
        for column in (many, many.astype("category")):
            assert set(word_codes(column, words)) == {place}
