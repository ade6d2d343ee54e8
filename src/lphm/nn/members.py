"""Members of an ensemble side by side: one operator computes what all of them do.

Every parameter has a leading dimension of members, and so has the data, ``(members, N, ...)``. Small networks
one after another would spend much of their time between operators.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm.nn.init import initialize_
from lphm.ops.checks import Kind, Normalize
from lphm.ops.members import apply_members, matrix_members
from lphm.structures import Structure


class MemberLinear(nn.Module):
    """A linear map for each member, drawn as ``torch.nn.Linear`` draws it.

    Shape:
        ``(members, *, inputs)`` to ``(members, *, outputs)``.

    Args:
        members: linear maps.
        inputs: columns of the input.
        outputs: columns of the output.
        bias: whether there is a bias.
        zero: start at zero.
    """

    def __init__(
        self, members: int, inputs: int, outputs: int, *, bias: bool = True, zero: bool = False
    ) -> None:
        super().__init__()
        bound = 0.0 if zero else 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension of ``x``."""
        rows = x.flatten(1, -2)
        out = rows.bmm(self.weight) if self.bias is None else torch.baddbmm(self.bias, rows, self.weight)
        return out.view(*x.shape[:-1], -1)


def normalised(x: Tensor) -> Tensor:
    """Layer normalisation without a scale and a shift, which what follows it learns or did not miss.

    On a CPU torch takes a third less time where it is given both, here 1 and 0.
    """
    shape = x.shape[-1:]
    return F.layer_norm(x, shape, x.new_ones(shape), x.new_zeros(shape))


class MemberNorm(nn.Module):
    """Layer normalisation with a scale and a shift of its own for each member.

    Shape:
        ``(members, N, width)`` to the same.
    """

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, 1, width))
        self.bias = nn.Parameter(torch.zeros(members, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``x``."""
        return torch.addcmul(self.bias, normalised(x), self.weight)


class MemberInterdependence(nn.Module):
    """``lphm.BilinearInterdependence`` for each member.

    Shape:
        ``(members, N, b, m)`` to the same.

    Args:
        structure: what ``W`` is.
        kind: ``"attribute"`` or ``"instance"``.
        members: layers side by side.
        channels: parameter vectors of each.
        normalize: as for the layer.

    Attributes:
        weight: the parameters, ``(members, channels, l)``.
    """

    def __init__(
        self, structure: Structure, kind: Kind, members: int, channels: int, normalize: Normalize = None
    ) -> None:
        super().__init__()
        self.structure, self.kind, self.channels, self.normalize = structure, kind, channels, normalize
        self.weight = nn.Parameter(torch.empty(members, channels, structure.num_parameters))
        initialize_(structure, self.weight)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What each member has, mixed; with softmax, ``mask`` ``(members, N, k)`` says what is looked at."""
        return apply_members(self.structure, self.weight, x, self.kind, self.normalize, mask)

    def matrix(self, x: Tensor) -> Tensor:
        """``xi`` of each member, ``(members, N, channels, k, k)``."""
        return matrix_members(self.structure, self.weight, x, self.kind, self.normalize)

    def extra_repr(self) -> str:
        """The arguments."""
        choices = f"kind={self.kind!r}, channels={self.channels}, normalize={self.normalize!r}"
        return f"{self.structure}, members={len(self.weight)}, {choices}"


class Dropout(nn.Module):
    """Drops a share of the entries in training, and adds the rest to another tensor if one is given.

        out = onto + x ∘ kept / (1 - share)

    On a CPU one random byte decides about each entry, in a small part of the time of ``torch.nn.Dropout``,
    which draws a number for each. So the share is rounded to a multiple of 1/256, and is at most 255/256.

    Args:
        share: of the entries that are dropped.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """Both of the same shape."""
        if not self.training or self.share == 0:
            return x if onto is None else onto + x
        if x.device.type != "cpu":
            return F.dropout(x, self.share) if onto is None else onto + F.dropout(x, self.share)
        dropped = min(round(self.share * 256), 255)
        kept, factor = _random_bytes(x.shape).ge(dropped).to(x.dtype), 256 / (256 - dropped)
        return torch.addcmul(x.new_zeros(()) if onto is None else onto, x, kept, value=factor)

    def extra_repr(self) -> str:
        """The share."""
        return f"share={self.share}"


def _random_bytes(shape: torch.Size) -> Tensor:
    """Numbers from 0 to 255, drawn eight at a time."""
    count = -(-shape.numel() // 8)
    if torch.compiler.is_compiling():  # which cannot take what follows, and here draws all words but one
        words = torch.randint(-(2**63), 2**63 - 1, (count,), dtype=torch.int64)
    else:
        words = torch.empty(count, dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.uint8)[: shape.numel()].view(shape)
