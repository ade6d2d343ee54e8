"""Heat maps: xi of the test part, and the factors of ``W``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from torch import Tensor, nn

from lphm.learn.evaluation import Interdependence
from lphm.nn.members import MemberInterdependence
from lphm.nn.network import interdependence_layers
from lphm.report.numbers import exact, plain
from lphm.report.sources import Sources

#: Largest number of cells along a side of a heat map, and of layers whose factors are shown.
MAX_XI_CELLS, MAX_FACTOR_CELLS, MAX_LAYERS = 64, 32, 24
#: Side of a cell in pixels, by the largest number of cells along a side that it is used for.
CELL_SIZES = {12: 26, 24: 18, 40: 13, MAX_XI_CELLS: 11}


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Several matrices of one shape, of which the page shows one at a time."""

    name: str  # the id in the page
    title: str
    matrices: np.ndarray  # (choices, rows, columns); the page opens with the first
    rows: Sequence[str]
    columns: Sequence[str]
    entry: str  # names an entry by the names {row} and {column}
    size: tuple[int, int]  # rows and columns before neighbours were averaged
    longest_name: ClassVar[int] = 22  # characters of a name that stand beside the heat map

    @property
    def limits(self) -> list[float]:
        """Largest absolute entry of each matrix, which has the strongest colour."""
        return [rounded(np.abs(matrix).max()) or 1.0 for matrix in self.matrices]

    @property
    def lowest(self) -> int:
        """Lower end of the colour scale in units of the limit: 0 if no entry is negative."""
        return -1 if self.matrices.min() < 0 else 0

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script needs to show another matrix."""
        values = [[rounded(v) for v in matrix.flat] for matrix in self.matrices]
        return {"lowest": self.lowest, "limits": self.limits, "values": values}

    @property
    def cells(self) -> list[tuple[int, int, float, str]]:
        """Column, row, value and title of every entry of the first matrix."""
        first = self.matrices[0]
        return [(j, i, rounded(value), self._title(i, j)) for (i, j), value in np.ndenumerate(first)]

    @property
    def cell_size(self) -> int:
        """Side of a cell in pixels."""
        longest = max(len(self.rows), len(self.columns))
        return next(size for limit, size in CELL_SIZES.items() if longest <= limit)

    @property
    def margins(self) -> tuple[int, int]:
        """Pixels for the names of the rows, at the left, and of the columns, at the top."""
        longest = (max(map(len, names)) for names in (self.rows, self.columns))
        left, top = (round(min(length, self.longest_name) * 6.2) + 10 for length in longest)
        return left, top

    @property
    def description(self) -> str:
        """The heat map in words."""
        low, high = (rounded(end(self.matrices[0])) for end in (np.min, np.max))
        shape = f"{len(self.rows)} rows by {len(self.columns)} columns"
        return f"{self.title}: heat map of {shape}, entries from {low:g} to {high:g}"

    def largest(self, number: int = 5) -> list[str]:
        """The entries of the first matrix with the largest absolute values, in words."""
        order = np.argsort(-np.abs(self.matrices[0]), axis=None, kind="stable")[:number]
        return [self._title(*divmod(int(at), len(self.columns))) for at in order]

    def _title(self, i: int, j: int) -> str:
        entry = self.entry.format(row=self.rows[i], column=self.columns[j])
        return f"{entry}: {rounded(self.matrices[0, i, j]):g}"


@dataclass(frozen=True)
class Panel:
    """Heat maps with one list of choices: which sample, or which channel, they show."""

    title: str
    choices: list[str]
    maps: list[HeatMap]


def xi_panels(sources: Sources) -> list[Panel]:
    """The interdependence of each kind: the mean over the test part, and single samples.

    One row or column has none with others.
    """
    if sources.evaluation is None:
        return []
    frame = sources.evaluation.predictions
    samples = frame.set_index(frame.columns[0])
    return [
        Panel(
            f"{kind.capitalize()} interdependence: {'rows' if kind == 'instance' else 'columns'} of X",
            [_mean(xi, len(frame)), *(_sample(row, samples.loc[row], sources) for row in xi.rows.tolist())],
            [_xi_map(kind, xi)],
        )
        for kind, xi in sources.evaluation.interdependence.items()
        if len(xi.labels) > 1
    ]


def _mean(xi: Interdependence, samples: int) -> str:
    some = "" if xi.averaged == samples else f"{xi.averaged} of "
    return f"mean over the test set, {some}{samples} samples"


def _xi_map(kind: str, xi: Interdependence) -> HeatMap:
    matrices = np.concatenate([xi.mean[None], xi.examples])
    title = f"xi of the {kind} kind (rows: inputs, columns: outputs)"
    if xi.mixed > len(xi.labels):
        title += f", the {len(xi.labels)} of {xi.mixed} with the largest weights"
    return _heat_map(f"{kind}-xi", title, matrices, (xi.labels, xi.labels), MAX_XI_CELLS, "{row} → {column}")


def _sample(row: int, values: pd.Series, sources: Sources) -> str:
    """A sample in words; samples are numbered from 1."""
    truth, predicted = values.iloc[:2]
    if sources.classes is None:
        truth, predicted = exact(float(truth)), plain(float(predicted), 4)
        return f"sample {row + 1}: {sources.target} {truth}, predicted {predicted}"
    verdict = "correct" if truth == predicted else "wrong"
    return f"sample {row + 1}: {sources.target} {truth}, predicted {predicted} ({verdict})"


def factor_panels(network: nn.Module) -> list[Panel]:
    """The factors of ``W`` of the first layers, for each channel of each member."""
    layers = list(interdependence_layers(network).items())[:MAX_LAYERS]
    return [_factor_panel(f"w{i}", name, layer) for i, (name, layer) in enumerate(layers)]


def _factor_panel(prefix: str, name: str, layer: MemberInterdependence) -> Panel:
    structure, (members, channels) = layer.structure, layer.weight.shape[:2]
    weights = layer.weight.detach().flatten(0, 1)
    factors = zip(structure.factor_shapes, structure.unpack(weights), strict=True)
    return Panel(
        f"{layer_name(name, layer)}: {structure}, {layer.weight.numel():,} parameters",
        [
            (f"member {member + 1}, " if members > 1 else "") + f"channel {channel + 1}"
            for member in range(members)
            for channel in range(channels)
        ],
        [_factor_map(f"{prefix}-{letter}", letter, factor) for letter, factor in factors],
    )


def layer_name(name: str, layer: MemberInterdependence) -> str:
    """What a person calls the layer that the network calls ``blocks.0.branches.1.mix``."""
    mixed = "rows" if layer.kind == "instance" else "columns"
    if name.startswith("readout"):
        return f"readout of xi of the {mixed}"
    return f"block {int(name.split('.')[1]) + 1}, mixing of {mixed}"


def _factor_map(name: str, letter: str, factor: Tensor) -> HeatMap:
    """A factor ``(matrices, *shape)``; a vector is shown as a row, and leading dimensions as rows."""
    title = f"{letter}, {' × '.join(map(str, factor.shape[1:]))}"
    matrices = factor.reshape(factor.shape[0], -1, factor.shape[-1]).double().numpy()
    numbers = [[str(i + 1) for i in range(side)] for side in matrices.shape[1:]]
    return _heat_map(name, title, matrices, numbers, MAX_FACTOR_CELLS, "row {row}, column {column}")


def _heat_map(
    name: str, title: str, matrices: np.ndarray, names: Sequence[Sequence[str]], max_cells: int, entry: str
) -> HeatMap:
    """A heat map with at most ``max_cells`` cells along a side."""
    pooled, rows = pool(matrices, names[0], -2, max_cells)
    pooled, columns = pool(pooled, names[1], -1, max_cells)
    return HeatMap(name, title, pooled, rows, columns, entry, matrices.shape[1:])


def pool(
    matrices: np.ndarray, names: Sequence[str], axis: int, max_groups: int
) -> tuple[np.ndarray, Sequence[str]]:
    """Average neighbours along an axis, so that at most ``max_groups`` groups remain, and name the groups."""
    if len(names) <= max_groups:
        return matrices, names
    groups = np.array_split(np.arange(len(names)), max_groups)
    means = np.stack([matrices.take(group, axis).mean(axis) for group in groups], axis)
    ends = [(names[group[0]], names[group[-1]]) for group in groups]
    return means, [first if first == last else f"{first} – {last}" for first, last in ends]


def rounded(value: float) -> float:
    """Round to four significant digits."""
    return float(f"{value:.4g}")
