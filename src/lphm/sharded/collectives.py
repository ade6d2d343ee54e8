"""Collectives that autograd goes through, and the one convention that their gradients follow.

Every rank has a loss of its own, and what is differentiated is the sum of them all. So the gradient of what
the ranks hold alike is summed over them, and that of what each holds for itself is its own.

    forward             backward
    gather              reduce-scatter (sum)
    reduce-scatter      gather
    sum                 sum
    share (identity)    sum
    once (identity)     divided by the number of ranks: for one loss that all ranks compute alike
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lphm.errors import RankLostError

# torch 2.13 renames them and warns of the old names.
_gather_into = getattr(dist, "all_gather_single", dist.all_gather_into_tensor)
_scatter_into = getattr(dist, "reduce_scatter_single", dist.reduce_scatter_tensor)


def require_group(group: dist.ProcessGroup | None) -> dist.ProcessGroup:
    """The group, or that of all ranks.

    Raises:
        ValueError: there is none yet, or this rank is not in it.
    """
    if not dist.is_available() or not dist.is_initialized():
        raise ValueError(
            "a process group must be there before rows are spread over ranks, got none; "
            "call torch.distributed.init_process_group first, for instance under torchrun"
        )
    group = group or dist.group.WORLD
    if group is None or dist.get_rank(group) < 0:
        raise ValueError("group must hold this rank, got one that does not; call it on its own ranks only")
    return group


def gather(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x`` ``(*shape)`` of every rank, ``(ranks, *shape)``, on all of them."""
    out: Tensor = _Gather.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def sum_over_ranks(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """The sum of ``x`` over the ranks, on all of them."""
    out: Tensor = _Sum.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def share(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x``, which all ranks hold alike: its gradient is summed over them."""
    out: Tensor = _Share.apply(x, group)  # type: ignore[no-untyped-call]
    return out


def once(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x``, which all ranks hold alike, and of which they compute one loss alike: it counts once."""
    out: Tensor = _Once.apply(x, dist.get_world_size(group))  # type: ignore[no-untyped-call]
    return out


def exchange(values: list[int], device: torch.device, group: dist.ProcessGroup) -> list[list[int]]:
    """A few numbers of every rank, in the order of ranks."""
    mine = torch.tensor(values, dtype=torch.int64, device=device)
    gathered: list[list[int]] = _gathered(mine, group).tolist()
    return gathered


@contextmanager
def _answered(what: str) -> Iterator[None]:
    """A peer that is gone, or too late, is an error that says so."""
    try:
        yield
    except RuntimeError as error:  # gloo's; nccl's DistBackendError is one too
        reason = " ".join(str(error).split())[:300]
        raise RankLostError(
            f"all ranks of the group must take part in a {what} within its timeout, got: {reason}; "
            "see what the other ranks said last, and start them all again from the last checkpoint"
        ) from error


def _gathered(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    out = x.new_empty(dist.get_world_size(group) * x.numel())
    with _answered("gather"):
        _gather_into(out, x.contiguous().view(-1), group=group)
    return out.view(-1, *x.shape)


def _scattered(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x[rank]``, summed over the ranks."""
    with _answered("reduce-scatter"):
        if dist.get_backend(group) == "gloo":  # whose own sends twice as much: it sums all, and cuts
            theirs = torch.empty_like(x)
            dist.all_to_all_single(theirs, x, group=group)
            return theirs.sum(0)
        out = torch.empty_like(x[0])
        _scatter_into(out.view(-1), x.view(-1), group=group)
        return out


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _gathered(x, group)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Scatter.apply(grads[0], ctx.group), None  # type: ignore[no-untyped-call]


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _scattered(x.contiguous(), group)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Gather.apply(grads[0], ctx.group), None  # type: ignore[no-untyped-call]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        out = x.clone(memory_format=torch.contiguous_format)
        with _answered("sum"):
            dist.all_reduce(out, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Sum.apply(grads[0], ctx.group), None  # type: ignore[no-untyped-call]


class _Share(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Sum.apply(grads[0], ctx.group), None  # type: ignore[no-untyped-call]


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: int) -> Tensor:
        ctx.ranks = ranks
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] / ctx.ranks, None
