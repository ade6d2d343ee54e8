"""Sizes that memory cannot hold are refused before any of it is allocated."""

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

from lphm.errors import InputError

if sys.platform != "win32":
    import resource

#: Where a container says how many bytes it may use.
CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_limit() -> float:
    """The bytes that this process can have; infinite where the system does not say.

    Those of the machine, or fewer by a limit of the container or the shell.
    """
    limits = [math.inf]
    if sys.platform != "win32":
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits.append(math.inf if soft == resource.RLIM_INFINITY else soft)
    for file in CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            limits.append(int(Path(file).read_text(encoding="ascii")))
    return min(limits)


def require_memory(what: str, size: int, remedy: str) -> None:
    """Raise ``InputError`` unless memory can hold ``what``, which takes at least ``size`` bytes."""
    limit = memory_limit()
    if size > limit:
        raise InputError(
            f"{what} must fit into memory, {limit / 2**30:,.1f} GiB, "
            f"got sizes that take at least {size / 2**30:,.1f} GiB; {remedy}"
        )
