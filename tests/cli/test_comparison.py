"""`--folds` and `--compare` through the command line, and errors in the unit of the target."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error

from lphm.data.amounts import amount
from support import forked
from support.command import lphm, summary

RNG = np.random.default_rng(0)
ROWS = 60
TABLE = pd.DataFrame(RNG.standard_normal((ROWS, 3)), columns=list("abc"))
TABLE["price"] = 90_000 + 40_000 * TABLE["a"] + 20_000 * TABLE["b"] * TABLE["c"]
TABLE["street"] = [f"street {i % 12}" for i in range(ROWS)]
TABLE["sold"] = pd.date_range("2020-01-01", periods=ROWS).astype(str)
TABLE["counts"] = 1.0 + np.arange(ROWS) % 3
SHORT = ("--target", "price", "--epochs", 2, "--members", 1, "--width", 8)

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    TABLE.to_csv(tmp_path / "houses.csv", index=False)
    series = pd.DataFrame({"id": np.repeat(np.arange(ROWS), 5), "step": np.tile(np.arange(5), ROWS)})
    for column in "ab":
        series[column] = RNG.standard_normal(len(series))
    series["street"] = (series["id"] % 12).astype(str) + " street"
    series["price"] = series.groupby("id")["a"].transform("sum").round(3) * 1000
    series.to_csv(tmp_path / "series.csv", index=False)
    return tmp_path


def dropped(*used: str) -> tuple[str, ...]:
    return tuple(f"--drop={name}" for name in ("street", "sold", "counts") if name not in used)


def test_errors_are_in_the_unit_of_the_target(folder: Path) -> None:
    trained = summary(lphm("train", "houses.csv", *SHORT, *dropped(), "-o", "run", cwd=folder))
    predictions = pd.read_csv(folder / "run" / "predictions.csv")
    truth, guess = predictions["price"], predictions["predicted"]
    wanted = {"mae": mean_absolute_error(truth, guess), "rmse": mean_squared_error(truth, guess) ** 0.5}
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert {name: metrics["test"][name] for name in wanted} == pytest.approx(wanted, rel=1e-4)
    assert set(metrics["train"]) == set(metrics["test"]) == {"loss", "r2", "mae", "rmse"}
    assert trained["mean absolute error"] == amount(metrics["test"]["mae"])
    assert trained["root mean squared error"] == amount(metrics["test"]["rmse"])
    assert 1000 < wanted["mae"] < wanted["rmse"]
    scored = json.loads(lphm("evaluate", "run", "houses.csv", "--json", cwd=folder).stdout)
    table = summary(lphm("evaluate", "run", "houses.csv", cwd=folder))
    assert (table["mean absolute error"], table["samples"]) == (amount(scored["mae"]), "60")


def test_what_the_most_frequent_class_gets(folder: Path) -> None:
    TABLE.assign(price=np.where(TABLE.index < 45, "low", "high")).to_csv(folder / "classes.csv", index=False)
    options = ("classes.csv", *SHORT, *dropped())
    trained = summary(lphm("train", *options, "-o", "run", cwd=folder))
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["test"]["baseline"] == 0.75
    assert trained["always the most frequent class"] == "0.7500"
    folds = lphm("train", *options, "--folds", 3, "-o", "folds", cwd=folder)
    assert folds.returncode == 0, folds.stderr
    row = folds.stdout[folds.stdout.index("always the most") :]
    assert row.splitlines()[0].split("│")[1].strip() == "0.7500"


@pytest.mark.parametrize(
    ("source", "more"),
    [
        ("houses.csv", dropped()),
        ("houses.csv", ("--group", "street", *dropped("street"))),
        ("houses.csv", ("--time", "sold", *dropped("sold"))),
        ("houses.csv", ("--weight", "counts", *dropped("counts"))),
        ("series.csv", ("--series", "id", "--step", "step", "--drop", "street")),
        ("series.csv", ("--series", "id", "--step", "step", "--group", "street", "--kind", "both")),
    ],
    ids=["rows", "groups", "times", "weights", "series by ridge", "series by network and group"],
)
def test_folds_of_every_kind_of_rows_say_the_error(folder: Path, source: str, more: tuple) -> None:
    short = SHORT if "--kind" in more or source == "houses.csv" else SHORT[:2]
    options = ("train", source, *short, *more, "--folds", 3)
    ended = lphm(*options, "--json", "-o", "folds", cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    folds = json.loads(ended.stdout)
    assert [len(each) for each in (folds["scores"], *folds["details"].values())] == [3, 3, 3]
    assert list(folds["details"]) == ["mae", "rmse"]
    assert all(mae <= rmse for mae, rmse in zip(*folds["details"].values(), strict=True))
    shown = lphm(*options, "--resume", "-o", "folds", cwd=folder)
    assert shown.stderr == ""  # no bar, as nothing is left to train
    assert amount(np.mean(folds["details"]["mae"])) in shown.stdout


def test_folds_with_weights_count_them(folder: Path) -> None:
    options = ("train", "houses.csv", *SHORT, *dropped("counts"), "--folds", 3, "--json")
    weighted = json.loads(lphm(*options, "--weight", "counts", "-o", "w", cwd=folder).stdout)
    plain = json.loads(lphm(*options, "--drop", "counts", "-o", "p", cwd=folder).stdout)
    assert weighted["details"] != plain["details"]


def test_a_file_of_test_rows_and_folds_are_refused_in_a_line(folder: Path) -> None:
    for option in (("--folds", 3), ("--compare",)):
        ended = lphm("train", "houses.csv", *SHORT, "--test", "series.csv", *option, cwd=folder)
        assert ended.returncode == 2
        assert ended.stderr.count("\n") == 1
        assert "must test on the rows that they are given, got --test as well" in ended.stderr


def test_a_comparison_has_one_bar_one_table_and_one_verdict(folder: Path) -> None:
    options = ("train", "houses.csv", *SHORT, *dropped(), "--compare", "--folds", 3)
    terminal = {"FORCE_COLOR": 1, "TERM": "dumb"}  # where a bar is one line
    ended = forked.start(forked.lphm, *options, "-o", "c", cwd=folder, **terminal).wait(600)
    assert ended.returncode == 0, ended.stderr
    (bar,) = filter(None, ended.stderr.splitlines())
    assert bar.startswith("12 trainings ")
    assert "fold 3 of 3, lphm" in bar
    comparison = json.loads((folder / "c" / "comparison.json").read_text())
    verdict, table = comparison["verdict"], {row["name"]: row for row in comparison["table"]}
    words = " ".join(ended.stdout[ended.stdout.rindex("┘") + 1 :].split())
    assert words == verdict["text"]
    assert verdict["advice"] in words
    errors = [amount(np.mean(table[name]["details"]["mae"])) for name in ("lphm", "none")]
    assert f"mean absolute error {' against '.join(errors)}" in words
    assert all(error in ended.stdout for error in errors)
    pair = verdict["beside_none"]
    assert (pair["structure"], pair["other"], pair["mean"]) == ("lphm", "none", table["lphm"]["mean"])
    cpu = [np.sort(table[name]["cpu_seconds"])[1] for name in ("lphm", "none")]
    assert pair["times_as_long"] == pytest.approx(cpu[0] / cpu[1])


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_scripts_get_no_bar(folder: Path, option: str) -> None:
    options = (*SHORT, *dropped(), option)
    for more in ((), ("--folds", 2), ("--compare", "--folds", 2)):
        ended = lphm("train", "houses.csv", *options, *more, cwd=folder)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert bool(ended.stdout) == (option == "--json")
    shutil.copy(folder / "houses.csv", folder / "others.csv")  # of the data of the run, evaluate says so
    scored = lphm("evaluate", "runs/houses-1", "others.csv", option, cwd=folder)
    assert (scored.returncode, scored.stderr) == (0, "")
