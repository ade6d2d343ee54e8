"""What a network answers: classes or a number, from a column to a tensor and back."""

from typing import Annotated, Literal

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from lphm.data.columns import column_numbers, plain_values
from lphm.errors import InputError

Task = Literal["classification", "regression"]


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
