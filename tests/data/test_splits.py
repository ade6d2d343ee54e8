"""Splits are partitions, stratified by class, and follow the seed."""

import numpy as np
import pandas as pd
import pytest

from lphm.data.dataset import Dataset, bundled
from lphm.data.splits import folds, split_rows, split_validation
from lphm.errors import InputError


def table(target: list) -> Dataset:
    return Dataset("t", pd.DataFrame({"x": range(len(target))}), pd.Series(target, name="y"))


def test_split_is_a_partition_stratified_and_seeded() -> None:
    digits = bundled("digits")
    parts = split_rows(digits, "classification", seed=3)
    assert sum(len(part.target) for part in parts) == 1797
    rows = pd.concat([part.inputs.assign(y=part.target) for part in parts])
    whole = digits.inputs.assign(y=digits.target)
    key = list(whole.columns)
    pd.testing.assert_frame_equal(
        rows.sort_values(key, ignore_index=True), whole.sort_values(key, ignore_index=True)
    )
    for part in parts:
        assert (part.target.value_counts(normalize=True) - 0.1).abs().max() < 0.02
    again = split_rows(digits, "classification", seed=3)
    other = split_rows(digits, "classification", seed=4)
    assert parts[1].inputs.equals(again[1].inputs)
    assert not parts[1].inputs.equals(other[1].inputs)


def test_split_of_few_rows_in_many_classes() -> None:
    parts = split_rows(table(list("abcdefg") * 3), "classification", seed=0)
    assert [len(part.target) for part in parts] == [14, 7]
    assert all(part.target.nunique() == 7 for part in parts)


def test_folds_are_partitions_and_stratified() -> None:
    data = table(["a", "b", "b"] * 10)
    parts = folds(data, "classification", 5, seed=0)
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(30))
    for train, test in parts:
        assert sorted([*train, *test]) == list(range(30))
        assert data.take(test).target.value_counts().to_dict() == {"b": 4, "a": 2}


def test_too_few_samples_for_a_split() -> None:
    with pytest.raises(
        InputError, match="folds must be at least 2 and at most the 3 samples of the smallest"
    ):
        folds(table(["a", "b", "b"] * 3), "classification", 4, seed=0)
    with pytest.raises(InputError, match="folds must be at least 2 and at most the 9 samples, got 10"):
        folds(table([0.5] * 9), "regression", 10, seed=0)
    with pytest.raises(
        InputError, match=r"early stopping must hold 15% of the samples out, .* train without"
    ):
        split_validation(table(["a", *"bcd" * 3]), "classification", 0, 0.15)
