"""``--category``: codes that look like numbers, through the real command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.command import lphm
from support.zip_codes import zip_codes

SHORT = ("--members", 1, "--width", 8, "--epochs", 20, "--learning-rate", 0.02, "--quiet")
FRAME = zip_codes()


def train(folder: Path, source: str, *options: object) -> dict[str, Any]:
    trained = lphm("train", source, "--target", "y", *SHORT, *options, "-o", "r", cwd=folder)
    assert (trained.returncode, trained.stderr) == (0, "")
    return json.loads((folder / "r" / "metrics.json").read_text())


def write(folder: Path, frame: pd.DataFrame, source: str) -> str:
    if source == "t.csv":
        frame.to_csv(folder / source, index=False)
    elif source == "t.parquet":
        frame.to_parquet(folder / source)
    else:
        (folder / source).mkdir()
        for number, part in enumerate((frame[:150], frame[150:])):
            part.to_parquet(folder / source / f"{number}.parquet", row_group_size=50, index=False)
    return source


@pytest.mark.slow
@pytest.mark.parametrize("source", ["t.csv", "t.parquet", "d"])
def test_a_code_is_learned_as_a_category_alone(tmp_path: Path, source: str) -> None:
    write(tmp_path, FRAME, source)
    assert train(tmp_path, source)["test"]["r2"] < 0.8
    (tmp_path / "r").rename(tmp_path / "number")
    assert train(tmp_path, source, "--category", "zip")["test"]["r2"] > 0.95
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    codes = sorted(map(str, FRAME["zip"].unique()))
    assert config["input"]["categorical"] == [{"name": "zip", "categories": codes}]
    assert json.loads((tmp_path / "r" / "options.json").read_text())["category"] == ["zip"]
    predicted = []
    for name, dtype in (("p.csv", int), ("p.parquet", int), ("q.parquet", float), ("r.parquet", "category")):
        asked = FRAME[["x", "zip"]].astype({"zip": dtype})
        asked.to_csv(tmp_path / name, index=False) if name == "p.csv" else asked.to_parquet(tmp_path / name)
        done = lphm("predict", "r", name, "-o", "out.csv", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        predicted.append(pd.read_csv(tmp_path / "out.csv")["y"])
    assert np.corrcoef(predicted[0], FRAME["y"])[0, 1] > 0.99
    assert all(other.equals(predicted[0]) for other in predicted)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["t.parquet", "d"])
def test_the_type_that_pandas_wrote_says_the_same_without_an_option(tmp_path: Path, source: str) -> None:
    write(tmp_path, FRAME.astype({"zip": "category"}), source)
    assert train(tmp_path, source)["test"]["r2"] > 0.95


@pytest.mark.slow
def test_folds_comparison_config_and_resume_have_the_categories(tmp_path: Path) -> None:
    write(tmp_path, FRAME, "t.csv")
    folds = ("--folds", 2, "--compare", "--json")
    compared = lphm(
        "train", "t.csv", "--target", "y", "--category", "zip", *SHORT, *folds, "-o", "c", cwd=tmp_path
    )
    assert min(row["mean"] for row in json.loads(compared.stdout)["table"]) > 0.95, compared.stderr
    train(tmp_path, "t.csv", "--category", "zip", "--category", "x")
    assert json.loads((tmp_path / "r" / "options.json").read_text())["category"] == ["zip", "x"]
    again = lphm("train", "--config", "r/options.json", "-o", "again", "--quiet", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    inputs = [json.loads((tmp_path / run / "config.json").read_text())["input"] for run in ("r", "again")]
    assert inputs[0] == inputs[1]
    assert [column["name"] for column in inputs[1]["categorical"]] == ["zip", "x"]
    other = lphm("train", "t.csv", "--target", "y", *SHORT, "-o", "r", "--resume", cwd=tmp_path)
    assert other.returncode == 2
    assert "--resume must come with the options of the run, which differ in category" in other.stderr


@pytest.mark.slow
def test_a_category_of_a_bundled_set(tmp_path: Path) -> None:
    done = lphm("train", "diabetes", "--category", "sex", *SHORT, "-o", "r", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert [column["name"] for column in config["input"]["categorical"]] == ["sex"]
    scored = lphm("evaluate", "r", "diabetes", "--json", cwd=tmp_path)
    assert json.loads(scored.stdout)["samples"] == 442


@pytest.mark.parametrize("source", ["t.csv", "t.parquet", "d"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--category", "plz"), "must have the column 'plz', got zip, x, y"),
        (("--category", "y"), "got the target 'y'; for classes, choose the task; --task 'classification'"),
        (("--category", "zip", "--drop", "zip"), "column 'zip' must be a category or be left out, got both"),
    ],
)
def test_what_cannot_be_a_category_is_one_line(
    tmp_path: Path, failing, source: str, options: tuple, message: str
) -> None:
    write(tmp_path, FRAME, source)
    assert message in failing("train", source, "--target", "y", *options)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("digits", ("--category", "pixel_0_0")),
        ("t.csv", ("--category", "x", "--series", "zip", "--step", "x")),
    ],
)
def test_images_and_series_have_no_categories(tmp_path: Path, failing, source: str, options: tuple) -> None:
    write(tmp_path, FRAME, "t.csv")
    more = () if source == "digits" else ("--target", "y")
    assert "must be a table where a column is a category, got series or images" in failing(
        "train", source, *more, *options
    )


def test_free_text_names_the_way_out(tmp_path: Path, failing) -> None:
    frame = FRAME.assign(zip=[f"one of the {number} codes for a place" for number in range(300)])
    write(tmp_path, frame, "t.csv")
    message = "300 distinct values in 300 rows; say that it holds categories, or leave it out; "
    command = "try: lphm train t.csv --target y --drop zip"
    assert message + command in failing("train", "t.csv", "--target", "y")
    message = "must hold categories that occur in several rows, got 300 distinct values in 300 rows"
    assert message in failing("train", "t.csv", "--target", "y", "--category", "zip")
