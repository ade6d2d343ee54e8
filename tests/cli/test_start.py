"""The command line starts in no time: what a command does not need is not imported."""

import gc
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lphm.cli.arguments import loading
from lphm.learn.run import save_run
from support.runs import FRAME, make_run
from support.sources import SOURCES

#: Packages that take long to import.
HEAVY = {"torch", "numpy", "pandas", "pyarrow", "sklearn", "pydantic", "matplotlib"}
#: Run commands, each a line of arguments, in one process; print what was imported and how each one ended.
SCRIPT = """
import sys
from lphm.__main__ import main
for line in sys.argv[1].splitlines():
    sys.argv = ["lphm", *line.split()]
    try:
        main()
    except SystemExit as error:
        assert error.code in (None, 0, 2), error
print("IMPORTED", *sys.modules)
"""


def imported(*commands: str, cwd: Path) -> set[str]:
    """The modules that a process has imported after it has run these commands."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "\n".join(commands)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rsplit("IMPORTED", 1)[1].split())


@pytest.mark.parametrize(
    "command",
    [
        "",
        "--help",
        "--version",
        "train --help",
        "apply --help",
        "bench --help",
        "tran",
        "train --speed 3",
        "train --kind neither",
        "train --epochs 0",
        "train absent.csv --target y",
        "predict run absent.csv -o out.csv",
        "info run",
        "export run",
        "apply absent.npy -o out.npy",
        "compress absent.npy --budget 9 -o out.safetensors",
    ],
)
def test_help_and_errors_import_nothing_heavy(tmp_path: Path, command: str) -> None:
    assert not imported(command, cwd=tmp_path) & HEAVY


def test_version(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "lphm", "--version"], check=True)
    assert capfd.readouterr().out == "0.1.0\n"


def test_commands_for_a_run_import_neither_the_training_nor_a_compiler(tmp_path: Path) -> None:
    save_run(make_run(), tmp_path / "run", {})
    FRAME.assign(y=["no", "yes"] * 6).to_csv(tmp_path / "t.csv", index=False)
    commands = ("predict run t.csv -o out.csv", "evaluate run t.csv", "info run", "report run")
    packages = imported(*commands, cwd=tmp_path)
    assert {"torch", "jinja2"} <= packages
    assert (tmp_path / "out.csv").exists()
    assert (tmp_path / "run" / "report.html").exists()
    assert not packages & {"lphm.learn.training", "lphm.learn.loop", "torch._dynamo", "sympy"}


def test_predict_imports_nothing_of_scikit_learn_or_scipy(tmp_path: Path) -> None:
    save_run(make_run(), tmp_path / "run", {})
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    packages = imported("predict run t.csv -o out.csv", cwd=tmp_path)
    assert (tmp_path / "out.csv").exists()
    assert {"torch", "pandas", "pydantic"} <= packages
    assert not packages & {"sklearn", "scipy", "jinja2", "lphm.learn.training", "lphm.learn.evaluation"}


def test_rich_and_flags_are_of_the_command_line_alone() -> None:
    """The library reports progress and errors in words of its own."""
    for name, path in SOURCES.items():
        if not name.startswith("lphm.cli") and name != "lphm.__main__":
            text = path.read_text()
            assert "import rich" not in text, name
            assert "from rich" not in text, name
            assert "cyclopts" not in text, name
            for flag in (
                "--drop",
                "--target",
                "--resume",
                "--output",
                "--weights",
                "--learning-rate",
                "--task",
            ):
                # The second names the command that continues what a command began.
                assert flag not in text or name in {"lphm.errors", "lphm.learn.unfinished"}, name


@pytest.mark.parametrize("command", ["predict run t.csv -o out.csv", "evaluate run t.csv", "info run"])
def test_no_garbage_is_collected_while_torch_is_imported(tmp_path: Path, command: str) -> None:
    save_run(make_run(), tmp_path / "run", {})
    FRAME.assign(y=["no", "yes"] * 6).to_csv(tmp_path / "t.csv", index=False)
    script = """
import gc, sys
from lphm.__main__ import main
during = []
def note(phase, info):
    module = sys.modules.get("torch")
    if module is not None and module.__spec__._initializing:
        during.append(info)
gc.callbacks.append(note)
main()
print("COLLECTED", len(during), "torch" in sys.modules, gc.isenabled())
"""
    call = [sys.executable, "-c", script, *command.split()]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "COLLECTED 0 True True"


def test_garbage_is_collected_again_after_an_import_that_fails() -> None:
    with pytest.raises(ModuleNotFoundError, match="absent"), loading():
        import_module("absent")
    assert gc.isenabled()
