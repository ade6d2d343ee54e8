"""Fast forms of the algebra of single structures, looked up by their exact type.

A subclass, or a mixin in front of a class, may mean another ``W``; it has no kernel and takes the reference
path.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lphm.ops.kernels import low_rank, lphm
from lphm.structures.base import Structure
from lphm.structures.low_rank import LowRank
from lphm.structures.lphm import LPHM

__all__ = ["KERNELS", "Kernel"]


@dataclass(frozen=True)
class Kernel:
    """The projection with its gradient by hand, and short forms for one sample.

    ``w``, ``(C, l)`` or ``(l,)``, is contiguous; ``x`` ``(N, n, k)`` is, or is the transpose of a contiguous
    tensor. These functions rely on strides, so no transform of torch may see them. ``W`` is linear in the
    first factor.

    Args:
        project: ``(structure, w, x)`` to ``left, right`` ``(N C, K, k)``, and what ``project_backward``
        needs. project_backward: ``(structure, w, x, dleft, dright, needs_dx, *kept)`` to the gradients of
        ``w`` and,
            if it is needed, of ``x``.
        dense: ``(structure, w)`` to ``W`` ``(C, n, n)``, and what ``dense_backward`` needs.
        dense_backward: ``(structure, w, dW, *kept)`` to the gradient of ``w``.
        dense_of_one: ``(structure, w)`` to ``W`` ``(n, n)`` for ``w`` ``(l,)``, in differentiable operators.
        pair_of_one: ``(structure, w, x)`` to ``left, right`` ``(K, k)`` for ``x`` ``(n, k)``, likewise.
    """

    project: Callable[..., tuple[Tensor, ...]]
    project_backward: Callable[..., tuple[Tensor, Tensor | None]]
    dense: Callable[..., tuple[Tensor, ...]] | None = None
    dense_backward: Callable[..., Tensor] | None = None
    dense_of_one: Callable[..., Tensor] | None = None
    pair_of_one: Callable[..., tuple[Tensor, Tensor]] | None = None


KERNELS: dict[type[Structure], Kernel] = {
    LPHM: Kernel(
        lphm.project,
        lphm.project_backward,
        lphm.dense,
        lphm.dense_backward,
        lphm.dense_of_one,
        lphm.pair_of_one,
    ),
    LowRank: Kernel(low_rank.project, low_rank.project_backward),
}
