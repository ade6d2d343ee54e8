"""Time, so that ratios hold on a noisy machine.

Contenders of a case take turns in one process: every round calls each of them once, in a new random
order, so that none has a fixed predecessor and all meet the same noise. What counts is the median.
"""

import gc
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Protocol

import torch

Run = Callable[[], object]

#: A call longer than this is made in a few of the rounds only, spread over all of them.
SLOW_SECONDS, SLOW_ROUNDS = 1.0, 3


class Clock(Protocol):
    """How long a call takes on a device."""

    def time(self, run: Run) -> float:
        """Seconds."""


class CPUClock:
    """``time.perf_counter``."""

    def time(self, run: Run) -> float:
        """The result is freed after the clock has stopped."""
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        del result
        return seconds


class CUDAClock:
    """CUDA events around a call; whatever was queued before has ended when the first is recorded."""

    def __init__(
        self, event: Callable[..., Any] = torch.cuda.Event, synchronize: Run = torch.cuda.synchronize
    ) -> None:
        self.event, self.synchronize = event, synchronize

    def time(self, run: Run) -> float:
        """What the device took, and what it waited for the host between the events."""
        start, stop = self.event(enable_timing=True), self.event(enable_timing=True)
        self.synchronize()
        start.record()
        result = run()
        stop.record()
        stop.synchronize()
        del result
        return start.elapsed_time(stop) / 1000


def clock_for(device: str) -> Clock:
    """The clock of a device."""
    return CUDAClock() if device == "cuda" else CPUClock()


@dataclass
class Samples:
    """Seconds of every call that counts, by contender, and who followed whom."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    order: list[list[str]] = field(default_factory=list)

    def summary(self, name: str) -> dict[str, float | int]:
        """Median, fastest and quartiles in seconds, and the number of rounds."""
        seconds = self.seconds[name]
        low, _, high = quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
        return {
            "median": median(seconds),
            "fastest": min(seconds),
            "lower_quartile": low,
            "upper_quartile": high,
            "rounds": len(seconds),
        }


def interleave(runs: dict[str, Run], rounds: int, clock: Clock, seed: int = 0) -> Samples:
    """Every run once a round, in a new order each; two rounds before the first warm up and do not count.

    A run that takes more than ``SLOW_SECONDS`` is warmed up once, and called in ``SLOW_ROUNDS`` rounds.
    """
    shuffle = random.Random(seed)
    found = Samples({name: [] for name in runs})
    with _no_collection():
        due = {name: _rounds_of(run, rounds, clock) for name, run in runs.items()}
        for number in range(rounds):
            names = [name for name in runs if number in due[name]]
            shuffle.shuffle(names)
            found.order.append(names)
            gc.collect()  # cycles may hold a whole W
            for name in names:
                found.seconds[name].append(clock.time(runs[name]))
    return found


def _rounds_of(run: Run, rounds: int, clock: Clock) -> range:
    """The rounds in which this one takes part, by how long its warm-up takes."""
    if clock.time(run) <= SLOW_SECONDS:
        clock.time(run)
        return range(rounds)
    return range(0, rounds, -(-rounds // SLOW_ROUNDS))


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection in somebody's turn; what is there already is none of a round's garbage."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
