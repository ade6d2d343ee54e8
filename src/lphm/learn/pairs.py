"""Which features act together: pairs without which a trained network predicts the test part worse.

A pair is taken out of every interdependence of a copy of the network: what its two rows ``i`` and ``j`` add
to ``xi`` by varying together. Of the attribute kind, with ``d`` for the deviation from the mean sample,

    xi' = xi - W_ij d_iᵀ d_j - W_ji d_jᵀ d_i,        d_i = x_i - mean(x_i)

so that what each row says by itself stays. Of the instance kind, the entries ``(i, j)`` and ``(j, i)`` of
``xi`` become their means over the samples. The strongest pairs, without which the outputs change most, are
compared with pairs that are drawn at random: a pair survives if without it the loss rises twice as much as
without any of these, by at least a hundredth, and more than chance explains.
"""

import copy
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lphm.data.schema import FeatureSchema, SeriesSchema
from lphm.learn.importance import PARTS, Probe, not_by_chance
from lphm.nn.members import MemberInterdependence
from lphm.nn.network import InterdependenceNetwork, interdependence_layers
from lphm.ops.functional import apply_grouped

#: Most pairs that are tried, and most that they are compared with; fewest pairs that there must be.
CANDIDATES, COMPARED, FEWEST_PAIRS = 8, 20, 6
#: Fewest samples that are predicted, if there are as many, and samples that say which pairs are strong.
FEWEST_ROWS, STRENGTH_ROWS = 100, 50
#: Least rise of the loss, as a share of it, and in units of the largest rise without a random pair.
LEAST_RISE, LEAST_RATIO = 0.01, 2
#: Most entries of xi that are computed at a time.
MOST_ENTRIES = 2**25

Pair = tuple[int, int]


class WithoutPair(nn.Module):
    """An interdependence in which two rows have nothing to do with each other, or any two of some rows.

    Shape:
        as ``MemberInterdependence``.

    Args:
        layer: the interdependence.
        n: rows of its input.
        chosen: the rows ``(k,)`` of which pairs are taken out.

    Attributes:
        pair: which pair is out, as positions in ``chosen``; None leaves ``xi`` as it is.
    """

    def __init__(self, layer: MemberInterdependence, n: int, chosen: Tensor) -> None:
        super().__init__()
        self.layer, self.kind, self.chosen = layer, layer.kind, chosen
        self.pair: Pair | None = None
        if self.kind == "attribute":
            rows = layer.weight.new_zeros(len(layer.weight), 1, n, len(chosen))
            rows[..., chosen, range(len(chosen))] = 1
            self.W = layer.matrix(rows).squeeze(1)  # of the chosen rows, (members, channels, k, k)

    def matrix(self, x: Tensor) -> Tensor:
        """``xi`` without what the pair adds, ``(members, N, channels, k, k)``."""
        xi = self.layer.matrix(x)
        if self.pair is None:
            return xi
        if self.kind == "instance":
            return self._with_mean_entries(xi)
        (i, j), (first, second) = self.pair, self._deviations(x)
        outer = (first.unsqueeze(-1) * second.unsqueeze(-2)).unsqueeze(2)  # (members, N, 1, k, k)
        W = self.W[:, None, :, :, :, None, None]
        return xi - W[..., i, j, :, :] * outer - W[..., j, i, :, :] * outer.mT

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply it; there is no mask where rows are features or rows of an image."""
        assert mask is None
        out: Tensor = self.layer(x)
        if self.pair is None:
            return out
        if self.kind == "instance":
            return apply_grouped(self.matrix(x), x, self.kind)
        (i, j), (first, second) = self.pair, self._deviations(x)
        # Each row of x is mixed by xi of its channel.
        W = self.W.repeat_interleave(x.shape[2] // self.W.shape[1], dim=1).unsqueeze(
            1
        )  # (members, 1, b, k, k)
        for deviation, other, entry in ((first, second, W[..., i, j]), (second, first, W[..., j, i])):
            said = x.matmul(deviation.unsqueeze(-1)).squeeze(-1) * entry  # (members, N, b)
            out = out - said.unsqueeze(-1) * other.unsqueeze(-2)
        return out

    def _deviations(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``d`` of both rows, ``(members, N, columns)``."""
        assert self.pair is not None
        i, j = self.chosen[list(self.pair)].tolist()
        d = x[:, :, [i, j]] - x[:, :, [i, j]].mean(dim=1, keepdim=True)
        return d[:, :, 0], d[:, :, 1]

    def _with_mean_entries(self, xi: Tensor) -> Tensor:
        assert self.pair is not None
        i, j = self.chosen[list(self.pair)].tolist()
        xi = xi.clone()
        for entry in (xi[..., i, j], xi[..., j, i]):
            entry.copy_(entry.mean(dim=1, keepdim=True).expand_as(entry))
        return xi


