"""Collectives that autograd differentiates, and the one convention that their gradients follow.

Every rank has a loss of its own, and what is differentiated is the sum of these losses. So the gradient of a
tensor that is equal on all ranks is summed over them, and the gradient of a rank's own tensor is its own.
``OPERATIONS`` lists what follows.
"""

from collections.abc import Callable, Iterator
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
            "a process group must exist before rows are spread over ranks, got none; "
            "call torch.distributed.init_process_group first, for instance under torchrun"
        )
    group = group or dist.group.WORLD
    if group is None or dist.get_rank(group) < 0:
        raise ValueError("group must contain this rank, got one that does not; call it on its members only")
    return group


def all_gather(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x`` ``(*shape)`` of every rank, ``(ranks, *shape)``, on all of them."""
    return _apply(x, group, "all_gather")


def all_reduce(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """The sum of ``x`` over the ranks, on all of them."""
    return _apply(x, group, "all_reduce")


def sum_gradient(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x``, which is equal on all ranks: its gradient is summed over them."""
    return _apply(x, group, "sum_gradient")


def average_gradient(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x``, which is equal on all ranks, as is the loss computed from it: the loss counts once."""
    return _apply(x, group, "average_gradient")


def all_gather_numbers(values: list[int], device: torch.device, group: dist.ProcessGroup) -> list[list[int]]:
    """A few numbers of every rank, in the order of ranks."""
    numbers = torch.tensor(values, dtype=torch.int64, device=device)
    gathered: list[list[int]] = _gathered(numbers, group).tolist()
    return gathered


@contextmanager
def _lost_ranks_reported(what: str) -> Iterator[None]:
    """Raise ``RankLostError`` where another rank is gone or too late."""
    try:
        yield
    except RuntimeError as error:  # gloo's; nccl's DistBackendError is one too
        reason = " ".join(str(error).split())[:300]
        raise RankLostError(
            f"all ranks of the group must take part in a {what} within its timeout, got: {reason}; "
            "read the last messages of the other ranks, and start all of them again from the last checkpoint"
        ) from error


def _gathered(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    out = x.new_empty(dist.get_world_size(group) * x.numel())
    with _lost_ranks_reported("gather"):
        _gather_into(out, x.contiguous().view(-1), group=group)
    return out.view(-1, *x.shape)


def _scattered(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """``x[rank]``, summed over the ranks."""
    x = x.contiguous()
    with _lost_ranks_reported("reduce-scatter"):
        if dist.get_backend(group) == "gloo":  # gloo's own sends twice as much: it sums everything, then cuts
            parts = torch.empty_like(x)
            dist.all_to_all_single(parts, x, group=group)
            return parts.sum(0)
        out = torch.empty_like(x[0])
        _scatter_into(out.view(-1), x.view(-1), group=group)
        return out


def _summed(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    out = x.clone(memory_format=torch.contiguous_format)
    with _lost_ranks_reported("sum"):
        dist.all_reduce(out, group=group)
    return out


def _unchanged(x: Tensor, group: dist.ProcessGroup) -> Tensor:  # noqa: ARG001
    return x.view_as(x)


def _averaged(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    return x / dist.get_world_size(group)


#: By name, how an operation is computed, and the operation that takes its gradient back.
OPERATIONS: dict[str, tuple[Callable[[Tensor, dist.ProcessGroup], Tensor], str]] = {
    "all_gather": (_gathered, "reduce_scatter"),
    "reduce_scatter": (_scattered, "all_gather"),
    "all_reduce": (_summed, "all_reduce"),
    "sum_gradient": (_unchanged, "all_reduce"),
    "average_gradient": (_unchanged, "average"),  # for one loss that every rank computes
    "average": (_averaged, "average"),
}


class _Operation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup, name: str) -> Tensor:
        compute, ctx.backward_name = OPERATIONS[name]
        ctx.group = group
        return compute(x, group)

    @staticmethod
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor, None, None]:
        return _apply(G, ctx.group, ctx.backward_name), None, None


def _apply(x: Tensor, group: dist.ProcessGroup, name: str) -> Tensor:
    out: Tensor = _Operation.apply(x, group, name)  # type: ignore[no-untyped-call]
    return out
