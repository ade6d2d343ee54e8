"""What only ``Toeplitz`` has: the rows that it needs of the block before, and its cost."""

import pytest

from lphm import Toeplitz


@pytest.mark.parametrize(("lags", "halo"), [(1, 1), (3, 1), (5, 2), (9, 4)])
def test_the_rows_that_are_needed_before_a_block_are_as_many_as_the_largest_lag(lags: int, halo: int) -> None:
    assert Toeplitz(n=20, lags=lags).halo == halo


@pytest.mark.parametrize(("n", "rows"), [(31, 31), (32, 32), (33, 32 + 2), (65, 32 + 2)])
def test_a_block_of_rows_costs_its_band(n: int, rows: int) -> None:
    blocks, s = (1, n) if n <= 32 else (-(-n // 32), 32)
    assert Toeplitz(n=n, lags=3).projection_flops(7) == 2 * blocks * s * rows * 7
