"""What the device does at best in this very run: a large copy and a large square product."""

import torch

from benchmarks.settings import Settings
from benchmarks.timing import Clock

#: Numbers copied and rows multiplied: far beyond every cache, and no second on one core.
SIZES = {"cpu": (2**25, 1024), "cuda": (2**28, 8192)}
ROUNDS = 5


def measure_rates(settings: Settings, clock: Clock, sizes: tuple[int, int] | None = None) -> dict[str, float]:
    """Bytes read and written in a second by a copy, and flops in a second by a product: the best of a few."""
    length, n = sizes or SIZES[settings.device]
    like = {"device": settings.device, "dtype": settings.torch_dtype}
    source = torch.ones(length, **like)
    target = torch.empty_like(source)
    copied = min(clock.time(lambda: target.copy_(source)) for _ in range(ROUNDS))
    a, b = torch.ones(n, n, **like), torch.ones(n, n, **like)
    multiplied = min(clock.time(lambda: a @ b) for _ in range(ROUNDS))
    return {"copy": 2 * length * source.itemsize / copied, "matmul": 2 * n**3 / multiplied}
