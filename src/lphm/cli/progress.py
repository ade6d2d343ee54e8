"""Progress bars: one for each task, on standard error, shown from the first time that it is reported."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from lphm.data.progress import Progress


@contextmanager
def bars(show: bool) -> Iterator[Progress | None]:
    """The ``Progress`` that shows bars until the block ends; None if none are to be shown.

    What is refused before the first report is an error message and no bar.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        TimeRemainingColumn(),
    )
    display = Bars(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        if not tasks:
            display.start()
        if task not in tasks:
            tasks[task] = display.add_task(task, status="")
        display.update(tasks[task], completed=done, total=total, status=status)

    try:
        yield progress if show else None
    finally:
        if tasks:
            display.stop()
