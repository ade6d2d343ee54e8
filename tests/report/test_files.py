"""A report of a folder in which files are missing, say less, or are damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lphm.errors import InputError
from lphm.report import write_report
from support.report_cases import write_run
from support.report_reader import page_of, rows_of, section


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names]


ABSENT = {
    "summary": (remove("summary.json"), {"data": "no summary.json"}),
    "metrics": (remove("metrics.json"), {"scores": "no metrics.json", "curves": "no history"}),
    "predictions": (
        remove("predictions.csv"),
        {"errors": "no predictions.csv", "interdependence": "no predictions.csv"},
    ),
    "everything": (
        remove("summary.json", "metrics.json", "predictions.csv", "interdependence.npz"),
        {"scores": "no", "data": "no", "curves": "no", "errors": "no", "interdependence": "no"},
    ),
}


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("case", ABSENT)
def test_what_is_missing_is_left_out_with_a_sentence(tmp_path: Path, case: str, task: str) -> None:
    write_run(tmp_path, task)
    damage, sentences = ABSENT[case]
    damage(tmp_path)
    page = page_of(write_report(tmp_path).parent)
    told = {s.attributes["id"]: s.all("p", **{"class": "missing"}) for s in page.all("section")}
    assert {name for name, found in told.items() if found} == set(sentences)
    for name, words in sentences.items():
        assert f"There is {words}" in told[name][0].text or f"There are {words}" in told[name][0].text
    ids = {e.attributes.get("id") for e in page.all("*")}
    assert {a.attributes["href"][1:] for a in page.all("a")} <= ids
    assert section(page, "factors").all("svg")


def edited(change: Callable[[dict], object], name: str = "metrics.json") -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return edit


def without_validation(metrics: dict) -> None:
    metrics.pop("validation")
    metrics["best_epoch"] = None
    for line in metrics["history"]:
        del line["val_loss"], line["val_score"]


def test_a_training_without_validation(tmp_path: Path) -> None:
    write_run(tmp_path)
    edited(without_validation)(tmp_path)
    page = page_of(write_report(tmp_path).parent)
    curves = section(page, "curves")
    assert "There was no validation part." in curves.text
    assert "chosen" not in curves.text
    assert len(curves.all("svg")) == 1
    assert [row[0] for row in rows_of(section(page, "scores"))] == ["train", "test"]


def test_a_loss_that_was_not_a_number(tmp_path: Path) -> None:
    write_run(tmp_path)
    edited(lambda m: m["history"][1].update(train_loss=None))(tmp_path)
    assert len(section(page_of(write_report(tmp_path).parent), "curves").all("svg")) == 2


def test_a_network_without_interdependence(tmp_path: Path) -> None:
    write_run(tmp_path, attribute=None, instance=None)
    page = page_of(write_report(tmp_path).parent)
    assert "This network has no interdependence." in section(page, "interdependence").text
    assert "no W" in section(page, "factors").text
    assert "of which 0 (0.0 %)" in section(page, "parameters").text


DAMAGE = {
    "no configuration": (remove("config.json"), "config.json must be a readable file"),
    "metrics that are no JSON": (
        lambda f: (f / "metrics.json").write_text("{"),
        "metrics.json must be a JSON file, got",
    ),
    "metrics that are a list": (
        lambda f: (f / "metrics.json").write_text("[]"),
        "metrics.json must hold an object, got list",
    ),
    "history without epochs": (edited(lambda m: m["history"][0].pop("epoch")), "as training wrote them"),
    "summary without target": (edited(lambda s: s.pop("target"), "summary.json"), "as training wrote them"),
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
def test_damage_is_one_line_and_writes_nothing(tmp_path: Path, case: str) -> None:
    write_run(tmp_path)
    damage, message = DAMAGE[case]
    damage(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message) as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
