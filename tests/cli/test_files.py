"""Files of every kind through the real command: each is trained on, predicted and evaluated, or refused."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from support.command import lphm, summary

SHORT = ("--members", 1, "--width", 8, "--epochs", 1)
RIDGE = ("--method", "ridge")
RNG = np.random.default_rng(0)


def table() -> pd.DataFrame:
    frame = pd.DataFrame({"größe": RNG.normal(size=60).round(3), "art": RNG.choice(["neu", "schön"], 60)})
    return frame.assign(y=np.where(frame["größe"] > 0, "ja", "nein"))


def series() -> np.ndarray:
    """``(40, 6, 2)``; the mean of the first channel says which class it is."""
    array = RNG.normal(size=(40, 6, 2)).round(3)
    array[::2, :, 0] += 3
    return array


def run(folder: Path, source: str, *options: object) -> dict[str, str]:
    """Train on a file, then evaluate and predict it; the closing table."""
    trained = lphm("train", source, *options, "-o", "r", cwd=folder)
    shown = summary(trained)
    evaluated = lphm("evaluate", "r", source, "--json", "--quiet", cwd=folder)
    assert evaluated.stderr == ""
    assert json.loads(evaluated.stdout)["samples"] > 0
    predicted = lphm("predict", "r", source, "-o", "p.csv", cwd=folder)
    assert predicted.returncode == 0, predicted.stderr
    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "separator", "encoding", "said"),
    [
        ("t.csv", ",", "utf-8", None),
        ("t.csv", ";", "cp1252", "separated by ';', encoding cp1252"),
        ("t.tsv", "\t", "utf-16", "separated by tabs, encoding utf-16"),
        ("t.txt", "|", "utf-8-sig", "separated by '|'"),
        ("t.csv.gz", ",", "utf-16-le", "encoding utf-16-le"),
        ("t.txt.zst", ";", "utf-8", "separated by ';'"),
    ],
)
def test_text_is_read_as_it_is_and_the_closing_table_says_how(
    tmp_path: Path, name: str, separator: str, encoding: str, said: str | None
) -> None:
    frame = table()
    frame.to_csv(tmp_path / "plain.csv", index=False)
    content = frame.to_csv(index=False, sep=separator).encode(encoding)
    content = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
    content = pa.compress(content, "zstd", asbytes=True) if name.endswith(".zst") else content
    (tmp_path / name).write_bytes(content)
    assert run(tmp_path, name, "--target", "y", "--test", "plain.csv", *SHORT).get("the file is") == said
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["read_as"] == (said or "")
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["input"]["categorical"] == [{"name": "art", "categories": ["neu", "schön"]}]
    first = (tmp_path / "p.csv").read_bytes()
    assert lphm("predict", "r", "plain.csv", "-o", "q.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "q.csv").read_bytes() == first


@pytest.mark.slow
@pytest.mark.parametrize("method", [SHORT, RIDGE])
def test_a_wide_table_of_series(tmp_path: Path, method: tuple) -> None:
    array = series()
    columns = {f"{c}_{s}": array[:, s, i] for i, c in enumerate(("left", "right")) for s in range(6)}
    frame = pd.DataFrame(columns).sample(axis=1, frac=1, random_state=0)
    frame = frame.assign(id=range(40), state=["on", "off"] * 20, who=[f"w{i % 8}" for i in range(40)])
    frame.to_csv(tmp_path / "wide.csv", index=False)
    np.savez(tmp_path / "same.npz", X=array, y=np.array(["on", "off"] * 20))
    expression = r"(?P<channel>\w+)_(?P<step>\d+)"
    refused = lphm("train", "wide.csv", "--target", "state", "--wide", expression, cwd=tmp_path)
    assert refused.stderr.endswith("--drop id --drop who\n")
    options = ("--target", "state", "--wide", expression, "--drop", "id", "--group", "who")
    run(tmp_path, "wide.csv", *options, *method)
    saved = [json.loads((tmp_path / "r" / f"{name}.json").read_text()) for name in ("options", "config")]
    assert saved[0]["wide"] == expression
    order = [channel["name"] for channel in saved[1]["input"]["channels"]]
    assert sorted(order) == ["left", "right"]
    assert saved[1]["input"]["wide"] == [[f"{channel}_{step}" for channel in order] for step in range(6)]
    predicted = pd.read_csv(tmp_path / "p.csv")
    assert len(predicted) == 40
    if method is RIDGE:
        assert (predicted["state"] == frame["state"]).mean() > 0.9
    frame.drop(columns=["left_3", "state"]).to_csv(tmp_path / "less.csv", index=False)
    refused = lphm("predict", "r", "less.csv", "-o", "q.csv", cwd=tmp_path)
    assert "less.csv lacks the column 'left_3' of the training; " in refused.stderr
    again = lphm("train", "--config", "r/options.json", "-o", "again", "--quiet", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert (tmp_path / "again" / "predictions.csv").read_bytes() == (
        tmp_path / "r" / "predictions.csv"
    ).read_bytes()


@pytest.mark.slow
def test_files_of_the_archives_need_no_target(tmp_path: Path) -> None:
    array, labels = series(), ["on", "off"] * 20
    header = "@problemName Parts\n@timeStamps false\n@univariate false\n@classLabel true on off\n@data\n"
    lines = []
    for i, (steps, label) in enumerate(zip(array, labels, strict=True)):
        channels = steps[: 6 - i % 3].T
        lines.append(":".join([*(",".join(map(str, channel)) for channel in channels), label]))
    for name, part in (("Parts_TRAIN.ts", lines[:30]), ("Parts_TEST.ts", lines[30:])):
        (tmp_path / name).write_text(header + "\n".join(part) + "\n")
    shown = run(tmp_path, "Parts_TRAIN.ts", "--test", "Parts_TEST.ts", *RIDGE)
    assert float(shown["test accuracy"]) > 0.8
    assert shown["learned by"] == "ridge regression (--method network trains the network)"
    assert not shown.keys() & {"interdependence parameters", "the same network with Full", "epochs"}
    report = (tmp_path / "r" / "report.html").read_text()
    assert not any(words in report for words in ("Training ran", "Factors of W", "Learning curves"))
    assert "Learned by ridge regression on local patterns, in closed form" in report
    tested = lphm("evaluate", "r", "Parts_TEST.ts", "--json", "--quiet", cwd=tmp_path)
    assert json.loads(tested.stdout)["samples"] == 10
    assert json.loads(tested.stdout)["accuracy"] == pytest.approx(float(shown["test accuracy"]), abs=1e-4)
    predicted = pd.read_csv(tmp_path / "p.csv")
    assert list(predicted) == ["class", "probability_off", "probability_on"]
    np.savez(tmp_path / "same.npz", X=array[30:])
    assert lphm("predict", "r", "same.npz", "-o", "q.csv", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("t.xlsx", b"PK", ("--target", "y"), "convert it first: save the sheet as CSV in the spreadsheet"),
        ("t.json", b"[]", ("--target", "y"), "convert it first: pandas.read_json('t.json').to_csv('t.csv'"),
        ("t.csv.gz", b"a,y\n1,2\n", ("--target", "y"), "must be a readable table, got: Not a gzipped file"),
        (
            "t.csv",
            gzip.compress(b"a,y\n" * 99, mtime=0),  # the same in every worker
            ("--target", "y"),
            "must be a text file, got bytes that are no",
        ),
        ("t.csv", b"a_1,y\n1,2\n", ("--target", "y", "--wide", "["), "wide must be a regular expression"),
        ("t.csv", b"a_1,y\n1,2\n", ("--wide", "a_(.)"), "--target 'COLUMN'"),
        (
            "t.ts",
            b"@timestamps true\n@data\n",
            (),
            "must be without time stamps (@timeStamps false), got true",
        ),
        ("t.ts", b"@data\n1,2\n", (), "must have labels (@classLabel true, or @targetLabel true), got none"),
    ],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, failing, name: str, content: bytes, options: tuple, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in failing("train", name, *options)


def test_a_directory_is_not_wide(tmp_path: Path, failing) -> None:
    (tmp_path / "d").mkdir()
    message = failing("train", "d", "--target", "y", "--wide", "a(.)")
    assert "a directory takes no --folds, --compare, --series, --step or --wide; leave them out" in message
