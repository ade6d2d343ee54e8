"""Whether maps of local patterns exceed their thresholds: the same answer in every library.

A map is a sum of products, and libraries add up in different orders. Rounded to float32, a value that is as
near to its threshold as that may exceed it in one library and not in another. So the sums that are near are
taken again in float64, of values and weights that have been rounded to multiples of ``2^-22`` and ``2^-25``.
Products are then multiples of ``2^-47``, and a sum of them below 64 has no more than the 53 bits of float64:
it is exact, in whatever order. Standardised values are hardly ever larger, and then all but exact.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

#: What values and weights are whole multiples of, as the inverse.
VALUES, WEIGHTS = 2.0**22, 2.0**25
#: What rounding changes in a sum of products with values up to 1 and weights whose sizes sum to 1, in which
#: products, sums and the choice of multiples each have a part, is below this for each product in it.
DOUBT = 2.0**-23
#: What is added to the largest value for it, as small values are rounded to the same multiples.
LEAST = 2.0**-3
#: What of the largest value lies at least between two values that differ, and not by rounding alone.
DIFFERENCE = 2.0**-20


def to_multiples(weights: Tensor) -> Tensor:
    """Weights, and 0 as the sum of the last dimension where it is about 0, as exact multiples."""
    multiples = (weights.double() * WEIGHTS).round()
    middle = weights.shape[-1] // 2
    multiples[..., middle] -= multiples.sum(-1)
    return (multiples / WEIGHTS).to(weights.dtype)


def between(values: Tensor, shares: Tensor) -> Tensor:
    """For each map a number between two of its values, with about such a share of them below it.

    Values ``(maps, number)`` are sorted, ``nan`` last. Those that are equal but for rounding are on one side
    of it, unless all of them are.
    """
    known = (~values.isnan()).sum(dim=1, keepdim=True)
    first = (shares.unsqueeze(1) * known).long()
    least = DIFFERENCE * values.nan_to_num().abs().amax(dim=1, keepdim=True)
    steps = F.pad(values.diff() > least, (0, 1))
    places = torch.arange(steps.shape[1], device=values.device)
    after = torch.where(steps & (places >= first), places, len(places)).amin(dim=1, keepdim=True)
    before = torch.where(steps & (places < first), places, -1).amax(dim=1, keepdim=True)
    place = torch.where(after < len(places), after, torch.where(before >= 0, before, first))
    both = torch.cat([place, torch.minimum(place + 1, known - 1).clamp_min(0)], dim=1)
    return values.gather(1, both).mean(dim=1).nan_to_num()


class Sums:
    """The sums of a set of series with kernels around each step, and how far they exceed thresholds.

    Args:
        series: ``(N, channels, steps)``, with 0 where there is nothing.
        reach: most steps from the middle of a kernel to its end.
        products: most weights of a kernel that are not 0.
    """

    def __init__(self, series: Tensor, reach: int, products: int) -> None:
        self.series, self.reach = series, reach
        self.is_plain = series.dtype != torch.float32 or series.device.type == "mps"
        if not self.is_plain:
            self.padded = F.pad(_to_multiples(series, VALUES), (reach, reach))
            largest = series.abs().amax((1, 2)).unsqueeze(-1)  # (N, 1)
            self.doubt = DOUBT * products * (largest + LEAST)

    def rounded(self, kernels: Tensor, dilation: int) -> Tensor:
        """Kernels ``(maps, channels, width)`` to sums ``(N, maps, steps)``, rounded as the series are."""
        side = kernels.shape[-1] // 2 * dilation
        return F.conv1d(self.series, kernels, padding=side, dilation=dilation)

    def above(self, kernels: Tensor, thresholds: Tensor, dilation: int) -> Tensor:
        """How far they exceed ``thresholds`` ``(maps,)``; 0 or negative where they do not.

        The sign is that of exact sums. Nothing is taken again where series are float64 already, or on a
        device without it.
        """
        if self.is_plain:
            return self.rounded(kernels, dilation) - thresholds.unsqueeze(-1)
        if torch.compiler.is_compiling() or kernels.device.type != "cpu":
            return self._exactly(kernels, thresholds, dilation)
        above = self.rounded(kernels, dilation).sub_(thresholds.unsqueeze(-1))
        sample, of, step = self._near(above)
        if len(step) > self.series[:, 0].numel():  # of one map in 64: then all at once are as fast
            return self._exactly(kernels, thresholds, dilation)
        if len(step):
            places = step.unsqueeze(-1) + self._offsets(kernels, dilation)
            windows = self.padded[sample.unsqueeze(-1), :, places]  # (sums, width, channels)
            sums = (windows * _to_multiples(kernels[of], WEIGHTS).mT).sum((1, 2))
            above[sample, of, step] = (sums - thresholds[of]).float()
        return above

    def _near(self, above: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The places of what is in doubt, first by whole maps, which is faster."""
        sample, of = torch.nonzero(above.abs().amin(-1) <= self.doubt, as_tuple=True)
        which, step = torch.nonzero(above[sample, of].abs() <= self.doubt[sample], as_tuple=True)
        return sample[which], of[which], step

    def _exactly(self, kernels: Tensor, thresholds: Tensor, dilation: int) -> Tensor:
        """As ``above``, with all sums in float64."""
        steps = torch.arange(self.series.shape[-1], device=kernels.device)
        places = steps + self._offsets(kernels, dilation).unsqueeze(-1)  # (width, steps)
        windows = self.padded[..., places].flatten(1, 2)  # (N, channels · width, steps)
        sums = _to_multiples(kernels, WEIGHTS).flatten(1) @ windows
        return (sums - thresholds.unsqueeze(-1)).float()

    def _offsets(self, kernels: Tensor, dilation: int) -> Tensor:
        """From a step to the places of its kernel in what is padded."""
        width = kernels.shape[-1]
        return self.reach + dilation * (torch.arange(width, device=kernels.device) - width // 2)


def _to_multiples(x: Tensor, inverse: float) -> Tensor:
    """In float64, rounded to whole multiples."""
    return (x.double() * inverse).round() / inverse
