"""Which rank has which rows, and that all ranks ask for the same."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from lphm.ops.checks import Kind, Normalize, check_arguments, check_split_rows
from lphm.sharded.collectives import all_gather_numbers, require_group
from lphm.structures.base import Structure


@dataclass(frozen=True)
class Rows:
    """How many rows each rank of a group has; they follow one another in the order of ranks."""

    counts: tuple[int, ...]
    group: dist.ProcessGroup

    @property
    def rank(self) -> int:
        """This rank."""
        return dist.get_rank(self.group)

    @property
    def total(self) -> int:
        """Rows of all ranks."""
        return sum(self.counts)

    @property
    def starts(self) -> list[int]:
        """The first row of each rank."""
        return [0, *accumulate(self.counts)][:-1]

    def aligned(self, size: int) -> bool:
        """Whether no block of so many rows is on two ranks."""
        return all(s % size == 0 for s, count in zip(self.starts, self.counts, strict=True) if count)


class Call(NamedTuple):
    """What a rank asks for; ``x`` and ``data`` are its own rows."""

    structure: Structure
    w: Tensor
    x: Tensor
    data: Tensor | None
    kind: Kind
    normalize: Normalize


def agree(call: Call, partial: bool, group: dist.ProcessGroup | None, counts: Sequence[int] | None) -> Rows:
    """The rows of every rank. An error on one rank is an error on all, so that none waits for another.

    With ``counts`` given the other ranks are not asked.
    """
    group = require_group(group)
    if counts is None:
        counts = _ask_all_ranks(call, group)
    else:
        _check_this_rank(call)
    n, here, columns = call.structure.n, *call.x.shape[-2:]
    rows = Rows(tuple(counts), group)
    if len(rows.counts) != dist.get_world_size(group) or rows.counts[rows.rank] != here:
        raise ValueError(
            f"rows must hold the number of rows of each rank, got {list(counts)} on rank {rows.rank} "
            f"of {dist.get_world_size(group)}, which has {here}"
        )
    size, what = (rows.total, "rows") if call.kind == "attribute" else (columns, "columns")
    if size > n or size == 0 or (size < n and not partial):
        hint = f"; pass partial=True to treat the missing {what} as zeros" if 0 < size < n else ""
        raise ValueError(f"all ranks together must have {n} {what}, got {size}{hint}")
    return rows


def _ask_all_ranks(call: Call, group: dist.ProcessGroup) -> list[int]:
    """Rows of every rank, once all have passed their checks and were asked for the same."""
    problem: ValueError | TypeError | None = None
    numbers: dict[str, int] = {}
    try:
        _check_this_rank(call)
        numbers = _in_numbers(call)
    except (ValueError, TypeError) as error:
        problem = error
    device = call.w.device if isinstance(call.w, Tensor) else torch.device("cpu")
    values = list(numbers.values()) or [0] * COMPARED
    everyone = all_gather_numbers([int(problem is None), *values], device, group)
    if problem is not None:
        raise problem
    passed, counts, *others = zip(*everyone, strict=True)
    refused = [str(rank) for rank, valid in enumerate(passed) if not valid]
    if refused:
        raise ValueError(f"all ranks must pass valid arguments, got an error on rank {', '.join(refused)}")
    for name, values_of_ranks in zip(list(numbers)[1:], others, strict=True):
        if len(set(values_of_ranks)) > 1:
            shown = list(values_of_ranks) if max(values_of_ranks) < 2**16 else "others"
            raise ValueError(f"all ranks must have the same {name}, got {shown}, in the order of ranks")
    return list(counts)


#: How many numbers ``_in_numbers`` gives.
COMPARED = 8


def _in_numbers(call: Call) -> dict[str, int]:
    """What the ranks tell one another: their number of rows, and what has to be equal on all of them."""
    structure, w, x, data, kind, normalize = call
    data = data if kind == "instance" else None  # for the attribute kind every rank may have another
    data_needs_gradient = data is not None and data.requires_grad
    wanted = torch.is_grad_enabled() * (4 * data_needs_gradient + 2 * w.requires_grad + x.requires_grad)
    return {
        "rows": x.shape[-2],
        "columns of x": x.shape[-1],
        "samples": x.shape[:-2].numel(),
        "channels": w.shape[:-1].numel(),
        "columns of data": 0 if data is None else data.shape[-1],
        "structure, kind and normalize": zlib.crc32(f"{structure} {kind} {normalize}".encode()),
        "type": zlib.crc32(f"{x.dtype}".encode()),
        "gradients to compute": int(wanted),
    }


def _check_this_rank(call: Call) -> None:
    """Check what this rank can check by itself; it may have no rows."""
    structure, w, x, data, kind, normalize = call
    check_split_rows(structure, kind, normalize)
    if isinstance(x, Tensor) and x.dim() >= 2 and x.shape[-2] == 0:
        x = x.new_zeros(*x.shape[:-2], 1, x.shape[-1])
        data = None if kind == "instance" else data
    check_arguments(structure, w, x, kind, normalize, data, partial=True)


def dtensor_rows(x: Tensor) -> Rows:
    """The rows of a ``DTensor`` that is cut along its rows; anything else is a ``ValueError``."""
    if not isinstance(x, DTensor) or x.placements != (Shard(x.dim() - 2),):
        got = x.placements if isinstance(x, DTensor) else type(x).__name__
        raise ValueError(f"x and data must both be DTensors with (Shard({x.dim() - 2}),), got {got}")
    ranks, b = x.device_mesh.size(), x.shape[-2]
    each = -(-b // ranks)  # as torch.chunk
    counts = tuple(max(0, min(each, b - rank * each)) for rank in range(ranks))
    return Rows(counts, x.device_mesh.get_group())
