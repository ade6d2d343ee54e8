"""What a verbose fit says."""

import sys
import time

#: Seconds of a verbose fit before it says about how long it will take.
ESTIMATED_AFTER = 2.0


class EpochLines:
    """Progress in scikit-learn's way: the status of every epoch as a line on standard error.

    A fit that takes longer than ``ESTIMATED_AFTER`` seconds also says once about how long it will take.
    """

    def __init__(self) -> None:
        self.last = ""
        self.begun: tuple[float, int] | None = None  # when the first report came, and what was done by then
        self.is_estimated = False

    def __call__(self, task: str, done: int, total: int, status: str = "") -> None:
        """Print what is new."""
        now = time.perf_counter()
        start, first = self.begun = self.begun or (now, done)
        if not self.is_estimated and done > first and now - start >= ESTIMATED_AFTER:
            self.is_estimated = True
            seconds = (now - start) / (done - first) * (total - done)
            print(f"{task}: about {seconds:.0f} seconds left after {done} of {total} steps", file=sys.stderr)
        if status != self.last:
            self.last = status
            print(f"{task}: {status}", file=sys.stderr)
