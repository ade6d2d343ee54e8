"""The network on top: blocks of attribute and instance mixing over an embedded input.

    input -> embedding (*, b, d) -> blocks -> head
        │              ├────────> linear part ────> +
        └──────────────┴────────> readout of xi ──> +

The linear part carries what a linear model of the input can say; the rest adds to it (wide and deep: Cheng et
al., 2016, arXiv:1606.07792). All three start at zero: what they say first is the same for every sample. Each
block adds branches to its input, each on the normalised input: columns mixed by an attribute interdependence
and rows mixed by an instance interdependence. The readout gives an attribute interdependence itself, entry by
entry, as second-order pooling does with a covariance (Carreira et al., 2012, ECCV): what tells samples apart
may be how columns go together, where their means say nothing.

Rows of one kind, such as steps, each go through a feed-forward network at the end of a block, and the head
takes their mean. Where the series of the training differ in length, steps after the end of one have no part
in the mixing and in this mean. Rows that are the features of a table mean different things, so a hidden layer
in the head sees all of them.

Several networks of one shape, the members, are trained side by side on the same batches. They differ in their
first weights and in what dropout takes from them, each is trained by its own loss, and their answers are
averaged: on a small table a single network's answer depends on its seed as much as on the data (deep
ensembles: Lakshminarayanan et al., 2017, arXiv:1612.01474). The same operators compute all of them.
"""

import copy

import torch
from torch import Tensor, nn

from lphm.errors import require_positive
from lphm.nn.blocks import FeedForward, InterdependenceBlock
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.members import MemberInterdependence, MemberLinear, MemberNorm, normalised
from lphm.ops.checks import Kind
from lphm.structures import Structure

#: Most weights of a hidden layer that sees all features, of one member, as long as it has the fewest units.
HEAD_WEIGHTS, FEWEST_UNITS = 2**22, 8


