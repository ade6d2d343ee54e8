"""Names that look like markup, are no text, or cannot be shown by the terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lphm.cli.arguments import Printing
from lphm.cli.printing import columns, grid, say
from lphm.cli.progress import bars
from lphm.errors import one_line
from lphm.learn.run import load_run
from support.runs import FRAME

MARKUP = ["[/]", "[b]", "[red]x[/red]", ":smile:", "[link=x]y", "\\[b]"]
#: Bytes that are no UTF-8, letters outside ASCII, a colour of the terminal, a line break.
NAMES = [os.fsdecode(b"d\xff"), "größe", "x\x1b[31m", "two\nlines", "[b]", "'quoted' and $HOME"]


@pytest.mark.parametrize("name", MARKUP)
def test_markup_is_printed_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(grid(name, {"label": name}), {}, Printing())
    say(columns(name, ("heading",), [(name,)]), {}, Printing())
    assert capsys.readouterr().out.count(name) == 4


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("name", MARKUP)
def test_markup_in_a_bar_is_printed_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True) as progress:
        assert progress is not None
        progress(name, 1, 1, name)
    assert capsys.readouterr().err.count(name) == 2


def test_tables_show_as_escapes_what_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    hostile, shown = "[red]x\x1b]0;title\x07\x1b[2J\r\udcff ü", r"[red]x\x1b]0;title\x07\x1b[2J \udcff ü"
    say(grid(hostile, {"a": hostile}), {}, Printing())
    say(columns(hostile, ["a"], [[hostile]]), {}, Printing())
    printed = capsys.readouterr().out
    assert printed.count(shown) == 4
    assert not {*printed} & {"\x1b", "\x07", "\r", "\udcff"}


def test_json_needs_no_encoding(capsys: pytest.CaptureFixture[str]) -> None:
    say(grid("", {}), {"name": "größe"}, Printing(json=True))
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"name": "größe"}


def test_what_a_terminal_would_obey_is_printed_as_escapes() -> None:
    assert one_line("a\n b\x1b[31m\udcff\x9b größe ξ") == r"a b\x1b[31m\udcff\x9b größe ξ"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_and_prints_any_name(
    tmp_path: Path, succeeding, failing, run_folder: Path, name: str
) -> None:
    run, table, shown = f"{name} run", f"{name}.csv", one_line(name)
    run_folder.rename(tmp_path / run)
    (tmp_path / "t.csv").rename(tmp_path / table)
    np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).standard_normal((64, 3)))
    assert shown in succeeding("info", run)
    assert json.loads(succeeding("info", run, "--json"))["source"] == "t.csv"
    assert shown in succeeding("evaluate", run, table)
    assert shown in succeeding("predict", run, table, "-o", f"{name} out.csv")
    assert shown in succeeding("report", run)
    assert shown in succeeding("report", run, "-o", f"{name} page.html")
    assert shown in succeeding("apply", f"{name}.npy", "-o", f"{name} x.npy")
    printed = json.loads(
        succeeding("apply", f"{name}.npy", "-o", f"{name}.parquet", "--matrix", f"{name} xi.csv", "--json")
    )
    assert printed["output"] == f"{name}.parquet"
    files = {f"{name}{end}" for end in (" out.csv", " page.html", " x.npy", ".parquet", " xi.csv")}
    assert files <= {path.name for path in tmp_path.iterdir()}
    for arguments in (
        ("info", f"no {name}"),
        ("apply", f"no {name}", "-o", "x.npy"),
        ("train", f"no/{name}"),
    ):
        assert shown in failing(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:2])
def test_a_run_may_have_a_name_that_is_no_text(tmp_path: Path, succeeding, name: str) -> None:
    table = FRAME.assign(**{"[/]": ["[b]no", "[/yes]"] * 6})
    pd.concat([table] * 4).to_csv(tmp_path / f"{name}.csv", index=False)
    short = ("--epochs", 1, "--members", 1, "--width", 8)
    printed = succeeding("train", f"{name}.csv", "--target", "[/]", *short, "-o", f"{name} run")
    assert one_line(name) in printed
    assert load_run(tmp_path / f"{name} run").config.source == f"{name}.csv"
    assert "[/]" in succeeding("info", f"{name} run")
    assert "'[/]'" in succeeding("predict", f"{name} run", f"{name}.csv", "-o", "[b].csv")
    assert set(pd.read_csv(tmp_path / "[b].csv")["[/]"]) <= {"[b]no", "[/yes]"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_another_locale_changes_what_is_printed_and_not_what_is_written(
    tmp_path: Path, run_folder: Path, environment: dict[str, str]
) -> None:
    frame = pd.read_csv(tmp_path / "t.csv").assign(c="größe")
    frame.to_csv(tmp_path / "größe.csv", index=False)
    run_folder.rename(tmp_path / "größe")
    (tmp_path / "größe" / "report.html").unlink(missing_ok=True)
    for arguments in (
        ["info", "größe"],
        ["info", "größe", "--json"],
        ["predict", "größe", "größe.csv", "-o", "ξ.csv"],
        ["report", "größe"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lphm", *arguments],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
    assert "–" in (tmp_path / "größe" / "report.html").read_text(encoding="utf-8")
    assert len(pd.read_csv(tmp_path / "ξ.csv")) == len(frame)
