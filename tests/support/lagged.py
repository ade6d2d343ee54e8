"""Two classes of multichannel series that differ in nothing but who leads whom."""

import numpy as np


def lagged_series(
    number: int, seed: int, steps: int = 64, channels: int = 4, lag: int = 3, shared: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """Series ``(number, steps, channels)`` and their classes.

    Channels go in pairs. Each is an AR(1) process of its own plus, with weight ``shared``, one that the pair
    has in common: in class 0 the second channel has it ``lag`` steps after the first, in class 1 before it.
    So the covariance of a pair at lag ``+-lag`` changes places between the classes, and everything else is
    the same: means, variances, the spectrum of each channel, and the covariance at lag 0.
    """
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(number) % 2)
    total = steps + 2 * lag

    def process(columns: int) -> np.ndarray:
        """AR(1) of unit variance, ``(number, total, columns)``."""
        x = rng.standard_normal((number, total, columns))
        for t in range(1, total):
            x[:, t] = 0.5 * x[:, t - 1] + np.sqrt(0.75) * x[:, t]
        return x

    x = np.sqrt(1 - shared**2) * process(channels)[:, lag : lag + steps]
    common = process(channels // 2)
    x[:, :, 0::2] += shared * common[:, lag : lag + steps]
    follows, leads = common[:, :steps], common[:, 2 * lag :]
    x[:, :, 1::2] += shared * np.where((y == 0)[:, None, None], follows, leads)
    return x, y
