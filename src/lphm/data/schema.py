"""How samples become a tensor: rows of a table, matrices laid out in a row, or series.

A schema is fitted on the training part only, is saved as JSON, and raises ``InputError`` for samples that it
cannot encode. The schema of the target is in ``targets.py``.
"""

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor
from torch.nn import functional as F

from lphm.data.columns import FARTHEST, check_distance, table_numbers, table_with
from lphm.data.conversions import Conversions, convert, sources
from lphm.data.series import as_series
from lphm.data.targets import Strict
from lphm.data.words import word_codes
from lphm.errors import InputError


class NumericColumn(Strict):
    """A column of numbers, what standardises it, and the increasing edges of the pieces that encode it."""

    name: str
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    edges: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=list)

    @field_validator("edges")
    @classmethod
    def _increase(cls, edges: list[float]) -> list[float]:
        if any(a >= b for a, b in pairwise(edges)):
            raise ValueError("edges must increase")
        return edges

    @property
    def standardised_edges(self) -> list[float]:
        """The edges in standard deviations from the mean."""
        return [(edge - self.mean) / self.std for edge in self.edges]


class Channel(NumericColumn):
    """A channel of series, and whether some series of the training have values missing before their end."""

    gaps: bool = False


class CategoricalColumn(Strict):
    """A column of categories; code 0 is missing or unknown."""

    name: str
    categories: list[str] = Field(min_length=1)


class FeatureSchema(Strict):
    """Every column is a feature; a row of the table becomes ``(features,)``, numbers first."""

    layout: Literal["features"] = "features"
    numeric: list[NumericColumn]
    categorical: list[CategoricalColumn]
    conversions: Conversions = Field(default_factory=dict)
    column_labels: ClassVar[list[str]] = []  # names of the columns of ``X``: none, for they are learned

    @property
    def labels(self) -> list[str]:
        """Names of the rows that ``X`` has in the network."""
        return [c.name for c in self.numeric] + [c.name for c in self.categorical]

    @property
    def columns_of_table(self) -> list[str]:
        """The columns of the table that the features are made of."""
        return list(dict.fromkeys(self.sources))

    @property
    def sources(self) -> list[str]:
        """The column of the table that each feature is made of."""
        return sources(self.labels, self.conversions)

    @property
    def has_categories(self) -> bool:
        """Whether a column holds categories."""
        return bool(self.categorical)

    @property
    def vocabulary(self) -> int:
        """Category codes of all columns together, including one per column for missing or unknown."""
        return sum(len(c.categories) + 1 for c in self.categorical)

    def encode(self, inputs: pd.DataFrame | np.ndarray) -> Tensor:
        """Standardised numbers (``nan`` where missing), then category codes: ``(N, features)``.

        Each categorical column has its own range of codes; the first code means missing or unknown. Columns
        that are converted may be so already.
        """
        if self.conversions and isinstance(inputs, pd.DataFrame):
            if not set(self.labels) <= set(inputs.columns):
                table_with(inputs, self.columns_of_table)
            inputs = convert(inputs, self.conversions)
        frame = table_with(inputs, self.labels)
        means, stds = np.array([(c.mean, c.std) for c in self.numeric]).reshape(-1, 2).T
        names = [c.name for c in self.numeric]
        numbers = table_numbers(frame, names)
        standardised = (numbers - means) / stds
        if (np.abs(standardised) > FARTHEST).any():
            for column, values in zip(self.numeric, numbers.T, strict=True):
                check_distance(column.name, values, column.mean, column.std, frame.index)
        columns, offset = [*standardised.T], 1
        for c in self.categorical:
            columns.append((word_codes(frame[c.name], c.categories) + offset).astype(float))
            offset += len(c.categories) + 1
        return torch.as_tensor(np.stack(columns, axis=1), dtype=torch.float32)


class GridSchema(Strict):
    """The columns of a row, in this order, are the entries of a matrix: ``(rows, columns)``."""

    layout: Literal["grid"] = "grid"
    names: list[str]
    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    has_categories: ClassVar[bool] = False

    @property
    def columns_of_table(self) -> list[str]:
        """The columns of the table that are read."""
        return self.names

    @property
    def labels(self) -> list[str]:
        """Names of the rows that ``X`` has in the network."""
        return [f"row {i}" for i in range(self.rows)]

    @property
    def column_labels(self) -> list[str]:
        """Names of the columns of ``X``."""
        return [f"column {i}" for i in range(self.columns)]

    def encode(self, inputs: pd.DataFrame | np.ndarray) -> Tensor:
        """Standardised entries, 0 where missing: ``(N, rows, columns)``."""
        frame = table_with(inputs, self.names)
        values = table_numbers(frame, self.names)
        scaled = _scaled(values, self.mean, self.std, "(row, column)")
        return scaled.nan_to_num().reshape(-1, self.rows, self.columns)


class SeriesSchema(Strict):
    """Series with a row per step and a column per channel: ``(N, steps, channels)``.

    ``series`` and ``step`` name the columns of the long table that the series came from, and ``wide`` the
    columns of a wide one by step and channel, None where a step has no column; all are None for an array.
    """

    layout: Literal["series"] = "series"
    steps: int = Field(ge=1)
    channels: list[Channel] = Field(min_length=1)
    series: str | None = None
    step: str | None = None
    wide: list[list[str | None]] | None = None
    has_categories: ClassVar[bool] = False
    conversions: Conversions = Field(default_factory=dict)  # of the columns of a table
    ragged: bool = False  # whether some series of the training end before others

    @model_validator(mode="after")
    def _fits(self) -> "SeriesSchema":
        if self.wide is not None and {len(self.channels)} != {len(step) for step in self.wide}:
            raise ValueError("wide must name a column, or None, for each channel of every step")
        return self

    @property
    def labels(self) -> list[str]:
        """Names of the rows that ``X`` has in the network."""
        return [f"step {i}" for i in range(1, self.steps + 1)]

    @property
    def column_labels(self) -> list[str]:
        """Names of the columns of ``X``."""
        return [channel.name for channel in self.channels]

    @property
    def gaps(self) -> list[int]:
        """Positions of the channels that had gaps in training."""
        return [j for j, channel in enumerate(self.channels) if channel.gaps]

    def encode(self, inputs: pd.DataFrame | np.ndarray) -> Tensor:
        """Standardised by channel, ``nan`` where missing and after the end: ``(N, steps, channels)``."""
        array = as_series(inputs)
        if np.isnan(array[:, self.steps :]).all():
            array = array[:, : self.steps]
        if array.shape[2] != len(self.channels) or array.shape[1] > self.steps:
            raise InputError(
                f"series must be (N, {self.steps} steps or fewer, {len(self.channels)} channels), "
                f"got {array.shape}; cut or resample longer series as at training"
            )
        mean, std = np.array([(channel.mean, channel.std) for channel in self.channels]).T
        scaled = _scaled(array, mean, std, "(sample, step, channel)")
        return F.pad(scaled, (0, 0, 0, self.steps - array.shape[1]), value=torch.nan)


InputSchema = Annotated[FeatureSchema | GridSchema | SeriesSchema, Field(discriminator="layout")]


def _scaled(values: np.ndarray, mean: float | np.ndarray, std: float | np.ndarray, axes: str) -> Tensor:
    """Standardised, ``nan`` where missing."""
    scaled = (values - mean) / std
    if (far := np.abs(scaled) > FARTHEST).any():
        where = tuple(np.argwhere(far)[0].tolist())
        raise InputError(f"samples must be near those of training, got {values[where]} at {axes} {where}")
    return torch.as_tensor(scaled, dtype=torch.float32)
