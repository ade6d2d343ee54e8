"""Reports of folders in which files are missing, incomplete or damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lphm.errors import InputError
from lphm.report import write_report
from support.report_cases import write_run
from support.report_reader import Element, page_of, rows_of, section

Copy = Callable[..., Path]
Damage = Callable[[Path], object]


def reported(folder: Path) -> Element:
    return page_of(write_report(folder).parent)


def remove(*names: str) -> Damage:
    return lambda folder: [(folder / name).unlink() for name in names]


MISSING = {
    "summary": (remove("summary.json"), {"data": "no summary.json"}),
    "metrics": (remove("metrics.json"), {"scores": "no metrics.json", "curves": "no metrics.json"}),
    "predictions": (
        remove("predictions.csv"),
        {"errors": "no predictions.csv", "interdependence": "no predictions.csv"},
    ),
    "everything": (
        remove("summary.json", "metrics.json", "predictions.csv", "interdependence.npz"),
        {"scores": "no", "data": "no", "curves": "no", "errors": "no", "interdependence": "no"},
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_the_page_says_what_is_missing(copy: Copy, case: str, task: str) -> None:
    folder = copy(task)
    damage, sentences = MISSING[case]
    damage(folder)
    page = reported(folder)
    missing = {s.attributes["id"]: s.all("p", **{"class": "missing"}) for s in page.all("section")}
    assert {name for name, paragraphs in missing.items() if paragraphs} == set(sentences)
    for name, words in sentences.items():
        assert f"The run folder has {words}" in missing[name][0].text
    ids = {e.attributes.get("id") for e in page.all("*")}
    assert {a.attributes["href"][1:] for a in page.all("a")} <= ids
    assert section(page, "factors").all("svg")


def edit(change: Callable[[dict], object], name: str = "metrics.json") -> Damage:
    def edited(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return edited


def without_validation(metrics: dict) -> None:
    metrics.pop("validation")
    metrics["best_epoch"] = None
    for line in metrics["history"]:
        del line["val_loss"], line["val_score"]


def test_a_training_that_was_stopped_by_the_time_limit(copy: Copy) -> None:
    folder = copy()
    edit(lambda metrics: metrics.update(out_of_time=True))(folder)
    curves = section(reported(folder), "curves")
    assert "Training ran for 3 epochs and was stopped by the time limit." in curves.text


def test_the_page_says_how_rows_were_split_and_weighted(copy: Copy) -> None:
    folder = copy()
    assert "is in both" not in section(reported(folder), "scores").text
    named = {"group": "<b>patient", "time": "day", "weight": "w"}
    edit(lambda metrics: metrics.update(row_columns=named))(folder)
    text = section(reported(folder), "scores").text
    assert "No <b>patient is in both. The test part is later by day." in text
    assert "Loss and score count each sample by w" in text
    edit(lambda metrics: metrics.update(row_columns=[3]))(folder)
    with pytest.raises(InputError, match="must be as training wrote them"):
        write_report(folder)


def test_a_training_without_validation(copy: Copy) -> None:
    folder = copy()
    edit(without_validation)(folder)
    page = reported(folder)
    curves = section(page, "curves")
    assert "There was no validation part." in curves.text
    assert "kept" not in curves.text
    assert "best" not in curves.text
    assert len(curves.all("svg")) == 1
    assert [row[0] for row in rows_of(section(page, "scores"))] == ["train", "test"]


def test_a_loss_that_was_not_a_number(copy: Copy) -> None:
    folder = copy()
    edit(lambda m: m["history"][1].update(train_loss=None))(folder)
    assert len(section(reported(folder), "curves").all("svg")) == 2


def test_a_network_without_interdependence(tmp_path: Path) -> None:
    write_run(tmp_path, attribute=None, instance=None)
    page = reported(tmp_path)
    assert (
        "This network has no interdependence of several rows or columns."
        in section(page, "interdependence").text
    )
    assert "no W" in section(page, "factors").text
    assert "; 0 of them (0.0 %) define the matrices W" in section(page, "parameters").text


DAMAGE: dict[str, tuple[Damage, str]] = {
    "no configuration": (remove("config.json"), "is not a run folder"),
    "metrics that are not JSON": (
        lambda f: (f / "metrics.json").write_text("{"),
        "metrics.json must be a JSON file, got",
    ),
    "metrics that are a list": (
        lambda f: (f / "metrics.json").write_text("[]"),
        "metrics.json must hold a JSON object, got list",
    ),
    "history without epochs": (
        edit(lambda m: m["history"][0].pop("epoch")),
        "as training wrote them, got KeyError: 'epoch'; train the run again",
    ),
    "a loss that is a word": (
        edit(lambda m: m["history"][0].update(train_loss="low")),
        "as training wrote them, got ValueError: could not convert string to float: 'low'",
    ),
    "a best epoch beyond floats": (
        edit(lambda m: m.update(best_epoch=10**400)),
        "as training wrote them, got OverflowError: int too large",
    ),
    "summary without target": (edit(lambda s: s.pop("target"), "summary.json"), "as training wrote them"),
    "another class": (
        lambda f: (f / "predictions.csv").write_text(
            (f / "predictions.csv").read_text().replace(",NA,", ",other,", 1)
        ),
        "must hold the classes of config.json, got the class 'other'",
    ),
    "another table": (
        lambda f: (f / "predictions.csv").write_text("row,y,predicted\n0,1,1\n"),
        "must hold the classes of config.json, got the columns",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line_and_writes_nothing(copy: Copy, case: str) -> None:
    folder = copy()
    damage, message = DAMAGE[case]
    damage(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=message) as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)
    assert sorted(folder.iterdir()) == before
