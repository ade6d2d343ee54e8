"""Which matrices of a run are shown: what it mixes, on average and in samples, and the factors of W."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from lphm.learn.evaluation import Interdependence
from lphm.nn.layer import BilinearInterdependence
from lphm.report.heatmaps import HeatMap, pooled
from lphm.report.sources import Sources

#: Longest side of a picture of xi and of a factor, and the most layers whose factors are shown.
MOST_MIXED, MOST_FACTOR, MOST_LAYERS = 64, 32, 24


@dataclass(frozen=True)
class MixingPicture:
    """The learned interdependence of one kind: the mean, and then single samples."""

    kind: str
    picture: HeatMap
    options: list[str]
    entries: int  # k, of the matrix; the picture may have fewer


@dataclass(frozen=True)
class FactorPictures:
    """The factors of one layer's W, each a picture with a matrix per channel."""

    layer: str
    kind: str
    structure: str
    channels: int
    parameters: int
    pictures: list[HeatMap]


def mixing_pictures(sources: Sources) -> list[MixingPicture]:
    """Every kind's interdependence, as the evaluation found it."""
    if sources.evaluation is None:
        return []
    found, frame = sources.evaluation.interdependence, sources.evaluation.predictions
    return [_mixing(kind, mixed, sources, frame) for kind, mixed in found.items()]


def _mixing(kind: str, mixed: Interdependence, sources: Sources, frame: pd.DataFrame) -> MixingPicture:
    matrices = [mixed.mean, *mixed.examples]
    labels: list[str] = list(mixed.labels)
    small = [_pool_both(matrix, labels, MOST_MIXED) for matrix in matrices]
    names = small[0][1]
    signed = any(float(matrix.min()) < 0 for matrix in matrices)
    title = "rows of X" if kind == "instance" else "the network's channels"
    picture = HeatMap(f"{kind}-xi", title, names, names, [matrix for matrix, _ in small], signed)
    told = [_told(int(row), sources, frame) for row in mixed.rows]
    return MixingPicture(kind, picture, [f"mean over the test set, {len(frame)} samples", *told], len(labels))


def _pool_both(matrix: np.ndarray, labels: Sequence[str], most: int) -> tuple[np.ndarray, list[str]]:
    matrix, names = pooled(matrix, labels, -2, most)
    return pooled(matrix, labels, -1, most)[0], names


def _told(row: int, sources: Sources, frame: pd.DataFrame) -> str:
    """One sample in words; samples are numbered from 1, as people do."""
    line = frame.iloc[np.flatnonzero(frame.iloc[:, 0].to_numpy() == row)[0]]
    name = sources.run.config.target.name
    if sources.classes is None:
        return f"sample {row + 1}: {name} {float(line.iloc[1]):.4g}, predicted {float(line.iloc[2]):.4g}"
    word = "right" if str(line.iloc[1]) == str(line.iloc[2]) else "wrong"
    return f"sample {row + 1}: {name} {line.iloc[1]}, predicted {line.iloc[2]} ({word})"


def factor_pictures(sources: Sources) -> tuple[list[FactorPictures], int]:
    """The factors of the first layers, and how many layers are left out."""
    layers = [
        (name, layer)
        for name, layer in sources.run.network.named_modules()
        if isinstance(layer, BilinearInterdependence)
    ]
    shown = [_factors(f"w{i}", name, layer) for i, (name, layer) in enumerate(layers[:MOST_LAYERS])]
    return shown, max(0, len(layers) - MOST_LAYERS)


def _factors(prefix: str, name: str, layer: BilinearInterdependence) -> FactorPictures:
    structure = layer.structure
    factors = structure.unpack(layer.weight.detach())
    pictures = [
        _factor(f"{prefix}-{letter}", letter, factor)
        for letter, factor in zip(structure.factor_shapes, factors, strict=True)
    ]
    return FactorPictures(name, layer.kind, str(structure), layer.channels, layer.weight.numel(), pictures)


def _factor(name: str, letter: str, factor: Tensor) -> HeatMap:
    """A factor ``(channels, *shape)``: a vector as one row, more than two dimensions as rows of the last."""
    shape = " × ".join(map(str, factor.shape[1:]))
    matrices = factor.reshape(factor.shape[0], -1, factor.shape[-1]).double().numpy()
    numbers = [[str(i) for i in range(1, side + 1)] for side in matrices.shape[1:]]
    matrices, rows = pooled(matrices, numbers[0], -2, MOST_FACTOR)
    matrices, columns = pooled(matrices, numbers[1], -1, MOST_FACTOR)
    return HeatMap(name, f"{letter}, {shape}", rows, columns, list(matrices), True, "·")
