"""The state of torch that callers may have changed, and that a training or a network must not depend on."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

_one_at_a_time = threading.RLock()
_process = os.getpid()


@contextmanager
def plain_torch() -> Iterator[None]:
    """float32 on the CPU with gradients and without autocast, whatever the caller has set.

    One thread at a time: torch has one default type, one number of threads and one random generator for all
    of them, and a training uses all three.
    """
    with _one_at_a_time:
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        try:
            with torch.enable_grad(), on_the_cpu():
                yield
        finally:
            torch.set_default_dtype(dtype)


@contextmanager
def on_the_cpu() -> Iterator[None]:
    """New tensors on the CPU and fit for gradients, and no autocast; any number of threads at a time."""
    device: AbstractContextManager[object] = nullcontext()
    if torch.get_default_device().type != "cpu":  # or else the context would cost something for nothing
        device = torch.device("cpu")
    if torch.get_num_threads() != (most := usable_threads(torch.get_num_threads())):
        torch.set_num_threads(most)
    with torch.inference_mode(False), device, torch.autocast("cpu", enabled=False):
        yield


def usable_threads(threads: int) -> int:
    """So many threads, or 1 in a process that was forked.

    OpenMP there waits for threads that fork did not copy, for ever, if the process had used them before.
    """
    return threads if os.getpid() == _process else 1
