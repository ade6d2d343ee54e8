"""Every choice is written once: the command line and the estimators take the same, with the same defaults."""

import inspect
import json
import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lphm.cli import app
from lphm.cli.run_folder import NOT_SAVED, RunOptions
from lphm.cli.train import DataOptions
from lphm.data.row_options import RowOptions
from lphm.estimators import LPHMClassifier, LPHMRegressor
from lphm.learn.options import FitOptions, NetworkOptions, TrainingOptions
from support.command import lphm

NETWORK, FIT, TRAINING = (
    {field.name: field for field in fields(cls)} for cls in (NetworkOptions, FitOptions, TrainingOptions)
)


def flags(command: str) -> dict[str, Any]:
    """The arguments of a command by their names in Python."""
    collection = app[command].assemble_argument_collection()
    return {argument.field_info.name: argument for argument in collection if not argument.children}


def test_every_option_has_a_flag_with_its_default_and_a_help_text() -> None:
    arguments = flags("train")
    for name, field in (NETWORK | TRAINING).items():
        argument = arguments[name]
        assert argument.names[0] == f"--{name.replace('_', '-')}"
        assert argument.field_info.default == field.default
    assert set(arguments) == {
        "source",
        *NETWORK,
        *TRAINING,
        *(field.name for field in (*fields(DataOptions), *fields(RowOptions), *fields(RunOptions))),
        "quiet",
        "json",
    }
    assert set(arguments) > NOT_SAVED
    for command in ("train", "predict", "evaluate", "report", "info", "export", "apply", "compress", "bench"):
        described = app[command].assemble_argument_collection(parse_docstring=True)
        missing = [each.name for each in described if not each.children and not each.parameter.help]
        assert missing == [], command


@pytest.mark.parametrize("cls", [LPHMClassifier, LPHMRegressor])
def test_the_estimators_have_the_same_arguments_and_defaults(cls: type) -> None:
    arguments = inspect.signature(cls).parameters
    for name, field in (NETWORK | FIT).items():
        assert arguments[name].default == field.default
    more = {"random_state", "warm_start", "verbose", "categorical_features", "callbacks", "logger"}
    more |= {"class_weight"} if cls is LPHMClassifier else set()
    assert set(arguments) == NETWORK.keys() | FIT.keys() | more


def test_no_command_takes_many_arguments() -> None:
    for command in app:
        if not command.startswith("-"):
            assert len(inspect.signature(app[command].default_command).parameters) <= 10


def test_numbers_of_numpy_become_those_of_python() -> None:
    options = TrainingOptions(epochs=np.int64(3), learning_rate=np.float32(0.5), early_stopping=np.True_)
    assert [type(value) for value in (options.epochs, options.learning_rate, options.early_stopping)] == [
        int,
        float,
        bool,
    ]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["lphm", "tr"], ["train"]),
        (["lphm", "apply", "--norm"], ["--normalize"]),
        (["lphm", "train", "--device", ""], ["auto", "cpu", "cuda", "mps"]),
    ],
)
def test_the_shell_completes_commands_options_and_choices(
    tmp_path: Path, typed: list[str], offered: list[str]
) -> None:
    (tmp_path / "lphm").write_text(app.generate_completion(shell="bash"))
    function = re.search(r"^complete -F (\w+) lphm$", (tmp_path / "lphm").read_text(), re.MULTILINE)
    assert function is not None
    words = f'COMP_WORDS=("${{@}}"); COMP_CWORD={len(typed) - 1}; COMP_LINE="$*"; COMP_POINT=${{#COMP_LINE}}'
    ask = f'. ./lphm; {words}; {function[1]}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", ask, "bash", *typed], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == offered


def test_the_completion_can_be_installed() -> None:
    assert "--install-completion" in app


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("train", "--epochs", "1.5"), "--epochs"),
        (("train", "--members", "2.0"), "--members"),
        (("bench", "--b", "10.5"), "--b"),
    ],
)
def test_a_fraction_is_not_rounded_to_a_whole_number(arguments: tuple, option: str, failing: Any) -> None:
    assert f"{option} must be a whole number, got '{arguments[-1]}'" in failing(*arguments)


@pytest.mark.slow
def test_early_stopping_can_be_refused_and_a_file_of_options_says_so(tmp_path: Path) -> None:
    small = ("--epochs", 2, "--members", 1, "--width", 8, "--quiet")
    assert lphm("train", "iris", "--no-early-stopping", *small, "-o", "a", cwd=tmp_path).returncode == 0
    assert lphm("train", "--config", "a/options.json", "-o", "b", cwd=tmp_path).returncode == 0
    again = ("--config", "a/options.json", "--early-stopping", "-o", "c")
    assert lphm("train", *again, cwd=tmp_path).returncode == 0
    validated = {
        run: "val_loss" in json.loads((tmp_path / run / "metrics.json").read_text())["history"][-1]
        for run in "abc"
    }
    assert validated == {"a": False, "b": False, "c": True}
