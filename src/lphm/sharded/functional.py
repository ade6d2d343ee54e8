"""Rows of X spread over the ranks of a process group: what travels is thin, never the rows.

    attribute   xi = Xᵀ W X        each rank reduces its own blocks of rows, Sᵀ X_p and Tᵀ X_q; these are
                                   gathered, (p + q) r m numbers, whatever b is: then xi is on all ranks
    instance    D ↦ (X W Xᵀ)ᵀ D    left D is summed over the ranks, K m' numbers; xi, b x b, is never formed

Where a block of rows is on two ranks, the blocks are summed over the ranks instead: twice the traffic.

What is differentiated is the sum of the losses of all ranks (``collectives.py``): each has a loss on its
own rows of the output, and the gradients of its rows of ``X`` and of ``w`` are those of one process with all.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard

from lphm.ops.checks import Kind, Normalize
from lphm.ops.functional import normalized_matrix
from lphm.ops.orders import orient, product
from lphm.sharded.collectives import gather, once, share, sum_over_ranks
from lphm.sharded.rows import Rows, agree, dtensor_rows
from lphm.structures.base import Structure, flatten_batch
from lphm.structures.row_blocks import project_pair
from lphm.structures.thin import Thin


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
        ``w`` ``(l,)`` or ``(channels, l)``, alike on all ranks; ``x`` ``(*batch, b_rank, m)``, the rows of
        this rank, which follow those of the rank before; the result ``(*batch, m, m)`` or
        ``(*batch, channels, m, m)``, alike on all ranks.

    Args:
        structure: what ``W`` is, with a thin middle; its ``n`` is the number of all rows.
        w: parameters.
        x: rows of this rank, perhaps none; or a ``DTensor`` of all rows, ``Shard(-2)`` on a mesh of one
            dimension.
        normalize: as for ``lphm.interdependence_matrix``.
        partial: let all ranks together have fewer than ``n`` rows; the missing ones count as zeros.
        group: the process group; all ranks if not given, that of its mesh for a ``DTensor``.
        rows: rows of every rank, if known: then nothing is asked of the other ranks, and nothing checked.
        sum_gradient: sum the gradient of ``w`` over the ranks. False leaves that to whoever does it for
            all parameters, as ``DistributedDataParallel`` does, which divides by the number of ranks.

    Returns:
        ``xi``. Every rank's loss on it counts: one that all compute alike counts as often as there are
        ranks. If ``x`` is a ``DTensor`` so is ``xi``, replicated, and one loss on it counts once.

    Raises:
        ValueError: a shape does not fit, or not to those of the other ranks; there is no process group.
        TypeError: the structure has no thin middle; ``w`` or ``x`` is not floating point, or they differ.
        RankLostError: another rank is gone, or does not answer within the timeout of the group.

    Reference:
        RPN 2 (Zhang, 2024, arXiv:2411.11162), bilinear interdependence functions.
    """
    if isinstance(x, DTensor):
        cut, local, w = dtensor_rows(x), x.to_local(), _whole(w)
        agree(structure, w, local, None, "attribute", normalize, partial, cut.group, cut.counts)
        xi = once(_matrix(structure, w, local, normalize, cut, sum_gradient), cut.group)
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
        ``w`` ``(l,)`` or ``(channels, l)``, alike on all ranks; ``x`` ``(*batch, b_rank, m)``, the rows of
        this rank; ``data`` ``(*batch, b', m)`` for the attribute kind, ``(*batch, b_rank, m')`` for the
        instance kind; the result as ``data``, with ``channels`` before its last two dimensions if ``w`` has
        them.

    Args:
        structure: what ``W`` is; for the attribute kind one with a thin middle.
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
    w = share(w, rows.group) if sum_gradient else w
    xi = normalized_matrix(structure, *_pair(structure, w, x, rows), normalize)
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
    w = share(w, rows.group) if sum_gradient else w
    target = flatten_batch(orient(data, kind)).unsqueeze(1)  # (N, 1, d, k)
    scale = 1 / structure.n if normalize == "scale" else 1.0
    if kind == "instance":
        factors = structure.unpack(w.reshape(-1, structure.num_parameters))
        left, right = structure._project(factors, flatten_batch(x.mT))  # (N, C or 1, K, k)
        out = product(sum_over_ranks(product(target, left.mT), rows.group), right) * scale
    else:
        left, right = _pair(structure, w, x, rows)
        (d, k), K = target.shape[2:], left.shape[2]
        if normalize in (None, "scale") and 2 * d * K < k * (K + d):
            out = product(product(target, left.mT), right) * scale
        else:
            out = product(target, normalized_matrix(structure, left, right, normalize))
    return orient(out, kind).reshape(*data.shape[:-2], *w.shape[:-1], *data.shape[-2:])


def _pair(structure: Structure, w: Tensor, x: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """``left, right`` of all rows ``(N, C or 1, K, k)``, from those that are here."""
    assert isinstance(structure, Thin)
    factors = structure.unpack(w.reshape(-1, structure.num_parameters))
    x, reducing = flatten_batch(x), structure._block_factors(factors)
    if x.shape[1]:
        parts = project_pair(*reducing, x, rows.starts[rows.here])
    else:
        parts = _no_blocks(reducing[0], x), _no_blocks(reducing[1], x)
    sides = [part.movedim(2, 0) for part in parts]  # (blocks here, N, C, r, k)
    sizes = [S.shape[1] for S in reducing]
    whole = _gathered if all(rows.aligned(s) for s in sizes) else _summed
    U, V = whole(sides, sizes, rows)
    return structure._join(factors, U.movedim(0, 2), V.movedim(0, 2))


def _no_blocks(S: Tensor, x: Tensor) -> Tensor:
    """What a rank without rows has, ``(N, C, 0, r, k)``: in the graph, for its backward meets the others'."""
    C, _, r = S.shape
    return x[:, None, :, None, :].expand(-1, C, -1, r, -1) * S.sum()


def _gathered(sides: list[Tensor], sizes: list[int], rows: Rows) -> list[Tensor]:
    """Every block is on one rank: both sides in one gather, padded to the rank with the most blocks."""
    counts = [[-(-count // s) for count in rows.counts] for s in sizes]
    padded = [_padded(side, 0, max(have)) for side, have in zip(sides, counts, strict=True)]
    everything = gather(torch.cat([side.flatten() for side in padded]), rows.group)
    parts = torch.split(everything, [side.numel() for side in padded], dim=1)  # (ranks, blocks N C r k)
    return [
        torch.cat([blocks.view(side.shape)[:own] for blocks, own in zip(part, have, strict=True)])
        for part, side, have in zip(parts, padded, counts, strict=True)
    ]


def _summed(sides: list[Tensor], sizes: list[int], rows: Rows) -> list[Tensor]:
    """A block may be on several ranks: both sides in one sum, zero where a rank has no rows."""
    start = rows.starts[rows.here]
    padded = [_padded(side, start // s, -(-rows.total // s)) for side, s in zip(sides, sizes, strict=True)]
    everything = sum_over_ranks(torch.cat([side.flatten() for side in padded]), rows.group)
    parts = torch.split(everything, [side.numel() for side in padded])
    return [part.view(side.shape) for part, side in zip(parts, padded, strict=True)]


def _padded(side: Tensor, first: int, blocks: int) -> Tensor:
    """Zeros for so many blocks, but for those that are here, from ``first`` on."""
    if first >= blocks:  # a rank without rows, at the end
        first = blocks - len(side)
    before, after = side.new_zeros(first, *side.shape[1:]), blocks - first - len(side)
    return torch.cat([before, side, side.new_zeros(after, *side.shape[1:])])
