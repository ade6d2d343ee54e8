"""Samples as matrices with a learned row for each step or feature: the way into the network."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def filled(rows: int, multiple: int) -> int:
    """``rows`` filled up to a multiple, so that the structure over them has blocks."""
    return -(-rows // multiple) * multiple


class RowEmbedding(nn.Module):
    """A matrix with ordered rows: every row through one linear map, plus its learned position.

    Learned rows fill up to ``multiple``.

    Shape:
        ``(N, steps, columns)`` to ``(N, rows, width)``.

    Args:
        steps: rows of the input.
        columns: columns of the input.
        width: columns of the output.
        multiple: the rows are filled up to a multiple of this.

    Attributes:
        rows: rows of the output.
        columns: columns of what the readout pools.
        linear_inputs: numbers that the linear part takes.
    """

    def __init__(self, steps: int, columns: int, width: int, multiple: int = 8) -> None:
        super().__init__()
        self.rows = filled(steps, multiple)
        self.columns = columns
        self.linear_inputs = steps * columns
        self.linear = nn.Linear(columns, width)
        self.position = nn.Parameter(torch.randn(self.rows, width) / math.sqrt(width))

    def pooled(self, x: Tensor, embedded: Tensor) -> Tensor:  # noqa: ARG002
        """What the readout pools: the data's own columns, ``(N, rows, columns)``; zero rows fill up."""
        return F.pad(x, (0, 0, 0, self.rows - x.shape[-2]))

    def flat(self, x: Tensor, embedded: Tensor) -> Tensor:  # noqa: ARG002
        """What the linear part takes, ``(N, linear_inputs)``: the input itself."""
        return x.flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        """Embed ``x``."""
        embedded: Tensor = F.pad(self.linear(x), (0, 0, 0, self.rows - x.shape[-2])) + self.position
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

    Attributes:
        rows: rows of the output.
        columns: columns of what the readout pools.
        linear_inputs: numbers that the linear part takes.
    """

    def __init__(
        self, numeric: int, categorical: int, vocabulary: int, width: int, multiple: int = 8
    ) -> None:
        super().__init__()
        self.numeric = numeric
        self.rows = filled(numeric + categorical, multiple)
        self.columns = width
        self.linear_inputs = self.rows * width
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

    def pooled(self, x: Tensor, embedded: Tensor) -> Tensor:  # noqa: ARG002
        """What the readout pools: the features as they are embedded, ``(N, rows, width)``."""
        return embedded

    def flat(self, x: Tensor, embedded: Tensor) -> Tensor:  # noqa: ARG002
        """What the linear part takes, ``(N, linear_inputs)``."""
        return embedded.flatten(-2)
