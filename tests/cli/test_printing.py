"""Names from files are printed as they are: they neither format a table nor command a terminal."""

import pytest

from lphm.cli.arguments import Printing
from lphm.cli.printing import columns, grid, say

HOSTILE = "[red]x[/red] [/] \x1b]0;title\x07\x1b[2J\r\udcff ü"
SHOWN = r"[red]x[/red] [/] \x1b]0;title\x07\x1b[2J \udcff ü"


@pytest.mark.parametrize("table", ["grid", "columns"])
def test_names_are_shown_as_they_are(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    built = (
        grid(HOSTILE, {"a": HOSTILE}) if table == "grid" else columns(HOSTILE, ["a"], [[HOSTILE], [HOSTILE]])
    )
    say(built, {}, Printing())
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == (2 if table == "grid" else 3)
    assert not {*printed} & {"\x1b", "\x07", "\r", "\udcff"}
