"""Progress bars: one look for all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def bars(console: Console | None) -> Progress:
    """Bars of tasks that have a ``status``, on a console; none are shown without one."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=console is None)


@contextmanager
def bar(console: Console | None, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """One bar, shown from the first time that what it gives is called, with what was done since.

    So what is refused before any of it is done is an error message and no bar.
    """
    progress, started = bars(console), False
    task = progress.add_task(what, total=total, status="")

    def advance(done: int) -> None:
        nonlocal started
        if not started:
            progress.start()
            started = True
        progress.advance(task, done)

    try:
        yield advance
    finally:
        if started:
            progress.stop()
