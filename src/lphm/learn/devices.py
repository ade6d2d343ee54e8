"""The device that a network is trained on and predicts with, and how its memory is kept."""

from functools import cache

import torch

from lphm.distributed import launch_info, world_size
from lphm.errors import InputError
from lphm.learn.options import DeviceName


def available_device(name: DeviceName) -> str:
    """The name of a device that torch can use; "auto" is the first of cuda, mps and cpu that is there.

    With several processes, each needs a GPU of its own, and mps, which has no communication, is left out.

    Raises:
        InputError: the device is not there.
    """
    processes = launch_info().local_world_size if world_size() > 1 else 1
    usable = {
        "cuda": torch.cuda.is_available() and torch.cuda.device_count() >= processes,
        "mps": torch.backends.mps.is_available() and world_size() == 1,
        "cpu": True,
    }
    present = [device for device, is_usable in usable.items() if is_usable]
    if name == "auto":
        return present[0]
    if name not in present:
        several = f" for {processes} processes" if processes > 1 else ""
        usable_here = f"torch can use {', '.join(present)} here{several}"
        message = f"device must be available, got {name!r}; {usable_here}; choose auto or one of these"
        raise InputError(message, option="device")
    return name


def training_device(name: DeviceName) -> torch.device:
    """The device of this process; of several that use GPUs, each has the one that its group was made with."""
    device = torch.device(available_device(name))
    return torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else device


@cache
def keep_freed_memory() -> None:
    """Have glibc keep up to 32 MiB of what is freed, which it gives back to the system by itself.

    Getting it again page by page takes a fifth of a training step. What glibc keeps is at most twice the
    largest piece, of up to 32 MiB, that was mapped and freed.
    """
    torch.empty(2**24, dtype=torch.uint8)
