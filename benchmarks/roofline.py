"""The peak rates of the device, measured in the same run: a large copy and a large square product."""

import torch

from benchmarks.settings import Settings
from benchmarks.timing import Clock

#: Numbers to copy and rows to multiply: much larger than every cache, and less than a second on one core.
SIZES = {"cpu": (2**25, 1024), "cuda": (2**28, 8192)}
ROUNDS = 5


def measure_rates(settings: Settings, clock: Clock, sizes: tuple[int, int] | None = None) -> dict[str, float]:
    """Bytes per second of a copy (read and written) and flops per second of a product: the best of a few."""
    length, n = sizes or SIZES[settings.device]
    options = {"device": settings.device, "dtype": settings.torch_dtype}
    source = torch.ones(length, **options)
    target = torch.empty_like(source)
    copied = min(clock.time(lambda: target.copy_(source)) for _ in range(ROUNDS))
    a, b = torch.ones(n, n, **options), torch.ones(n, n, **options)
    multiplied = min(clock.time(lambda: a @ b) for _ in range(ROUNDS))
    return {"copy": 2 * length * source.itemsize / copied, "matmul": 2 * n**3 / multiplied}
