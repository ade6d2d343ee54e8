"""What a network predicts, classes or a number: from a column to a tensor and back, its losses, its score.

``outputs`` ``(N, members, k)`` are those of networks that are trained side by side, ``combined`` ``(N, k)``
those of the ensemble. ``weight`` ``(N,)`` says how much each sample counts; 1 if not given.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from lphm.data.columns import MISSING_WORDS, check_distance, column_numbers, plain_values
from lphm.data.conversions import NumberConversion, NumberFormat
from lphm.data.words import TRUTH, word
from lphm.errors import InputError

Task = Literal["classification", "regression"]


class Strict(BaseModel):
    """A frozen model that accepts no field it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Target(Strict, ABC):
    """What classes and numbers share."""

    task: str
    name: str

    @property
    def unit(self) -> str:
        """The currency or unit that cells of a number have; "" if none is known."""
        return ""

    def training_loss(self, outputs: Tensor, y: Tensor, weight: Tensor, smoothing: float = 0.0) -> Tensor:
        """Sum of the members' losses, so that each member is trained as if it were alone.

        ``weight`` may be ``(N, members)``: how much each sample counts for each of them. ``smoothing`` is
        that of the labels.
        """
        members = outputs.shape[1]
        losses = self._losses(outputs.flatten(0, 1), y.repeat_interleave(members), smoothing)
        each = weight.view(len(weight), -1).expand(-1, members)
        return members * _mean(losses, each.flatten())

    def combine(self, outputs: Tensor) -> Tensor:
        """The mean of the members: of numbers, or of logits, which is a product of their probabilities.

        It is as accurate as the mean of the probabilities, and nearer to the confidence of each member, for
        which the outputs are scaled (logarithmic pooling: Heskes, 1998, NeurIPS).
        """
        return outputs.mean(dim=1)

    def loss(
        self, combined: Tensor, y: Tensor, weight: Tensor | None = None, smoothing: float = 0.0
    ) -> Tensor:
        """Cross entropy, of labels that are smoothed, or mean squared error of the standardised target."""
        return _mean(self._losses(combined, y, smoothing), weight)

    @abstractmethod
    def details(self, combined: Tensor, y: Tensor, weight: Tensor | None = None) -> dict[str, float]:
        """What stands beside the score: "baseline" of classes; "mae" and "rmse" of numbers, in their unit."""

    def read(self, target: pd.Series) -> pd.Series:
        """The cells of a file as they are at training."""
        return target

    @abstractmethod
    def known(self, target: pd.Series) -> np.ndarray:
        """Which cells are not missing."""

    @abstractmethod
    def _losses(self, outputs: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of every sample."""


class ClassTarget(_Target):
    """Classes, in the order of the network's ``outputs``."""

    task: Literal["classification"] = "classification"
    classes: list[bool | int | float | str] = Field(min_length=2)
    score_name: ClassVar[str] = "accuracy"

    @property
    def outputs(self) -> int:
        """Outputs of the network."""
        return len(self.classes)

    @property
    def are_words(self) -> bool:
        """Whether a class is a word."""
        return any(isinstance(c, str) for c in self.classes)

    def known(self, target: pd.Series) -> np.ndarray:
        """Which cells are not missing; a word such as 'NA' is missing where the classes are no words."""
        present: np.ndarray = target.notna().to_numpy(dtype=bool, copy=True)
        if not self.are_words:
            present &= [word(cell).strip().lower() not in MISSING_WORDS for cell in target]
        return present

    def encode(self, target: pd.Series) -> Tensor:
        """Class numbers, ``(N,)``: of a cell that is a class, or the text of one as a file has it."""
        by_value: dict[Any, int] = {c: i for i, c in enumerate(self.classes)}
        by_word = {word(c): i for i, c in enumerate(self.classes)}
        places: dict[Any, int] = {}
        for cell in dict.fromkeys(plain_values(target)):
            place = by_value.get(cell, by_word.get(word(cell)))
            if place is None and not self.are_words:
                place = by_value.get(_number(word(cell)))
            if place is None:
                raise InputError(f"{self.name!r} must be one of the classes {self.classes}, got {cell!r}")
            places[cell] = place
        return torch.as_tensor([places[cell] for cell in plain_values(target)], dtype=torch.int64)

    def decode(self, combined: Tensor) -> pd.DataFrame:
        """The most probable class and the probability of each, from logits ``(N, classes)``.

        The columns are the target and ``probability_CLASS``; a target of such a name gets ``_`` behind it.
        """
        probabilities = combined.softmax(dim=-1)
        best = [self.classes[i] for i in probabilities.argmax(dim=-1).tolist()]
        columns = {f"probability_{c}": probabilities[:, i].numpy() for i, c in enumerate(self.classes)}
        return pd.DataFrame({free_name(self.name, columns): best, **columns})

    def score(self, combined: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """Accuracy: the share of samples whose most probable class is right."""
        return _mean((combined.argmax(dim=-1) == y).float(), weight)

    def details(self, combined: Tensor, y: Tensor, weight: Tensor | None = None) -> dict[str, float]:
        """What always predicting the most frequent class of these samples gets: ``{"baseline": share}``."""
        most_frequent = torch.bincount(y, weight, minlength=combined.shape[1]).argmax()
        return {"baseline": _mean((y == most_frequent).float(), weight).item()}

    def _losses(self, outputs: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(outputs, y, label_smoothing=smoothing, reduction="none")


class NumberTarget(_Target):
    """A number, standardised by the mean and standard deviation of the training part."""

    task: Literal["regression"] = "regression"
    mean: float = Field(allow_inf_nan=False)
    std: float = Field(gt=0, allow_inf_nan=False)
    conversion: NumberConversion | None = None  # of cells that are written for people
    score_name: ClassVar[str] = "r2"
    outputs: ClassVar[int] = 1

    def known(self, target: pd.Series) -> np.ndarray:
        """Which cells are not missing."""
        missing: np.ndarray = np.isnan(column_numbers(target, self.name))
        return ~missing

    def read(self, target: pd.Series) -> pd.Series:
        """Cells that are written for people as numbers."""
        return target if self.conversion is None else self.conversion.column(target)

    @property
    def unit(self) -> str:
        """The currency or unit that cells have; "" if none is known."""
        return self.conversion.sign if isinstance(self.conversion, NumberFormat) else ""

    def encode(self, target: pd.Series) -> Tensor:
        """Standardised values, ``(N,)``."""
        numbers = column_numbers(target, self.name)
        check_distance(self.name, numbers, self.mean, self.std, target.index)
        values = (numbers - self.mean) / self.std
        return torch.as_tensor(values, dtype=torch.float32)

    def decode(self, combined: Tensor) -> pd.DataFrame:
        """Network outputs ``(N, 1)`` in the target's own unit."""
        return pd.DataFrame({self.name: combined[:, 0].double().numpy() * self.std + self.mean})

    def score(self, combined: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """R²: predicting the mean scores 0, a perfect model 1; where the truth does not vary, 1 or 0."""
        error = _mean((combined[:, 0] - y).square(), weight)
        spread = _mean((y - _mean(y, weight)).square(), weight)
        return 1 - error / spread if spread > 0 else (error == 0).to(error.dtype)

    def details(self, combined: Tensor, y: Tensor, weight: Tensor | None = None) -> dict[str, float]:
        """Mean absolute error and root mean squared error in the target's own unit."""
        errors = self.std * (combined[:, 0] - y).double()
        return {
            "mae": _mean(errors.abs(), weight).item(),
            "rmse": _mean(errors.square(), weight).sqrt().item(),
        }

    def _losses(self, outputs: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:  # noqa: ARG002
        return (outputs[:, 0] - y).square()


TargetSchema = Annotated[ClassTarget | NumberTarget, Field(discriminator="task")]


def free_name(name: str, taken: Collection[str]) -> str:
    """``name``, with as many ``_`` behind it as make it none of those that are taken."""
    while name in taken:
        name += "_"
    return name


def sorted_classes(values: set[bool | int | float | str]) -> list[bool | int | float | str]:
    """Numbers in their order, then text."""
    return sorted(values, key=lambda c: (isinstance(c, str), c))


def fit_target(
    target: pd.Series, task: Task, conversion: NumberConversion | None = None
) -> ClassTarget | NumberTarget:
    """The target's schema, from the training part, whose numbers ``conversion`` made if it is given."""
    name = str(target.name)
    if task == "regression":
        values = column_numbers(target, name)
        mean, std = float(values.mean()), float(values.std()) or 1.0
        return NumberTarget(name=name, mean=mean, std=std, conversion=conversion)
    return ClassTarget(name=name, classes=sorted_classes(set(plain_values(target))))


def _number(text: str) -> float | None:
    """The number that a text means; None if it means none."""
    text = text.strip().lower()
    try:
        return TRUTH[text] if text in TRUTH else float(text)
    except ValueError:
        return None


def _mean(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.mean()
    return (values * weight).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)
