"""What the first screen says: score and interval, what drives the prediction, what acts together."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from sklearn.metrics import r2_score

from lphm.errors import InputError
from lphm.learn.evaluation import Evaluation
from lphm.report import write_report
from lphm.report.answers import bootstrap_r2, wilson
from support.report_cases import NASTY
from support.report_reader import Element, page_of, rows_of, section

Copy = Callable[..., Path]


def edited(folder: Path, **changes: object) -> Element:
    """The page of a folder whose metrics are changed."""
    file = folder / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return page_of(write_report(folder).parent)


def test_the_interval_of_an_accuracy() -> None:
    # Brown, Cai and DasGupta, 2001, Statistical Science 16: the roots of a quadratic equation.
    for share, samples in ((0.9, 50), (0.5, 10), (1.0, 80), (0.0, 3)):
        z2 = NormalDist().inv_cdf(0.975) ** 2
        roots = np.roots([1 + z2 / samples, -(2 * share + z2 / samples), share**2]).real
        assert wilson(share, samples) == pytest.approx(sorted(roots), abs=1e-6)


def test_the_interval_of_r2_has_the_score_in_it_and_narrows() -> None:
    random = np.random.default_rng(0)
    widths = []
    for samples in (50, 800):
        truth = random.standard_normal(samples)
        predicted = truth + 0.5 * random.standard_normal(samples)
        low, high = bootstrap_r2(truth, predicted) or (np.nan, np.nan)
        assert low < r2_score(truth, predicted) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert bootstrap_r2(np.ones(20), np.ones(20)) is None


def test_the_first_answer_of_a_classification(classified: Path, pages: dict[str, Element]) -> None:
    shown = section(pages["classification"], "scores")
    frame = Evaluation.load(classified).predictions
    correct = (frame.iloc[:, 1] == frame.iloc[:, 2]).sum()
    low, high = wilson(correct / 90, 90)
    most = frame.iloc[:, 1].value_counts()
    strong = [each.text for each in shown.all("strong")]
    assert strong == [f"{100 * share:.1f} %" for share in (correct / 90, low, high, most.iloc[0] / 90)]
    assert f"{correct} of 90 test samples are predicted correctly" in shown.text
    assert f"always predicts {most.index[0]}," in shown.text


def test_the_first_answer_of_a_regression_is_an_error_in_the_targets_unit(
    regressed: Path, pages: dict[str, Element]
) -> None:
    shown = section(pages["regression"], "scores")
    frame = Evaluation.load(regressed).predictions
    truth, predicted = frame.iloc[:, 1], frame.iloc[:, 2]
    strong = [float(each.text.replace("−", "-")) for each in shown.all("strong")]
    typical, trivial = np.median(abs(truth - predicted)), np.median(abs(truth - truth.mean()))
    assert strong[:2] == pytest.approx([typical, trivial], rel=5e-3)
    assert strong[2] == pytest.approx(r2_score(truth, predicted), rel=5e-3)
    assert strong[3:] == pytest.approx(bootstrap_r2(truth.to_numpy(), predicted.to_numpy()), rel=5e-3)
    assert "typical error of answer <b>" in " ".join(p.text for p in shown.all("p"))


def test_weighted_samples_have_no_interval(copy: Copy, task: str) -> None:
    text = section(edited(copy(task), row_columns={"weight": "w"}), "scores").text
    assert "interval" not in text


def test_drivers_are_bars_the_longest_first(pages: dict[str, Element]) -> None:
    shown = section(pages["classification"], "drivers")
    assert [each.text for each in shown.all("strong")] == [f"$x_1$ & more, {NASTY}"]
    first, folded = shown.all("table")
    rows = rows_of(first)
    assert [row[0] for row in rows] == ["$x_1$ & more", NASTY, *(f"c{i}" for i in range(10))]
    assert [row[2] for row in rows[:3]] == ["50.0 ± 4.0", "25.0 ± 3.0", "1.0 ± 2.0"]
    assert len(rows_of(folded)) == 4
    widths = [bar.attributes["style"] for bar in first.all("span", **{"class": "bar"})]
    assert widths[:2] == ["width: 92.6%", "width: 46.3%"]
    assert [row.attributes.get("class") for row in first.all("tr")[1:4]] == [None, None, "pale"]
    assert "the 16 of 40 columns to which the outputs are most sensitive" in shown.text
    assert rows_of(section(pages["regression"], "drivers"))[0][2] == "0.50 ± 0.04"


def test_the_longest_bar_is_mentioned_if_it_is_pale(copy: Copy) -> None:
    folder = copy()
    importance = json.loads((folder / "metrics.json").read_text())["importance"]
    drops = sorted(importance["drops"], key=lambda drop: -drop["mean"])
    drops[0]["matters"] = False
    shown = section(edited(folder, importance=importance), "drivers")
    assert [each.text for each in shown.all("strong")] == [drops[1]["name"]]
    longest = f"{drops[0]['name']} has the longest bar, but varies too much between shuffles. The bars"
    assert f"Sure: . {longest}" in shown.text


def test_pairs_are_told_in_words_and_bars(pages: dict[str, Element], copy: Copy) -> None:
    shown = section(pages["classification"], "together")
    assert [each.text for each in shown.all("strong")] == [NASTY, "fifth"]
    assert "act together: without this pair the loss rises by 20.0 %." in shown.text
    assert [row[0::2] for row in rows_of(shown)] == [
        [f"{NASTY} × fifth", "20.0 %"],
        ["$x_1$ & more × kind", "2.0 %"],
    ]
    assert "1 of the 2 strongest pairs survives this check" in shown.text
    limit = shown.all("span", **{"class": "limit"})[0].attributes["style"]
    assert limit == "left: 40.0%"
    folder = copy()
    pairs = json.loads((folder / "metrics.json").read_text())["pairs"]
    for pair in pairs["pairs"]:
        pair["survives"] = False
    without = section(edited(folder, pairs=pairs), "together")
    assert "No pair is known to act together." in without.text
    (folded,) = without.all("details")
    assert [row[0] for row in rows_of(folded)] == [row[0] for row in rows_of(shown)]
    assert not shown.all("details")


def test_a_run_that_was_not_asked_has_neither(copy: Copy) -> None:
    page = edited(copy(), importance=None, pairs=None)
    sections = [s.attributes["id"] for s in page.all("section")]
    assert sections[:2] == ["scores", "data"]
    assert sections == [a.attributes["href"][1:] for a in page.all("nav")[0].all("a")]


def test_what_was_left_out_is_listed(copy: Copy) -> None:
    folder = copy()
    assert "Left out" not in section(edited(folder), "data").text
    items = section(edited(folder, left_out=["<i>", "b"]), "data").all("li")
    assert [item.text for item in items] == ["<i>", "b"]
    items = section(edited(folder, left_out={"id": "one value per row"}), "data").all("li")
    assert [item.text for item in items] == ["id: one value per row"]


@pytest.mark.parametrize("change", [{"importance": {"drops": 3}}, {"pairs": {"pairs": [{}]}}, {"pairs": 7}])
def test_edited_answers_are_one_line(copy: Copy, change: dict) -> None:
    with pytest.raises(InputError, match="as training wrote them"):
        edited(copy(), **change)
