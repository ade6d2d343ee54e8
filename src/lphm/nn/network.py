"""The network on top: blocks of attribute and instance mixing over an embedded input.

    input -> embedding (*, b, d) -> blocks -> mean over the rows -> head
        │              ├────────> linear part ────────────────────> +
        └──────────────┴────────> readout of xi itself ───────────> +

The linear part carries what a linear model of the input can say; the rest adds to it (wide and deep: Cheng et
al., 2016, arXiv:1606.07792). All three start at zero: what they say first is the same for every sample. Each
block adds three branches to its input, each on the normalised input: columns mixed by an attribute
interdependence, rows mixed by an instance interdependence, and a feed-forward network. The readout gives the
head an attribute interdependence itself, entry by entry, as second-order pooling does with a covariance
(Carreira et al., 2012, ECCV): what tells samples apart may be how columns go together, where their means say
nothing.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from lphm.errors import require_divisor, require_positive
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.layer import BilinearInterdependence
from lphm.ops.checks import Kind
from lphm.structures import Structure


class LayerScale(nn.Module):
    """One learned factor per column, small at the start (Touvron et al., 2021, arXiv:2103.17239).

    An attribute interdependence multiplies its input three times over. A network that starts close to
    its feed-forward part, and takes from the mixing what pays, generalises better than one in which
    both start at equal size.

    Shape:
        ``(*, width)`` to the same.

    Args:
        width: columns of the input.
        initial: first value of every factor.
    """

    def __init__(self, width: int, initial: float = 0.1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Scale every column of ``x``."""
        return x * self.scale


class InterdependenceBlock(nn.Module):
    """Columns mixed, rows mixed, then a feed-forward network; each a residual on the normalised input.

    Shape:
        ``(N, rows, width)`` to the same.

    Args:
        width: columns of the input.
        attribute: structure of the attribute interdependence, ``n = rows``; none if not given.
        instance: structure of the instance interdependence, ``n = width``; none if not given.
        channels: parameter vectors of each interdependence; divides ``rows`` and ``width``.
        dropout: share of the branches' outputs that is dropped in training.
    """

    def __init__(
        self,
        width: int,
        attribute: Structure | None = None,
        instance: Structure | None = None,
        channels: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        branches: list[nn.Module] = []
        if attribute is not None:
            require_divisor("rows", attribute.n, channels=channels)
            mix = BilinearInterdependence(attribute, "attribute", channels)
            with torch.no_grad():  # entries of xi of variance 1 / width: D @ xi, a sum over width columns,
                attribute.unpack(mix.weight)[0].mul_(width**-0.5)  # has entries of the size of D's
            branches.append(nn.Sequential(nn.LayerNorm(width), mix, LayerScale(width), nn.Dropout(dropout)))
        if instance is not None:
            require_divisor("width", width, channels=channels)
            mix = BilinearInterdependence(instance, "instance", channels, normalize="softmax")
            branches.append(nn.Sequential(nn.LayerNorm(width), mix, LayerScale(width), nn.Dropout(dropout)))
        feed_forward = [nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)]
        branches.append(nn.Sequential(nn.LayerNorm(width), *feed_forward, nn.Dropout(dropout)))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Add every branch to ``x``."""
        for branch in self.branches:
            x = x + branch(x)
        return x


class InterdependenceReadout(nn.Module):
    """The entries of an attribute interdependence, normalised, through a linear map that starts at zero.

        out = vec(norm(xi_1(X P), ..., xi_C(X P))) Hᵀ,        xi_c(Z) = Zᵀ W_c Z

    ``P`` takes at most ``most`` columns from those of ``X``; where these are no more, there is no ``P``.

    Shape:
        ``(N, rows, columns)`` to ``(N, outputs)``.

    Args:
        structure: what ``W`` is, ``n = rows``.
        columns: columns of the input.
        outputs: columns of the output.
        channels: number of interdependences.
        most: columns that are pooled.
    """

    def __init__(
        self, structure: Structure, columns: int, outputs: int, channels: int, most: int = 8
    ) -> None:
        super().__init__()
        d = min(columns, most)
        self.project = nn.Linear(columns, d, bias=False) if d < columns else nn.Identity()
        self.pool = BilinearInterdependence(structure, "attribute", channels)
        self.norm = nn.LayerNorm(channels * d * d)
        self.head = nn.Linear(channels * d * d, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Read ``xi`` of ``x`` out."""
        xi = self.pool.matrix(self.project(x))  # (N, channels, d, d)
        out: Tensor = self.head(self.norm(xi.flatten(-3)))
        return out


