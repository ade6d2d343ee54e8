"""From columns to tensors, and the errors for columns that cannot be encoded."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.columns import as_numbers_or_words
from lphm.data.fitting import fit_features, fit_grid
from lphm.data.schema import FeatureSchema
from lphm.errors import InputError


def fitted(frame: pd.DataFrame) -> FeatureSchema:
    return fit_features(as_numbers_or_words(frame))


def test_numbers_are_standardised_by_the_training_part() -> None:
    schema = fitted(pd.DataFrame({"x": [1.0, 3.0, None]}))
    encoded = schema.encode(pd.DataFrame({"other": [0, 0, 0], "x": [2.0, 4.0, None]}))
    torch.testing.assert_close(encoded, torch.tensor([[0.0], [2.0], [float("nan")]]), equal_nan=True)


def test_categories_have_ranges_of_codes_of_their_own() -> None:
    train = pd.DataFrame({"c": ["b", "a", "b", "a"], "d": ["x", "x", "y", None], "n": [1, 2, 3, 4]})
    schema = fitted(train)
    assert schema.labels == ["n", "c", "d"]  # numbers first
    assert schema.vocabulary == 6
    new = pd.DataFrame({"c": ["a", "b", "new", None], "d": ["y", "x", None, "?"], "n": [1, 2, 3, 4]})
    assert schema.encode(new)[:, 1:].tolist() == [[1, 5], [2, 4], [0, 3], [0, 3]]


def test_words_for_missing_in_a_column_of_numbers() -> None:
    schema = fitted(pd.DataFrame({"x": ["1", "NA", "3", "?"]}))
    assert [c.name for c in schema.numeric] == ["x"]
    assert schema.encode(pd.DataFrame({"x": ["2", "nan"]})).isnan().tolist() == [[False], [True]]
    assert schema.encode(pd.DataFrame({"x": ["?"]})).isnan().tolist() == [[True]]  # no number beside it


def test_booleans_and_categorical_types() -> None:
    frame = pd.DataFrame({"f": [True, False] * 3, "c": pd.Categorical(["u", "v", None] * 2)})
    schema = fitted(frame)
    assert [c.name for c in schema.numeric] == ["f"]
    assert [c.categories for c in schema.categorical] == [["u", "v"]]


def test_constant_columns_are_left_out() -> None:
    assert fitted(pd.DataFrame({"x": [1, 2, 3], "k": [7, 7, 7], "t": ["a"] * 3})).labels == ["x"]
    with pytest.raises(InputError, match="a feature must vary, got one value in each of: k"):
        fitted(pd.DataFrame({"k": [7, 7, 7]}))


def test_a_constant_column_with_missing_values_is_kept() -> None:
    schema = fitted(pd.DataFrame({"x": [1, 2, 3], "n": [7, None, 7], "t": ["a", None, "a"]}))
    assert schema.labels == ["x", "n", "t"]
    assert (schema.numeric[1].mean, schema.numeric[1].std) == (7, 1)


def test_statistics_ignore_missing_values() -> None:
    values = np.random.default_rng(0).standard_normal(1000) * 3 + 1e6
    values[::7] = np.nan
    column = fitted(pd.DataFrame({"x": values})).numeric[0]
    assert (column.mean, column.std) == (np.nanmean(values), np.nanstd(values))


def test_a_column_of_free_text_is_refused_and_named() -> None:
    frame = pd.DataFrame({"x": range(30), "comment": [f"text {i}" for i in range(30)]})
    with pytest.raises(InputError, match=r"column 'comment' must hold .*, got text: 30 distinct") as caught:
        fitted(frame)
    assert (caught.value.option, caught.value.value) == ("drop", "comment")


def test_columns_that_are_neither_number_nor_text() -> None:
    frame = pd.DataFrame({"when": [datetime.datetime(2020, 1, day) for day in range(1, 9)]})
    with pytest.raises(InputError, match="column 'when' must hold numbers or categories, got datetime64"):
        fitted(frame)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"y": [1.0]}, "the table lacks the column 'x' of the training; add it"),
        ({"x": [1.0, np.inf]}, "column 'x' must hold finite numbers, got inf in row 2"),
        ({"x": ["1", "two"]}, "column 'x' must hold numbers, got 'two' in row 2"),
    ],
)
def test_new_rows_that_cannot_be_encoded(frame: dict, message: str) -> None:
    schema = fitted(pd.DataFrame({"x": [1.0, 2.0, 3.0]}))
    with pytest.raises(InputError, match=message):
        schema.encode(pd.DataFrame(frame))


def test_grid_keeps_the_order_of_the_columns() -> None:
    features = pd.DataFrame(np.arange(24.0).reshape(4, 6), columns=list("fedcba"))
    schema = fit_grid(features, 2, 3)
    encoded = schema.encode(features[list("abcdef")])  # found by name, laid out as in training
    values = torch.arange(24.0).reshape(4, 2, 3)
    torch.testing.assert_close(encoded, (values - 11.5) / values.std(correction=0))


def test_a_missing_entry_of_a_grid_is_its_mean() -> None:
    features = pd.DataFrame(np.arange(24.0).reshape(4, 6), columns=list("abcdef"))
    schema = fit_grid(features, 2, 3)
    features.loc[1, "c"] = np.nan
    encoded = schema.encode(features)
    assert encoded[1, 0, 2] == 0
    assert encoded.isfinite().all()


def test_schema_survives_json() -> None:
    schema = fitted(pd.DataFrame({"x": [0.1, 0.2, 0.7], "c": ["u", "v", "u"]}))
    assert FeatureSchema.model_validate_json(schema.model_dump_json()) == schema
