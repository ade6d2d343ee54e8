"""What drives the predictions of a run: how much worse they are if a column of the test part is shuffled.

    drop of a column = score(predictions) - score(predictions from samples whose column is shuffled)

Nothing is trained again. The number of samples that are predicted is bounded by what the training took.

Reference:
    Breiman, 2001, Machine Learning 45; Fisher et al., 2019, arXiv:1801.01489.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lphm.data.dataset import Dataset
from lphm.data.schema import FeatureSchema, GridSchema, InputSchema
from lphm.learn.devices import available_device
from lphm.learn.run import Run
from lphm.nn.embeddings import FeatureEmbedding, ended
from lphm.nn.network import InterdependenceNetwork
from lphm.nn.pattern_network import PatternNetwork

#: Fewest and most samples of the test part, and how often each column of them is shuffled.
FEWEST_ROWS, MOST_ROWS = 50, 2000
FEWEST_REPEATS, REPEATS = 3, 5
#: Parts of the samples, and standard errors over them from which on a rise of the loss is not by chance.
PARTS, ERRORS = 20, 2.5
#: Fewest and most columns of a table that are shuffled, and most parts of series or images.
FEWEST_COLUMNS, MOST_COLUMNS, MOST_PARTS = 10, 50, 24
#: Parts of the time of series that have one channel.
PERIODS = 8
#: Numbers inside a network that are computed at a time.
MOST_NUMBERS = 2**22


@dataclass(frozen=True, eq=False)
class Probe:
    """Samples of the test part, ready to be predicted by a network and by changed copies of it."""

    run: Run
    network: InterdependenceNetwork | PatternNetwork  # on the device of the samples
    x: Tensor  # encoded
    y: Tensor
    weight: Tensor

    @classmethod
    def of(cls, run: Run, data: Dataset) -> "Probe":
        """At most ``MOST_ROWS`` samples, drawn at random."""
        drawn = np.random.default_rng(0).permutation(len(data))[:MOST_ROWS]
        data, device = data.take(np.sort(drawn)), available_device(run.device)
        network = run.network.eval()
        return cls(
            run,
            network if device == "cpu" else copy.deepcopy(network).to(device),
            run.config.input.encode(data.inputs).to(device),
            run.config.target.encode(data.target),
            torch.as_tensor(data.weights),
        )

    def first(self, rows: int) -> "Probe":
        """The same with so many samples at most."""
        return Probe(self.run, self.network, self.x[:rows], self.y[:rows], self.weight[:rows])

    @torch.inference_mode()
    def outputs(self, x: Tensor, network: nn.Module | None = None) -> Tensor:
        """Combined outputs of the members on the CPU, ``(N, outputs)``."""
        network = self.network if network is None else network
        size = max(1, MOST_NUMBERS // _numbers(self.network))
        parts = [network(part).cpu() for part in torch.split(x, size)]
        return self.run.config.target.combine(torch.cat(parts))

    def score(self, outputs: Tensor) -> float:
        """Accuracy or R²."""
        return self.run.config.target.score(outputs, self.y, self.weight).item()

    def losses(self, outputs: Tensor) -> np.ndarray:
        """The loss of each of ``PARTS`` parts of the samples, by which chance is judged."""
        parts = np.array_split(np.arange(len(outputs)), min(PARTS, len(outputs)))
        loss = self.run.config.target.loss
        return np.array([loss(outputs[part], self.y[part], self.weight[part]).item() for part in parts])


def _numbers(network: InterdependenceNetwork | PatternNetwork) -> int:
    """Numbers inside the network for one sample, about."""
    if isinstance(network, PatternNetwork):
        return network.patterns.groups * network.patterns.maps * network.patterns.steps
    return network.members * network.embedding.rows * network.width


def permutation_importance(probe: Probe, samples: int) -> dict[str, Any]:
    """The drop of the score by column, in the order of the columns.

    Args:
        probe: samples of the test part.
        samples: about the most that are predicted.

    Returns:
        ``parts``, what was shuffled: ``"column"``, ``"row"``, ``"channel"`` or ``"step"``; ``of``, how many
        of these there are; ``score`` of the ``rows`` as they are; ``repeats``; and ``drops``, for each part
        that was shuffled ``name``, ``mean``, ``spread``, the standard deviation over the repeats, and
        ``matters``: whether the loss rises by more than chance explains.
    """
    kind, parts = _parts(probe.run.config.input)
    most = min(max(samples // (len(probe.x) * REPEATS), FEWEST_COLUMNS), MOST_COLUMNS)
    chosen = _most_sensitive(probe, parts, most) if kind == "column" and len(parts) > most else list(parts)
    probe = probe.first(max(samples // (len(chosen) * FEWEST_REPEATS), FEWEST_ROWS))
    repeats = min(max(samples // (len(chosen) * len(probe.x)), FEWEST_REPEATS), REPEATS)
    random, before = torch.Generator().manual_seed(0), probe.outputs(probe.x)
    score, losses = probe.score(before), probe.losses(before)
    drops = []
    for name in chosen:
        x = (_shuffled(probe.x, kind, parts[name], random) for _ in range(repeats))
        outputs = [probe.outputs(shuffled) for shuffled in x]
        values = np.array([score - probe.score(each) for each in outputs])
        rises = np.mean([probe.losses(each) for each in outputs], axis=0) - losses
        mean, spread = float(values.mean()), float(values.std(ddof=1))
        drops.append({"name": name, "mean": mean, "spread": spread, "matters": not_by_chance(rises)})
    tried = {"parts": kind, "of": len(parts), "score": score, "rows": len(probe.x), "repeats": repeats}
    return {**tried, "drops": drops}


def not_by_chance(rises: np.ndarray) -> bool:
    """Whether the mean rise of the loss is above zero by ``ERRORS`` of its standard errors."""
    if len(rises) < 2:
        return False
    return bool(rises.mean() > ERRORS * rises.std(ddof=1) / len(rises) ** 0.5)


def leading_features(schema: InputSchema, importance: dict[str, Any], most: int) -> list[int]:
    """Positions of the features of the columns that matter most, by ``permutation_importance``."""
    parts = _parts(schema)[1]
    drops = sorted(importance["drops"], key=lambda drop: -float(drop["mean"]))[:most]
    return sorted(position for drop in drops for position in parts[drop["name"]])[: 2 * most]


def _parts(schema: InputSchema) -> tuple[str, dict[str, list[int]]]:
    """What is shuffled together, and the positions of each part by its name."""
    if isinstance(schema, FeatureSchema):
        columns: dict[str, list[int]] = {}
        for position, source in enumerate(schema.sources):
            columns.setdefault(source, []).append(position)
        return "column", columns
    if isinstance(schema, GridSchema):
        return "row", _neighbours(schema.labels, MOST_PARTS)
    if len(schema.channels) > 1:
        return "channel", _neighbours(schema.column_labels, MOST_PARTS)
    return "step", _neighbours(schema.labels, PERIODS)


def _neighbours(labels: Sequence[str], most: int) -> dict[str, list[int]]:
    """At most so many groups of neighbours, and their names."""
    groups = np.array_split(np.arange(len(labels)), min(most, len(labels)))
    return {labels[g[0]] if len(g) == 1 else f"{labels[g[0]]} to {labels[g[-1]]}": g.tolist() for g in groups}


def _shuffled(x: Tensor, kind: str, positions: list[int], random: torch.Generator) -> Tensor:
    """``x`` in which samples have these columns or rows of other samples; what has ended has ended."""
    at = torch.tensor(positions, device=x.device)
    order = torch.randperm(len(x), generator=random).to(x.device)
    axis = 1 if kind in ("column", "row", "step") else 2
    out = x.clone().index_copy_(axis, at, x.index_select(axis, at)[order])
    if kind in ("channel", "step"):
        out[ended(x)] = torch.nan
    return out


def _most_sensitive(probe: Probe, columns: dict[str, list[int]], most: int) -> list[str]:
    """The columns whose values change the outputs most, by the gradient of the outputs."""
    network = probe.network
    assert isinstance(network, InterdependenceNetwork)
    assert isinstance(network.embedding, FeatureEmbedding)
    size = max(1, MOST_NUMBERS // _numbers(network))
    total = torch.zeros(network.embedding.rows, device=probe.x.device)
    found: list[Tensor] = []

    def kept(_module: nn.Module, _inputs: Any, embedded: Tensor) -> Tensor:
        found.append(embedded.detach().requires_grad_())
        return found[-1]

    hook = network.embedding.register_forward_hook(kept)
    try:
        with torch.enable_grad():
            for x in torch.split(probe.x, size):
                outputs = network(x).mean(dim=1)
                # The signs differ from sample to sample, so that outputs which go together do not cancel.
                signs = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0))
                embedded = found.pop()
                (gradient,) = torch.autograd.grad((outputs * signs.to(x.device)).sum(), embedded)
                moved = embedded - embedded.mean(dim=1, keepdim=True)
                total += (gradient * moved).sum(dim=-1).abs().sum(dim=(0, 1)).detach()
    finally:
        hook.remove()
    sums = {name: float(total[positions].sum()) for name, positions in columns.items()}
    leading = set(sorted(sums, key=lambda name: -sums[name])[:most])
    return [name for name in columns if name in leading]
