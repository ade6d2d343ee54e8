"""Progress bars: shown from the first report on, one for each task, on standard error."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from lphm.cli.progress import TimeLeft, bars, columns


@pytest.mark.usefixtures("terminal")
def test_a_bar_for_each_task_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True) as progress:
        assert progress is not None
        for done in (1, 4):
            progress("training", done, 4, f"epoch {done} of 4")
        progress("testing", 3, 4)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = list(filter(None, printed.err.splitlines()))
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


@pytest.mark.usefixtures("terminal")
def test_at_the_end_no_time_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True) as progress:
        assert progress is not None
        progress("predicting", 3, 3)  # all at once
        for done in (1, 4):
            progress("training", done, 9, f"epoch {done} of 9")  # which stops early
    printed = capsys.readouterr().err
    assert "epoch 4 of 9" in printed
    assert "left" not in printed


def test_a_file_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True) as progress:
        assert progress is None
    assert capsys.readouterr().err == ""


def test_the_time_that_is_left_is_not_cut_off() -> None:
    now, console = [0.0], Console(width=80, file=io.StringIO())
    display = Progress(*columns(), console=console, get_time=lambda: now[0])
    status = "fold 3 of 5, dual-lphm, epoch 12 of 28"
    task = display.add_task("20 trainings", total=20000, completed=10, first=10, status=status)
    now[0] = 1.0
    display.update(task, completed=20)
    console.print(display.get_renderable())
    assert console.file.getvalue().rstrip().endswith(f"{status} 0:33:18 left")


@pytest.mark.usefixtures("terminal")
def test_nothing_is_shown_before_the_first_report(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True):
        pass
    with bars(False) as progress:
        assert progress is None
    assert capsys.readouterr().err == ""
