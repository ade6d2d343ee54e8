"""Columns that would mislead are left out, with a word; no other column is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.data.bundled import BUNDLED, bundled
from lphm.data.dataset import Dataset
from lphm.data.readers import labelled_table
from lphm.data.roles import ONE_EACH, RUNNING, TELLS, without_misleading
from lphm.errors import InputError
from support.strangers import sensors

ROWS = 240


def table(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, ROWS))
    frame = pd.DataFrame({"a": a, "b": b, "zone": rng.choice(list("uvw"), ROWS)})
    frame["y"] = 3 * a + b + rng.normal(0, 0.3, ROWS)
    for name, column in columns.items():
        frame[name] = column(frame) if callable(column) else column
    return frame


def left_out(frame: pd.DataFrame, *keep: str, target: str = "y") -> dict[str, str]:
    return without_misleading(labelled_table("t", frame, target), keep).left_out


MISLEADING = {
    "running from 1": (lambda f: np.arange(1, len(f) + 1), RUNNING),
    "named as an identifier": (lambda f: np.random.default_rng(2).permutation(len(f)) * 7 + 10_001, RUNNING),
    "codes": (lambda f: [f"K-{7 * i}" for i in range(len(f))], ONE_EACH),
    "another currency": (lambda f: (f["y"] * 1.1).round(3), TELLS),
    "a monotone function": (lambda f: np.exp(f["y"]), TELLS),
    "words for the number": (lambda f: f["y"].rank(pct=True).mul(3).round().map("class {}".format), None),
}


@pytest.mark.parametrize("kind", MISLEADING)
def test_what_misleads_about_a_number(kind: str) -> None:
    column, reason = MISLEADING[kind]
    frame = table(house_id=column)
    assert left_out(frame) == ({} if reason is None else {"house_id": reason})
    assert left_out(frame, "house_id") == {}


def test_what_misleads_about_classes() -> None:
    frame = table(
        sold=lambda f: np.where(f["y"] > 0, "yes", "no"),
        reason=lambda f: np.where(f["y"] > 0, "cheap", np.where(f["a"] > 0, "far", "dear")),
        fee=lambda f: np.where(f["y"] > 0, 100.0, 0.0) + f["b"] / 100,
    ).drop(columns="y")
    assert left_out(frame, target="sold") == {"reason": TELLS, "fee": TELLS}
    assert left_out(frame, "fee", target="sold") == {"reason": TELLS}
    rare = np.arange(ROWS) < 7  # always saying no is right almost always
    words = frame.assign(sold=np.where(rare, "yes", "no"), reason=np.where(rare, "cheap", "far"))
    assert left_out(words.drop(columns="fee"), target="sold") == {}


def test_missing_cells_may_tell_the_target() -> None:
    sold = table()["y"] > 0
    days = pd.Series(pd.date_range("2024-01-01", periods=ROWS))
    frame = table(
        sold=np.where(sold, "yes", "no"),
        fee=lambda f: f["a"].where(sold),  # told by being there, in fewer than half of the rows
        day=days.where(~sold),
        some=lambda f: f["b"].mask(f["b"] > 1),
    ).drop(columns="y")
    assert left_out(frame, target="sold") == {"fee": TELLS, "day": TELLS}
    dear = table(price=lambda f: (f["y"] * 1.1).where(f["a"] > -0.3))  # another currency, some missing
    assert left_out(dear) == {"price": TELLS}
    rare = table(price=lambda f: (f["y"] * 1.1).where(f["a"] > 1))
    assert left_out(rare) == {}


def test_a_target_of_names_is_told_by_nothing(recwarn: pytest.WarningsRecorder) -> None:
    frame = table(y=[f"name {i}" for i in range(ROWS)], x=np.arange(ROWS) / 3)
    assert left_out(frame) == {}
    assert not recwarn.list


def test_a_date_that_tells_the_target_is_left_out_as_a_whole() -> None:
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS), unit="D")
    frame = table(sold=days.strftime("%d.%m.%Y"), y=np.arange(ROWS) * 2.0)
    data = without_misleading(labelled_table("t", frame, "y"))
    assert data.left_out == {"sold": TELLS}
    assert list(data.inputs) == ["a", "b", "zone"]


def test_the_only_feature_stays() -> None:
    frame = table(x=lambda f: 2 * f["y"])[["x", "y"]]
    data = labelled_table("t", frame, "y")
    assert without_misleading(data) is data


def test_series_are_recognised_and_so_is_what_orders_their_rows() -> None:
    data = without_misleading(labelled_table("t", sensors(), "state"))
    order = "orders the rows of each 'machine'"
    assert data.left_out == {"machine": TELLS, "timestamp": order}
    assert data.hint == {"series": "machine", "step": "timestamp"}
    assert list(data.inputs) == ["vibration", "temperature"]
    steps = sensors().assign(step=np.arange(360) % 12).drop(columns="timestamp")
    assert without_misleading(labelled_table("t", steps, "state")).hint == {
        "series": "machine",
        "step": "step",
    }
    twice = sensors().assign(timestamp="2024-01-01")  # orders nothing
    assert without_misleading(labelled_table("t", twice, "state")).hint == {"group": "machine"}


def test_a_group_or_a_time_is_suggested_and_stays() -> None:
    patients = table(patient_id=np.arange(ROWS) // 4 + 17)
    data = without_misleading(labelled_table("t", patients, "y"))
    assert (data.left_out, data.hint) == ({}, {"group": "patient_id"})
    rng = np.random.default_rng(3)
    dates = table(sold=pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), unit="D"))
    data = without_misleading(labelled_table("t", dates, "y"))
    assert (data.left_out, data.hint) == ({}, {"time": "sold"})
    assert without_misleading(labelled_table("t", table(), "y")).hint == {}


@pytest.mark.parametrize("name", BUNDLED)
def test_no_false_alarm_on_the_bundled_sets(name: str) -> None:
    data = bundled(name)
    assert without_misleading(data) is data or without_misleading(data).left_out == {}


def test_only_a_column_that_is_there_can_be_kept() -> None:
    data = labelled_table("t", table(), "y")
    with pytest.raises(InputError, match=r"t must have the column 'zoen', .*; did you mean 'zone'\?"):
        without_misleading(data, ["zoen"])
    with pytest.raises(InputError, match="only columns of a table can be kept"):
        without_misleading(bundled("digits"), ["pixel_0_0"])


def test_rows_that_are_too_few_decide_nothing(tmp_path: Path) -> None:
    data: Dataset = labelled_table("t", table(id=range(ROWS))[:10], "y")
    assert without_misleading(data) is data


@pytest.mark.parametrize(
    ("numbers", "is_running"),
    [
        (np.arange(ROWS), True),
        (np.arange(ROWS) + 1, True),
        (np.arange(ROWS) + 2, False),
        (2 * np.arange(ROWS), False),
        (np.random.default_rng(5).permutation(ROWS), False),
    ],
)
def test_a_running_number_counts_the_rows_from_0_or_1(numbers: np.ndarray, is_running: bool) -> None:
    assert left_out(table(count=numbers)) == ({"count": RUNNING} if is_running else {})


@pytest.mark.parametrize(("noise", "tells"), [(0.05, True), (1.0, False)])
def test_words_tell_a_number_if_it_hardly_varies_within_them(noise: float, tells: bool) -> None:
    rng = np.random.default_rng(6)
    place = rng.integers(0, 6, ROWS)
    frame = table(tariff=[f"tariff {each}" for each in place], y=100 + 4 * place + rng.normal(0, noise, ROWS))
    assert left_out(frame) == ({"tariff": TELLS} if tells else {})


def test_words_that_occur_twice_in_one_class_tell_it() -> None:
    pair = np.arange(ROWS) // 2
    frame = table(code=[f"code {each}" for each in pair], y=np.where(pair % 3, "yes", "no"))
    assert left_out(frame) == {"code": TELLS}
