"""What a report is made from: the files of a run folder, read and checked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lphm.data.targets import ClassTarget
from lphm.errors import InputError
from lphm.learn.evaluation import Evaluation
from lphm.learn.run import Run, load_run


@dataclass(frozen=True)
class Sources:
    """A run and what else its folder says; None for a file that is not there."""

    run: Run
    metrics: dict[str, Any] | None
    evaluation: Evaluation | None
    summary: dict[str, Any] | None

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes, as predictions hold them; None for regression."""
        target = self.run.config.target
        return [str(c) for c in target.classes] if isinstance(target, ClassTarget) else None


def read_sources(folder: Path) -> Sources:
    """Read a run folder; only the configuration and the weights must be there.

    Raises:
        InputError: a file that is there, or one that must be, cannot be read or does not fit the others.
    """
    run = load_run(folder)
    there = all((folder / name).exists() for name in ("predictions.csv", "interdependence.npz"))
    evaluation = Evaluation.load(folder) if there else None
    sources = Sources(run, _json(folder / "metrics.json"), evaluation, _json(folder / "summary.json"))
    if evaluation is not None:
        _check_fit(sources, evaluation, folder)
    return sources


def _json(path: Path) -> dict[str, Any] | None:
    """What a JSON file holds; None if there is none."""
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a JSON file, got: {error}; train the run again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold an object, got {type(content).__name__}; train the run again")
    return content


def _check_fit(sources: Sources, evaluation: Evaluation, folder: Path) -> None:
    """Raise ``InputError`` unless the predictions are of this run's classes."""
    frame, classes = evaluation.predictions, sources.classes
    got = list(frame.columns[3:])
    must = [] if classes is None else [f"probability_{c}" for c in classes]
    unknown = set() if classes is None else {*frame.iloc[:, 1], *frame.iloc[:, 2]} - set(classes)
    if got != must or unknown:
        what = f"the columns {got}" if got != must else f"the class {min(unknown)!r}"
        raise InputError(
            f"{folder / 'predictions.csv'} must hold the classes of config.json, got {what}; "
            "evaluate the run again"
        )
