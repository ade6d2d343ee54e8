"""Every test starts from the same seed and runs on one thread (pytest-xdist is what runs in parallel)."""

import pytest
import torch

pytest.register_assert_rewrite("reference", "suite_algebra", "suite_torch")

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
