"""Splits are partitions; stratified by class, by whole groups or by time, and follow the seed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, TimeSeriesSplit

from lphm.data.bundled import bundled
from lphm.data.dataset import Dataset
from lphm.data.splits import check_apart, folds, held_out, split_rows
from lphm.errors import InputError


def table(target: list, **arrays: object) -> Dataset:
    types = {"groups": object, "time": float, "weight": float}
    fields = {name: np.array(values, dtype=types[name]) for name, values in arrays.items()}
    return Dataset("t", pd.DataFrame({"x": range(len(target))}), pd.Series(target, name="y"), **fields)


def rows(part: Dataset) -> list[int]:
    return part.inputs["x"].tolist()


def test_split_is_a_partition_stratified_and_seeded() -> None:
    digits = bundled("digits")
    parts = split_rows(digits, "classification", seed=3)
    assert sum(len(part.target) for part in parts) == 1797
    together = pd.concat([part.inputs.assign(y=part.target) for part in parts])
    whole = digits.inputs.assign(y=digits.target)
    key = list(whole.columns)
    pd.testing.assert_frame_equal(
        together.sort_values(key, ignore_index=True), whole.sort_values(key, ignore_index=True)
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


# Any data.

TARGETS = {"classification": st.sampled_from("aab"), "regression": st.floats(0, 1)}
SPLITS: dict[str, Callable[[Dataset, str, int], list[tuple[list[int], list[int]]]]] = {
    "test part": lambda data, task, seed: [tuple(map(rows, split_rows(data, task, seed)))],
    "folds": lambda data, task, seed: folds(data, task, 3, seed),
}


@st.composite
def datasets(draw: st.DrawFn, task: str, field: str, values: st.SearchStrategy) -> Dataset:
    size = draw(st.integers(6, 60))
    target, array = (draw(st.lists(each, min_size=size, max_size=size)) for each in (TARGETS[task], values))
    return table(target, **{field: array})


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", TARGETS)
@given(st.data(), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_no_group_is_on_both_sides(split: str, task: str, data: st.DataObject, seed: int) -> None:
    drawn = data.draw(datasets(task, "groups", st.sampled_from("pqrstuvw")))
    try:
        parts = SPLITS[split](drawn, task, seed)
    except InputError:  # hypothesis complains if that is so most of the time
        reject()
    for kept, out in parts:
        assert not {*drawn.groups[kept]} & {*drawn.groups[out]}
        assert sorted([*kept, *out]) == list(range(len(drawn)))
        assert len(out) > 0
        if task == "classification":
            assert {*drawn.target[out]} <= {*drawn.target[kept]}
    if split == "folds":
        assert sorted(np.concatenate([out for _, out in parts])) == list(range(len(drawn)))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", TARGETS)
@given(st.data(), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_every_row_that_is_held_out_is_later(split: str, task: str, data: st.DataObject, seed: int) -> None:
    drawn = data.draw(datasets(task, "time", st.integers(0, 12).map(float)))
    try:
        parts = SPLITS[split](drawn, task, seed)
    except InputError:  # hypothesis complains if that is so most of the time
        reject()
    for kept, out in parts:
        assert drawn.time[kept].max() < drawn.time[out].min()  # so rows of one time are on one side
        assert len({*kept, *out}) == len(kept) + len(out)
        if split != "folds":
            assert len(kept) + len(out) == len(drawn)


# Groups.


def test_groups_that_are_held_out_are_near_to_the_share_of_every_class() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 600)
    target = np.where(rng.random(600) < 0.1 + 0.4 * (groups % 2), "rare", "often")
    for seed in range(5):
        kept, out = split_rows(table(list(target), groups=groups), "classification", seed)
        shares = out.target.value_counts() / pd.Series(target).value_counts()
        assert (shares - 0.2).abs().max() < 0.06
        again = split_rows(table(list(target), groups=groups), "classification", seed)
        assert rows(again[1]) == rows(out)
    assert rows(split_rows(table(list(target), groups=groups), "classification", 0)[0]) != rows(kept)
    numbers = table(list(rng.random(600)), groups=groups)
    assert len(split_rows(numbers, "regression", 0)[1]) / 600 == pytest.approx(0.2, abs=0.01)


def test_a_class_of_one_group_is_trained_on() -> None:
    groups = np.repeat(np.arange(10), 6)
    data = table(list(np.where(groups == 3, "a", np.where(np.arange(60) % 2, "b", "c"))), groups=groups)
    for seed in range(10):
        assert 3 in split_rows(data, "classification", seed)[0].groups


def test_folds_of_groups_are_stratified_as_by_scikit_learn() -> None:
    groups = np.repeat(np.arange(12), 5)
    data = table(list(np.where(groups % 3 == 0, "a", "b")), groups=groups)
    for seed in range(4):
        stratified = StratifiedGroupKFold(4, shuffle=True, random_state=seed).split(
            groups, data.target, groups
        )
        for (_, out), (_, expected) in zip(folds(data, "classification", 4, seed), stratified, strict=True):
            assert list(out) == list(expected)


# Time.


def test_the_latest_rows_are_held_out_as_near_to_the_share_as_ties_allow() -> None:
    order = np.random.default_rng(0).permutation(100)
    _, out = split_rows(table([0.5] * 100, time=order / 7), "regression", 0)
    assert sorted(order[rows(out)]) == list(range(80, 100))
    for ties, expected in (([1] * 70 + [2] * 25 + [3] * 5, 30), ([1] * 70 + [2] * 12 + [3] * 18, 18)):
        _, out = split_rows(table([0.5] * 100, time=ties), "regression", 0)
        assert len(out) == expected


def test_folds_by_time_are_those_of_scikit_learn_over_the_distinct_times() -> None:
    order = np.random.default_rng(0).permutation(31)
    parts = folds(table([0.5] * 62, time=np.repeat(order, 2)), "regression", 4, seed=0)
    expected = list(TimeSeriesSplit(4).split(np.arange(31)))
    assert len(parts) == len(expected)
    for part, wanted in zip(parts, expected, strict=True):
        for side, times in zip(part, wanted, strict=True):
            assert sorted(np.repeat(order, 2)[side]) == sorted(np.repeat(times, 2))


# What cannot be split.

TEN = ["a", "b"] * 5


@pytest.mark.parametrize(
    ("data", "call", "message"),
    [
        (table(TEN, groups=["p"] * 10), "split", "at least 2 groups to be split by group, got 1"),
        (table(TEN, time=[3.0] * 10), "split", "at least 2 times to be split by time, got 1"),
        (
            table(["a"] * 8 + ["b"] * 2, time=range(10)),
            "split",
            "must have every class, got none of 'b', all of which are held out; a class must be in several",
        ),
        (table(["a"] * 6 + ["b"] * 4, groups=list("pppqqqrrrr")), "folds", "every class, got none of 'b'"),
        (table(TEN, groups=list("pq") * 5), "folds", "at most the 2 groups, got 3"),
        (table([0.5] * 10, groups=list("pq") * 5), "folds", "at most the 2 groups, got 3"),
        (table(["a"] * 8 + ["b"] * 2, groups=range(10)), "folds", "the 2 samples of the smallest class, got"),
        (
            table(TEN, time=[1.0, 2.0, 3.0] * 3 + [1.0]),
            "folds",
            "at most the 2 distinct times after the first, got 3",
        ),
        (
            table([0.5] * 10, time=range(10), weight=[1.0] * 8 + [0.0] * 2),
            "split",
            "both sides of a split must have rows whose weight is above 0, got 2 rows of weight 0 on one",
        ),
        (table([0.5] * 10, time=range(10), weight=[0.0] * 4 + [1.0] * 6), "folds", "got 4 rows of weight 0"),
    ],
)
def test_what_cannot_be_split_is_said_in_one_line(data: Dataset, call: str, message: str) -> None:
    task = "regression" if data.target.dtype == float else "classification"
    calls = {
        "split": lambda: split_rows(data, task, 0),
        "folds": lambda: folds(data, task, 3, 0),
    }
    with pytest.raises(InputError, match=message) as caught:
        calls[call]()
    assert "\n" not in str(caught.value)


def test_a_test_file_must_be_apart() -> None:
    data = table([0.5] * 3, groups=list("pqr"), time=[1.0, 2.0, 3.0])
    test = replace(table([0.5] * 2, groups=list("st"), time=[3.5, 4.0]), name="test.csv")
    check_apart(data, test)
    check_apart(data, replace(test, groups=None, time=None))
    with pytest.raises(InputError, match=r"test\.csv must have other groups than t, got 'r' in both"):
        check_apart(data, replace(test, groups=np.array(["s", "r"], dtype=object)))
    with pytest.raises(InputError, match=r"every row of test\.csv must be later than those of t"):
        check_apart(data, replace(test, time=np.array([4.0, 3.0])))


# What the members of an ensemble hold out.

CLASS = Dataset(
    "t", pd.DataFrame({"a": range(200)}), pd.Series(["u"] * 120 + ["v"] * 57 + ["w"] * 23, name="y")
)
NUMBER = replace(CLASS, target=pd.Series(np.random.default_rng(0).permutation(np.arange(200.0)), name="y"))


@pytest.mark.parametrize(("share", "parts"), [(0.1, 10), (0.15, 7), (0.5, 2), (0.9, 2)])
def test_every_member_holds_out_a_part_of_its_own(share: float, parts: int) -> None:
    out = held_out(CLASS, "classification", 3, share, parts)
    assert out.shape == (200, parts)
    assert (out.sum(axis=1) == 1).all()
    for rows in (out[:120], out[120:177], out[177:]):
        assert np.ptp(rows.sum(axis=0)) <= 2
    again = held_out(CLASS, "classification", 3, share, 2 * parts + 1)
    assert np.array_equal(again, np.hstack([out, out, out[:, :1]]))
    assert np.array_equal(held_out(CLASS, "classification", 3, share, 1), out[:, :1])
    assert not np.array_equal(held_out(CLASS, "classification", 4, share, parts), out)


def test_small_and_large_numbers_are_in_every_part() -> None:
    out = held_out(NUMBER, "regression", 0, 0.1, 10)
    for part in out.T:  # of each ten that follow one another it has one
        assert (np.sort(NUMBER.target.to_numpy()[part]) // 10).tolist() == list(range(20))


def test_rows_without_weight_and_the_only_one_of_a_class_are_not_held_out() -> None:
    weight = np.where(np.arange(200) % 4 == 0, 0.0, 2.0)
    target = CLASS.target.copy()
    target[5] = "rare"
    out = held_out(replace(CLASS, target=target, weight=weight), "classification", 0, 0.1, 10)
    held = out.any(axis=1)
    assert not held[::4].any()
    assert not held[5]
    assert held[(np.arange(200) % 4 != 0) & (np.arange(200) != 5)].all()


@pytest.mark.parametrize(("data", "task"), [(CLASS, "classification"), (NUMBER, "regression")])
def test_groups_are_held_out_whole_whatever_they_are_called(data: Dataset, task: str) -> None:
    numbers = np.random.default_rng(0).integers(0, 30, 200)
    out = held_out(replace(data, groups=numbers), task, 0, 0.2, 5)
    assert (out.sum(axis=1) == 1).all()
    for group in range(30):
        assert len(np.unique(out[numbers == group], axis=0)) == 1
    names = np.array([f"g{99 - number}" for number in numbers], dtype=object)
    assert np.array_equal(held_out(replace(data, groups=names), task, 0, 0.2, 5), out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.eye(200)[0]}, "there must be at least 2 samples that count, got 1"),
        ({"groups": np.zeros(200)}, "there must be at least 2 groups that count, got 1"),
        ({"groups": np.arange(200) // 120}, "rows for training must have every class, got none of '[uv]'"),
    ],
)
def test_what_cannot_be_held_out_is_said_in_one_line(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        held_out(replace(CLASS, **changes), "classification", 0, 0.1, 2)
