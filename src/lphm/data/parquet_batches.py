"""Batches of a part of a stream: lanes of row groups that are read side by side, shared out among the ranks.

An epoch deals its row groups to a few lanes. Every batch takes rows of every lane, as many as keep the lanes
in step, so which rows a batch has does not depend on who reads which lane: one process reads them all, and
several the same rows, each its own.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor

from lphm.data.batches import Batch, epoch_seed
from lphm.data.parquet import ParquetStream, Part
from lphm.data.parquet_schema import StreamFit
from lphm.distributed import rank, ranks
from lphm.errors import InputError

#: Lanes of 1, 2 or 4 ranks; where there are others, each rank has one.
LANES = 4


class StreamBatches:
    """Batches of a part of a stream; row groups come in random order, and their rows too.

    Args:
        stream: the rows.
        part: which of them.
        fitted: the schemas, and the rows of each row group.
        batch_size: samples in a batch, of all ranks together.
        seed: with the number of the epoch, decides the order.
        shuffle: without it, every epoch is in the order of the files within a lane.

    Raises:
        InputError: there are fewer row groups with rows of the part than ranks.
    """

    def __init__(
        self,
        stream: ParquetStream,
        part: Part,
        fitted: StreamFit,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
    ) -> None:
        self.stream, self.part, self.fitted = stream, part, fitted
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.counts = fitted.counts[part]
        self.groups = [number for number, count in enumerate(self.counts) if count]
        if len(self.groups) < ranks():
            raise InputError(
                f"{stream.name} must have a row group with rows of the {part} part for each of {ranks()} "
                f"processes, got {len(self.groups)}; write it with smaller row groups, or start fewer"
            )

    @property
    def rows(self) -> int:
        """Samples in an epoch, of all ranks together."""
        return sum(self.counts)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(self.rows / self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """This rank's share of the batches of the epoch with this number; the same number gives the same."""
        world = ranks()
        count = LANES if LANES % world == 0 else world
        lanes = [_Lane(self, i, number) for i in range(count)]
        order = self.groups
        if self.shuffle:
            generator = torch.Generator().manual_seed(epoch_seed(self.seed, number))
            order = [order[i] for i in torch.randperm(len(order), generator=generator)]
        for group in order:
            emptiest = min(lanes, key=lambda lane: lane.rows)
            emptiest.groups.append(group)
            emptiest.rows += self.counts[group]
        before = [0]
        for lane in lanes:
            before.append(before[-1] + lane.rows)
        for batch in range(1, len(self) + 1):
            all_of = min(batch * self.batch_size, self.rows)
            share = [until * all_of // self.rows for until in before]
            wanted = [stop - start for start, stop in pairwise(share)]
            parts = [lanes[i].until(wanted[i]) for i in range(rank(), count, world) if lanes[i].groups]
            x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            if len(y):
                yield x, y, torch.ones(len(y))
            else:  # a rank without a sample in this batch takes part in it all the same
                yield *lanes[rank()].some, torch.zeros(1)


class _Lane:
    """Row groups one after another, the rows of each in random order."""

    def __init__(self, batches: StreamBatches, place: int, epoch: int) -> None:
        self.batches, self.groups, self.rows, self.given = batches, list[int](), 0, 0
        self.generator = torch.Generator().manual_seed(epoch_seed(batches.seed, epoch) * 1009 + place + 1)
        self.loaded = 0
        self.x, self.y = torch.empty(0), torch.empty(0)
        self.some = self.x, self.y  # a sample of it

    def until(self, wanted: int) -> tuple[Tensor, Tensor]:
        """The next rows, so that ``wanted`` are given in all."""
        count = max(wanted - self.given, 0)
        while not self.loaded or len(self.y) < count:
            self._load()
        x, y = self.x[:count], self.y[:count]
        self.x, self.y = self.x[count:], self.y[count:]
        self.given += count
        return x, y

    def _load(self) -> None:
        batches = self.batches
        frame: pd.DataFrame = next(iter(batches.stream.frames(batches.part, [self.groups[self.loaded]])))
        fitted = batches.fitted
        x, y = fitted.input.encode(frame), fitted.target.encode(frame[batches.stream.target])
        if batches.shuffle:
            rows = torch.randperm(len(y), generator=self.generator)
            x, y = x[rows], y[rows]
        self.some = x[:1].clone(), y[:1].clone()
        left = len(self.y) > 0
        self.x, self.y = (torch.cat([self.x, x]), torch.cat([self.y, y])) if left else (x, y)
        self.loaded += 1
