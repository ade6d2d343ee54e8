"""Progress bars: one for each task, shown from the first time that it is reported."""

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Bars:
    """The library's ``Progress`` on standard error; leaves the terminal as it was when the block ends."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
        self.progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
        self.bars: dict[str, Any] = {}

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars:
            self.progress.stop()

    def __call__(self, task: str, done: int, total: int, status: str = "") -> None:
        """Show that ``done`` of ``total`` units of ``task`` are done."""
        if not self.bars:
            self.progress.start()
        if task not in self.bars:
            self.bars[task] = self.progress.add_task(task, total=total, status=status)
        self.progress.update(self.bars[task], completed=done, total=total, status=status)
