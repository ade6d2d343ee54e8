"""The scores of a run on data whose target is known: in memory, or a directory of Parquet files."""

from pathlib import Path

import pandas as pd

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
    """Score, loss and number of the samples that have a target, each of which counts once.

    Raises:
        InputError: the samples are not like those of the training, or none has a target.
    """
    target, path, unknown = run.config.target, Path(source), UnknownCategories()
    losses, scores, truth = Moments(), Moments(), Moments()

    def add(samples: Inputs, labels: pd.Series) -> None:
        if not len(labels):
            return
        watched = shifted(progress, samples.before, samples.total) if samples.total else progress
        outputs, y = run.outputs(samples.samples, watched), target.encode(labels)
        unknown.add(samples.samples, run.config.input)
        for moments, value in ((losses, target.loss(outputs, y)), (scores, target.score(outputs, y))):
            moments.merge(Moments(len(y), value.item()))
        truth.merge(Moments.of(y.double().numpy()))

    def add_rows(inputs: Inputs) -> None:
        assert isinstance(inputs.samples, pd.DataFrame)
        frame = inputs.samples[target.known(inputs.samples[target.name])]
        add(Inputs(frame, inputs.beside, inputs.before, inputs.total), frame[target.name])

    if path.is_dir():
        for _ in map_directory(path, run.config.input, add_rows, target=target):
            pass
        if not losses.count:
            message = f"rows in which {target.name!r} is not missing"
            raise InputError(f"{path.name} must have {message}, got none")
    else:
        data = read_test(source, run.config.input, target)
        add(Inputs(data.inputs, pd.DataFrame()), data.target)
    value = scores.mean
    if not isinstance(target, ClassTarget) and path.is_dir():  # R² of all rows is not the mean of the parts
        value = 1 - losses.mean / truth.std**2 if truth.std else float(losses.mean == 0)
    return {target.score_name: value, "loss": losses.mean, "samples": losses.count}, unknown
