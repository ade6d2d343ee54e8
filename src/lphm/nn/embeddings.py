"""Samples as matrices with a learned row for each step or feature: the way into the network.

With several ``copies``, the samples are as many parts of equal size. Each part has products of its own, of
the shapes that it would have alone.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm.nn.init import normal_
from lphm.nn.members import MemberLinear


def filled(rows: int, multiple: int) -> int:
    """``rows`` filled up to a multiple, so that the structure over them has blocks."""
    return -(-rows // multiple) * multiple


def ended(x: Tensor) -> Tensor:
    """Which steps ``(N, steps)`` come after the end of series: the last ones without any value."""
    seen_later: Tensor = (~x.isnan().all(dim=-1)).flip(-1).cumsum(-1).flip(-1)
    return seen_later == 0


class RowEmbedding(nn.Module):
    """A matrix with ordered rows: every row through one linear map, plus its learned position.

    A missing entry, ``nan``, counts as zero; in the columns ``gaps`` also as a learned vector that starts at
    zero and is added to its row. Where a series has ended, its rows are not ``present`` with ``ragged``.
    Learned rows fill up to ``multiple``.

    Shape:
        ``(copies · N, steps, columns)`` to ``(copies · members, N, rows, width)``.

    Args:
        steps: rows of the input.
        columns: columns of the input.
        width: columns of the output.
        members: embeddings side by side.
        multiple: the rows are filled up to a multiple of this.
        ragged: whether some samples have fewer rows than others.
        gaps: columns in which a missing entry has a vector.

    Attributes:
        rows: rows of the output.
        columns: columns of what the readout pools.
        linear_inputs: numbers that the linear part takes.
        products: matrix products side by side that embed one part of the samples.
    """

    def __init__(
        self,
        steps: int,
        columns: int,
        width: int,
        members: int = 1,
        multiple: int = 4,
        ragged: bool = False,
        gaps: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.ragged, self.gaps = ragged, list(gaps)
        self.rows, self.members, self.products = filled(steps, multiple), members, members
        self.columns = columns
        self.linear_inputs = steps * columns
        self.linear = MemberLinear(members, columns, width)
        self.position = nn.Parameter(normal_(torch.empty(members, 1, self.rows, width), width**-0.5))
        self.missing = MemberLinear(members, len(gaps), width, bias=False, zero=True) if gaps else None

    def pooled(self, x: Tensor, embedded: Tensor) -> Tensor:
        """What the readout pools: the data's own columns, ``(copies · members, N, rows, columns)``.

        Zero rows fill up.
        """
        x = F.pad(x, (0, 0, 0, self.rows - x.shape[-2]))
        return self._for_members(x, len(embedded) // self.members)

    def flat(self, x: Tensor, embedded: Tensor) -> Tensor:
        """What the linear part takes, ``(copies · members, N, linear_inputs)``: the input itself."""
        return self._for_members(x.flatten(-2), len(embedded) // self.members)

    def present(self, x: Tensor, copies: int) -> Tensor | None:
        """Which rows are no steps after the end, ``(copies · members, N, rows)``; None unless ``ragged``."""
        if not self.ragged:
            return None
        return self._for_members(F.pad(~ended(x), (0, self.rows - x.shape[-2]), value=True), copies)

    def forward(self, x: Tensor, copies: int = 1) -> Tensor:
        """Embed ``x``."""
        linear = self.linear(self._for_members(x, copies))
        if self.missing is not None:
            absent = x[..., self.gaps].isnan().to(x.dtype)
            linear = linear + self.missing(self._for_members(absent, copies))
        embedded: Tensor = F.pad(linear, (0, 0, 0, self.rows - x.shape[-2])) + self.position
        return embedded

    def _for_members(self, x: Tensor, copies: int) -> Tensor:
        """``(copies · N, ...)`` to ``(copies · members, N, ...)``, the same for all members."""
        x = x.nan_to_num().view(copies, 1, x.shape[0] // copies, *x.shape[1:])
        return x.expand(-1, self.members, *x.shape[2:]).flatten(0, 1)


class FeatureEmbedding(nn.Module):
    """One row of a table as a matrix with a row per feature, so that no prediction sees another row.

    A number ``x_j`` becomes ``c(x_j) · weight_j + bias_j + Σ_t e_t(x_j) · piece_jt``. With the smooth
    clipping ``c(x) = x / √(1 + (x/3)²)`` an outlier counts at most as three standard deviations (RealMLP:
    Holzmüller et al., 2024, arXiv:2407.04491). ``e_t`` rises from 0 to 1 between two edges and is constant
    outside (piecewise-linear encoding: Gorishniy et al., 2022, arXiv:2203.05556); ``piece_jt`` starts at 0.

    A category becomes its learned vector. A missing number counts as the mean, plus a learned vector that
    starts at zero; a missing or unknown category as a learned vector. Learned rows fill up to ``multiple``.

    Shape:
        ``(copies · N, features)``, the numbers first, ``nan`` where missing, then one category code for each
        of the other features; to ``(copies · members, N, rows, width)``.

    Args:
        edges: for each numeric feature increasing numbers, between which it has a piece each; or none.
        categorical: number of categorical features.
        vocabulary: number of category codes of all features together.
        width: columns of the output.
        members: embeddings side by side.
        multiple: the rows are filled up to a multiple of this.

    Attributes:
        numbers: ``(numeric, 3, members, width)``: weight, bias, and what a missing number adds.
        pieces: ``(numeric, most pieces of a feature, members, width)``.
        rows: rows of the output.
        columns: columns of what the readout pools.
        linear_inputs: numbers that the linear part takes.
        products: matrix products side by side that embed one part of the samples.
    """

    lower: Tensor  # (numeric, 1, pieces)
    slope: Tensor

    def __init__(
        self,
        edges: Sequence[Sequence[float]],
        categorical: int,
        vocabulary: int,
        width: int,
        members: int = 1,
        multiple: int = 4,
    ) -> None:
        super().__init__()
        self.numeric = self.products = len(edges)
        self.members = members
        self.rows = filled(self.numeric + categorical, multiple)
        self.columns = width
        self.linear_inputs = self.rows * width
        scale = 1 / math.sqrt(width)
        lower, slope = _pieces(edges)
        # They follow from the configuration, which holds the edges: no part of the weights that are saved.
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("slope", slope, persistent=False)
        self.numbers = nn.Parameter(torch.zeros(self.numeric, 3, members, width))
        self.pieces = nn.Parameter(torch.zeros(self.numeric, lower.shape[-1], members, width))
        # No parameter without an entry: DDP warns of its strides.
        category = normal_(torch.empty(vocabulary, members, width), scale)
        self.category = nn.Parameter(category) if vocabulary else None
        fillers = self.rows - self.numeric - categorical
        filler = normal_(torch.empty(members, 1, fillers, width), scale)
        self.filler = nn.Parameter(filler) if fillers else None
        normal_(self.numbers[:, :2], scale)

    def forward(self, x: Tensor, copies: int = 1) -> Tensor:
        """Embed ``x``."""
        x = x.view(copies, x.shape[0] // copies, x.shape[1])
        numbers, codes = x[..., : self.numeric].mT.unsqueeze(-1), x[..., self.numeric :]
        absent = numbers.isnan()
        known = numbers.nan_to_num()
        clipped = known * torch.rsqrt(1 + (known / 3).square())
        shares = ((known - self.lower) * self.slope).clamp(0, 1)
        # One product for each feature gives its rows of all members.
        terms = torch.cat([clipped, torch.ones_like(clipped), absent.to(x.dtype), shares], dim=-1)
        vectors = torch.cat([self.numbers, self.pieces], dim=1)
        numeric = terms.matmul(vectors.flatten(2))  # (copies, numeric, N, members · width)
        rows = [torch.unflatten(numeric, -1, (self.members, -1)).permute(0, 3, 2, 1, 4)]
        if self.category is not None:
            category = F.embedding(codes.long(), self.category.flatten(1))
            rows.append(torch.unflatten(category, -1, (self.members, -1)).permute(0, 3, 1, 2, 4))
        if self.filler is not None:
            rows.append(self.filler.expand(copies, -1, x.shape[1], -1, -1))
        return torch.cat(rows, dim=3).flatten(0, 1)

    def present(self, x: Tensor, copies: int) -> None:
        """All rows are there."""

    def pooled(self, x: Tensor, embedded: Tensor) -> Tensor:  # noqa: ARG002
        """What the readout pools: the features as embedded, ``(copies · members, N, rows, width)``."""
        return embedded

    def flat(self, x: Tensor, embedded: Tensor) -> Tensor:  # noqa: ARG002
        """What the linear part takes, ``(copies · members, N, linear_inputs)``."""
        return embedded.flatten(-2)


def _pieces(edges: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """Where each piece begins, and one over its length; a column with fewer pieces has some that stay 0."""
    most = max((len(each) - 1 for each in edges if each), default=0)
    lower = torch.zeros(len(edges), 1, most, dtype=torch.float32, device="cpu")
    slope = torch.zeros_like(lower)
    for j, each in enumerate(edges):
        bounds = torch.tensor(each, dtype=torch.float64, device="cpu")
        pieces = max(len(each) - 1, 0)
        lower[j, 0, :pieces] = bounds[:-1]
        # Edges may be closer than float32 can tell: their piece is a step, and 0 times its slope is 0.
        slope[j, 0, :pieces] = (1 / bounds.diff()).clamp(max=torch.finfo(torch.float32).max)
    return lower, slope
