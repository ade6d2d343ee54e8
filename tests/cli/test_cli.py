"""The command line as a user meets it: real processes, real files, exit codes and what is printed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

from lphm.cli.run_folder import discarded_if_refused
from lphm.errors import InputError, ReadError, WriteError
from lphm.learn.run import load_run, save_run
from lphm.report import write_report
from support.command import lphm, summary
from support.runs import DAMAGE, FRAME, make_run


@pytest.mark.slow
def test_digits_without_an_argument(tmp_path: Path) -> None:
    result = lphm("train", cwd=tmp_path)
    table = summary(result)
    folder = tmp_path / "runs" / "digits-1"
    assert table["run folder"] == "runs/digits-1"
    assert float(table["test accuracy"]) >= 0.96
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rows"] == {"train": 1438, "test": 359}
    # 4 members: the attribute kind 8 x 8 in block and readout, 4 channels each; the instance kind 32 x 32.
    assert metrics["interdependence_parameters"] == 4 * (2 * 4 * (4 + 2 * 8) + (16 + 2 * 16))
    assert metrics["interdependence_parameters_full"] == 4 * (2 * 4 * 8**2 + 32**2)
    assert f"{metrics['interdependence_parameters']:,}" in table["interdependence parameters"]
    assert result.stderr == ""  # which is no terminal
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "weights.safetensors",
        "metrics.json",
        "options.json",
        "summary.json",
        "predictions.csv",
        "interdependence.npz",
        "report.html",
    }
    assert (folder / "report.html").stat().st_size < 2e6
    assert write_report(folder, tmp_path / "again.html").read_text() == (folder / "report.html").read_text()
    assert json.loads((folder / "summary.json").read_text())["samples"] == 1797
    tested = pd.read_csv(folder / "predictions.csv")
    assert (tested["digit"] == tested["predicted"]).mean() == pytest.approx(metrics["test"]["accuracy"])
    # What the table says of the test part is what the saved run does to rows in a file.
    digits = load_digits(as_frame=True)
    digits.data.to_csv(tmp_path / "pixels.csv", index=False)
    assert lphm("predict", "runs/digits-1", "pixels.csv", "-o", "out.csv", cwd=tmp_path).returncode == 0
    predicted = pd.read_csv(tmp_path / "out.csv")
    right = (predicted["digit"] == digits.target).sum()
    expected = sum(metrics["rows"][part] * metrics[part]["accuracy"] for part in metrics["rows"])
    assert right == round(expected)
    np.testing.assert_allclose(predicted.filter(like="probability_").sum(axis=1), 1, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "load"), [("breast_cancer", load_breast_cancer), ("wine", load_wine)])
def test_tables_reach_their_accuracy(tmp_path: Path, name: str, load) -> None:
    load(as_frame=True).frame.to_csv(tmp_path / f"{name}.csv", index=False)
    table = summary(lphm("train", f"{name}.csv", "--target", "target", cwd=tmp_path))
    assert float(table["test accuracy"]) >= 0.95


@pytest.mark.slow
def test_regression_from_parquet_with_categories_and_missing_values(tmp_path: Path) -> None:
    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame["sex"] = frame["sex"].map({1.0: "NA", 2.0: "f"})  # a category may be called NA
    frame.loc[::7, "bmi"] = np.nan
    frame.loc[3, "target"] = np.nan
    frame.to_parquet(tmp_path / "d.parquet")
    result = lphm("train", "d.parquet", "--target", "target", "--seed", 1, "-o", "run", cwd=tmp_path)
    table = summary(result)
    assert "d.parquet: regression" in result.stdout
    assert float(table["test R²"]) >= 0.3  # the mean of the training part scores 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["input"]["categorical"] == [{"name": "sex", "categories": ["NA", "f"]}]
    assert lphm("predict", "run", "d.parquet", "-o", "out.csv", cwd=tmp_path).returncode == 0
    predicted = pd.read_csv(tmp_path / "out.csv")
    assert len(predicted) == len(frame)
    known = frame["target"].notna().to_numpy()
    assert np.corrcoef(predicted["target"][known], frame["target"][known])[0, 1] > 0.6


@pytest.mark.slow
def test_a_seed_repeats_a_run_bit_for_bit_and_another_does_not(tmp_path: Path) -> None:
    load_wine(as_frame=True).frame.to_csv(tmp_path / "wine.csv", index=False)
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        short = ("--epochs", 2, "--seed", seed, "-o", folder)
        assert lphm("train", "wine.csv", "--target", "target", *short, cwd=tmp_path).returncode == 0
    weights = [(tmp_path / folder / "weights.safetensors").read_bytes() for folder in "abc"]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


@pytest.mark.slow
def test_task_and_structure_can_be_chosen(tmp_path: Path) -> None:
    load_wine(as_frame=True).frame.to_csv(tmp_path / "wine.csv", index=False)
    common = ("wine.csv", "--target", "target", "--epochs", 1)
    table = summary(lphm("train", *common, "--task", "regression", "--kind", "none", cwd=tmp_path))
    assert "test R²" in table
    assert table["interdependence parameters"] == "0"
    table = summary(lphm("train", *common, "--structure", "full", "--blocks", 1, cwd=tmp_path))
    assert table["interdependence parameters"] == f"{4 * 2 * 16**2:,}"  # members, block and readout
    assert load_run(tmp_path / "runs" / "wine-2").config.network.blocks == 1


# Errors: one line, exit code 2, nothing written. In this process where that shows the same, for speed.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tran"], 'lphm: error: Unknown command "tran". Did you mean "train"?\n'),
        (["train", "--knd", "both"], "Unknown option: --knd. Did you mean --kind?"),
        (["train", "--kind", "neither"], 'Invalid value "neither" for --kind. Choose from: "attribute"'),
        (["train", "--r", "two"], 'Invalid value for --r: unable to convert "two" into int'),
        (["train", "--epochs"], "--epochs requires an argument"),
        (
            ["train", "--epochs", 0],
            "epochs must be a whole number of at least 1 and at most 2147483647, got 0",
        ),
        (["train", "--dropout", 1], "dropout must be a number of at least 0 and below 1, got 1.0"),
        (["train", "--seed", -1], "seed must be a whole number of at least 0 and at most 2147483647, got -1"),
        (["train", "--folds", 1], "folds must be a whole number of at least 2, got 1"),
        (
            ["train", "iris", "wine"],
            "lphm: error: the command takes fewer arguments, got wine as well; did you mean --target wine?\n",
        ),
        (["train", "iris", "a", "b"], "lphm: error: the command takes fewer arguments, got a b as well\n"),
        (["info", "iris", "wine"], "lphm: error: the command takes fewer arguments, got wine as well\n"),
        (["train", "absent.csv", "--target", "y"], "absent.csv must exist, got no such file or folder"),
        (["train", "absent/", "--target", "y"], "absent must exist, got no such file or folder"),
        (["train", "--config", "absent.json"], "absent.json must be a readable file, got: No such file"),
        (["train", "--resume"], "--resume must come with --output of the run, got none"),
        (
            ["train", "-o", "runs/res", "--resume"],
            "lphm: error: runs/res holds no run to continue; name the data to begin one\n",
        ),
        (["predict", "run"], 'Command "predict" parameter FILE requires an argument'),
        (["predict", "run", "new.csv", "-o", "out.csv"], "run must exist, got no such file or folder"),
        (["evaluate", "run", "new.csv"], "run must exist, got no such file or folder"),
        (["info", "run"], "run must exist, got no such file or folder"),
        (["report", "run"], "run must exist, got no such file or folder"),
        (["apply", "absent.npy", "-o", "out.npy"], "absent.npy must exist, got no such file or folder"),
        (["apply", "x.npy", "-o", "out.txt"], "the output must be a .parquet or .npy file, got out.txt"),
        (
            ["compress", "W.npy", "-o", "w.safetensors"],
            "parameter --budget requires an argument",
        ),
        (
            ["bench", "--kind", "none"],
            'Invalid value "none" for --kind. Choose from: "attribute", "instance"',
        ),
        (["bench", "--b", 0], "b must be a whole number of at least 1 and at most 2147483647, got 0"),
        (["bench", "--b", 24, "--p", 5], "p must divide n, got p=5, n=24"),
    ],
)
def test_wrong_arguments(failing, arguments: list[object], message: str) -> None:
    assert message in failing(*arguments)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "options.json must be a JSON file, got: "),
        ("[1]", "options.json must hold a JSON object, got list"),
        ('{"speed": 3}', "--config must hold options of 'lphm train', got speed in options.json"),
        ('{"output": "x"}', "--config must hold options of 'lphm train', got output in options.json"),
        (
            '{"epochs": "many"}',
            'Invalid value for EPOCHS from options.json: unable to convert "many" into int',
        ),
        ('{"epochs": 0}', "epochs must be a whole number of at least 1 and at most 2147483647, got 0"),
    ],
)
def test_a_damaged_file_of_options(tmp_path: Path, failing, content: str, message: str) -> None:
    (tmp_path / "options.json").write_text(content)
    assert message in failing("train", "--config", "options.json")


@pytest.mark.slow
@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_run_killed_during_its_first_write_begins_anew(tmp_path: Path, resume: tuple) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / ".options-abc.json").touch()
    options = ("train", "iris", "--epochs", 1, "--members", 1, "-o", "k", *resume)
    assert lphm(*options, cwd=tmp_path).returncode == 0
    assert (tmp_path / "k" / "config.json").is_file()
    assert not [path for path in (tmp_path / "k").iterdir() if path.name.startswith(".")]


@pytest.mark.slow
def test_a_training_that_is_refused_late_leaves_nothing(tmp_path: Path, failing) -> None:
    options = ("train", "iris", "--epochs", 2, "--members", 1, "-o", "r", "--learning-rate", 1e30, "--quiet")
    for resume in ((), ("--resume",)):  # which begins a run where there is none
        assert "training must keep a finite loss" in failing(*options, *resume)
        assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("error", [ReadError("the disk is gone"), WriteError("the disk is full")])
def test_what_is_done_is_kept_if_the_disk_is_at_fault(tmp_path: Path, error: InputError) -> None:
    (tmp_path / "checkpoint.ckpt").touch()
    kept = pytest.raises(type(error), match=f"{error}; what is done so far is kept")
    with kept as caught, discarded_if_refused(tmp_path, resumed=False):
        raise error
    assert caught.value.option == "resume"
    assert (tmp_path / "checkpoint.ckpt").exists()
    with pytest.raises(InputError, match="no finite loss"), discarded_if_refused(tmp_path, resumed=False):
        raise InputError("no finite loss")
    assert not tmp_path.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "lost", ["predictions.csv", "summary.json", "weights.safetensors", "interdependence.npz"]
)
def test_a_finished_run_that_lost_a_file_is_completed_again(tmp_path: Path, lost: str) -> None:
    options = ("train", "iris", "--epochs", 1, "--members", 1, "--quiet", "-o", "k")
    assert lphm(*options, cwd=tmp_path).returncode == 0
    whole = (tmp_path / "k" / lost).read_bytes()
    (tmp_path / "k" / lost).unlink()
    assert lphm(*options, "--resume", cwd=tmp_path).returncode == 0
    assert (tmp_path / "k" / lost).read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit", [{"parameters": None}, {"test": {}}, {"history": 3}, {"importance": [1]}, {"seconds": "x"}]
)
def test_a_finished_run_whose_metrics_were_edited_is_one_line(tmp_path: Path, edit: dict) -> None:
    options = ("train", "iris", "--epochs", 1, "--members", 1, "--quiet", "-o", "k")
    assert lphm(*options, cwd=tmp_path).returncode == 0
    file = tmp_path / "k" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | edit))
    resumed = lphm(*options, "--resume", cwd=tmp_path)
    assert resumed.returncode == 2
    assert resumed.stderr.count("\n") == 1
    assert "as training wrote" in resumed.stderr


def test_a_run_with_damaged_options_is_not_resumed(tmp_path: Path, failing) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "options.json").write_text("{")
    assert "run/options.json must be a JSON file" in failing("train", "iris", "-o", "run", "--resume")


@pytest.mark.parametrize("case", DAMAGE)
def test_predict_with_a_damaged_run(tmp_path: Path, failing, case: str) -> None:
    save_run(make_run(), tmp_path / "run", {})
    DAMAGE[case][0](tmp_path / "run")
    (tmp_path / "t.csv").write_text("x,c\n1,u\n")
    assert "lphm: error: run" in failing("predict", "run", "t.csv", "-o", "out.csv")


NUMBERS = "".join(f"{i},{i % 7},{'ab'[i % 2]}\n" for i in range(40))
BAD_TABLES = {
    "without the target": ("x,z,y\n" + NUMBERS, ("--target", "label"), "must have the column 'label'"),
    "empty": ("", ("--target", "y"), "must hold a header and rows, got an empty file"),
    "header only": ("x,z,y\n", ("--target", "y"), "must hold rows"),
    "one class": ("x,y\n" + "".join(f"{i},a\n" for i in range(40)), ("--target", "y"), "got only 'a'"),
    "a column of text only": (
        "note,y\n" + "".join(f"words {i},{'ab'[i % 2]}\n" for i in range(40)),
        ("--target", "y"),
        "column 'note' must hold numbers or categories, got text",
    ),
    "nothing but a column of text": (
        "note\n" + "".join(f"words {i}\n" for i in range(40)),
        ("--target", "note"),
        "0 columns beside 'note'",
    ),
    "text as target of a regression": (
        "x,z,y\n" + NUMBERS,
        ("--target", "y", "--task", "regression"),
        "column 'y' must hold numbers, got 'a' in row 1",
    ),
    "a target of free text": (
        "x,note\n" + "".join(f"{i},words {i}\n" for i in range(40)),
        ("--target", "note"),
        "every class of 'note' must have at least 3 rows",
    ),
    "too few rows": ("x,y\n1,a\n2,b\n3,a\n4,b\n", ("--target", "y"), "at least 20 rows"),
    "no target named": ("x,z,y\n" + NUMBERS, (), "name the column to predict; --target 'COLUMN'"),
    "free text beside others": (
        "note,z,y\n"
        + "".join(f"some words that are here for number {i},{i % 7},{'ab'[i % 2]}\n" for i in range(40)),
        ("--target", "y"),
        "leave it out; try: lphm train t.csv --target y --drop note",
    ),
    "channels that do not divide": (
        "x,z,y\n" + NUMBERS,
        ("--target", "y", "--kind", "both", "--instance-channels", 3),
        "instance_channels must divide width, got instance_channels=3, width=32",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_train_on_a_table_that_cannot_be_learned(tmp_path: Path, failing, case: str) -> None:
    content, options, message = BAD_TABLES[case]
    (tmp_path / "t.csv").write_text(content)
    assert message in failing("train", "t.csv", *options)


def test_a_device_that_is_not_there(tmp_path: Path, failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    save_run(make_run(), tmp_path / "run", {})
    FRAME.assign(y="yes").to_csv(tmp_path / "t.csv", index=False)
    for arguments in (
        ("train", "iris", "--epochs", 1),
        ("predict", "run", "t.csv", "-o", "out.csv"),
        ("evaluate", "run", "t.csv"),
    ):
        line = failing(*arguments, "--device", "cuda")
        assert "device must be available, got 'cuda'; torch can use" in line
        assert line.endswith("choose auto or one of these; --device\n")


def test_files_that_do_not_fit(tmp_path: Path, failing) -> None:
    save_run(make_run(), tmp_path / "run", {})
    (tmp_path / "t.csv").write_text("x\n1\n")
    assert "the target of digits is 'digit', got 'y'" in failing("train", "--target", "y")
    assert "out.csv must exist" not in failing("predict", "run", "absent.csv", "-o", "out.csv")
    assert "t.csv is not a run folder (it has no config.json)" in failing("info", "t.csv")
    assert "must be a .csv, .csv.gz or .parquet file" in failing("predict", "run", "t.csv", "-o", "out.txt")
    assert "--output must be a new or empty folder" in failing("train", "-o", "run")
    assert "t.csv lacks the column 'c' of the training" in failing("predict", "run", "t.csv", "-o", "out.csv")
    assert "folds must be at least 2 and at most the 50 samples" in failing("train", "iris", "--folds", 51)
    assert "got 'mps'" in failing("train", "iris", "--device", "mps", "-o", "new")
    whole = ("train", "iris", "--structure", "full", "--p", 4)
    assert "structure 'full' must be given no sizes, got p=4; leave p out" in failing(*whole)


@pytest.mark.slow
def test_a_damaged_run_in_a_new_interpreter(tmp_path: Path) -> None:
    save_run(make_run(), tmp_path / "run", {})
    DAMAGE["truncated weights"][0](tmp_path / "run")
    (tmp_path / "t.csv").write_text("x,c\n1,u\n")
    command = [sys.executable, "-m", "lphm", "predict", "run", "t.csv", "-o", "out.csv"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("lphm: error: run/")
    assert not (tmp_path / "out.csv").exists()


def test_without_the_extra_the_command_line_says_what_to_install(tmp_path: Path) -> None:
    """A Python that has torch but not the extra: its packages are hidden by modules that fail to import."""
    for package in ("cyclopts", "safetensors"):
        (tmp_path / f"{package}.py").write_text(f'raise ModuleNotFoundError("No module named {package!r}")')
    code = "import runpy; runpy.run_module('lphm', run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "pip install 'lphm[train]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_lphm_is_installed_as_a_command() -> None:
    assert shutil.which("lphm", path=str(Path(sys.executable).parent))


def test_without_a_package_of_the_extra_a_command_says_what_to_install(
    failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lphm.learn.training", None)  # as if what it imports were not installed
    assert "pip install 'lphm[train]'" in failing("train", "iris")
