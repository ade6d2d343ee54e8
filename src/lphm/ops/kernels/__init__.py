"""Fast forms of the algebra of single structures: a module for each, looked up by the exact type.

A subclass, or a mixin in front of a class, may mean another ``W``: it has no kernel and takes the reference
path. ``W`` has to be linear in the first factor. ``w``, ``(C, l)`` or ``(l,)``, is contiguous; ``x`` ``(N, n,
k)`` is, or is the transpose of a contiguous tensor. A module has

    project(structure, w, x)        left, right (N C, K, k), and what the gradient needs
    project_backward(structure, w, x, dleft, dright, needs_dx, *kept)       dw, and dx or None

and may have the same for ``W`` ``(C, n, n)``

    dense(structure, w)
    dense_backward(structure, w, dW, *kept)

or for the matrices ``F`` ``(2, C, K, n)`` of the pair, ``left_c = F[0, c] x`` and ``right_c = F[1, c] x``

    maps(structure, w)
    maps_backward(structure, w, dF, *kept)

and, for one sample and one channel, short forms that autograd differentiates

    pair_of_one(structure, w, x)    left, right (K, k)
    dense_of_one(structure, w)      W (n, n)
"""

from types import ModuleType

from lphm.ops.kernels import low_rank, lphm
from lphm.structures.base import Structure
from lphm.structures.low_rank import LowRank
from lphm.structures.lphm import LPHM

__all__ = ["KERNELS"]

KERNELS: dict[type[Structure], ModuleType] = {LPHM: lphm, LowRank: low_rank}
