"""Matrices as pictures: a level of colour for each entry, names on both axes, and which matrix is shown.

The colours of the levels are the page's, one set for light and one for dark; see ``colors.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lphm.report.colors import LEVELS

#: Side of an entry in the picture by the number of entries along its longer side, and the longest name.
CELLS = {12: 26, 24: 18, 40: 13}
SMALLEST, LONGEST = 11, 22


@dataclass(frozen=True, eq=False)
class HeatMap:
    """One picture of several matrices of one shape, of which one is shown at a time.

    Args:
        name: id of the picture in the page.
        title: what it shows.
        rows: names of the rows.
        columns: names of the columns.
        matrices: what may be shown, the first at the start.
        signed: whether zero is the middle of the colours or their end.
        arrow: what stands between the name of a row and that of a column.
    """

    name: str
    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    matrices: Sequence[np.ndarray]
    signed: bool
    arrow: str = "→"

    @property
    def scheme(self) -> str:
        """First letter of the levels' CSS classes."""
        return "d" if self.signed else "q"

    @property
    def limits(self) -> list[float]:
        """The entry of each matrix that has the last colour."""
        return [rounded(float(np.abs(matrix).max())) or 1.0 for matrix in self.matrices]

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script needs to show another of the matrices."""
        values = [[rounded(float(v)) for v in matrix.ravel()] for matrix in self.matrices]
        return {"signed": self.signed, "limits": self.limits, "values": values}

    @property
    def cells(self) -> list[tuple[int, int, str, str]]:
        """Of each entry at the start: column, row, CSS class and title."""
        matrix, limit = self.matrices[0], self.limits[0]
        return [
            (j, i, f"{self.scheme}{self._level(float(matrix[i, j]), limit)}", self._title(i, j, matrix[i, j]))
            for i in range(len(self.rows))
            for j in range(len(self.columns))
        ]

    @property
    def cell(self) -> int:
        """Side of an entry, in pixels."""
        longest = max(len(self.rows), len(self.columns))
        return next((size for most, size in CELLS.items() if longest <= most), SMALLEST)

    @property
    def margins(self) -> tuple[int, int]:
        """Room for the names of the rows and of the columns, in pixels."""
        left, top = (max(len(shortened(n)) for n in names) for names in (self.rows, self.columns))
        return round(left * 6.2) + 10, round(top * 6.2) + 10

    @property
    def description(self) -> str:
        """The picture in words."""
        shape = f"{len(self.rows)} rows by {len(self.columns)} columns"
        low, high = (rounded(float(f(self.matrices[0]))) for f in (np.min, np.max))
        return f"{self.title}: heat map of {shape}, entries from {low:g} to {high:g}"

    def strongest(self, most: int = 5) -> list[str]:
        """The largest entries of the first matrix in words."""
        matrix = self.matrices[0]
        order = np.argsort(-np.abs(matrix), axis=None, kind="stable")[:most]
        places = [divmod(int(at), matrix.shape[1]) for at in order]
        return [self._title(i, j, matrix[i, j]) for i, j in places]

    def _level(self, value: float, limit: float) -> int:
        share = (value / limit + 1) / 2 if self.signed else value / limit
        return int(np.clip(np.floor(share * (LEVELS - 1) + 0.5), 0, LEVELS - 1))

    def _title(self, i: int, j: int, value: float) -> str:
        return f"{self.rows[i]} {self.arrow} {self.columns[j]}: {rounded(float(value)):g}"


def rounded(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def shortened(name: str) -> str:
    """A name that fits an axis."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def pooled(matrix: np.ndarray, names: Sequence[str], axis: int, most: int) -> tuple[np.ndarray, list[str]]:
    """Neighbours along an axis averaged, at most ``most`` are left, each named by its first and last."""
    count = matrix.shape[axis]
    if count <= most:
        return matrix, list(names)
    groups = np.array_split(np.arange(count), most)
    sums = np.add.reduceat(matrix, [group[0] for group in groups], axis=axis)
    sizes = np.array([len(group) for group in groups])
    means: np.ndarray = sums / (sizes[:, None] if axis % matrix.ndim == matrix.ndim - 2 else sizes)
    return means, [names[g[0]] if len(g) == 1 else f"{names[g[0]]} – {names[g[-1]]}" for g in groups]
