"""A summary counts what is in the data, and survives what tables may hold."""

import json

import numpy as np
import pandas as pd
import pytest

from lphm.data.bundled import bundled
from lphm.data.columns import LARGEST, as_numbers_or_words
from lphm.data.dataset import Dataset
from lphm.data.summary import summarize
from support.report_cases import NASTY, dataset


def test_a_table_against_pandas() -> None:
    data = dataset()
    told = summarize(data)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["name"], told["samples"], told["shape"], told["series"]) == ("t <1>.csv", 90, None, False)
    assert told["missing"] == pytest.approx(data.inputs.isna().to_numpy().mean())
    number, category = told["features"][0], told["features"][3]
    column = data.inputs[NASTY]
    assert (number["name"], number["type"]) == (NASTY, "number")
    wanted = (column.isna().mean(), column.mean(), column.std(ddof=0), column.min(), column.max())
    found = [number[key] for key in ("missing", "mean", "std", "min", "max")]
    np.testing.assert_allclose(found, wanted)
    counts, edges = np.histogram(column.dropna(), bins=20)
    assert number["histogram"] == {"edges": list(edges), "counts": list(counts)}
    counted = data.inputs["kind"].value_counts()
    assert category["distinct"] == 3
    assert [(c["name"], c["count"]) for c in category["categories"]] == list(counted.items())


def test_the_target_in_the_order_of_its_classes() -> None:
    data = dataset()
    target = summarize(data)["target"]
    assert (target["name"], target["type"]) == ("answer <b>", "category")
    assert {c["name"]: c["count"] for c in target["categories"]} == dict(data.target.value_counts())
    assert [c["name"] for c in target["categories"]] == sorted(data.target.unique())
    assert [c["name"] for c in summarize(bundled("digits"))["target"]["categories"]] == list("0123456789")


def test_the_task_decides_how_the_target_is_described() -> None:
    data = bundled("digits")
    assert summarize(data)["target"]["type"] == "category"
    target = summarize(data, "regression")["target"]
    assert target["type"] == "number"
    assert target["mean"] == pytest.approx(data.target.mean())


def test_a_matrix_in_each_row() -> None:
    told = summarize(bundled("digits"))
    assert told["shape"] == [8, 8]
    assert len(told["features"]) == 64
    constant = told["features"][0]
    assert (constant["min"], constant["max"], constant["std"]) == (0, 0, 0)
    assert sum(constant["histogram"]["counts"]) == 1797


def test_series_by_channel() -> None:
    x = np.random.default_rng(0).standard_normal((30, 7, 2)).astype(np.float32)
    x[3, 4, 1] = np.nan
    target = pd.Series([0, 1] * 15, name="y")
    told = summarize(Dataset("s", x, target, channels=("volt", "<b>")))
    assert (told["samples"], told["shape"], told["series"]) == (30, [7, 2], True)
    assert [f["name"] for f in told["features"]] == ["volt", "<b>"]
    assert told["features"][0]["mean"] == pytest.approx(x[..., 0].mean(dtype=float))
    assert told["features"][1]["missing"] == pytest.approx(1 / 210)
    assert told["missing"] == pytest.approx(1 / 420)
    assert [f["name"] for f in summarize(Dataset("s", x, target))["features"]] == ["channel 1", "channel 2"]


ODD = {
    "all missing": ([np.nan] * 3, {"mean": None, "max": None, "histogram": None, "missing": 1.0}),
    "the largest numbers": ([LARGEST, -LARGEST, LARGEST], {"max": LARGEST}),
    "too close for steps": ([1e16, 1e16 + 2, 1e16], {"min": 1e16, "histogram": None}),
    "true and false": ([True, False, True], {"mean": pytest.approx(2 / 3), "type": "number"}),
    "numbers with a word": (["1", "?", "3"], {"mean": 2.0, "missing": pytest.approx(1 / 3)}),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_columns(case: str) -> None:
    values, wanted = ODD[case]
    data = Dataset(
        "odd", as_numbers_or_words(pd.DataFrame({"x": values})), pd.Series([1.5, 2.5, 3.5], name="y")
    )
    told = summarize(data)
    json.dumps(told, allow_nan=False)
    assert {key: told["features"][0][key] for key in wanted} == wanted


def test_many_categories_are_counted_and_the_most_frequent_named() -> None:
    words = pd.Series([f"w{min(i, 25)}" for i in range(40)])
    feature = summarize(Dataset("w", pd.DataFrame({"x": words}), pd.Series(np.arange(40.0))))["features"][0]
    assert feature["distinct"] == 26
    assert len(feature["categories"]) == 10
    assert feature["categories"][0] == {"name": "w25", "count": 15}
