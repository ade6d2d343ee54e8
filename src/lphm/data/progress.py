"""How the library reports progress: a function that the command line implements with bars."""

from typing import Protocol


class Progress(Protocol):
    """Called as work goes on; ``None`` in place of it means that nobody watches."""

    def __call__(self, task: str, done: int, total: int, status: str = "") -> None:
        """Report that ``done`` of ``total`` units of a task such as ``"training"`` are done so far.

        Each task has a bar; ``status`` is a few words beside it, such as the loss of the last epoch.
        """


def shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """The ``Progress`` of a part of the work: so many units come before it, of so many in all."""
    if progress is None:
        return None
    return lambda task, done, _total, status="": progress(task, before + done, total, status)


def no_progress(task: str, done: int, total: int, status: str = "") -> None:
    """The ``Progress`` that reports nothing."""