class RowHead(nn.Module):
    """A linear map of the normalised mean row, which starts at zero: for rows of one kind, such as steps.

    Shape:
        ``(members, N, rows, width)`` to ``(members, N, outputs)``.
    """

    def __init__(self, members: int, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = MemberLinear(members, width, outputs, zero=True)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """What the mean row says, the mean of those that are ``present`` ``(members, N, rows)``."""
        if present is not None:
            x = x * present.unsqueeze(-1)  # the number of rows is but a scale, which is normalised
        out: Tensor = self.linear(normalised(x.mean(dim=-2)))
        return out


class FeatureHead(FeedForward):
    """A hidden layer that sees all rows, and starts with outputs of zero: for rows that are features.

    It has ``2 width`` units, but for thousands of features fewer: see ``HEAD_WEIGHTS``.

    Shape:
        ``(members, N, rows, width)`` to ``(members, N, outputs)``.
    """

    def __init__(self, members: int, rows: int, width: int, outputs: int, dropout: float) -> None:
        hidden = max(min(2 * width, HEAD_WEIGHTS // (rows * width)), FEWEST_UNITS)
        super().__init__(members, rows * width, hidden, outputs, dropout, zero=True)

    def forward(self, x: Tensor, _present: None = None) -> Tensor:
        """What all rows together say; all features are present."""
        return super().forward(x.flatten(-2))


class InterdependenceReadout(nn.Module):
    """The entries of an attribute interdependence, normalised, through a linear map that starts at zero.

        out = vec(norm(xi_1(X P), ..., xi_C(X P))) Hᵀ,        xi_c(Z) = Zᵀ W_c Z

    ``P`` takes at most ``most`` columns from those of ``X``; where these are no more, there is no ``P``.

    Shape:
        ``(members, N, rows, columns)`` to ``(members, N, outputs)``.

    Args:
        structure: what ``W`` is, ``n = rows``.
        columns: columns of the input.
        outputs: columns of the output.
        channels: number of interdependences.
        members: networks side by side.
        most: columns that are pooled.
    """

    def __init__(
        self, structure: Structure, columns: int, outputs: int, channels: int, members: int = 1, most: int = 8
    ) -> None:
        super().__init__()
        d = min(columns, most)
        self.project = MemberLinear(members, columns, d, bias=False) if d < columns else nn.Identity()
        self.pool = MemberInterdependence(structure, "attribute", members, channels)
        # Its scale and shift are worth two points on series; those of the other norms were worth nothing.
        self.norm = MemberNorm(members, channels * d * d)
        self.head = MemberLinear(members, channels * d * d, outputs, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        """Read ``xi`` of ``x`` out."""
        xi = self.pool.matrix(self.project(x))  # (members, N, channels, d, d)
        out: Tensor = self.head(self.norm(xi.flatten(-3)))
        return out


class InterdependenceNetwork(nn.Module):
    """Embedding, blocks and head; beside them a linear part and a readout of ``xi``.

    Shape:
        the input of ``embedding`` to ``(N, members, outputs)``.

    Args:
        embedding: gives ``(members, N, rows, width)``.
        width: columns inside the network.
        outputs: classes, or 1 for regression.
        attribute: structure of the attribute interdependences, ``n = rows``; none if not given.
        instance: structure of the instance interdependences, ``n = width``; none if not given.
        blocks: number of blocks.
        channels: parameter vectors of each attribute interdependence; divides ``rows``.
        instance_channels: those of each instance interdependence; divides ``width``.
        dropout: share of the branches' outputs, and of the head's hidden units, that is dropped in training.

    Attributes:
        members: networks side by side.
        copies: of each member, see ``side_by_side``.
    """

    def __init__(
        self,
        embedding: RowEmbedding | FeatureEmbedding,
        width: int,
        outputs: int,
        attribute: Structure | None = None,
        instance: Structure | None = None,
        blocks: int = 1,
        channels: int = 1,
        instance_channels: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(
            width=width,
            outputs=outputs,
            blocks=blocks,
            channels=channels,
            instance_channels=instance_channels,
        )
        self.embedding, self.members, self.copies = embedding, embedding.members, 1
        self.width, has_features = width, isinstance(embedding, FeatureEmbedding)
        mixing = (width, attribute, instance, channels, instance_channels, dropout, self.members)
        self.blocks = nn.ModuleList(
            InterdependenceBlock(*mixing, feed_forward=not has_features) for _ in range(blocks)
        )
        self.head = (
            FeatureHead(self.members, embedding.rows, width, outputs, dropout)
            if has_features
            else RowHead(self.members, width, outputs)
        )
        self.linear = MemberLinear(self.members, embedding.linear_inputs, outputs, bias=False, zero=True)
        self.readout = (
            None
            if attribute is None
            else InterdependenceReadout(attribute, embedding.columns, outputs, channels, self.members)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each member, or what it says about the standardised target."""
        embedded = self.embedding(x, self.copies)  # (copies · members, N, rows, width)
        present = self.embedding.present(x, self.copies)
        mixed = embedded
        for block in self.blocks:
            mixed = block(mixed, present)
        out: Tensor = self.head(mixed, present) + self.linear(self.embedding.flat(x, embedded))
        if self.readout is not None:
            out = out + self.readout(self.embedding.pooled(x, embedded))
        return torch.unflatten(out, 0, (self.copies, -1)).transpose(1, 2).flatten(0, 1)

    def side_by_side(self, copies: int) -> "InterdependenceNetwork":
        """This network for batches of so many parts of equal size, which do not share a product.

        Each part meets a copy of the members of its own, so that every product has the shape that it has for
        one part alone: in a product of another shape the same rows may be rounded differently.
        """
        if copies == self.copies:
            return self
        network = copy.deepcopy(self)
        network.copies = copies
        # Where features are embedded, the parameters for it serve all copies.
        shared = "embedding." if isinstance(self.embedding, FeatureEmbedding) else ()
        for name, parameter in network.named_parameters():
            if not name.startswith(shared):
                parameter.data = parameter.data.repeat(copies, *[1] * (parameter.dim() - 1))
        return network

    @torch.no_grad()
    def scale_outputs(self, factor: float) -> None:
        """Multiply all outputs by a factor: the parameters of the linear maps whose sum they are."""
        maps = [self.linear, self.head.down if isinstance(self.head, FeatureHead) else self.head.linear]
        if self.readout is not None:
            maps.append(self.readout.head)
        for parameter in (p for each in maps for p in each.parameters()):
            parameter.mul_(factor)

    @torch.no_grad()
    def interdependence(self, x: Tensor, kind: Kind) -> Tensor:
        """``xi`` of that kind in the first member, ``(N, channels, k, k)``.

        attribute: by the readout's ``W``, of all the columns that it pools: those of the input where its rows
        are embedded, those of the network where features are. instance: of the last block, between rows.
        """
        embedded = self.embedding(x)
        if kind == "attribute" and self.readout is not None:
            return self.readout.pool.matrix(self.embedding.pooled(x, embedded))[0]
        found: list[Tensor] = []
        *_, last = interdependence_layers(self.blocks).values()  # that of rows comes last in a block
        hook = last.register_forward_pre_hook(lambda mix, args: found.append(mix.matrix(args[0])[0]))
        try:
            self(x)
        finally:
            hook.remove()
        return found[0]


def interdependence_layers(network: nn.Module) -> dict[str, MemberInterdependence]:
    """The layers of a network that have a ``W``, by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, MemberInterdependence)}


def interdependence_parameters(network: nn.Module) -> int:
    """Number of parameters that make the matrices ``W`` of a network."""
    return sum(layer.weight.numel() for layer in interdependence_layers(network).values())


def full_parameters(network: nn.Module) -> int:
    """The same number if every ``W`` were ``Full``: ``n²`` for each channel of each member."""
    layers = interdependence_layers(network).values()
    return sum(layer.weight.shape[:-1].numel() * layer.structure.n**2 for layer in layers)