def surviving_pairs(probe: Probe, samples: int, chosen: Sequence[int]) -> dict[str, Any] | None:
    """The strongest pairs, and which of them survive; None where there is no interdependence of features.

    Args:
        probe: samples of the test part.
        samples: about the most that are predicted.
        chosen: the rows of which there are pairs, such as the features that matter most.

    Returns:
        ``loss`` of the ``rows`` as the network is; ``compared``, how many random pairs there were, and
        ``random``, the largest rise of the loss without one; and ``pairs``, those that were tried, the
        largest rise first, each with ``names``, ``rise`` of the loss, and whether it ``survives``.
    """
    schema, network = probe.run.config.input, probe.network
    sources = schema.sources if isinstance(schema, FeatureSchema) else schema.labels
    every = [
        pair
        for pair in itertools.combinations(range(len(chosen)), 2)
        if sources[chosen[pair[0]]] != sources[chosen[pair[1]]]  # two parts of one date are no pair
    ]
    if isinstance(schema, SeriesSchema) or not isinstance(network, InterdependenceNetwork):
        return None
    too_few = len(every) < FEWEST_PAIRS or len(probe.x) < PARTS
    if too_few or not interdependence_layers(network):
        return None
    probe = probe.first(_rows(network, samples))
    changed = _changeable(network, torch.tensor(chosen, device=probe.x.device))
    strengths = _strengths(probe.first(STRENGTH_ROWS), changed, every)
    order = np.array(every)[np.argsort(-strengths, kind="stable")]
    tried, rest = np.split(order, [min(CANDIDATES, len(every) // 3)])
    drawn = np.random.default_rng(0).permutation(rest)[:COMPARED]
    before = probe.losses(_outputs(probe, changed, None))
    random = max(float((probe.losses(_outputs(probe, changed, pair)) - before).mean()) for pair in drawn)
    loss, pairs = float(before.mean()), []
    for pair in tried:
        rises = probe.losses(_outputs(probe, changed, pair)) - before
        rise = float(rises.mean())
        survives = rise > max(LEAST_RATIO * random, LEAST_RISE * loss) and not_by_chance(rises)
        names = [schema.labels[chosen[at]] for at in pair]
        pairs.append({"names": names, "rise": rise, "survives": survives})
    found = {"loss": loss, "rows": len(probe.x), "compared": len(drawn), "random": random}
    return {**found, "pairs": sorted(pairs, key=lambda pair: -pair["rise"])}


def _rows(network: InterdependenceNetwork, samples: int) -> int:
    """Samples that are predicted without each pair, so many that memory holds ``xi`` of all of them."""
    layers = interdependence_layers(network).values()
    sides = [network.width if layer.kind == "attribute" else network.embedding.rows for layer in layers]
    entries = [layer.channels * side**2 for layer, side in zip(layers, sides, strict=True)]
    fit = MOST_ENTRIES // (network.members * max(entries))
    return min(max(samples // (CANDIDATES + COMPARED), FEWEST_ROWS), max(fit, PARTS))


def _changeable(network: InterdependenceNetwork, chosen: Tensor) -> InterdependenceNetwork:
    """A copy of the network in which pairs of the chosen rows can be taken out."""
    changed = copy.deepcopy(network)
    with torch.inference_mode():
        for name, layer in interdependence_layers(changed).items():
            parent, _, attribute = name.rpartition(".")
            without = WithoutPair(layer, network.embedding.rows, chosen)
            setattr(changed.get_submodule(parent), attribute, without)
    return changed


def _strengths(probe: Probe, changed: InterdependenceNetwork, pairs: Sequence[Pair]) -> np.ndarray:
    """How much the outputs change without each pair, whether for better or worse."""
    before = _outputs(probe, changed, None)
    return np.array([(_outputs(probe, changed, pair) - before).abs().mean().item() for pair in pairs])


@torch.inference_mode()
def _outputs(probe: Probe, changed: InterdependenceNetwork, pair: Sequence[int] | None) -> Tensor:
    """Combined outputs without the pair, on the CPU."""
    for module in changed.modules():
        if isinstance(module, WithoutPair):
            module.pair = None if pair is None else (int(pair[0]), int(pair[1]))
    return probe.run.config.target.combine(changed(probe.x).cpu())
