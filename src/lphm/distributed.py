"""The processes of one training: their number, what they send to each other, and the loss of one of them.

A launcher such as ``torchrun`` starts the processes and numbers them in environment variables. Outside of
``process_group`` there is one process, even if the environment names more.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist

from lphm._io import environment_number
from lphm.errors import InputError, RankLostError

T = TypeVar("T")
_state = {"active": False}
#: Words in the errors of gloo and nccl that mean a failed communication; not every error names gloo.
COMMUNICATION_WORDS = ("gloo", "NCCL", "peer", "pair closure")


class LaunchInfo(NamedTuple):
    """The numbers that a launcher gives to a process."""

    rank: int = 0
    world_size: int = 1
    local_world_size: int = 1


def launch_info() -> LaunchInfo:
    """The numbers in the environment variables; one process if there was no launcher."""
    if not all(map(os.environ.get, ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))):
        return LaunchInfo()
    size = environment_number("WORLD_SIZE", 1)
    return LaunchInfo(environment_number("RANK", 0), size, environment_number("LOCAL_WORLD_SIZE", size))


def rank() -> int:
    """The number of this process; process 0 writes files and prints."""
    return dist.get_rank() if _state["active"] else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if _state["active"] else 1


@contextmanager
def process_group(seconds: float) -> Iterator[None]:
    """The group of all processes that were launched, each of which has to answer in so many seconds.

    A process alone has no group. Tensors on the CPU are sent by gloo, those on GPUs by nccl.

    Raises:
        RankLostError: another process was lost or did not answer in time.
    """
    if launch_info().world_size == 1:
        yield
        return
    try:
        backend = "gloo"
        if torch.cuda.device_count() >= launch_info().local_world_size:  # a GPU for each
            backend = "cpu:gloo,cuda:nccl"
            torch.cuda.set_device(environment_number("LOCAL_RANK", 0))
        dist.init_process_group(backend, timeout=timedelta(seconds=seconds))
        _state["active"] = True
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if not isinstance(error, dist.DistError) and not any(word in text for word in COMMUNICATION_WORDS):
            raise
        size = launch_info().world_size
        raise RankLostError(
            f"all {size} processes must answer until the training ends, got: {text[:200]}; the errors of the "
            "other processes say more; the last checkpoint is complete, so the training can be resumed with "
            "any number of processes"
        ) from error
    finally:
        _state["active"] = False
    dist.destroy_process_group()


def gather_results(compute: Callable[[], T]) -> list[T]:
    """The result of ``compute`` on every process, in the order of their ranks.

    Raises:
        InputError: ``compute`` raised it on one of them; every process raises it, so that none waits.
    """
    if world_size() == 1:
        return [compute()]
    result: T | InputError
    try:
        result = compute()
    except InputError as error:
        result = error
    results: list[Any] = [None] * world_size()
    dist.all_gather_object(results, result)
    if errors := [each for each in results if isinstance(each, InputError)]:
        raise errors[0]
    return results


def broadcast_choice(choose: Callable[[], T]) -> T:
    """The result of ``choose`` on process 0, on every process; errors as in ``gather_results``."""
    return gather_results(lambda: choose() if rank() == 0 else None)[0]  # type: ignore[return-value]


def all_reduce_sum(*values: float) -> list[float]:
    """Each value summed over the processes."""
    if world_size() == 1:
        return list(values)
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return list(map(float, sums))
