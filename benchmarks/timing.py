"""Time, so that ratios hold on a noisy machine.

Contenders of a case take turns in one process: every round each of them has one, in a new random order, so
that none has a fixed predecessor and all meet the same noise. What counts is the median.
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
#: A call shorter than this feels what others have driven out of the caches.
SHORT_SECONDS = 0.01


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
        low, _, high = quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
        return {
            "median": median(seconds),
            "fastest": min(seconds),
            "lower_quartile": low,
            "upper_quartile": high,
            "rounds": len(seconds),
        }


def interleave(runs: dict[str, Run], rounds: int, clock: Clock, seed: int = 0) -> Samples:
    """Every run has its turn once a round, in a new order each; the first two calls do not count.

    A turn of a short run is a call that does not count and one that does: what is timed is neither the code
    nor the data that somebody else has driven out of the caches, however many others there are.
    A run that takes more than ``SLOW_SECONDS`` is warmed up once, and called in ``SLOW_ROUNDS`` rounds.
    """
    shuffle = random.Random(seed)
    found = Samples({name: [] for name in runs})
    with _no_collection():
        turns = {name: _turns(run, rounds, clock) for name, run in runs.items()}
        for number in range(rounds):
            names = [name for name in runs if number in turns[name].rounds]
            shuffle.shuffle(names)
            found.order.append(names)
            gc.collect()  # cycles may hold a whole W
            for name in names:
                seconds = [clock.time(runs[name]) for _ in range(turns[name].calls)]
                found.seconds[name].append(seconds[-1])
    return found


@dataclass(frozen=True)
class _Turns:
    """The rounds in which a run has a turn, and its calls in each, of which the last counts."""

    rounds: range
    calls: int


def _turns(run: Run, rounds: int, clock: Clock) -> _Turns:
    """By how long its warm-up takes."""
    if clock.time(run) > SLOW_SECONDS:
        return _Turns(range(0, rounds, -(-rounds // SLOW_ROUNDS)), 1)
    return _Turns(range(rounds), 2 if clock.time(run) < SHORT_SECONDS else 1)


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
