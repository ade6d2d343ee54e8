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
from lphm.sharded.collectives import exchange, require_group
from lphm.structures.base import Structure
from lphm.structures.thin import Thin


@dataclass(frozen=True)
class Rows:
    """How many rows each rank of a group has; they follow one another in the order of ranks."""

    counts: tuple[int, ...]
    group: dist.ProcessGroup

    @property
    def here(self) -> int:
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
    """The rows of every rank. What one rank refuses all refuse, so that none waits for another.

    With ``counts`` given nothing is asked of the others.
    """
    group = require_group(group)
    if counts is None:
        counts = _asked(structure, w, x, data, kind, normalize, group)
    else:
        _check_here(structure, w, x, data, kind, normalize)
    rows = Rows(tuple(counts), group)
    if len(rows.counts) != dist.get_world_size(group) or rows.counts[rows.here] != x.shape[-2]:
        raise ValueError(
            f"rows must hold the number of rows of each rank, got {list(counts)} on rank {rows.here} "
            f"of {dist.get_world_size(group)}, which has {x.shape[-2]}"
        )
    n, what = structure.n, "rows" if kind == "attribute" else "columns"
    have = rows.total if kind == "attribute" else x.shape[-1]
    if have > n or have == 0 or (have < n and not partial):
        hint = f"; pass partial=True to treat the missing {what} as zeros" if 0 < have < n else ""
        raise ValueError(f"all ranks together must have {n} {what}, got {have}{hint}")
    return rows


def _asked(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None,
    kind: Kind,
    normalize: Normalize,
    group: dist.ProcessGroup,
) -> list[int]:
    problem: ValueError | TypeError | None = None
    try:
        _check_here(structure, w, x, data, kind, normalize)
    except (ValueError, TypeError) as error:
        problem = error
    same = {"rows": 0, "columns of x": 0, "samples": 0, "channels": 0, "columns of data": 0}
    same |= {"structure, kind and normalize": 0, "type": 0, "gradients to compute": 0}
    if problem is None:
        of_data = data is not None and kind == "instance" and data.requires_grad
        wanted = torch.is_grad_enabled() * (4 * of_data + 2 * w.requires_grad + x.requires_grad)
        own = 0 if data is None or kind == "attribute" else data.shape[-1]
        choices = zlib.crc32(f"{structure} {kind} {normalize}".encode())
        values = (x.shape[-2], x.shape[-1], x.shape[:-2].numel(), w.shape[:-1].numel(), own, choices)
        same = dict(zip(same, (*values, zlib.crc32(f"{x.dtype}".encode()), int(wanted)), strict=True))
    device = w.device if isinstance(w, Tensor) else torch.device("cpu")
    everyone = exchange([int(problem is None), *same.values()], device, group)
    if problem is not None:
        raise problem
    refused = [str(rank) for rank, theirs in enumerate(everyone) if not theirs[0]]
    if refused:
        raise ValueError(
            f"all ranks must pass what fits, got an error on rank {', '.join(refused)}: see there"
        )
    for at, name in list(enumerate(same, start=1))[1:]:
        found = [theirs[at] for theirs in everyone]
        if len(set(found)) > 1:
            shown = found if max(found) < 2**16 else "others"
            raise ValueError(f"all ranks must have the same {name}, got {shown}, in the order of ranks")
    return [theirs[1] for theirs in everyone]


def _check_here(
    structure: Structure, w: Tensor, x: Tensor, data: Tensor | None, kind: Kind, normalize: Normalize
) -> None:
    """What this rank alone can see; it may have no rows."""
    thin = isinstance(structure, Thin) and type(structure)._project is Thin._project
    if kind == "attribute" and not thin:
        raise TypeError(
            f"structure must have a thin middle for rows over ranks, got {structure!r}, which would send "
            "the rows themselves; use LPHM, DualLPHM, LowRank or RandomMatrixAdaptation"
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
