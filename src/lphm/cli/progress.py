"""Progress bars: one for each task, on standard error, shown from the first time that it is reported."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from lphm.data.progress import Progress


class TimeLeft(ProgressColumn):
    """The time that is left if the rest takes as long as what was done since the first report.

    The bars of ``rich`` go by the last half minute, which is wrong where a part ends early or is slow.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Hours, minutes and seconds, once something is done."""
        done = task.completed - task.fields["first"]
        if not task.remaining or task.stop_time is not None:
            return Text("")
        if not done or not task.elapsed:
            return Text("-:--:-- left")
        seconds = math.ceil(task.remaining * task.elapsed / done)
        return Text(f"{timedelta(seconds=seconds)} left")


def columns() -> tuple[ProgressColumn, ...]:
    """What a bar shows, for one display."""
    status = TextColumn("{task.fields[status]}", markup=False)
    return TextColumn("{task.description}", markup=False), BarColumn(), status, TimeLeft()


@contextmanager
def bars(show: bool) -> Iterator[Progress | None]:
    """The ``Progress`` that shows bars until the block ends; None if none are to be shown.

    What is refused before the first report is an error message and no bar. Nothing is shown where standard
    error is no terminal: a file has no use for a bar.
    """
    console = Console(stderr=True)
    display = Bars(*columns(), console=console)
    tasks: dict[str, TaskID] = {}

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        if not tasks:
            display.start()
        if task not in tasks:
            tasks[task] = display.add_task(task, status="", first=done)
        display.update(tasks[task], completed=done, total=total, status=status)

    try:
        yield progress if show and console.is_terminal else None
    finally:
        for task in tasks.values():
            display.stop_task(task)  # no time is left, though training may have stopped early
        if tasks:
            display.stop()
