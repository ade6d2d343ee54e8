"""A directory of Parquet files, read row group by row group: no more than a few are in memory at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lphm.errors import InputError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


class ParquetStream:
    """The rows of all ``.parquet`` files of a directory, each in the training, validation or test part.

    Which part a row is in depends on the seed, the place of its file among the sorted names, and its own.

    Args:
        folder: the directory; its other files are ignored.
        target: the column to predict.
        drop: columns to leave out.
        seed: of the parts.
        test: share of the test part.
        validation: share of the validation part in the rest.

    Raises:
        InputError: there is no such file, one cannot be read, or its columns are not those of the first.
    """

    def __init__(
        self,
        folder: Path,
        target: str,
        drop: tuple[str, ...] = (),
        seed: int = 0,
        test: float = 0.2,
        validation: float = 0.0,
    ) -> None:
        self.name, self.target, self.seed = folder.name, target, seed
        self.test, self.validation = test, validation
        self.files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".parquet")
        if not self.files:
            raise InputError(f"{folder} must hold .parquet files, got none")
        self.groups: list[tuple[int, int, int, int]] = []  # file, row group, first row, rows
        names: list[str] = []
        for number, path in enumerate(self.files):
            metadata = _opened(path).metadata
            own = list(metadata.schema.to_arrow_schema().names)
            names = names or own
            if own != names:
                raise InputError(
                    f"{path} must have the columns of {self.files[0].name}, got {', '.join(own)}"
                )
            first = 0
            for group in range(metadata.num_row_groups):
                rows = metadata.row_group(group).num_rows
                self.groups.append((number, group, first, rows))
                first += rows
        for column in (target, *drop):
            if column not in names:
                raise InputError(f"{self.name} must have the column {column!r}, got {', '.join(names)}")
        self.columns = [name for name in names if name not in {target, *drop}]

    def frames(self, part: Part, groups: Iterable[int] | None = None) -> Iterator[pd.DataFrame]:
        """Features and target of a part, row group by row group; rows without a target are left out."""
        for number in range(len(self.groups)) if groups is None else groups:
            frame, parts = self.group(number)
            yield frame[parts == part].reset_index(drop=True)

    def group(self, number: int) -> tuple[pd.DataFrame, np.ndarray]:
        """The rows of a row group that have a target, and the part that each is in."""
        file, group, first, rows = self.groups[number]
        frame = _read_group(self.files[file], group, [*self.columns, self.target])
        known = frame[self.target].notna().to_numpy()
        return frame[known].reset_index(drop=True), self._parts(file, first, rows)[known]

    def _parts(self, file: int, first: int, rows: int) -> np.ndarray:
        """The part of each row, by a number in [0, 1) that its place and the seed give."""
        place = np.arange(first, first + rows, dtype=np.uint64)
        key = np.uint64((self.seed * 0x9E3779B97F4A7C15 + (file + 1) * 0xD1B54A32D192ED03) % 2**64)
        share = _mixed(place ^ _mixed(np.array([key], dtype=np.uint64))) / 2.0**64
        held_out = self.test + self.validation * (1 - self.test)
        return np.where(share < self.test, "test", np.where(share < held_out, "validation", "train"))


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: neighbours become unrelated (Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} must be a readable Parquet file, got: {str(error).splitlines()[0]}"
        ) from error


def _read_group(path: Path, group: int, columns: list[str]) -> pd.DataFrame:
    try:
        with _opened(path) as file:
            frame: pd.DataFrame = file.read_row_group(group, columns=columns).to_pandas()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} must be a readable Parquet file, got: {str(error).splitlines()[0]}"
        ) from error
    return frame.reset_index(drop=True)
