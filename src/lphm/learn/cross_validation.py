"""Cross-validation, whose folds are kept so that it can be resumed."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median_low, pstdev

from pydantic import ValidationError

from lphm._io import read_json, write_json
from lphm.data.dataset import Dataset, check_target, fit_inputs, infer_task
from lphm.data.progress import Progress
from lphm.data.splits import folds
from lphm.data.targets import Strict, Task
from lphm.errors import InputError
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import first_problem
from lphm.learn.training import learn
from lphm.nn.network import interdependence_parameters

RESULTS, CHECKPOINTS = "cross_validation.json", "checkpoints"


@dataclass(frozen=True)
class CrossValidation:
    """Scores of one network over the folds."""

    name: str  # of the variant
    score_name: str  # "accuracy" or "r2"
    scores: list[float]  # of every fold, on the samples that it was not trained on
    losses: list[float]  # of the same samples, as Evaluation.loss
    interdependence_parameters: int  # of one network
    seconds: list[float]  # of every training
    mean: float  # of the scores
    spread: float  # their standard deviation

    @property
    def typical_seconds(self) -> float:
        """The median, and of two the smaller, because the first training of a process also loads code."""
        return median_low(self.seconds)


class FoldResult(Strict):
    """The result of one fold, as ``cross_validation.json`` holds it."""

    score: float
    score_name: str
    loss: float
    interdependence_parameters: int
    seconds: float


def cross_validate(
    data: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    k: int,
    task: Task | None = None,
    *,
    name: str = "",
    progress: Progress | None = None,
    folder: Path | None = None,
) -> CrossValidation:
    """For each fold, train on all other folds and score on this one.

    The seed decides the folds, too. ``name`` is that of the variant. ``folder`` keeps the results: a fold
    that is done is not trained again, and one that was begun is resumed.

    Raises:
        InputError: the data cannot be learned from, a class has fewer samples than there are folds, or the
            results in ``folder`` are damaged.
    """
    task = task or infer_task(data.target)
    check_target(data.target, task)
    done = {} if folder is None else _read(folder / RESULTS)
    results: list[FoldResult] = []
    parts = list(folds(data, task, k, training.seed))
    for train_rows, _ in parts:
        fit_inputs(data.take(train_rows))  # raises now, not after the training of other folds
    for number, (train_rows, test_rows) in enumerate(parts, start=1):
        key = f"{name or 'fold'} {number}"
        if key not in done:
            checkpoints = None if folder is None else folder / CHECKPOINTS / key.replace(" ", "-")
            part = data.take(train_rows)
            trained = learn(
                part, network, training, task, progress=progress, folder=checkpoints, resume=True, name=key
            )
            evaluation = evaluate(trained.run, data.take(test_rows), interdependence=False)
            done[key] = FoldResult(
                score=evaluation.score,
                score_name=evaluation.score_name,
                loss=evaluation.loss,
                interdependence_parameters=interdependence_parameters(trained.run.network),
                seconds=round(trained.seconds, 2),
            )
            if folder is not None:
                write_json(folder / RESULTS, {name: result.model_dump() for name, result in done.items()})
                shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        results.append(done[key])
    if folder is not None:  # of a process that was killed after the last result
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    scores = [result.score for result in results]
    losses = [result.loss for result in results]
    seconds = [result.seconds for result in results]
    score_name, number = results[0].score_name, results[0].interdependence_parameters
    return CrossValidation(name, score_name, scores, losses, number, seconds, fmean(scores), pstdev(scores))


def _read(file: Path) -> dict[str, FoldResult]:
    """The results of the folds that are done."""
    try:
        content = read_json(file) if file.exists() else {}
        return {key: FoldResult.model_validate(result) for key, result in content.items()}
    except ValidationError as error:
        problem = first_problem(error)
        raise InputError(
            f"{file} must hold the results of folds, got at {problem}; delete the file"
        ) from error
