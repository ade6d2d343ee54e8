"""A block of the network: residual branches that mix columns, mix rows, and pass on each row by itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm.errors import require_divisor
from lphm.nn.members import Dropout, MemberInterdependence, MemberLinear, normalised
from lphm.structures import Structure


class MixingBranch(nn.Module):
    """Mixes the normalised input, and scales every column of the result.

    An attribute interdependence multiplies its input three times over. A network that starts close to its
    feed-forward part, and takes from the mixing what pays, generalises better than one in which both start
    at equal size: the scales are 0.1 at the start (LayerScale: Touvron et al., 2021, arXiv:2103.17239).

    Shape:
        ``(members, N, rows, width)`` to the same.

    Args:
        width: columns of the input.
        mix: the interdependence of each member.
    """

    def __init__(self, width: int, mix: MemberInterdependence) -> None:
        super().__init__()
        self.mix = mix
        self.scale = nn.Parameter(torch.full((len(mix.weight), 1, 1, width), 0.1))

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """The mixed and scaled input; rows that are not ``present`` ``(members, N, rows)`` have no part."""
        rows = normalised(x)
        if present is not None and self.mix.kind == "attribute":
            rows, present = rows * present.unsqueeze(-1), None
        out: Tensor = self.mix(rows, present) * self.scale
        return out


class FeedForward(nn.Module):
    """A network with one hidden layer of rectified units on the normalised input.

    Shape:
        ``(members, *, inputs)`` to ``(members, *, outputs)``.

    Args:
        members: networks side by side.
        inputs: columns of the input.
        hidden: units of the hidden layer.
        outputs: columns of the output.
        dropout: share of the hidden units that is dropped in training.
        zero: start with outputs of zero.
    """

    def __init__(
        self, members: int, inputs: int, hidden: int, outputs: int, dropout: float = 0.0, zero: bool = False
    ) -> None:
        super().__init__()
        self.up = MemberLinear(members, inputs, hidden)
        self.dropout = Dropout(dropout)
        self.down = MemberLinear(members, hidden, outputs, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """The output of the hidden layer."""
        out: Tensor = self.down(self.dropout(F.relu(self.up(normalised(x)))))
        return out


class InterdependenceBlock(nn.Module):
    """Columns mixed, rows mixed, then a feed-forward network on each row; residuals on the normalised input.

    Shape:
        ``(members, N, rows, width)`` to the same.

    Args:
        width: columns of the input.
        attribute: structure of the attribute interdependence, ``n = rows``; none if not given.
        instance: structure of the instance interdependence, ``n = width``; none if not given.
        channels: parameter vectors of the attribute interdependence; divides ``rows``.
        instance_channels: those of the instance interdependence; divides ``width``.
        dropout: share of the branches' outputs that is dropped in training.
        members: networks side by side.
        feed_forward: whether there is a feed-forward network.
    """

    def __init__(
        self,
        width: int,
        attribute: Structure | None = None,
        instance: Structure | None = None,
        channels: int = 1,
        instance_channels: int = 1,
        dropout: float = 0.0,
        members: int = 1,
        feed_forward: bool = True,
    ) -> None:
        super().__init__()
        branches: list[nn.Module] = []
        if attribute is not None:
            require_divisor("rows", attribute.n, channels=channels)
            mix = MemberInterdependence(attribute, "attribute", members, channels)
            with torch.no_grad():  # entries of xi of variance 1 / width: D @ xi, a sum over width columns,
                attribute.unpack(mix.weight)[0].mul_(width**-0.5)  # has entries of the size of D's
            branches.append(MixingBranch(width, mix))
        if instance is not None:
            require_divisor("width", width, instance_channels=instance_channels)
            mix = MemberInterdependence(instance, "instance", members, instance_channels, "softmax")
            branches.append(MixingBranch(width, mix))
        if feed_forward:
            branches.append(FeedForward(members, width, 2 * width, width))
        self.branches = nn.ModuleList(branches)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Add every branch to ``x``; rows that are not ``present`` ``(members, N, rows)`` change no other."""
        for branch in self.branches:
            x = self.dropout(branch(x, present) if isinstance(branch, MixingBranch) else branch(x), x)
        return x
