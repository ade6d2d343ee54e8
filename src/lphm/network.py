"""The network on top: blocks of attribute and instance mixing over an embedded input.

    input -> embedding (*, b, d) -> blocks -> mean over the rows -> head
                       └──────────────────────────────────────────> + linear part

The linear part starts at zero and carries what a linear model of the input can say; the blocks add to
it (wide and deep: Cheng et al., 2016, arXiv:1606.07792). Each block adds three branches to its input,
each on the normalised input: columns mixed by an attribute interdependence, rows mixed by an instance
interdependence, and a feed-forward network.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm.contraction import Kind
from lphm.errors import divisors, require_divisor, require_positive
from lphm.interdependence import BilinearInterdependence
from lphm.structures import LPHM, Full, Structure

__all__ = [
    "FeatureEmbedding",
    "InterdependenceBlock",
    "InterdependenceNetwork",
    "RowEmbedding",
    "interdependence_parameters",
    "structure_for",
]


def structure_for(name: str, n: int, rank: int) -> Structure:
    """The structure called ``name`` for an ``n x n`` matrix, with ``p = q`` the divisor of ``n`` nearest √n.

    Raises:
        ValueError: there is no structure of that name.
    """
    p = min(divisors(n), key=lambda d: abs(d - math.sqrt(n)))
    match name:
        case "lphm":
            return LPHM(n=n, p=p, r=rank)
        case "full":
            return Full(n=n)
    raise ValueError(f"structure must be 'lphm' or 'full', got {name!r}")


class RowEmbedding(nn.Module):
    """A matrix with ordered rows: every row through one linear map, plus its learned position.

    Shape:
        ``(N, rows, columns)`` to ``(N, rows, width)``.

    Args:
        rows: rows of the input, ``b``.
        columns: columns of the input.
        width: columns of the output.
    """

    def __init__(self, rows: int, columns: int, width: int) -> None:
        super().__init__()
        self.rows = rows
        self.linear = nn.Linear(columns, width)
        self.position = nn.Parameter(torch.randn(rows, width) / math.sqrt(width))

    def forward(self, x: Tensor) -> Tensor:
        """Embed ``x``."""
        embedded: Tensor = self.linear(x) + self.position
        return embedded


class FeatureEmbedding(nn.Module):
    """One row of a table as a matrix with a row per feature, so that no prediction sees another row.

    A number ``x_j`` becomes ``c(x_j) · weight_j + bias_j`` with ``c(x) = x / √(1 + (x/3)²)``, so that an
    outlier counts at most as three standard deviations (the smooth clipping of RealMLP: Holzmüller et
    al., 2024, arXiv:2407.04491); a category becomes its learned vector. A missing
    number counts as the mean, plus a learned vector that starts at zero; a missing or unknown
    category as a learned vector that starts at zero. Learned rows fill up to ``multiple``.

    Shape:
        ``(N, features)``, the numbers first, ``nan`` where missing, then one category code for each
        of the other features; to ``(N, rows, width)``.

    Args:
        numeric: number of numeric features.
        categorical: number of categorical features.
        vocabulary: number of category codes of all features together.
        width: columns of the output.
        multiple: the rows are filled up to a multiple of this.
    """

    def __init__(
        self, numeric: int, categorical: int, vocabulary: int, width: int, multiple: int = 8
    ) -> None:
        super().__init__()
        self.numeric = numeric
        self.rows = -(-(numeric + categorical) // multiple) * multiple
        scale = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.randn(numeric, width) * scale)
        self.bias = nn.Parameter(torch.randn(numeric, width) * scale)
        self.missing = nn.Parameter(torch.zeros(numeric, width))
        self.category = nn.Parameter(torch.randn(vocabulary, width) * scale)
        self.filler = nn.Parameter(torch.randn(self.rows - numeric - categorical, width) * scale)

    def forward(self, x: Tensor) -> Tensor:
        """Embed ``x``."""
        numbers, codes = x[:, : self.numeric], x[:, self.numeric :]
        absent = numbers.isnan().unsqueeze(-1)  # (N, numeric, 1)
        known = numbers.nan_to_num(nan=0.0)
        clipped = known * torch.rsqrt(1 + (known / 3).square())
        values = clipped.unsqueeze(-1) * self.weight + self.bias
        numeric = values + absent * self.missing  # (N, numeric, width)
        category = F.embedding(codes.long(), self.category)
        return torch.cat([numeric, category, self.filler.expand(x.shape[0], -1, -1)], dim=1)


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
            # Entries of xi of variance 1 / width: D @ xi, a sum over width columns, keeps the size of D.
            mix = BilinearInterdependence(attribute, "attribute", channels, gain=width**-0.5)
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


class InterdependenceNetwork(nn.Module):
    """Embedding, blocks, mean over the rows, head; beside them a linear map of the embedding.

    Shape:
        the input of ``embedding`` to ``(N, outputs)``.

    Args:
        embedding: gives ``(N, rows, width)``; has an attribute ``rows``.
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
        blocks: int = 2,
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
        self.linear = nn.Linear(embedding.rows * width, outputs, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, or the standardised target."""
        embedded = self.embedding(x)
        x = embedded
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.head(self.norm(x.mean(dim=-2))) + self.linear(embedded.flatten(-2))
        return out

    @torch.no_grad()
    def interdependence(self, x: Tensor, kind: Kind) -> Tensor:
        """``xi`` of the last block's interdependence of that kind, ``(N, channels, k, k)``."""
        found: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda module, args: found.append(module.matrix(args[0])))
            for layer in self.modules()
            if isinstance(layer, BilinearInterdependence) and layer.kind == kind
        ]
        try:
            self(x)
        finally:
            for hook in hooks:
                hook.remove()
        return found[-1]


def interdependence_parameters(network: nn.Module) -> int:
    """Number of parameters that make the matrices ``W`` of a network."""
    layers = (m for m in network.modules() if isinstance(m, BilinearInterdependence))
    return sum(layer.weight.numel() for layer in layers)
