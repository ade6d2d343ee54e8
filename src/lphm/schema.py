"""How rows of a table become a tensor, and outputs become answers.

A schema is fitted on the training part only, serialises to JSON, and refuses with one line what it
cannot read.
"""

from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from lphm.columns import (
    category_words,
    column_numbers,
    is_text,
    missing_words_to_nan,
    plain_values,
    require_columns,
)
from lphm.errors import InputError

__all__ = [
    "ClassTarget",
    "FeatureSchema",
    "GridSchema",
    "InputSchema",
    "NumberTarget",
    "Strict",
    "TargetSchema",
    "Task",
    "fit_features",
    "fit_grid",
    "fit_target",
]

Task = Literal["classification", "regression"]

# The target.


class Strict(BaseModel):
    """A frozen model that accepts no field it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassTarget(Strict):
    """Classes in the order of the network's outputs."""

    task: Literal["classification"] = "classification"
    name: str
    classes: list[bool | int | float | str] = Field(min_length=2)

    @property
    def outputs(self) -> int:
        """Outputs of the network."""
        return len(self.classes)

    @property
    def score(self) -> str:
        """What the network is scored by."""
        return "accuracy"

    def encode(self, target: pd.Series) -> Tensor:
        """Class numbers, ``(N,)``."""
        numbers = pd.Index(self.classes, dtype=object).get_indexer(
            pd.Index(plain_values(target), dtype=object)
        )
        if (numbers < 0).any():
            got = target[numbers < 0].iloc[0]
            raise InputError(f"{self.name!r} must be one of the classes {self.classes}, got {got!r}")
        return torch.as_tensor(numbers)

    def decode(self, outputs: Tensor) -> pd.DataFrame:
        """Logits ``(N, classes)`` as the most probable class and the probability of each."""
        probabilities = outputs.softmax(dim=-1)
        best = [self.classes[i] for i in probabilities.argmax(dim=-1).tolist()]
        columns = {f"probability_{c}": probabilities[:, i].numpy() for i, c in enumerate(self.classes)}
        return pd.DataFrame({self.name: best, **columns})


class NumberTarget(Strict):
    """A number, standardised by the training part's mean and standard deviation."""

    task: Literal["regression"] = "regression"
    name: str
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)

    @property
    def outputs(self) -> int:
        """Outputs of the network."""
        return 1

    @property
    def score(self) -> str:
        """What the network is scored by."""
        return "r2"

    def encode(self, target: pd.Series) -> Tensor:
        """Standardised values, ``(N,)``."""
        values = (column_numbers(target, self.name) - self.mean) / self.std
        return torch.as_tensor(values, dtype=torch.float32)

    def decode(self, outputs: Tensor) -> pd.DataFrame:
        """Network outputs ``(N, 1)`` in the target's own unit."""
        return pd.DataFrame({self.name: outputs[:, 0].double().numpy() * self.std + self.mean})


TargetSchema = Annotated[ClassTarget | NumberTarget, Field(discriminator="task")]


def fit_target(target: pd.Series, task: Task) -> ClassTarget | NumberTarget:
    """The target's schema, from the training part."""
    name = str(target.name)
    if task == "regression":
        values = column_numbers(target, name)
        return NumberTarget(name=name, mean=float(values.mean()), std=float(values.std()) or 1.0)
    classes = sorted(set(plain_values(target)), key=lambda c: (isinstance(c, str), c))
    return ClassTarget(name=name, classes=classes)


# The features.


class NumericColumn(Strict):
    """A column of numbers, with what standardises it."""

    name: str
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)


class CategoricalColumn(Strict):
    """A column of categories; code 0 is missing or unknown."""

    name: str
    categories: list[str] = Field(min_length=1)


class FeatureSchema(Strict):
    """Each column is a feature of its own; a row becomes ``(features,)``, numbers first."""

    layout: Literal["features"] = "features"
    numeric: list[NumericColumn]
    categorical: list[CategoricalColumn]

    @property
    def labels(self) -> list[str]:
        """Names of the rows that ``X`` has in the network."""
        return [c.name for c in self.numeric] + [c.name for c in self.categorical]

    @property
    def vocabulary(self) -> int:
        """Category codes of all columns together, each column's code for missing or unknown included."""
        return sum(len(c.categories) + 1 for c in self.categorical)

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Standardised numbers (``nan`` where missing), then category codes: ``(N, features)``.

        Each categorical column has its own range of codes; the first is 'missing or unknown'.
        """
        require_columns(frame, self.labels)
        columns = [(column_numbers(frame[c.name], c.name) - c.mean) / c.std for c in self.numeric]
        offset = 1
        for c in self.categorical:
            found = pd.Index(c.categories).get_indexer(pd.Index(category_words(frame[c.name])))
            columns.append((found + offset).astype(float))
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

    @property
    def labels(self) -> list[str]:
        """Names of the rows that ``X`` has in the network."""
        return [f"row {i}" for i in range(self.rows)]

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Standardised entries, 0 where missing: ``(N, rows, columns)``."""
        require_columns(frame, self.names)
        values = np.stack([column_numbers(frame[name], name) for name in self.names], axis=1)
        scaled = np.nan_to_num((values - self.mean) / self.std, nan=0.0)
        return torch.as_tensor(scaled, dtype=torch.float32).reshape(-1, self.rows, self.columns)


InputSchema = Annotated[FeatureSchema | GridSchema, Field(discriminator="layout")]


def fit_grid(features: pd.DataFrame, rows: int, columns: int) -> GridSchema:
    """The schema of a table whose rows are ``rows x columns`` matrices, from the training part."""
    values = np.stack([column_numbers(features[name], name) for name in features], axis=1)
    std = float(np.nanstd(values)) or 1.0
    names = list(features.columns)
    return GridSchema(names=names, rows=rows, columns=columns, mean=float(np.nanmean(values)), std=std)


def fit_features(features: pd.DataFrame) -> FeatureSchema:
    """The schema of a table with a feature per column, from the training part.

    A column with one value in the training part tells nothing and is left out.

    Raises:
        InputError: a column holds free text, or something that is neither number nor text, or no
            column varies.
    """
    numeric, categorical = [], []
    for name in features:
        column = missing_words_to_nan(features[name])
        if is_text(column):
            words = category_words(column)
            categories = sorted({word for word in words if word is not None})
            if len(categories) > max(2, sum(word is not None for word in words) / 2):
                raise InputError(
                    f"column {name!r} must hold numbers or categories, got text: {len(categories)} distinct "
                    f"values in {len(words)} rows; leave it out with --drop {name!r}"
                )
            if len(set(words)) > 1:
                categorical.append(CategoricalColumn(name=str(name), categories=categories))
            continue
        values = column_numbers(column, str(name))
        if np.isnan(values).all() or len(np.unique(values)) < 2:
            continue
        std = float(np.nanstd(values)) or 1.0
        numeric.append(NumericColumn(name=str(name), mean=float(np.nanmean(values)), std=std))
    if not numeric and not categorical:
        raise InputError(f"a feature must vary, got one value in each of: {', '.join(map(str, features))}")
    return FeatureSchema(numeric=numeric, categorical=categorical)
