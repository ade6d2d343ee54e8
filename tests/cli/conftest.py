"""The command line in this process, where that shows the same as one of its own, for speed."""

import sys
from pathlib import Path

import pytest

from lphm.__main__ import main
from lphm.learn.run import save_run
from support.runs import FRAME, make_run


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run ``lphm`` in this process; assert that it fails as a user's mistake does; return its line."""

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["lphm", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert caught.value.code == 2
        assert captured.out == "" or ": columns" in captured.out.partition("\n")[0]
        assert captured.err.startswith("lphm: error: ")
        assert captured.err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return captured.err

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run, beside a table ``t.csv`` that it can predict."""
    save_run(make_run(), tmp_path / "run", {})
    FRAME.assign(y=["no", "yes"] * 6).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "run"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error is a terminal that prints each line once."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
