"""Batches of a part of a stream: lanes of row groups that are read side by side, shared by the processes.

An epoch deals its row groups out to a few lanes. Every batch takes rows of every lane, in proportion to the
length of the lane. So the rows of a batch do not depend on which process reads which lane: one process reads
all lanes, and several processes read the same rows, each those of its own lanes.
"""

from collections.abc import Iterator
from itertools import accumulate

import torch
from torch import Tensor

from lphm.data.batches import Batch, Batches, epoch_seed
from lphm.data.parquet import ParquetStream, Part
from lphm.data.parquet_schema import StreamFit
from lphm.distributed import rank, world_size
from lphm.errors import InputError

#: Lanes for 1, 2 or 4 processes; with any other number of processes there is one lane for each.
LANES = 4


class StreamBatches(Batches):
    """Batches of a part of a stream; row groups come in random order, and their rows too.

    Without shuffling they come in the order of the files within a lane. Raises ``InputError`` if fewer row
    groups than processes have rows of the part.
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
        super().__init__(fitted.rows[part], batch_size, seed, shuffle)
        self.stream, self.part, self.fitted, self.counts = stream, part, fitted, fitted.counts[part]
        self.groups = [number for number, count in enumerate(self.counts) if count]
        if len(self.groups) < world_size():
            raise InputError(
                f"{stream.name} must have a row group with rows of the {part} part for each of "
                f"{world_size()} processes, got {len(self.groups)}; write smaller row groups, or start fewer"
            )

    def epoch(self, number: int) -> Iterator[Batch]:
        """This process's share of the batches of the epoch with this number; always the same for a number."""
        lanes = self._lanes(number)
        read_here = [lane for lane in lanes[rank() :: world_size()] if lane.groups]
        starts = list(accumulate((lane.rows for lane in lanes), initial=0))  # of each lane among all rows
        for batch in range(1, len(self) + 1):
            rows = min(batch * self.batch_size, self.rows)  # of all lanes, up to the end of this batch
            ends = [start * rows // self.rows for start in starts]
            parts = [lane.until(ends[lane.place + 1] - ends[lane.place]) for lane in read_here]
            x, y, weight = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
            if len(y):
                yield x, y, weight
            else:  # a process without a sample in this batch takes part in it with one that counts nothing
                yield *lanes[rank()].sample, torch.zeros(1)

    def _lanes(self, epoch: int) -> list["_Lane"]:
        """The row groups of an epoch, each dealt out to the lane that has the fewest rows."""
        count = LANES if LANES % world_size() == 0 else world_size()
        lanes = [_Lane(self, place, epoch) for place in range(count)]
        for group in (self.groups[i] for i in self.order(len(self.groups), epoch)):
            shortest = min(lanes, key=lambda lane: lane.rows)
            shortest.groups.append(group)
            shortest.rows += self.counts[group]
        return lanes


class _Lane:
    """Row groups one after another, the rows of each in random order."""

    def __init__(self, batches: StreamBatches, place: int, epoch: int) -> None:
        self.batches, self.place = batches, place
        self.generator = torch.Generator().manual_seed(epoch_seed(batches.seed, epoch) * 1009 + place + 1)
        self.groups: list[int] = []
        self.rows = 0  # of these row groups
        self.loaded = 0  # row groups that were read so far
        self.taken = 0  # rows that were given to batches so far
        self.waiting: Batch = torch.empty(0), torch.empty(0), torch.empty(0)  # read and not yet given
        self.sample: tuple[Tensor, Tensor] = torch.empty(0), torch.empty(0)  # one of the last row group

    def until(self, rows: int) -> Batch:
        """The next rows, so that so many were given to batches in all."""
        count = max(rows - self.taken, 0)
        while not self.loaded or len(self.waiting[1]) < count:
            self._load()
        x, y, weight = self.waiting
        self.waiting = x[count:], y[count:], weight[count:]
        self.taken += count
        return x[:count], y[:count], weight[:count]

    def _load(self) -> None:
        stream, fitted = self.batches.stream, self.batches.fitted
        frame = next(stream.frames(self.batches.part, [self.groups[self.loaded]]))
        x, y = fitted.input.encode(frame), fitted.target.encode(frame[stream.target])
        weight = torch.as_tensor(stream.weights(frame) / fitted.weight, dtype=torch.float32)
        if self.batches.shuffle:
            rows = torch.randperm(len(y), generator=self.generator)
            x, y, weight = x[rows], y[rows], weight[rows]
        self.sample = x[:1].clone(), y[:1].clone()
        if len(self.waiting[1]):
            before = self.waiting
            x, y, weight = (torch.cat(pair) for pair in zip(before, (x, y, weight), strict=True))
        self.waiting = x, y, weight
        self.loaded += 1
