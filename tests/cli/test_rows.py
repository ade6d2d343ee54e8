"""``lphm train`` with ``--test``, ``--group``, ``--time`` and ``--weight``: what is done and refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)
ROWS = 150
DAYS = pd.date_range("2024-01-01", periods=50).strftime("%Y-%m-%d").to_numpy()
TABLE = pd.DataFrame(
    {
        "a": RNG.standard_normal(ROWS).round(3),
        "b": RNG.standard_normal(ROWS).round(3),
        "patient": [f"{number:02}" for number in RNG.integers(0, 30, ROWS)],
        "day": DAYS[RNG.integers(0, 50, ROWS)],
        "w": RNG.integers(1, 4, ROWS),
    }
)
TABLE["y"] = np.where(TABLE["a"] + 0.3 * RNG.standard_normal(ROWS) > 0, "yes", "no")
SHORT = ("--target", "y", "--epochs", 2, "--members", 1, "--width", 8, "--quiet")
COLUMNS = ("patient", "day", "w")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A table, the same as a directory, and a file of test rows."""
    TABLE.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "d").mkdir()
    for file in range(2):
        part = TABLE[75 * file : 75 * (file + 1)].assign(day=lambda f: pd.to_datetime(f["day"]))
        part.to_parquet(tmp_path / "d" / f"{file}.parquet", row_group_size=25, index=False)
    later = TABLE[:40].assign(patient="new " + TABLE["patient"], day="2025" + TABLE["day"].str[4:])
    later.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path


def dropped(*used: str) -> tuple[str, ...]:
    """Options that leave the other columns out."""
    return tuple(word for name in COLUMNS if name not in used for word in ("--drop", name))


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text())


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("t.csv", "--test", "no.csv"), "no.csv must exist, got no such file or folder"),
        (("t.csv", "--test", "no"), "the data must be a file, got no, which does not exist"),
        (("t.csv", "--test", "t.csv"), "--test must be a file of rows that are not trained on, got t.csv"),
        (("t.csv", "--test", "d/../t.csv"), "--test must be a file of rows that are not trained on"),
        (
            ("d", "--test", "d/1.parquet"),
            "--test must be a file of rows that are not trained on, got d/1.parq",
        ),
        (("t.csv", "--test", "d"), "the data must be a file, got d, which is a directory"),
        (
            ("t.csv", "--test", "new.csv", "--folds", 3),
            "--folds and --compare must test on the rows that they",
        ),
        (("t.csv", "--test", "new.csv", "--compare"), "are given, got --test as well"),
        (
            ("t.csv", "--group", "patient", "--time", "day"),
            "rows must be split by group or by time, got both",
        ),
        (("t.csv", "--group", "who"), "t.csv must have the column 'who', got a, b, patient, day, w, y"),
        (("t.csv", "--time", "when"), "t.csv must have the column 'when'"),
        (("t.csv", "--weight", "mass"), "t.csv must have the column 'mass'"),
        (("t.csv", "--group", "y"), "the group must be another column than the target, got 'y' twice"),
        (
            ("t.csv", "--time", "patient", "--weight", "a"),
            "the weight 'a' must be a number of at least 0 in eve",
        ),
        (
            ("t.csv", "--time", "y", "--target", "a"),
            "the time 'y' must hold numbers or dates such as 2024-01-31",
        ),
        (("t.csv", "--group", "w", "--folds", 4), "folds must be at least 2 and at most the 3 groups, got 4"),
        (
            ("d", "--group", "patient", "--folds", 3),
            "a directory takes no --folds, --compare, --series, --step or --wide",
        ),
        (
            ("d", "--group", "patient", "--test", "new.csv"),
            "a directory must be split by a file of test rows, by",
        ),
        (("d", "--weight", "mass"), "d must have the column 'mass'"),
        (("iris", "--group", "kind"), "iris must be read without series, step, wide, drop, group, time"),
    ],
)
def test_rows_that_cannot_be_split_are_one_line(files: Path, failing, arguments: tuple, message: str) -> None:
    source, *options = arguments
    drop = () if source == "iris" else dropped(*map(str, options))
    target = () if source == "iris" or "--target" in options else ("--target", "y")
    assert message in failing("train", source, *options, *drop, *target, "--epochs", 1, "--quiet")


# What is trained.


@pytest.mark.slow
@pytest.mark.parametrize("source", ["t.csv", "d"])
def test_a_file_of_test_rows_is_scored_as_evaluate_does_and_changes_nothing(
    files: Path, succeeding, source: str
) -> None:
    options = ("train", source, "--test", "new.csv", *dropped(), *SHORT, "--early-stopping")
    succeeding(*options, "-o", "first")
    metrics = read(files / "first", "metrics.json")
    assert metrics["rows"]["test"] == 40
    scored = json.loads(succeeding("evaluate", "first", "new.csv", "--json", "--quiet"))
    assert scored == pytest.approx(metrics["test"] | {"samples": 40}, rel=1e-6)
    assert len(pd.read_csv(files / "first" / "predictions.csv")) == 40
    assert read(files / "first", "options.json")["test"] == "new.csv"
    pd.read_csv(files / "new.csv")[:25].assign(a=1000.0).to_csv(files / "new.csv", index=False)
    succeeding("train", "--config", "first/options.json", "-o", "again", "--quiet")
    assert read(files / "again", "metrics.json")["rows"]["test"] == 25
    for name in ("config.json", "weights.safetensors", "summary.json"):
        assert (files / "again" / name).read_bytes() == (files / "first" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["t.csv", "d"])
