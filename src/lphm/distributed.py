"""The processes of one training: how many there are, what they tell one another, what it means to lose one.

A launcher such as ``torchrun`` starts them, and says in the environment which is which. Outside of
``process_group`` there is one rank, whatever else the process may be a part of.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from lphm.errors import InputError, RankLostError

T = TypeVar("T")
_state = {"active": False}
#: What errors of gloo and nccl have in their text.
OF_PEERS = ("gloo", "NCCL", "peer")


def launched() -> tuple[int, int, int]:
    """What the launcher says: rank, ranks, and ranks on this machine; ``(0, 1, 1)`` without one."""
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return 0, 1, 1
    size = int(os.environ["WORLD_SIZE"])
    return int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))


def rank() -> int:
    """Which rank this process is; 0 is the one that writes and prints."""
    return dist.get_rank() if _state["active"] else 0


def ranks() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if _state["active"] else 1


@contextmanager
def process_group(seconds: float) -> Iterator[None]:
    """The group of all ranks that were launched, each of which answers within so many seconds.

    gloo carries tensors on the CPU, nccl those on GPUs where there are any. A single rank has no group.

    Raises:
        RankLostError: another rank is gone, or does not answer in time.
    """
    if launched()[1] == 1:
        yield
        return
    with _lost():
        backend = "gloo"
        if torch.cuda.is_available():
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
        _state["active"] = True
        try:
            yield
        finally:
            _state["active"] = False
    dist.destroy_process_group()


def gathered(value: T) -> list[T]:
    """The value of every rank, in their order."""
    if ranks() == 1:
        return [value]
    values: list[Any] = [None] * ranks()
    dist.all_gather_object(values, value)
    return values


def total(*values: float) -> list[float]:
    """Sums over the ranks."""
    if ranks() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return [float(value) for value in sums]


def decide(choose: Callable[[], T]) -> T:
    """What the first rank chooses, on all of them.

    Raises:
        InputError: ``choose`` raised it there; now all do.
    """
    chosen: T | InputError | None = None
    if rank() == 0:
        try:
            chosen = choose()
        except InputError as error:
            chosen = error
    value = gathered(chosen)[0]
    if isinstance(value, InputError):
        raise value
    return value  # type: ignore[return-value]


@contextmanager
def _lost() -> Iterator[None]:
    """An error of the communication is that of a rank that is lost."""
    try:
        yield
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        if not isinstance(error, dist.DistError) and not any(word in said for word in OF_PEERS):
            raise
        raise RankLostError(
            f"all {launched()[1]} processes must answer until the training ends, got: {said}; see what the "
            "others said last; the last checkpoint is whole, --resume goes on with any number of processes"
        ) from error
