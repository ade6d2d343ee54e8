r"""Initial parameters by one theorem that holds for every structure.

An entry of ``W`` is a sum of ``terms`` products, each of one entry from every factor. If the ``F``
factors are independent, with independent zero-mean entries of variance ``σ_f²``,

    E‖W‖_F² = n columns · terms · Π_f σ_f²,

so with ``σ_f² = (n columns · terms)^(-1/F)`` for every factor, and one of them times ``gain``,
``E‖W‖_F² = gain²``. Then ``xi_ij = Σ_ab W_ab x_ai x_bj`` has variance ``gain²`` for ``i != j`` on data of
independent entries with unit variance. Entries of equal size in all factors suit one learning rate;
a ``gain`` of 0 zeroes one factor only (``xi`` starts at 0 and still has a gradient).
"""

import math

import torch
from torch import Tensor

from lphm.structures.base import Structure


@torch.no_grad()
def initialize_(
    structure: Structure, w: Tensor, gain: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Fill ``w`` in place so that ``E‖W‖_F² = gain²``, and return it.

    Shape:
        ``w`` ``(*, l)``; every vector in it is drawn independently.

    Args:
        structure: what ``W`` is.
        w: the tensor to fill.
        gain: root mean square of ``‖W‖_F``, and of the entries of ``xi`` on unit-variance data; 0
            zeroes the first factor.
        generator: source of randomness.

    Raises:
        ValueError: ``w`` does not end in ``l``.

    Example:
        >>> w = initialize_(LPHM(n=96, p=8, q=8, r=4), torch.empty(160))
    """
    factors = structure.unpack(w)
    std = (math.prod(structure.shape) * structure.terms) ** (-0.5 / len(factors))
    for position, factor in enumerate(factors):
        normal_(factor, std, generator)
        if position == 0:
            factor.mul_(gain)
    return w


@torch.no_grad()
def normal_(x: Tensor, std: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``x`` in place with normal numbers of mean 0, and return it.

    A tensor on the device "meta", which has no memory, is returned as it is: to draw it, torch would import
    its compiler, which takes a second.
    """
    return x if x.is_meta else x.normal_(0.0, std, generator=generator)
