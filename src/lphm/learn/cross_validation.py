"""Cross-validation, and the comparison that says whether interdependence helps here and what it costs."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from rich.console import Console

from lphm._io import write_json
from lphm.data.dataset import Dataset, check_target, folds, infer_task
from lphm.data.targets import Task
from lphm.errors import InputError
from lphm.learn.evaluation import Evaluation, evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import learn
from lphm.nn.network import interdependence_parameters

RESULTS, CHECKPOINTS = "cross_validation.json", "checkpoints"


@dataclass(frozen=True)
class CrossValidation:
    """Scores of one network over the folds.

    Args:
        name: of the variant.
        score_name: "accuracy" or "r2".
        scores: of every fold, on the samples that it did not train on.
        interdependence_parameters: of one network.
        seconds: of every training.
    """

    name: str
    score_name: str
    scores: list[float]
    interdependence_parameters: int
    seconds: list[float]

    @property
    def mean(self) -> float:
        """Mean score."""
        return fmean(self.scores)

    @property
    def spread(self) -> float:
        """Standard deviation of the scores over the folds."""
        return pstdev(self.scores)


def variants(network: NetworkOptions) -> dict[str, NetworkOptions]:
    """The same network without interdependence, with Full, with LowRank and with LPHM."""
    sized = {"low-rank": replace(network, p=None, q=None), "lphm": network}
    free = replace(network, p=None, q=None, r=None, budget=None)
    return {
        "none": replace(free, kind="none"),
        "full": replace(free, structure="full"),
        "low-rank": replace(sized["low-rank"], structure="low-rank"),
        "lphm": replace(sized["lphm"], structure="lphm"),
    }


def cross_validate(
    data: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    k: int,
    task: Task | None = None,
    *,
    name: str = "",
    console: Console | None = None,
    folder: Path | None = None,
) -> CrossValidation:
    """Train on all folds but one and score on that one, for each.

    Args:
        data: samples and target.
        network: choices about the network.
        training: choices about the training; the seed decides the folds, too.
        k: number of folds.
        task: decided from the target if not given.
        name: of the variant, in the result and before the progress bar.
        console: where the progress bars go.
        folder: holds the results so far: a fold that is there is not trained again, one begun goes on.

    Raises:
        InputError: the data cannot be learned from, or a class has fewer samples than there are folds.
    """
    task = task or infer_task(data.target)
    check_target(data.target, task)
    done = _read(folder)
    found: list[dict[str, Any]] = []
    for number, (train_rows, test_rows) in enumerate(folds(data, task, k, training.seed), start=1):
        key = f"{name or 'fold'} {number}"
        if key not in done:
            done[key] = _one(
                data.take(train_rows), data.take(test_rows), network, training, task, key, console, folder
            )
            if folder is not None:
                write_json(folder / RESULTS, done)
                shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # of the fold that is done
        found.append(done[key])
    return CrossValidation(
        name,
        found[0]["score_name"],
        [one["score"] for one in found],
        found[0]["interdependence_parameters"],
        [one["seconds"] for one in found],
    )


def _one(
    train: Dataset,
    test: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    task: Task,
    what: str,
    console: Console | None,
    folder: Path | None,
) -> dict[str, Any]:
    own = None if folder is None else folder / CHECKPOINTS / what.replace(" ", "-")
    trained = learn(train, network, training, task, console=console, folder=own, resume=True, what=what)
    result: Evaluation = evaluate(trained.run, test, interdependence=False)
    return {
        "score": result.score,
        "score_name": result.score_name,
        "interdependence_parameters": interdependence_parameters(trained.run.network),
        "seconds": round(trained.seconds, 2),
    }


def _read(folder: Path | None) -> dict[str, dict[str, Any]]:
    if folder is None or not (folder / RESULTS).is_file():
        return {}
    try:
        done: dict[str, dict[str, Any]] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / RESULTS} must be JSON, got: {error}; remove it") from error
    return done


def compare(
    data: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    k: int,
    task: Task | None = None,
    *,
    console: Console | None = None,
    folder: Path | None = None,
) -> list[CrossValidation]:
    """Cross-validate ``variants(network)`` under the same seed and folds; arguments as there."""
    rows = [
        cross_validate(data, options, training, k, task, name=name, console=console, folder=folder)
        for name, options in variants(network).items()
    ]
    if folder is not None:
        table = [asdict(row) | {"mean": row.mean, "spread": row.spread} for row in rows]
        write_json(folder / "comparison.json", {"folds": k, "seed": training.seed, "table": table})
    return rows
