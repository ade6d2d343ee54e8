"""The scores of a run on data whose target is known: in memory, or a directory of Parquet files."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lphm.data.inputs import Inputs, map_directory
from lphm.data.progress import Progress, shifted
from lphm.data.readers import read_test
from lphm.data.statistics import Moments
from lphm.data.targets import ClassTarget
from lphm.data.unknown import UnknownCategories
from lphm.errors import InputError
from lphm.learn.run import Run


def score(
    run: Run, source: str, progress: Progress | None = None
) -> tuple[dict[str, float], UnknownCategories]:
    """Score, loss, what stands beside them, and number of the samples with a target, each counted once.

    Raises:
        InputError: the samples are not like those of the training, or none has a target.
    """
    target, path, unknown, sums = run.config.target, Path(source), UnknownCategories(), _Sums(run)

    def add(samples: Inputs, labels: pd.Series) -> None:
        if len(labels):
            watched = shifted(progress, samples.before, samples.total) if samples.total else progress
            sums.add(run.outputs(samples.samples, watched), target.encode(labels))
            unknown.add(samples.samples, run.config.input)

    def add_rows(inputs: Inputs) -> None:
        assert isinstance(inputs.samples, pd.DataFrame)
        labels = target.read(inputs.samples[target.name])
        known = target.known(labels)
        add(Inputs(inputs.samples[known], inputs.beside, inputs.before, inputs.total), labels[known])

    if path.is_dir():
        for _ in map_directory(path, run.config.input, add_rows, target=target):
            pass
        if not sums.rows:
            message = f"rows in which {target.name!r} is not missing"
            raise InputError(f"{path.name} must have {message}, got none")
    else:
        data = read_test(source, run.config.input, target)
        add(Inputs(data.inputs, pd.DataFrame()), data.target)
    return sums.scores() | {"samples": sums.rows}, unknown


class _Sums:
    """Means over parts of the samples, of which no more than one is in memory."""

    def __init__(self, run: Run) -> None:
        self.target = run.config.target
        self.means = {name: Moments() for name in (self.target.score_name, "loss", "mae", "mse")}
        self.truth = Moments()
        self.classes = torch.zeros(self.target.outputs, dtype=torch.int64)

    @property
    def rows(self) -> int:
        """Samples so far."""
        return self.truth.count

    def add(self, outputs: Tensor, y: Tensor) -> None:
        """Take a part."""
        values = {self.target.score_name: self.target.score(outputs, y).item()}
        values["loss"] = self.target.loss(outputs, y).item()
        if isinstance(self.target, ClassTarget):
            self.classes += torch.bincount(y, minlength=len(self.classes))
        else:
            details = self.target.details(outputs, y)
            values |= {"mae": details["mae"], "mse": details["rmse"] ** 2}
        for name, value in values.items():
            self.means[name].merge(Moments(len(y), value))
        self.truth.merge(Moments.of(y.double().numpy()))

    def scores(self) -> dict[str, float]:
        """Of all samples together."""
        loss, score = self.means["loss"].mean, self.means[self.target.score_name].mean
        if isinstance(self.target, ClassTarget):
            baseline = float(self.classes.max()) / self.rows
            return {self.target.score_name: score, "loss": loss, "baseline": baseline}
        # R² of all rows is not the mean of that of the parts.
        r2 = 1 - loss / self.truth.std**2 if self.truth.std else float(loss == 0)
        return {"r2": r2, "loss": loss, "mae": self.means["mae"].mean, "rmse": self.means["mse"].mean ** 0.5}
