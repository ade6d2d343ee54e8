"""Batches of samples, epoch by epoch: what a training loop reads, from memory or from disk."""

import math
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from lphm.errors import require_positive

#: Inputs ``(n, ...)``, target ``(n,)`` and how much each sample counts ``(n,)``.
Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]


class Batches(Protocol):
    """Samples that are read in batches, once in every epoch.

    The batches of an epoch depend on its number and on nothing that was read before: a training that is
    resumed at epoch 7 reads the same batches as one that was never interrupted.
    """

    @property
    def rows(self) -> int:
        """Samples in an epoch, of all processes together."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of the epoch with this number, counted from 0; of several processes, this one's share.

        Every process has the same number of batches: an empty share is one sample that counts nothing.
        """


def epoch_seed(seed: int, number: int) -> int:
    """The seed for the order of an epoch; epochs of one training or of neighbouring seeds never share it."""
    return seed * 1_000_003 + number


class MemoryBatches:
    """Batches of tensors in memory.

    Args:
        x: inputs, ``(N, ...)``.
        y: target, ``(N,)``.
        weight: how much each sample counts, ``(N,)``; 1 if not given.
        batch_size: samples in a batch; the last batch of an epoch may have fewer.
        seed: with the number of the epoch, decides the order.
        shuffle: without it, every epoch is in the order of the tensors.
        rank: the process whose share of every batch this is.
        world_size: processes that share every batch.

    Raises:
        ValueError: there is no sample, the tensors have different lengths, or a batch would be empty.

    Example:
        >>> from lphm.data.batches import MemoryBatches
        >>> batches = MemoryBatches(torch.arange(5.0), torch.zeros(5), None, 2, seed=0, shuffle=False)
        >>> len(batches), [x.tolist() for x, y, weight in batches.epoch(0)]
        (3, [[0.0, 1.0], [2.0, 3.0], [4.0]])
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        require_positive(batch_size=batch_size)
        self.rank, self.world_size = rank, world_size
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
        """This process's share of the batches of an epoch; always the same for a number."""
        order = torch.arange(self.rows)
        if self.shuffle:
            generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
            order = torch.randperm(self.rows, generator=generator)
        for rows in torch.split(order, self.batch_size):
            share = rows[self.rank :: self.world_size]
            if len(share):
                yield self.x[share], self.y[share], self.weight[share]
            else:  # a process without a sample in this batch takes part in it with one that counts nothing
                yield self.x[rows[:1]], self.y[rows[:1]], torch.zeros(1)
