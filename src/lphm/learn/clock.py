"""The time that a training takes, and the share of its limit."""

import math
import time

from lphm.distributed import all_reduce_sum, world_size


class Clock:
    """The seconds of a training up to the last ``update``, the same on every process.

    A training that is resumed adds the seconds ``before``, which its checkpoint holds.

    Args:
        limit: the most seconds that the training may take; any number if None.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = math.inf if limit is None else limit
        self.begun = time.perf_counter()
        self.before = 0.0
        self.seconds = 0.0

    def update(self) -> None:
        """Read the time: the mean over the processes, so that all of them stop at the same step."""
        self.seconds = self.before + time.perf_counter() - self.begun
        if math.isfinite(self.limit):
            self.seconds = all_reduce_sum(self.seconds)[0] / world_size()

    @property
    def share(self) -> float:
        """The share of the limit that is used up, at most 1; 0 without a limit."""
        return min(self.seconds / self.limit, 1.0)