@pytest.mark.parametrize("role", ["group", "time"])
def test_columns_of_rows_are_named_and_are_no_features(
    files: Path, succeeding, source: str, role: str
) -> None:
    column = {"group": "patient", "time": "day"}[role]
    named = (f"--{role}", column, "--weight", "w", *dropped(column, "w"))
    options = tuple(word for word in SHORT if word != "--quiet")
    printed = succeeding("train", source, *named, *options, "--early-stopping", "-o", "r")
    for words in (f"{role} column, no feature", column, "weight column, no feature"):
        assert words in printed
    assert read(files / "r", "metrics.json")["row_columns"] == {role: column, "weight": "w"}
    config = read(files / "r", "config.json")
    assert [each["name"] for each in config["input"]["numeric"]] == ["a", "b"]
    assert config["input"]["categorical"] == []
    scores = (files / "r" / "report.html").read_text()
    assert "Loss and score count each sample by w" in scores
    succeeding("predict", "r", "new.csv", "-o", "out.csv")
    TABLE[["a", "b"]].to_csv(files / "a.csv", index=False)
    succeeding("predict", "r", "a.csv", "-o", "out.csv")  # which needs none of these columns


@pytest.mark.slow
def test_weights_count_in_the_scores(files: Path, succeeding) -> None:
    repeated = TABLE.loc[TABLE.index.repeat(TABLE["w"])]
    repeated.to_csv(files / "repeated.csv", index=False)
    TABLE.to_csv(files / "weighted.csv", index=False)
    options = ("train", "t.csv", "--weight", "w", *dropped("w"), *SHORT)
    succeeding(*options, "--test", "weighted.csv", "-o", "w")
    scored = json.loads(succeeding("evaluate", "w", "repeated.csv", "--json", "--quiet"))
    weighted = read(files / "w", "metrics.json")["test"]
    assert weighted["accuracy"] == pytest.approx(scored["accuracy"])
    assert weighted["loss"] == pytest.approx(scored["loss"])
    plain = json.loads(succeeding("evaluate", "w", "weighted.csv", "--json", "--quiet"))
    assert plain["loss"] != pytest.approx(scored["loss"], rel=1e-4)  # evaluate counts every row once


@pytest.mark.slow
def test_folds_and_comparisons_by_group_and_by_time(files: Path, succeeding) -> None:
    for role, column in (("group", "patient"), ("time", "day")):
        options = (f"--{role}", column, *dropped(column), *SHORT, "--folds", 3, "--early-stopping")
        alone = json.loads(succeeding("train", "t.csv", *options, "--json", "-o", f"folds {role}"))
        table = json.loads(succeeding("train", "t.csv", *options, "--compare", "--json", "-o", f"all {role}"))
        scores = {row["name"]: row["scores"] for row in table["table"]}
        assert list(scores) == ["none", "full", "low-rank", "lphm"]
        assert scores["lphm"] == alone["scores"]
        drawn = json.loads(succeeding("train", "t.csv", *dropped(), *SHORT, "--folds", 3, "--json"))
        assert alone["scores"] != drawn["scores"]


@pytest.mark.slow
def test_a_run_is_resumed_with_the_same_split_alone(files: Path, succeeding, failing) -> None:
    options = ("train", "t.csv", "--group", "patient", *dropped("patient"), *SHORT, "-o", "r")
    succeeding(*options)
    assert read(files / "r", "options.json")["group"] == "patient"
    succeeding(*options, "--resume")
    other = ("train", "t.csv", "--time", "day", *dropped("day"), *SHORT, "-o", "r", "--resume")
    assert (
        "which differ in drop, group, time; leave the data and options out: lphm train -o r --resume"
        in failing(*other)
    )
    succeeding("train", "--config", "r/options.json", "-o", "r", "--resume", "--quiet")
    succeeding("train", "-o", "r", "--resume", "--quiet")


@pytest.mark.slow
def test_long_tables_and_arrays_of_series(files: Path, succeeding) -> None:
    X, groups = RNG.standard_normal((60, 5, 2)), np.repeat(np.arange(12), 5)
    y = np.where(X[:, 0, 0] > 0, "p", "q")
    np.savez(files / "s.npz", X=X, y=y, g=groups, channels=np.array(["u", "v"]))
    long = pd.DataFrame(X.reshape(-1, 2), columns=["u", "v"])
    long["id"], long["t"] = np.repeat(np.arange(60), 5), np.tile(np.arange(5), 60)
    long["y"], long["g"] = np.repeat(y, 5), np.repeat(groups, 5)
    long.to_csv(files / "long.csv", index=False)
    options = ("--group", "g", *SHORT, "--early-stopping")
    succeeding("train", "s.npz", *options, "-o", "array")
    succeeding("train", "long.csv", "--series", "id", "--step", "t", *options, "-o", "long")
    weights = [(files / run / "weights.safetensors").read_bytes() for run in ("array", "long")]
    assert weights[0] == weights[1]
    succeeding("train", "s.npz", *SHORT, "--early-stopping", "-o", "drawn")
    assert (files / "drawn" / "weights.safetensors").read_bytes() != weights[0]
    tested = pd.read_csv(files / "array" / "predictions.csv")
    assert len(tested) % 5 == 0  # whole groups
