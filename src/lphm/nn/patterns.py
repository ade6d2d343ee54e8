"""Series by how their local patterns go together: ``xi`` of random convolution maps.

    Z = φ(kernels ∗ X)          (N, maps, steps): where in the series each pattern is
    xi = Z Zᵀ / steps           (N, maps, maps), the attribute kind with W = I / steps

A pattern is a kernel of nine steps, 1, 2, 4, ... steps apart, with random weights whose sum is zero, so that
a constant is no pattern. It is looked for in the series and in their differences from step to step. ``φ`` is
one of two: whether a map exceeds a quantile of its values in training, and by how much it exceeds it. The
first ``xi`` has the share of steps where a pattern is on its diagonal, which Rocket takes as its feature
(Dempster et al., 2020, arXiv:1910.13051 and 2021, arXiv:2012.08791), and beside it the share of steps where
two patterns are at once. The second is a covariance of rectified maps.

``xi`` does not know the order of the steps. How a pattern is spread over them, two more features of each map
say: the number of stretches of steps in which it occurs, and the length of the longest, which MultiRocket
takes as well (Tan et al., 2022, arXiv:2102.00457), both as shares of the steps.

A linear map of the square roots of all these predicts, and is found in closed form (``learn/ridge.py``).
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm.errors import require_positive
from lphm.nn.embeddings import ended
from lphm.nn.thresholds import Sums, between, to_multiples
from lphm.ops.functional import interdependence_matrix
from lphm.structures import Structure

#: Weights of a kernel, and most channels that one looks at.
WIDTH, MOST_CHANNELS = 9, 8
#: Distances between the steps of a kernel, evenly spread on a scale of logarithms; fewer in short series.
DILATIONS = 12
#: Most maps in a group where they are of what is missing: few, for they are noise where it says nothing.
MISSING_MAPS = 4
#: Series whose features are computed at a time.
BLOCK = 16
#: About the most values of a map from which its quantile is taken, and of all maps that are kept at a time.
MOST_VALUES, MOST_KEPT = 2**11, 2**22


class LocalPatterns(nn.Module):
    """The square roots of the entries of ``xi`` of local patterns, in groups of maps; they keep the sign.

    Beside them are the square roots of the number of stretches and of the longest stretch of each pattern.

    A step counts as long as the series lasts: where all channels of its last steps are ``nan``, it has ended.
    Values that are missing before lie on a line between their neighbours in time, or are the nearest value;
    in a channel without any value they are 0. Which values of the channels ``gaps`` are missing, 1 or 0, are
    series as well, whose patterns are features of their own, with fewer maps in a group.
    Half of the groups count only the steps that have a whole kernel around them, where a series is long
    enough to have four times as many others.

    Shape:
        ``(N, steps, channels)`` to ``(N, num_features)``.

    Args:
        steps: steps of the longest series.
        channels: channels of the series.
        groups: groups of maps, for the series and for their differences, at each dilation.
        maps: maps in a group.
        generator: source of the kernels.
        W: a structure with ``n`` of at least ``steps``, and its parameters ``(l,)``; ``I / steps`` if not
            given.
        gaps: positions of the channels whose missing values have patterns.

    Attributes:
        dilations: distances between the steps of a kernel.
        kernels: ``(series and differences, dilations, groups · maps, channels, 9)``.
        thresholds: of each map, ``(series and differences, dilations, groups · maps)``; see ``fit``.
        missing: the patterns of what is missing; None without ``gaps``.
    """

    kernels: Tensor
    thresholds: Tensor
    w: Tensor | None

    def __init__(
        self,
        steps: int,
        channels: int,
        groups: int = 4,
        maps: int = 16,
        generator: torch.Generator | None = None,
        W: tuple[Structure, Tensor] | None = None,
        gaps: Sequence[int] = (),
    ) -> None:
        super().__init__()
        require_positive(steps=steps, channels=channels, groups=groups, maps=maps)
        self.structure = None if W is None else W[0]
        if W is not None:
            structure, w = W
            if structure.n < steps:
                raise ValueError(f"n of the structure must be at least {steps}, the steps, got {structure}")
            structure.check_parameters(w)
        self.register_buffer("w", None if W is None else W[1])
        self.steps, self.channels, self.groups, self.maps = steps, channels, groups, maps
        longest = math.log2(max((steps - 1) / (WIDTH - 1), 1))
        self.dilations = sorted({int(2 ** (longest * i / (DILATIONS - 1))) for i in range(DILATIONS)})
        shape = (2, len(self.dilations), groups * maps)
        self.register_buffer("kernels", _kernels((*shape, channels, WIDTH), generator))
        self.register_buffer("thresholds", torch.zeros(shape))
        self.gaps, fewer = list(gaps), min(maps, MISSING_MAPS)
        self.missing = LocalPatterns(steps, len(gaps), groups, fewer, generator, W) if gaps else None

    @property
    def num_features(self) -> int:
        """Entries of ``xi``, of both kinds of maps, in all groups, and two more of each map."""
        of_values = 2 * self.thresholds.shape[:2].numel() * self.groups * (self._entries.shape[1] + self.maps)
        return of_values + (0 if self.missing is None else self.missing.num_features)

    def feature_names(self) -> list[str]:
        """Names such as ``series_dilation4_group2_above_3_7`` and ``series_dilation4_group2_longest_3``.

        Groups and maps are counted from 1.

        Those of what is missing follow, as ``missing_series_dilation4_group2_above_3_7``.
        """
        entries = [f"{i + 1}_{j + 1}" for i, j in self._entries.T.tolist()]
        each = [str(i + 1) for i in range(self.maps)]
        kinds = {"occurs": entries, "above": entries, "stretches": each, "longest": each}
        of_missing = [] if self.missing is None else self.missing.feature_names()
        names = [
            f"{values}_dilation{dilation}_group{group + 1}_{kind}_{entry}"
            for values in ("series", "differences")
            for dilation in self.dilations
            for kind, of in kinds.items()
            for group in range(self.groups)
            for entry in of
        ]
        return names + [f"missing_{name}" for name in of_missing]

    @property
    def _entries(self) -> Tensor:
        """Rows and columns of the entries: those on and above the diagonal where ``xi`` is symmetric."""
        if self.structure is None:
            return torch.triu_indices(self.maps, self.maps)
        return torch.cartesian_prod(torch.arange(self.maps), torch.arange(self.maps)).T

    @torch.no_grad()
    def fit(self, x: Tensor, generator: torch.Generator | None = None) -> "LocalPatterns":
        """Set the threshold of each map between two of its values, from a tenth to nine tenths of them."""
        shares = 0.1 + 0.8 * torch.rand(self.thresholds.shape, generator=generator)
        chosen = torch.randperm(len(x), generator=generator)[: math.ceil(MOST_KEPT / self._numbers)]
        for (i, j), counted, sums in self._each(x[chosen]):
            Z = sums.rounded(self.kernels[i, j], self.dilations[j])
            Z = torch.unflatten(Z, 1, (self.groups, self.maps))
            values = Z.masked_fill(~counted, torch.nan).movedim(0, 2).flatten(2).flatten(0, 1)
            values = values[:, :: max(values.shape[1] // MOST_VALUES, 1)].sort().values  # nan last
            self.thresholds[i, j] = between(values, shares[i, j])
        if self.missing is not None:
            self.missing.fit(self._indicators(x), generator)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The features of every series."""
        features, (first, second) = [], self._entries.to(x.device)
        entries = first * self.maps + second
        for above, count in self._rectified(x):
            occurs = above > 0
            of_both = (occurs.to(above.dtype), above)
            features += [self._roots(maps, count, entries).flatten(1) for maps in of_both]
            features += [(steps / count.squeeze(-1)).sqrt().flatten(1) for steps in _stretches(occurs)]
        if self.missing is not None:
            features.append(self.missing(self._indicators(x)))
        return torch.cat(features, dim=1)

    def matrices(self, x: Tensor) -> Tensor:
        """``xi = Z W Zᵀ`` of all rectified maps ``Z`` of the values, ``(N, k, k)``; see ``map_names``.

        It is positive semi-definite if ``W`` is: with ``W = I / steps``, where each map is divided by the
        root of the number of steps that it counts.
        """
        if self.structure is None or self.w is None:
            scaled = [(above / count.sqrt()).flatten(1, 2) for above, count in self._rectified(x)]
            Z = torch.cat(scaled, dim=1)  # (N, k, steps)
            return Z @ Z.mT
        Z = torch.cat([above.flatten(1, 2) for above, _ in self._rectified(x)], dim=1)
        return interdependence_matrix(self.structure, self.w.to(Z.dtype), Z.mT, "attribute", partial=True)

    def map_names(self) -> list[str]:
        """Names of the maps in ``matrices``, such as ``series_dilation4_group2_3``; counted from 1."""
        groups, maps = range(1, self.groups + 1), range(1, self.maps + 1)
        sets = itertools.product(("series", "differences"), self.dilations, groups, maps)
        return [f"{values}_dilation{dilation}_group{group}_{i}" for values, dilation, group, i in sets]

    def _rectified(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """How far maps exceed their thresholds, ``(N, groups, maps, steps)``, and the steps that count."""
        for (i, j), counted, sums in self._each(x):
            maps = sums.above(self.kernels[i, j], self.thresholds[i, j], self.dilations[j])
            above = torch.unflatten(maps, 1, (self.groups, self.maps))
            above = F.relu(above.mul_(counted), inplace=True)
            yield above, counted.sum(-1, keepdim=True).clamp_min(1)  # (N, groups, 1, 1)

    def _indicators(self, x: Tensor) -> Tensor:
        """Which values are missing, 1 or 0, in the channels ``gaps``; ``nan`` after the end."""
        missing = x[..., self.gaps].isnan().to(x.dtype)
        return missing.masked_fill(ended(x).unsqueeze(-1), torch.nan)

    def _roots(self, maps: Tensor, count: Tensor, entries: Tensor) -> Tensor:
        if self.structure is None or self.w is None:
            return (maps @ maps.mT / count).flatten(-2).index_select(-1, entries).sqrt()
        w = self.w.to(maps.dtype)
        xi = interdependence_matrix(self.structure, w, maps.mT, "attribute", partial=True)
        chosen = xi.flatten(-2).index_select(-1, entries)
        return chosen.abs().sqrt() * chosen.sign()

    @property
    def _numbers(self) -> int:
        """Of the maps of one series, at one dilation."""
        return self.groups * self.maps * self.steps

    def _each(self, x: Tensor) -> Iterator[tuple[tuple[int, int], Tensor, Sums]]:
        """Of the series and their differences, at each dilation: the steps that count, and the sums."""
        lengths = (~ended(x)).sum(-1)  # (N,)
        x = _interpolated(x.mT)  # (N, channels, steps)
        steps = torch.arange(self.steps, device=x.device)
        is_odd = (torch.arange(self.groups, device=x.device) % 2).view(-1, 1, 1)
        for i, values in enumerate((x, F.pad(x.diff(), (0, 1)))):
            length = (lengths - i).clamp_min(0).view(-1, 1, 1, 1)
            series = values * (steps < length.squeeze(1))
            sums = Sums(series, WIDTH // 2 * self.dilations[-1], WIDTH * min(self.channels, MOST_CHANNELS))
            for j, dilation in enumerate(self.dilations):
                side = WIDTH // 2 * dilation
                margin = torch.where(length >= 4 * side, side, 0) * is_odd
                counted = (steps >= margin) & (steps < length - margin)  # (N, groups, 1, steps)
                yield (i, j), counted, sums


def _stretches(occurs: Tensor) -> tuple[Tensor, Tensor]:
    """``(..., steps)`` to how many stretches of steps a pattern has, and how long the longest is."""
    if torch.compiler.is_compiling():
        return _traced_stretches(occurs)
    shape, steps = occurs.shape[:-1], occurs.shape[-1] + 2
    padded = F.pad(occurs, (1, 1)).flatten()  # a stretch begins and ends within its map
    begin, end = torch.nonzero(padded[1:] ^ padded[:-1]).view(-1, 2).T
    of = begin // steps
    longest = begin.new_zeros(shape.numel()).scatter_reduce_(0, of, end - begin, "amax")
    return torch.bincount(of, minlength=shape.numel()).view(shape), longest.view(shape)


def _traced_stretches(occurs: Tensor) -> tuple[Tensor, Tensor]:
    """As ``_stretches``, in operators whose results have shapes that do not depend on the data."""
    begins = occurs & ~F.pad(occurs, (1, -1))
    steps = torch.arange(occurs.shape[-1], device=occurs.device)
    length = steps - _running_max(torch.where(occurs, -1, steps))  # since the last step without the pattern
    return begins.sum(-1), length.amax(-1)


def _running_max(x: Tensor) -> Tensor:
    """The largest entry so far, along the last dimension; none is below -1."""
    if not torch.compiler.is_compiling():
        return x.cummax(-1).values
    reach = 1  # ONNX has no such operator: the largest of 2, 4, 8, ... entries
    while reach < x.shape[-1]:
        x = torch.maximum(x, F.pad(x, (reach, -reach), value=-1))
        reach *= 2
    return x


def _interpolated(x: Tensor) -> Tensor:
    """``(N, channels, steps)`` with missing values filled, see ``LocalPatterns``; others do not change."""
    known, steps = ~x.isnan(), torch.arange(x.shape[-1], device=x.device)
    # The nearest steps with a value on both sides; where one side has none, that of the other.
    before = _running_max(torch.where(known, steps, -1))
    after = len(steps) - 1 - _running_max(torch.where(known, steps.flip(-1), -1).flip(-1)).flip(-1)
    before, after = torch.where(before < 0, after, before), torch.where(after == len(steps), before, after)
    first, second = (x.gather(-1, at.clamp(0, len(steps) - 1)).nan_to_num() for at in (before, after))
    return first + (second - first) * (steps - before) / (after - before).clamp_min(1)


def _kernels(shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    """Random weights with a sum of zero, the same in each of a few random channels."""
    *outer, channels, _ = shape
    most = min(channels, MOST_CHANNELS)
    numbers = torch.randint(1, most + 1, (*outer, 1), generator=generator)
    order = torch.rand(*outer, channels, generator=generator).argsort()
    weights = torch.randn(*outer, 1, WIDTH, generator=generator)
    weights = weights - weights.mean(-1, keepdim=True)
    kernels = weights * (order < numbers).unsqueeze(-1)
    return to_multiples(kernels / kernels.abs().sum((-1, -2), keepdim=True))
