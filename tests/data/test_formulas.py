"""Text that a spreadsheet would run is guarded, and everything else is left as it is."""

import pandas as pd
import pytest

from lphm.data.formulas import guard_formulas, unguard_formulas

FORMULAS = [
    *(
        "=1+1",
        "=HYPERLINK(0)",
        "+cmd",
        "-2+3",
        "-x",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "+-1",
        "--1",
        "-1e5",
        "=",
    )
]
NO_FORMULAS = ["x", "", "-1", "-0.5", "+7", "+", "-", "a=1", " =1", "'x", "'", "''", "1-2", "#", "it's", "-."]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_text(text: str) -> None:
    for frame in (pd.DataFrame({"a": [text]}), pd.DataFrame({text: [1]}), pd.DataFrame({"a": [1]}, [text])):
        guarded = guard_formulas(frame).to_csv().replace('"', "")
        assert f"'{text}" in guarded
        assert frame.to_csv().replace('"', "") == guarded.replace(f"'{text}", text)


@pytest.mark.parametrize("text", NO_FORMULAS)
def test_other_text_is_left_alone(text: str) -> None:
    frame = pd.DataFrame({text: [text, None]}, [text, "b"])
    pd.testing.assert_frame_equal(guard_formulas(frame), frame)


def test_numbers_are_left_alone() -> None:
    numbers = pd.DataFrame({"a": [-0.5, 1e-7], "b": [-3, 4], "c": [True, False]}).astype({"a": "float32"})
    mixed = pd.DataFrame({"a": [-1, "x", -0.5, None, True]}, dtype=object)
    for frame in (numbers, mixed):
        pd.testing.assert_frame_equal(guard_formulas(frame), frame)
        assert guard_formulas(frame).to_csv() == frame.to_csv()


@pytest.mark.parametrize("kind", ["object", "category", "string"])
def test_reading_back_is_exact(kind: str) -> None:
    texts = [quotes + text for quotes in ("", "'", "''") for text in (*FORMULAS, *NO_FORMULAS)]
    frame = pd.DataFrame({"=a": texts, "'=a": texts, "b": range(len(texts))}, texts).astype({"=a": kind})
    guarded = guard_formulas(frame)
    assert guarded["'=a"].nunique() == len(set(texts))
    back = unguard_formulas(guarded)
    assert back.to_dict("split") == frame.to_dict("split")


def test_columns_of_one_name() -> None:
    frame = pd.DataFrame([["=a", "b"]], columns=["=x", "=x"])
    assert guard_formulas(frame).to_csv(index=False) == "'=x,'=x\n'=a,b\n"
    assert list(frame.columns) == ["=x", "=x"]
    assert frame.iloc[0, 0] == "=a"