class InterdependenceNetwork(nn.Module):
    """Embedding, blocks, mean over the rows, head; beside them a linear part and a readout of ``xi``.

    Shape:
        the input of ``embedding`` to ``(N, outputs)``.

    Args:
        embedding: gives ``(N, rows, width)``.
        width: columns inside the network.
        outputs: classes, or 1 for regression.
        attribute: structure of the attribute interdependences, ``n = rows``; none if not given.
        instance: structure of the instance interdependences, ``n = width``; none if not given.
        blocks: number of blocks.
        channels: parameter vectors of each interdependence; divides ``rows`` and ``width``.
        dropout: share of the branches' outputs that is dropped in training.
    """

    def __init__(
        self,
        embedding: RowEmbedding | FeatureEmbedding,
        width: int,
        outputs: int,
        attribute: Structure | None = None,
        instance: Structure | None = None,
        blocks: int = 1,
        channels: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(width=width, outputs=outputs, blocks=blocks, channels=channels)
        self.embedding = embedding
        self.blocks = nn.ModuleList(
            InterdependenceBlock(width, attribute, instance, channels, dropout) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.linear = nn.Linear(embedding.linear_inputs, outputs, bias=False)
        nn.init.zeros_(self.linear.weight)
        self.readout = (
            None
            if attribute is None
            else InterdependenceReadout(attribute, embedding.columns, outputs, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or the standardised target."""
        embedded = self.embedding(x)
        mixed = embedded
        for block in self.blocks:
            mixed = block(mixed)
        out: Tensor = self.head(self.norm(mixed.mean(dim=-2))) + self.linear(self.embedding.flat(x, embedded))
        return out if self.readout is None else out + self.readout(self.embedding.pooled(x, embedded))

    @torch.no_grad()
    def interdependence(self, x: Tensor, kind: Kind) -> Tensor:
        """``xi`` of that kind, ``(N, channels, k, k)``.

        attribute: by the readout's ``W``, of all the columns that it pools: those of the input where its rows
        are embedded, those of the network where features are. instance: of the last block, between rows.
        """
        embedded = self.embedding(x)
        if kind == "attribute" and self.readout is not None:
            return self.readout.pool.matrix(self.embedding.pooled(x, embedded))
        found: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda module, args: found.append(module.matrix(args[0])))
            for layer in self.blocks.modules()
            if isinstance(layer, BilinearInterdependence) and layer.kind == kind
        ]
        try:
            self(x)
        finally:
            for hook in hooks:
                hook.remove()
        return found[-1]


class Ensemble(nn.Module):
    """Networks of one shape that differ in their first weights and in what dropout takes from them.

    They are trained side by side on the same batches, each by its own loss, and their answers averaged: on a
    small table a single network's answer depends on its seed as much as on the data (deep ensembles:
    Lakshminarayanan et al., 2017, arXiv:1612.01474).

    Shape:
        the input of a member to ``(N, members, outputs)``.

    Args:
        members: the networks.
    """

    def __init__(self, members: Iterable[InterdependenceNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def rows(self) -> int:
        """Rows of the embedded input."""
        return cast(InterdependenceNetwork, self.members[0]).embedding.rows

    def forward(self, x: Tensor) -> Tensor:
        """What each member says."""
        return torch.stack([member(x) for member in self.members], dim=1)

    def interdependence(self, x: Tensor, kind: Kind) -> Tensor:
        """``xi`` of the first member, ``(N, channels, k, k)``."""
        return cast(InterdependenceNetwork, self.members[0]).interdependence(x, kind)


def interdependence_parameters(network: nn.Module) -> int:
    """Number of parameters that make the matrices ``W`` of a network."""
    layers = (m for m in network.modules() if isinstance(m, BilinearInterdependence))
    return sum(layer.weight.numel() for layer in layers)
