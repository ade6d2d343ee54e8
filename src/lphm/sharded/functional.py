"""Rows of X spread over the ranks of a process group: what travels is thin, never the rows.

    attribute   xi = Xᵀ W X        each rank reduces its own blocks of rows, Sᵀ X_p and Tᵀ X_q; these are
                                   gathered, (p + q) r m numbers, whatever b is: then xi is on all ranks
    instance    D ↦ (X W Xᵀ)ᵀ D    left D is summed over the ranks, K m' numbers; xi, b x b, is never formed

Where a block of rows lies on two ranks, the blocks are summed over the ranks instead: twice the traffic.
Toeplitz has no blocks: each rank gets the last h rows of those before it, and xi is summed over the ranks.

What is differentiated is the sum of the losses of all ranks (``collectives.py``): each has a loss on its
own rows of the output, and the gradients of its rows of ``X`` and of ``w`` are those of one process with all.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.nn import functional as F

from lphm.ops.checks import Kind, Normalize
from lphm.ops.cost import scale_of, skips_matrix
from lphm.ops.functional import normalized, normalized_matrix
from lphm.ops.reference import apply_pair, orient, product, scale_pair
from lphm.sharded import collectives
from lphm.sharded.rows import Call, Rows, agree, dtensor_rows
from lphm.structures.base import Factors, Structure, flatten_batch
from lphm.structures.row_blocks import RowBlocks
from lphm.structures.toeplitz import is_stationary


def interdependence_matrix(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    normalize: Normalize = None,
    *,
    partial: bool = False,
    group: dist.ProcessGroup | None = None,
    rows: Sequence[int] | None = None,
    sum_gradient: bool = True,
) -> Tensor:
    r"""``xi = Xᵀ W X`` of rows that are spread over ranks: ``lphm.interdependence_matrix`` of them all.

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``, equal on all ranks; ``x`` ``(*batch, b_rank, m)``, the rows of
        this rank, which follow those of the rank before; the result ``(*batch, m, m)`` or
        ``(*batch, channels, m, m)``, equal on all ranks.

    Args:
        structure: what ``W`` is, one that reduces blocks of rows; its ``n`` is the number of all rows.
        w: parameters.
        x: rows of this rank, perhaps none; or a ``DTensor`` of all rows, ``Shard(-2)`` on a mesh of one
            dimension.
        normalize: as for ``lphm.interdependence_matrix``.
        partial: let all ranks together have fewer than ``n`` rows; the missing ones count as zeros.
        group: the process group; all ranks if not given, that of its mesh for a ``DTensor``.
        rows: number of rows of every rank, if known: then the other ranks are not asked, and not checked.
        sum_gradient: sum the gradient of ``w`` over the ranks. False leaves that to a wrapper that does it
            for all parameters, such as ``DistributedDataParallel``, which divides by the number of ranks.

    Returns:
        ``xi``. Every rank's loss on it counts: one that all compute alike counts as often as there are
        ranks. If ``x`` is a ``DTensor`` so is ``xi``, replicated, and one loss on it counts once.

    Raises:
        ValueError: a shape does not fit, or not to those of the other ranks; there is no process group.
        TypeError: the structure does not reduce blocks of rows; ``w`` or ``x`` is not floating point, or
            they differ.
        RankLostError: another rank is gone, or does not answer within the timeout of the group.

    Example:
        ``torchrun --nproc-per-node 4 examples/rows_over_ranks.py`` trains on the rows of four processes.

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if isinstance(x, DTensor):
        cut = dtensor_rows(x)
        group, rows = cut.group, cut.counts
    call = Call(structure, _whole(w), _local(x), None, "attribute", normalize)
    where = agree(call, partial, group, rows)
    xi = _matrix(call, where, sum_gradient)
    xi = xi.reshape(*x.shape[:-2], *w.shape[:-1], *xi.shape[-2:])
    if not isinstance(x, DTensor):
        return xi
    xi = collectives.average_gradient(xi, where.group)
    return DTensor.from_local(xi, x.device_mesh, [Replicate()], run_check=False)


