"""Progress bars: shown from the first report on, one for each task, on standard error."""

import pytest

from lphm.cli.progress import bars


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


def test_nothing_is_shown_before_the_first_report(capsys: pytest.CaptureFixture[str]) -> None:
    with bars(True):
        pass
    with bars(False) as progress:
        assert progress is None
    assert capsys.readouterr().err == ""
