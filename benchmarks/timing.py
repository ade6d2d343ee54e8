"""Timing whose ratios are reliable on a noisy machine.

The contenders of a case take turns in one process. Each has one turn in every round, and the order is drawn
anew for every round, so that none always follows the same other one and all suffer the same noise. Results
are medians.
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

#: A call that takes longer than this is made in a few rounds only, evenly spaced.
SLOW_SECONDS, SLOW_ROUNDS = 1.0, 3
#: A call shorter than this is slowed down when other contenders have evicted its data from the caches.
SHORT_SECONDS = 0.01


class Clock(Protocol):
    """Measures how long a call takes on a device."""

    def time(self, run: Run) -> float:
        """Seconds that one call takes."""


class CPUClock:
    """Measures with ``time.perf_counter``."""

    def time(self, run: Run) -> float:
        """Seconds that one call takes; its result is freed after the clock has stopped."""
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        del result
        return seconds


class CUDAClock:
    """Measures with CUDA events around a call; earlier work is finished before the first is recorded."""

    def __init__(
        self, event: Callable[..., Any] = torch.cuda.Event, synchronize: Run = torch.cuda.synchronize
    ) -> None:
        self.event, self.synchronize = event, synchronize

    def time(self, run: Run) -> float:
        """Seconds between the events, including the time that the device waits for the host."""
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
    """Seconds of every timed call by contender, and the order of the contenders in every round."""

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
    """Time every run once per round, in a new random order each round, after two warm-up calls.

    A turn of a short run is two calls, of which the second is timed: the first brings its code and data back
    into the caches, so that the time does not depend on the number of contenders. A run that takes more
    than ``SLOW_SECONDS`` has one warm-up call and is timed in ``SLOW_ROUNDS`` rounds.
    """
    shuffle = random.Random(seed)
    samples = Samples({name: [] for name in runs})
    with _no_collection():
        turns = {name: _turns(run, rounds, clock) for name, run in runs.items()}
        for number in range(rounds):
            names = [name for name in runs if number in turns[name].rounds]
            shuffle.shuffle(names)
            samples.order.append(names)
            gc.collect()  # reference cycles may hold a whole W
            for name in names:
                seconds = [clock.time(runs[name]) for _ in range(turns[name].calls)]
                samples.seconds[name].append(seconds[-1])
    return samples


@dataclass(frozen=True)
class _Turns:
    """The rounds in which a run has a turn, and the calls in a turn, of which the last is timed."""

    rounds: range
    calls: int


def _turns(run: Run, rounds: int, clock: Clock) -> _Turns:
    """Choose the turns of a run by the time of its warm-up."""
    if clock.time(run) > SLOW_SECONDS:
        return _Turns(range(0, rounds, -(-rounds // SLOW_ROUNDS)), 1)
    return _Turns(range(rounds), 2 if clock.time(run) < SHORT_SECONDS else 1)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Switch garbage collection off during the turns; objects that exist already are never collected."""
    was_enabled = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