def interdependence_apply(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None = None,
    kind: Kind = "attribute",
    normalize: Normalize = None,
    *,
    partial: bool = False,
    group: dist.ProcessGroup | None = None,
    rows: Sequence[int] | None = None,
    sum_gradient: bool = True,
) -> Tensor:
    r"""``D @ xi`` (attribute) or ``xiᵀ @ D`` (instance) of rows that are spread over ranks.

    Every rank gets the output of its own rows; together they are what ``lphm.interdependence_apply`` gives.

    Shape:
        ``w`` ``(l,)`` or ``(channels, l)``, equal on all ranks; ``x`` ``(*batch, b_rank, m)``, the rows of
        this rank; ``data`` ``(*batch, b', m)`` for the attribute kind, ``(*batch, b_rank, m')`` for the
        instance kind; the result as ``data``, with ``channels`` before its last two dimensions if ``w`` has
        them.

    Args:
        structure: what ``W`` is; for the attribute kind one that reduces blocks of rows.
        w: parameters.
        x: rows of this rank, as for ``interdependence_matrix``.
        data: rows of this rank that ``xi`` is applied to; ``x`` if not given.
        kind: ``"attribute"`` or ``"instance"``.
        normalize: as for ``lphm.interdependence_apply``; for the instance kind ``None`` or ``"scale"``.
        partial: as for ``interdependence_matrix``; for the instance kind columns may be missing.
        group: as for ``interdependence_matrix``.
        rows: as for ``interdependence_matrix``.
        sum_gradient: as for ``interdependence_matrix``.

    Raises:
        ValueError: as ``interdependence_matrix``; a ``normalize`` that needs all of an instance ``xi``.
        TypeError: as ``interdependence_matrix``.
        RankLostError: as ``interdependence_matrix``.

    Example:
        ``torchrun --nproc-per-node 4 examples/rows_over_ranks.py`` trains on the rows of four processes.

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    target = x if data is None else data
    if isinstance(x, DTensor):
        cut, _ = dtensor_rows(x), dtensor_rows(target)
        group, rows = cut.group, cut.counts
    call = Call(structure, _whole(w), _local(x), None if data is None else _local(data), kind, normalize)
    out = _apply(call, agree(call, partial, group, rows), sum_gradient)
    if not isinstance(x, DTensor):
        return out
    shape = torch.Size((*target.shape[:-2], *w.shape[:-1], *target.shape[-2:]))
    stride = torch.empty(shape, device="meta").stride()
    placement = [Shard(len(shape) - 2)]
    return DTensor.from_local(
        out.contiguous(), x.device_mesh, placement, run_check=False, shape=shape, stride=stride
    )


def _whole(w: Tensor) -> Tensor:
    """The parameters of a replicated ``DTensor``, whose gradient will be the same on all ranks."""
    return w.to_local(grad_placements=[Replicate()]) if isinstance(w, DTensor) else w


def _local(x: Tensor) -> Tensor:
    return x.to_local() if isinstance(x, DTensor) else x


def _factors(call: Call, rows: Rows, sum_gradient: bool) -> Factors:
    w = collectives.sum_gradient(call.w, rows.group) if sum_gradient else call.w
    return call.structure.unpack(w.reshape(-1, call.structure.num_parameters))


def _apply(call: Call, rows: Rows, sum_gradient: bool) -> Tensor:
    structure, w, x, data, kind, normalize = call
    data = x if data is None else data
    target = flatten_batch(orient(data, kind)).unsqueeze(1)  # (N, 1, d, k)
    if kind == "instance":
        left, right = structure.pair(_factors(call, rows, sum_gradient), flatten_batch(x.mT))
        left, right = scale_pair(left, right, scale_of(structure, normalize))  # (N, C or 1, K, k)
        out = product(collectives.all_reduce(product(target, left.mT), rows.group), right)
    elif normalize in (None, "scale") and not is_stationary(structure):
        left, right = _pair(call, rows, sum_gradient)
        (d, k), K = target.shape[2:], left.shape[2]
        out = apply_pair(left, right, target, target, skips_matrix(K, k, d))
    else:
        out = product(target, _matrix(call, rows, sum_gradient))
    return orient(out, kind).reshape(*data.shape[:-2], *w.shape[:-1], *data.shape[-2:])


def _matrix(call: Call, rows: Rows, sum_gradient: bool) -> Tensor:
    """``xi`` of all rows ``(N, C, k, k)``, from the rows of this rank."""
    structure, normalize = call.structure, call.normalize
    if not is_stationary(structure):
        return normalized_matrix(*_pair(call, rows, sum_gradient), normalize)
    x = flatten_batch(call.x)  # (N, rows, k)
    pair = structure.pair_of_new_rows(
        _factors(call, rows, sum_gradient), _rows_before(x, structure.halo, rows), x
    )
    left, right = scale_pair(*pair, scale_of(structure, normalize))
    return normalized(collectives.all_reduce(product(left.mT, right), rows.group), normalize)


def _rows_before(x: Tensor, size: int, rows: Rows) -> Tensor:
    """The last ``size`` rows of all ranks before this one, ``(N, size, k)``; zeros where there are none.

    A rank with fewer rows passes on all that it has. Every rank uses what it gathers, if only a slice of no
    effect, so that all take part in the backward.
    """
    last = F.pad(x, (0, 0, size, 0))[:, x.shape[1] :]  # (N, size, k)
    lasts = collectives.all_gather(last, rows.group)
    held = [min(count, size) for count in rows.counts]
    given = [part[:, size - count :] for part, count in zip(lasts, held, strict=True)]
    everything = torch.cat([torch.zeros_like(last), *given], dim=1)
    return everything[:, sum(held[: rows.rank]) :][:, :size]


def _pair(call: Call, rows: Rows, sum_gradient: bool) -> tuple[Tensor, Tensor]:
    """``left, right`` of all rows ``(N, C or 1, K, k)``, scaled, from the rows of this rank."""
    structure, factors = cast(RowBlocks, call.structure), _factors(call, rows, sum_gradient)
    parts, sizes = structure.reduce_part(factors, flatten_batch(call.x), rows.starts[rows.rank])
    sides = [part.movedim(2, 0) for part in parts]  # (blocks here, N, C, r, k)
    whole = _gathered if all(rows.aligned(s) for s in sizes) else _summed
    U, V = whole(sides, sizes, rows)
    left, right = structure.pair_from_parts(factors, U.movedim(0, 2), V.movedim(0, 2))
    return scale_pair(left, right, scale_of(structure, call.normalize))


def _gathered(sides: list[Tensor], sizes: tuple[int, int], rows: Rows) -> list[Tensor]:
    """Every block is on one rank: both sides in one gather, padded to the rank with the most blocks."""
    counts = [[-(-count // s) for count in rows.counts] for s in sizes]
    padded = [_padded(side, 0, max(blocks)) for side, blocks in zip(sides, counts, strict=True)]
    everything = collectives.all_gather(torch.cat([side.flatten() for side in padded]), rows.group)
    parts = torch.split(everything, [side.numel() for side in padded], dim=1)  # (ranks, blocks N C r k)
    return [
        torch.cat([share.view(side.shape)[:count] for share, count in zip(part, blocks, strict=True)])
        for part, side, blocks in zip(parts, padded, counts, strict=True)
    ]


def _summed(sides: list[Tensor], sizes: tuple[int, int], rows: Rows) -> list[Tensor]:
    """A block may be on several ranks: both sides in one sum, zero where a rank has no rows."""
    start = rows.starts[rows.rank]
    padded = [_padded(side, start // s, -(-rows.total // s)) for side, s in zip(sides, sizes, strict=True)]
    everything = collectives.all_reduce(torch.cat([side.flatten() for side in padded]), rows.group)
    parts = torch.split(everything, [side.numel() for side in padded])
    return [part.view(side.shape) for part, side in zip(parts, padded, strict=True)]


def _padded(side: Tensor, first: int, blocks: int) -> Tensor:
    """``side`` as the blocks from ``first`` on of ``blocks`` in all; the others are zero."""
    if first >= blocks:  # a rank without rows, at the end
        first = blocks - len(side)
    before, after = side.new_zeros(first, *side.shape[1:]), blocks - first - len(side)
    return torch.cat([before, side, side.new_zeros(after, *side.shape[1:])])
