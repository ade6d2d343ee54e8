"""Which rank has which rows, and that all ranks ask for the same."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from lphm.ops.checks import Kind, Normalize, check_arguments
from lphm.sharded.collectives import all_gather_numbers, require_group
from lphm.structures.base import Structure
from lphm.structures.row_blocks import has_thin_pair


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


def agree(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None,
    kind: Kind,
    normalize: Normalize,
    partial: bool,
    group: dist.ProcessGroup | None,
    counts: Sequence[int] | None,
) -> Rows:
    """The rows of every rank. An error on one rank is an error on all, so that none waits for another.

    With ``counts`` given the other ranks are not asked.
    """
    group = require_group(group)
    if counts is None:
        counts = _ask_all_ranks(structure, w, x, data, kind, normalize, group)
    else:
        _check_this_rank(structure, w, x, data, kind, normalize)
    rows = Rows(tuple(counts), group)
    if len(rows.counts) != dist.get_world_size(group) or rows.counts[rows.rank] != x.shape[-2]:
        raise ValueError(
            f"rows must hold the number of rows of each rank, got {list(counts)} on rank {rows.rank} "
            f"of {dist.get_world_size(group)}, which has {x.shape[-2]}"
        )
    n, what = structure.n, "rows" if kind == "attribute" else "columns"
    size = rows.total if kind == "attribute" else x.shape[-1]
    if size > n or size == 0 or (size < n and not partial):
        hint = f"; pass partial=True to treat the missing {what} as zeros" if 0 < size < n else ""
        raise ValueError(f"all ranks together must have {n} {what}, got {size}{hint}")
    return rows


def _ask_all_ranks(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None,
    kind: Kind,
    normalize: Normalize,
    group: dist.ProcessGroup,
) -> list[int]:
    """Rows of every rank, once all have passed their checks and were asked for the same."""
    problem: ValueError | TypeError | None = None
    numbers = dict.fromkeys(COMPARED, 0)
    try:
        _check_this_rank(structure, w, x, data, kind, normalize)
        numbers = _call_in_numbers(structure, w, x, data, kind, normalize)
    except (ValueError, TypeError) as error:
        problem = error
    device = w.device if isinstance(w, Tensor) else torch.device("cpu")
    everyone = all_gather_numbers([int(problem is None), *numbers.values()], device, group)
    if problem is not None:
        raise problem
    refused = [str(rank) for rank, (passed, *_) in enumerate(everyone) if not passed]
    if refused:
        raise ValueError(f"all ranks must pass valid arguments, got an error on rank {', '.join(refused)}")
    for place, name in enumerate(COMPARED[1:], start=2):
        values = [numbers_of_rank[place] for numbers_of_rank in everyone]
        if len(set(values)) > 1:
            shown = values if max(values) < 2**16 else "others"
            raise ValueError(f"all ranks must have the same {name}, got {shown}, in the order of ranks")
    return [numbers_of_rank[1] for numbers_of_rank in everyone]


#: What the ranks tell one another: their number of rows, and what has to be equal on all of them.
COMPARED = (
    "rows",
    "columns of x",
    "samples",
    "channels",
    "columns of data",
    "structure, kind and normalize",
    "type",
    "gradients to compute",
)


def _call_in_numbers(
    structure: Structure, w: Tensor, x: Tensor, data: Tensor | None, kind: Kind, normalize: Normalize
) -> dict[str, int]:
    data_needs_gradient = data is not None and kind == "instance" and data.requires_grad
    wanted = torch.is_grad_enabled() * (4 * data_needs_gradient + 2 * w.requires_grad + x.requires_grad)
    values = (
        x.shape[-2],
        x.shape[-1],
        x.shape[:-2].numel(),
        w.shape[:-1].numel(),
        0 if data is None or kind == "attribute" else data.shape[-1],
        zlib.crc32(f"{structure} {kind} {normalize}".encode()),
        zlib.crc32(f"{x.dtype}".encode()),
        int(wanted),
    )
    return dict(zip(COMPARED, values, strict=True))


def _check_this_rank(
    structure: Structure, w: Tensor, x: Tensor, data: Tensor | None, kind: Kind, normalize: Normalize
) -> None:
    """Check what this rank can check by itself; it may have no rows."""
    if kind == "attribute" and not has_thin_pair(structure):
        raise TypeError(
            f"structure must reduce blocks of rows for rows over ranks, got {structure!r}, which would send "
            "the rows themselves; use LPHM, DualLPHM, LowRank or RandomMatrixAdaptation, or a subclass that "
            "overrides row_factors and combine"
        )
    if kind == "instance" and normalize not in (None, "scale"):
        raise ValueError(
            f"normalize must be None or 'scale' for the instance kind over ranks, got {normalize!r}, which "
            "needs all of xi, b x b; gather the rows and use lphm.interdependence_apply"
        )
    if isinstance(x, Tensor) and x.dim() >= 2 and x.shape[-2] == 0:
        x = x.new_zeros(*x.shape[:-2], 1, x.shape[-1])
        data = None if kind == "instance" else data
    check_arguments(structure, w, x, kind, normalize, data, partial=True)


def dtensor_rows(x: Tensor) -> Rows:
    """The rows of a ``DTensor``, as it cuts them.

    Raises:
        ValueError: it is none, or is not cut along its rows.
    """
    if not isinstance(x, DTensor) or x.placements != (Shard(x.dim() - 2),):
        got = x.placements if isinstance(x, DTensor) else type(x).__name__
        raise ValueError(f"x and data must both be DTensors with (Shard({x.dim() - 2}),), got {got}")
    ranks, b = x.device_mesh.size(), x.shape[-2]
    each = -(-b // ranks)  # as torch.chunk
    counts = tuple(max(0, min(each, b - rank * each)) for rank in range(ranks))
    return Rows(counts, x.device_mesh.get_group())
