"""Runs through the real command line: killed and resumed, repeated, compared, on series."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.data.targets import NumberTarget
from lphm.learn.config import build_network
from lphm.learn.run import Run, save_run
from support import forked
from support.command import lphm, summary
from support.lagged import lagged_series
from support.runs import FRAME, make_run

pytestmark = pytest.mark.slow


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_kill_minus_nine_and_resume_give_the_same_weights(tmp_path: Path) -> None:
    options = ("train", "iris", "--epochs", 60, "--seed", 3, "--members", 2)
    assert lphm(*options, "-o", "whole", cwd=tmp_path).returncode == 0
    child = forked.start(forked.lphm, *options, "-o", "cut", cwd=tmp_path)
    checkpoint = tmp_path / "cut" / "checkpoint.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    child.signal(signal.SIGKILL)
    assert child.wait().returncode == -signal.SIGKILL
    assert checkpoint.exists()
    assert not (tmp_path / "cut" / "config.json").exists()  # it was cut in the middle
    unfinished = "cut is unfinished; continue it with lphm train -o cut --resume"
    for command in ("info", "report"):
        assert lphm(command, "cut", cwd=tmp_path).stderr == f"lphm: error: {unfinished}\n"
    assert lphm("train", "-o", "cut", "--resume", cwd=tmp_path).returncode == 0
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert not checkpoint.exists()
    again = lphm(
        *options, "-o", "cut", "--resume", "--json", "--quiet", cwd=tmp_path
    )  # nothing is left to do
    assert (
        json.loads(again.stdout)["seconds"]
        == json.loads((tmp_path / "cut/metrics.json").read_text())["seconds"]
    )
    other = lphm("train", "iris", "--epochs", 5, "-o", "cut", "--resume", cwd=tmp_path)
    assert other.returncode == 2
    assert other.stderr == (
        "lphm: error: --resume must come with the options of the run, which differ in epochs, members, seed; "
        "leave the data and options out: lphm train -o cut --resume\n"
    )


def test_the_options_of_a_run_repeat_it(tmp_path: Path) -> None:
    options = ("--epochs", 2, "--kind", "instance", "--structure", "low-rank", "--r", 3, "--seed", 4)
    assert lphm("train", "iris", *options, "-o", "first", cwd=tmp_path).returncode == 0
    assert lphm("train", "--config", "first/options.json", "-o", "again", cwd=tmp_path).returncode == 0
    assert weights(tmp_path / "first") == weights(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert config["network"]["attribute"] is None
    assert config["network"]["instance"] == {"name": "low_rank", "n": 32, "r": 3}
    changed = lphm("train", "--config", "first/options.json", "--seed", 5, "-o", "other", cwd=tmp_path)
    assert changed.returncode == 0
    assert weights(tmp_path / "first") != weights(tmp_path / "other")


def test_an_r2_that_is_not_above_0_is_explained(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pd.DataFrame(random.standard_normal((80, 3)), columns=list("aby")).to_csv(tmp_path / "t.csv", index=False)
    short = ("--members", 1, "--width", 8, "--epochs", 5)
    result = lphm("train", "t.csv", "--target", "y", *short, cwd=tmp_path)
    assert float(summary(result)["test R²"]) <= 0
    said = "R² is not above 0: the predictions are no better than always predicting the mean"
    assert said in " ".join(result.stdout.split())


def test_compare_and_folds(tmp_path: Path) -> None:
    short = ("--epochs", 3, "--members", 1, "--folds", 3)
    printed = lphm("train", "iris", "--compare", *short, "-o", "c", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    assert all(name in printed.stdout for name in ("none", "full", "low-rank", "lphm", "accuracy", "seconds"))
    comparison = json.loads((tmp_path / "c/comparison.json").read_text())
    below = printed.stdout[printed.stdout.rindex("┘") + 1 :]
    assert " ".join(below.split()) == comparison["verdict"]["text"]
    again = lphm("train", "iris", "--compare", *short, "-o", "c", "--resume", "--json", cwd=tmp_path)
    assert {"folds": 3, "seed": 0} | json.loads(again.stdout) == comparison
    table = {row["name"]: row for row in comparison["table"]}
    assert list(table) == ["none", "full", "low-rank", "lphm"]
    files = {path.name for path in (tmp_path / "c").iterdir()}
    assert files == {"options.json", "cross_validation.json", "comparison.json"}
    refused = lphm("info", "c", cwd=tmp_path).stderr
    assert refused == (
        "lphm: error: c must hold a model, got a run with --compare, which keeps none; train one\n"
    )
    assert table["none"]["interdependence_parameters"] == 0
    counts = {name: table[name]["interdependence_parameters"] for name in ("full", "lphm")}
    assert counts == {"full": 2 * 4**2, "lphm": 2 * (4 + 2 * 4)}  # in block and readout
    assert all(
        len(row["scores"]) == 3 and row["spread"] == pytest.approx(np.std(row["scores"]))
        for row in table.values()
    )
    result = lphm("train", "iris", *short, "--quiet", "--json", cwd=tmp_path)
    alone = json.loads(result.stdout)  # with the same seeds and folds
    assert (alone["scores"], alone["losses"]) == (table["lphm"]["scores"], table["lphm"]["losses"])
    assert result.stderr == ""


def test_a_resumed_comparison_trains_only_what_is_left(tmp_path: Path) -> None:
    options = ("train", "iris", "--folds", 2, "--epochs", 1, "--members", 1, "-o", "c")
    assert lphm(*options, cwd=tmp_path).returncode == 0
    path = tmp_path / "c" / "cross_validation.json"
    done = json.loads(path.read_text())
    done["fold 1"]["score"] = 0.125
    del done["fold 2"]
    path.write_text(json.dumps(done))
    result = lphm(*options, "--resume", "--quiet", "--json", cwd=tmp_path)
    assert json.loads(result.stdout)["scores"][0] == 0.125
    assert "fold 2" in json.loads(path.read_text())


def test_arrays_and_long_tables_of_series(tmp_path: Path) -> None:
    X, y = lagged_series(60, seed=0)
    np.savez(tmp_path / "s.npz", X=X, y=y, channels=np.array(list("abcd")))
    short = ("--epochs", 2, "--members", 1)
    assert "test accuracy" in summary(lphm("train", "s.npz", *short, "-o", "array", cwd=tmp_path))
    long = pd.DataFrame(X.reshape(-1, 4), columns=list("abcd"))
    long["id"], long["t"], long["y"] = (
        np.repeat(np.arange(60), 64),
        np.tile(np.arange(64), 60),
        np.repeat(y, 64),
    )
    shuffled = long.sample(frac=1, random_state=0).sort_values("id", kind="stable")  # steps in any order
    shuffled.to_parquet(tmp_path / "long.parquet")
    named = ("--target", "y", "--series", "id", "--step", "t", "-o", "long")
    assert lphm("train", "long.parquet", *named, *short, cwd=tmp_path).returncode == 0
    assert weights(tmp_path / "long") == weights(tmp_path / "array")  # the same series, the same run
    for run, file in (("array", "s.npz"), ("long", "long.parquet")):
        assert lphm("predict", run, file, "-o", f"{run}.csv", cwd=tmp_path).returncode == 0
    predicted = [pd.read_csv(tmp_path / f"{run}.csv") for run in ("array", "long")]
    assert list(predicted[1].pop("id")) == list(range(60))
    pd.testing.assert_frame_equal(*predicted)
    printed = json.loads(lphm("evaluate", "long", "long.parquet", "--json", cwd=tmp_path).stdout)
    assert printed["samples"] == 60
    assert printed["accuracy"] == pytest.approx((predicted[0]["y"] == y).mean())
    assert (tmp_path / "long" / "report.html").read_text().count("<svg") > 3


def test_report_and_info(tmp_path: Path) -> None:
    assert lphm("train", "wine", "--epochs", 2, "--quiet", "-o", "w", cwd=tmp_path).stdout == ""
    first = (tmp_path / "w" / "report.html").read_text()
    assert lphm("report", "w", "-o", "again.html", cwd=tmp_path).returncode == 0
    assert (tmp_path / "again.html").read_text() == first
    printed = json.loads(lphm("info", "w", "--json", cwd=tmp_path).stdout)
    config, metrics = (
        json.loads((tmp_path / "w" / f"{each}.json").read_text()) for each in ("config", "metrics")
    )
    assert printed.pop("metrics") == {name: value for name, value in metrics.items() if name != "history"}
    assert printed.pop("weights_bytes") == (tmp_path / "w" / "weights.safetensors").stat().st_size
    assert printed == {name: value for name, value in config.items() if name != "weights_sha256"}
    lines = [line[1:-1].split("│") for line in lphm("info", "w", cwd=tmp_path).stdout.splitlines()[2:-1]]
    said = {name.strip(): cell.strip() for name, cell in lines}  # a wrapped line has an empty name
    assert said["data"] == "wine: 142 rows for training, 36 rows for test"
    assert said["target"] == "class (classification), 3 classes: class_0, class_1, class_2"
    assert said["test score"].startswith(f"accuracy {metrics['test']['accuracy']:.4f}, loss ")
    assert said["features"].startswith("13 numbers: alcohol, malic_acid, ash")
    assert said["training"].startswith("2 epochs, best ")
    assert said["W, attribute"] == "LPHM(n=16, p=4, q=4, r=2): 32 parameters (a dense W: 256)"


def test_info_of_an_error_in_the_unit_of_the_target_and_of_damaged_metrics(tmp_path: Path) -> None:
    run = make_run()
    target = NumberTarget(name="price", mean=1e5, std=2e4)
    config = run.config.model_copy(update={"target": target})
    metrics = {"rows": {"train": 16}, "test": {"loss": 0.25, "r2": 0.75, "rmse": 1e4}, "seconds": 1.0}
    save_run(Run(config, build_network(config)), tmp_path / "run", metrics)
    said = " ".join(lphm("info", "run", cwd=tmp_path).stdout.split())
    assert "price (regression), 100,000 ± 20,000 in training" in said
    assert "R² 0.7500, loss 0.2500, root mean squared error 10,000" in said
    assert "1 number: x; 1 category: c" in said
    (tmp_path / "run" / "metrics.json").write_text('{"test": {"loss": 1}}')
    damaged = lphm("info", "run", cwd=tmp_path)
    assert (damaged.returncode, damaged.stderr.count("\n")) == (2, 1)
    assert "metrics.json must be as training wrote it, got KeyError: 'r2'" in damaged.stderr
    (tmp_path / "run" / "metrics.json").unlink()
    assert lphm("info", "run", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "command", ["train", "predict", "evaluate", "report", "info", "export", "apply", "compress", "bench"]
)
def test_help_shows_examples(tmp_path: Path, command: str) -> None:
    shown = lphm(command, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert f"lphm {command} " in shown.stdout.split("Example", 1)[1]


def test_text_that_a_spreadsheet_would_run_is_guarded_if_asked_for(tmp_path: Path) -> None:
    run = make_run()
    target = run.config.target.model_copy(update={"name": "=y", "classes": ["+a", "@b"]})
    save_run(Run(run.config.model_copy(update={"target": target}), run.network), tmp_path / "run", {})
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    written = []
    for more in ([], ["--spreadsheet"]):
        assert lphm("predict", "run", "t.csv", "-o", "out.csv", *more, cwd=tmp_path).returncode == 0
        written.append(pd.read_csv(tmp_path / "out.csv"))
    raw, guarded = written
    assert list(raw.columns) == ["=y", "probability_+a", "probability_@b"]
    assert {*raw["=y"]} <= {"+a", "@b"}
    assert list(guarded.columns) == ["'=y", "probability_+a", "probability_@b"]
    assert list(guarded["'=y"]) == [f"'{name}" for name in raw["=y"]]
    pd.testing.assert_frame_equal(raw.iloc[:, 1:], guarded.iloc[:, 1:])
