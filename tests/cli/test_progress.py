"""Progress bars: shown from the first report on, one for each task, on standard error."""

import pytest
from rich.progress import Progress

from lphm.cli.progress import TimeLeft, bars


def test_a_bar_for_each_task_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True) as progress:
        assert progress is not None
        for done in (1, 4):
            progress("training", done, 4, f"epoch {done} of 4")
        progress("testing", 3, 4)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert [line.split()[0] for line in lines] == ["training", "testing"]
    assert "epoch 4 of 4" in lines[0]


def test_the_time_that_is_left_follows_from_all_that_was_done() -> None:
    now = [0.0]
    display, column = Progress(get_time=lambda: now[0]), TimeLeft()
    task = display.add_task("20 trainings", total=20000, completed=4000, first=4000)  # of a resumed run
    assert column.render(display.tasks[0]).plain == "-:--:-- left"
    for now[0], done in ((100.0, 4100), (110.0, 8000)):  # slow at first, then a jump
        display.update(task, completed=done)
    assert column.render(display.tasks[0]).plain == "0:05:30 left"  # 110 s for each quarter of the rest
    display.update(task, completed=20000)
    assert column.render(display.tasks[0]).plain == ""


def test_the_time_that_is_left_is_not_cut_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with bars(True) as progress:
        assert progress is not None
        for done in (10, 20):
            progress("20 trainings", done, 20000, "fold 3 of 5, dual-lphm, epoch 12 of 28")
    line = capsys.readouterr().err.splitlines()[-1]
    assert "fold 3 of 5, dual-lphm, epoch 12 of 28 0:00:" in line
    assert line.rstrip().endswith(" left")


def test_nothing_is_shown_before_the_first_report(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True):
        pass
    with bars(False) as progress:
        assert progress is None
    assert capsys.readouterr().err == ""
