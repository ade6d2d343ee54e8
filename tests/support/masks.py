"""Masks for the tests of softmax interdependence, and what the tests are parametrized with."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lphm import LPHM
from support.registry import TYPICAL
from support.suite_algebra import KINDS

every_structure = pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
both_kinds = pytest.mark.parametrize("kind", KINDS)
#: Attention for k > d, else xi is formed.
both_paths = pytest.mark.parametrize("d", [6, 9], ids=["attention", "xi formed"])
STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
K = 7  # k of every case here, unlike every other size


def key_mask(*batch: int, k: int = K) -> Tensor:
    """Two places hidden, the first among them, so that causal has an output with nothing to see."""
    mask = torch.ones(*batch, k, dtype=torch.bool)
    mask[..., 0] = False
    mask.view(-1, k)[:, 3] = False
    mask.view(-1, k)[-1, 4] = False  # the last sample differs
    return mask


def full_mask(*batch: int, k: int = K) -> Tensor:
    """Nothing symmetric about it, and an output that may look at nothing."""
    mask = torch.rand(*batch, k, k, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[..., 2, :] = False
    mask[..., 5, 1], mask[..., 1, 5] = True, False
    return mask


#: By what they show; each for x of batch (2, 3).
MASKS: dict[str, Callable[[], Tensor | None]] = {
    "none": lambda: None,
    "key": lambda: key_mask(2, 3),
    "key, one for all samples": lambda: key_mask(1, 1),
    "key, one for all of a batch dimension": lambda: key_mask(2, 1),
    "key, as rows of pairs": lambda: key_mask(2, 3).unsqueeze(-2),
    "full": lambda: full_mask(2, 3),
    "full, one for all samples": lambda: full_mask(1, 1),
    "full, one for all of a batch dimension": lambda: full_mask(1, 3),
    "nothing to see": lambda: torch.zeros(2, 3, K, dtype=torch.bool),
    "nothing to see in a sample": lambda: torch.tensor([[[True], [False], [True]]]).expand(2, 3, K),
    "everything to see": lambda: torch.ones(2, 3, K, K, dtype=torch.bool),
}
SOME = {name: MASKS[name] for name in ("key", "full")}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
some_masks = pytest.mark.parametrize("mask", SOME.values(), ids=SOME)


def options(kind: str) -> list[bool]:
    """``causal`` of a kind."""
    return [False, True] if kind == "instance" else [False]
