"""Rows of X spread over the ranks of a process group: what travels is thin, never the rows.

    attribute   xi = Xᵀ W X        each rank reduces its own blocks of rows, Sᵀ X_p and Tᵀ X_q; these are
                                   gathered, (p + q) r m numbers, whatever b is: then xi is on all ranks
    instance    D ↦ (X W Xᵀ)ᵀ D    left D is summed over the ranks, K m' numbers; xi, b x b, is never formed

Where a block of rows lies on two ranks, the blocks are summed over the ranks instead: twice the traffic.

What is differentiated is the sum of the losses of all ranks (``collectives.py``): each has a loss on its
own rows of the output, and the gradients of its rows of ``X`` and of ``w`` are those of one process with all.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.nn import functional as F

from lphm.ops.checks import Kind, Normalize
from lphm.ops.cost import scale_of, skips_matrix
from lphm.ops.functional import normalized_matrix
from lphm.ops.reference import apply_pair, orient, product
from lphm.sharded import collectives
from lphm.sharded.rows import Rows, agree, dtensor_rows
from lphm.structures.base import Factors, Structure, flatten_batch
from lphm.structures.row_blocks import RowBlocks, reduce_pair


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

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if isinstance(x, DTensor):
        cut, local, w = dtensor_rows(x), x.to_local(), _whole(w)
        agree(structure, w, local, None, "attribute", normalize, partial, cut.group, cut.counts)
        xi = _matrix(structure, w, local, normalize, cut, sum_gradient)
        xi = collectives.average_gradient(xi, cut.group)
        return DTensor.from_local(xi, x.device_mesh, [Replicate()], run_check=False)
    where = agree(structure, w, x, None, "attribute", normalize, partial, group, rows)
    return _matrix(structure, w, x, normalize, where, sum_gradient)


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

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if isinstance(x, DTensor):
        cut, local, w = dtensor_rows(x), x.to_local(), _whole(w)
        target = x if data is None else data
        dtensor_rows(target)
        rest = local if data is None else target.to_local()  # type: ignore[attr-defined]
        agree(structure, w, local, rest, kind, normalize, partial, cut.group, cut.counts)
        out = _apply(structure, w, local, rest, kind, normalize, cut, sum_gradient)
        shape = torch.Size((*target.shape[:-2], *w.shape[:-1], *target.shape[-2:]))
        stride = torch.empty(shape, device="meta").stride()
        placement = [Shard(len(shape) - 2)]
        return DTensor.from_local(
            out.contiguous(), x.device_mesh, placement, run_check=False, shape=shape, stride=stride
        )
    where = agree(structure, w, x, data, kind, normalize, partial, group, rows)
    return _apply(structure, w, x, x if data is None else data, kind, normalize, where, sum_gradient)


def _whole(w: Tensor) -> Tensor:
    """The parameters of a replicated ``DTensor``, whose gradient will be the same on all ranks."""
    return w.to_local(grad_placements=[Replicate()]) if isinstance(w, DTensor) else w


def _matrix(
    structure: Structure, w: Tensor, x: Tensor, normalize: Normalize, rows: Rows, sum_gradient: bool
) -> Tensor:
    w = collectives.sum_gradient(w, rows.group) if sum_gradient else w
    xi = normalized_matrix(*_pair(structure, w, x, normalize, rows), normalize)
    return xi.reshape(*x.shape[:-2], *w.shape[:-1], *xi.shape[-2:])


def _apply(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor,
    kind: Kind,
    normalize: Normalize,
    rows: Rows,
    sum_gradient: bool,
) -> Tensor:
    w = collectives.sum_gradient(w, rows.group) if sum_gradient else w
    target = flatten_batch(orient(data, kind)).unsqueeze(1)  # (N, 1, d, k)
    if kind == "instance":
        factors = structure.unpack(w.reshape(-1, structure.num_parameters))
        left, right = structure.pair(factors, flatten_batch(x.mT))  # (N, C or 1, K, k)
        left = left * scale_of(structure, normalize)
        out = product(collectives.all_reduce(product(target, left.mT), rows.group), right)
    else:
        left, right = _pair(structure, w, x, normalize, rows)
        (d, k), K = target.shape[2:], left.shape[2]
        if normalize in (None, "scale"):
            out = apply_pair(left, right, target, target, skips_matrix(K, k, d))
        else:
            out = product(target, normalized_matrix(left, right, normalize))
    return orient(out, kind).reshape(*data.shape[:-2], *w.shape[:-1], *data.shape[-2:])


def _pair(
    structure: Structure, w: Tensor, x: Tensor, normalize: Normalize, rows: Rows
) -> tuple[Tensor, Tensor]:
    """``left, right`` of all rows ``(N, C or 1, K, k)``, scaled, from the rows of this rank."""
    assert isinstance(structure, RowBlocks)  # agree has looked
    factors, x = structure.unpack(w.reshape(-1, structure.num_parameters)), flatten_batch(x)
    if structure.reduces_rows:
        left, right = _combined(structure, factors, x, rows)
    else:  # a subclass that overrides the pair itself: it is linear in x, so the shares of the ranks add up
        start = rows.starts[rows.rank]
        padded = F.pad(x, (0, 0, start, rows.total - start - x.shape[1]))
        sides = structure.pair(factors, padded)
        left, right = (collectives.all_reduce(side, rows.group) for side in sides)
    return left * scale_of(structure, normalize), right


def _combined(structure: RowBlocks, factors: Factors, x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    reducing = structure.row_factors(factors)
    if x.shape[1]:
        parts = reduce_pair(*reducing, x, rows.starts[rows.rank])
    else:
        parts = _no_blocks(reducing[0], x), _no_blocks(reducing[1], x)
    sides = [part.movedim(2, 0) for part in parts]  # (blocks here, N, C, r, k)
    sizes = [S.shape[1] for S in reducing]
    whole = _gathered if all(rows.aligned(s) for s in sizes) else _summed
    U, V = whole(sides, sizes, rows)
    return structure.combine(factors, U.movedim(0, 2), V.movedim(0, 2))


def _no_blocks(S: Tensor, x: Tensor) -> Tensor:
    """The share of a rank without rows, ``(N, C, 0, r, k)``; part of the graph, as on every other rank."""
    C, _, r = S.shape
    return x[:, None, :, None, :].expand(-1, C, -1, r, -1) * S.sum()


def _gathered(sides: list[Tensor], sizes: list[int], rows: Rows) -> list[Tensor]:
    """Every block is on one rank: both sides in one gather, padded to the rank with the most blocks."""
    counts = [[-(-count // s) for count in rows.counts] for s in sizes]
    padded = [_padded(side, 0, max(blocks)) for side, blocks in zip(sides, counts, strict=True)]
    everything = collectives.all_gather(torch.cat([side.flatten() for side in padded]), rows.group)
    parts = torch.split(everything, [side.numel() for side in padded], dim=1)  # (ranks, blocks N C r k)
    return [
        torch.cat([share.view(side.shape)[:count] for share, count in zip(part, blocks, strict=True)])
        for part, side, blocks in zip(parts, padded, counts, strict=True)
    ]


def _summed(sides: list[Tensor], sizes: list[int], rows: Rows) -> list[Tensor]:
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
