"""The files of a run folder that the report is made from, read and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lphm._io import read_json
from lphm.data.targets import ClassTarget
from lphm.errors import InputError
from lphm.learn.evaluation import Evaluation
from lphm.learn.run import Run, load_run


@dataclass(frozen=True)
class Sources:
    """The run and the other files of its folder; of a file that is missing, None or no metrics."""

    run: Run
    metrics: dict[str, Any]
    evaluation: Evaluation | None
    summary: dict[str, Any] | None

    @property
    def target(self) -> str:
        """Name of the target."""
        return self.run.config.target.name

    @property
    def score(self) -> str:
        """Name of the score in ``metrics.json``: ``"accuracy"`` or ``"r2"``."""
        return self.run.config.target.score_name

    @property
    def score_label(self) -> str:
        """The score as it is written: ``"accuracy"`` or ``"R²"``."""
        return "R²" if self.score == "r2" else self.score

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes as in ``predictions.csv``; None for regression."""
        target = self.run.config.target
        return [str(c) for c in target.classes] if isinstance(target, ClassTarget) else None


def read_sources(folder: Path) -> Sources:
    """Read a run folder; only the configuration and the weights are required.

    Raises:
        InputError: a file cannot be read or does not match the other files, or a required one is missing.
    """
    run = load_run(folder)
    evaluated = all((folder / name).exists() for name in ("predictions.csv", "interdependence.npz"))
    metrics, summary = (
        read_json(folder / name) if (folder / name).exists() else None
        for name in ("metrics.json", "summary.json")
    )
    sources = Sources(run, metrics or {}, Evaluation.load(folder) if evaluated else None, summary)
    problem = None if sources.evaluation is None else _mismatch(sources.evaluation, sources.classes or [])
    if problem:
        raise InputError(
            f"{folder / 'predictions.csv'} must hold the classes of config.json, got {problem}; "
            "evaluate the run again"
        )
    return sources


def _mismatch(evaluation: Evaluation, classes: list[str]) -> str | None:
    """What the predictions hold that does not belong to the classes of the configuration."""
    frame = evaluation.predictions
    columns = list(frame.columns[3:])
    if columns != [f"probability_{c}" for c in classes]:
        return f"the columns {columns}"
    unknown = {*frame.iloc[:, 1], *frame.iloc[:, 2]} - set(classes) if classes else None
    return f"the class {min(unknown)!r}" if unknown else None
