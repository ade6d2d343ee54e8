"""Batches of samples, epoch by epoch: what a training loop reads, from memory or from disk."""

import math
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from lphm.errors import require_positive

__all__ = ["Batch", "Batches", "MemoryBatches", "epoch_seed"]

#: Inputs ``(n, ...)``, target ``(n,)`` and what each sample counts ``(n,)``.
Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]


class Batches(Protocol):
    """Samples that are read in batches, as often as there are epochs.

    The batches of an epoch are known from its number alone: a training that goes on at epoch 7 reads what
    it would have read had it never stopped.
    """

    @property
    def rows(self) -> int:
        """Samples in an epoch."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of the epoch with this number, the first is 0."""


def epoch_seed(seed: int, number: int) -> int:
    """The seed of an epoch's order: no two epochs of one training, nor of seeds side by side, share it."""
    return seed * 1_000_003 + number


class MemoryBatches:
    """Batches of tensors in memory.

    Args:
        x: inputs, ``(N, ...)``.
        y: target, ``(N,)``.
        weight: what each sample counts, ``(N,)``; every sample counts 1 if not given.
        batch_size: samples in a batch; the last one of an epoch has what is left.
        seed: with the number of the epoch, decides the order.
        shuffle: without it, every epoch is in the order of the tensors.

    Raises:
        ValueError: there is no sample, the tensors have different lengths, or a batch would be empty.

    Example:
        >>> from lphm.batches import MemoryBatches
        >>> batches = MemoryBatches(torch.arange(5.0), torch.zeros(5), None, 2, seed=0, shuffle=False)
        >>> len(batches), [x.tolist() for x, y, weight in batches.epoch(0)]
        (3, [[0.0, 1.0], [2.0, 3.0], [4.0]])
    """

    def __init__(
        self, x: Tensor, y: Tensor, weight: Tensor | None, batch_size: int, seed: int, shuffle: bool = True
    ) -> None:
        require_positive(batch_size=batch_size)
        self.x, self.y, self.batch_size, self.seed, self.shuffle = x, y, batch_size, seed, shuffle
        self.weight = torch.ones(len(y)) if weight is None else weight
        if not len(y) or not len(x) == len(y) == len(self.weight):
            raise ValueError(
                "x, y and weight must hold the same samples, at least one, "
                f"got {len(x)}, {len(y)} and {len(self.weight)}"
            )

    @property
    def rows(self) -> int:
        """Samples in an epoch."""
        return len(self.y)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.rows / self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of the epoch with this number; the same number gives the same batches."""
        if not self.shuffle:
            for start in range(0, self.rows, self.batch_size):
                part = slice(start, start + self.batch_size)
                yield self.x[part], self.y[part], self.weight[part]
            return
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        for rows in torch.split(torch.randperm(self.rows, generator=generator), self.batch_size):
            yield self.x[rows], self.y[rows], self.weight[rows]
