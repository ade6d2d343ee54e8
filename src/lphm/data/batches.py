"""Batches of samples, epoch by epoch: what a training loop reads, from memory or from disk."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from lphm.errors import require_positive

#: Inputs ``(n, ...)``, target ``(n,)`` and how much each sample counts, ``(n,)``, or ``(n, members)`` if it
#: counts differently for each member of an ensemble.
Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]


def epoch_seed(seed: int, number: int) -> int:
    """The seed for the order of an epoch; epochs of one training or of neighbouring seeds never share it."""
    return seed * 1_000_003 + number


class Batches(ABC):
    """Samples that are read in batches, once in every epoch.

    The batches of an epoch depend on its number and on nothing that was read before: a training that is
    resumed at epoch 7 reads the same batches as one that was never interrupted.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, shuffle: bool) -> None:
        self.rows = rows  # samples in an epoch, of all processes together
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.rows / self.batch_size)

    def order(self, count: int, number: int) -> Tensor:
        """The numbers below ``count`` in the order of an epoch: random, or increasing without shuffling."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
        return torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)

    @abstractmethod
    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of the epoch with this number, counted from 0; of several processes, this one's share.

        Every process has the same number of batches: an empty share is one sample that counts nothing.
        """


class MemoryBatches(Batches):
    """Batches of tensors in memory: inputs ``(N, ...)``, target ``(N,)`` and weight, 1 if not given.

    Without shuffling every epoch is in the order of the tensors. The last batch may have fewer samples. The
    process ``rank`` of ``world_size`` has its share of every batch.

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
        super().__init__(len(y), batch_size, seed, shuffle)
        self.rank, self.world_size = rank, world_size
        self.x, self.y, self.weight = x, y, torch.ones(len(y)) if weight is None else weight
        if not len(y) or not len(x) == len(y) == len(self.weight):
            sizes = f"{len(x)}, {len(y)} and {len(self.weight)}"
            raise ValueError(f"x, y and weight must hold the same samples, at least one, got {sizes}")

    def epoch(self, number: int) -> Iterator[Batch]:
        """This process's share of the batches of an epoch; always the same for a number."""
        for rows in torch.split(self.order(self.rows, number), self.batch_size):
            share = rows[self.rank :: self.world_size]
            if len(share):
                yield self.x[share], self.y[share], self.weight[share]
            else:  # a process without a sample in this batch takes part in it with one that counts nothing
                yield self.x[rows[:1]], self.y[rows[:1]], torch.zeros_like(self.weight[:1])
