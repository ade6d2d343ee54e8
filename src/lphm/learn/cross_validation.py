"""Cross-validation, whose folds are kept so that it can be resumed."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median_low, pstdev

from pydantic import ValidationError

from lphm._io import read_json, write_json
from lphm.data.dataset import Dataset, check_target, fit_inputs, infer_task
from lphm.data.progress import Progress, no_progress
from lphm.data.splits import folds
from lphm.data.targets import Strict, Task, fit_target
from lphm.errors import InputError
from lphm.learn.defaults import configure
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import first_problem
from lphm.learn.training import Trained, learn
from lphm.nn.network import interdependence_parameters

RESULTS, CHECKPOINTS = "cross_validation.json", "checkpoints"
#: Units of progress of one training.
PARTS = 1000


@dataclass(frozen=True)
class CrossValidation:
    """Scores of one network over the folds."""

    name: str  # of the variant
    score_name: str  # "accuracy" or "r2"
    scores: list[float]  # of every fold, on the samples that it was not trained on
    losses: list[float]  # of the same samples, as Evaluation.loss
    details: dict[str, list[float]]  # by name, of the same samples, as Evaluation.details
    interdependence_parameters: int  # of one network
    seconds: list[float]  # of every training
    cpu_seconds: list[float]  # of every training
    mean: float  # of the scores
    spread: float  # their standard deviation

    @property
    def typical_seconds(self) -> float:
        """The median, and of two the smaller, because the first training of a process also loads code."""
        return median_low(self.seconds)

    @property
    def typical_cpu_seconds(self) -> float:
        """Likewise of the CPU seconds, which other programs hardly change."""
        return median_low(self.cpu_seconds)


class FoldResult(Strict):
    """The result of one fold, as ``cross_validation.json`` holds it."""

    score: float
    score_name: str
    loss: float
    details: dict[str, float]
    interdependence_parameters: int
    seconds: float
    cpu_seconds: float


def cross_validate(
    data: Dataset,
    network: NetworkOptions,
    training: TrainingOptions,
    k: int,
    task: Task | None = None,
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> CrossValidation:
    """``cross_validate_each`` of one network, which has no name."""
    each = cross_validate_each(data, {"": network}, training, k, task, progress=progress, folder=folder)
    return each[""]


def cross_validate_each(
    data: Dataset,
    networks: Mapping[str, NetworkOptions],
    training: TrainingOptions,
    k: int,
    task: Task | None = None,
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> dict[str, CrossValidation]:
    """For each fold and each network, by name, train on all other folds and score on this one.

    The seed decides the folds, too. All networks are trained on one fold before the next, and ``progress``
    is told of one task, so that the time which one fold took tells the time that is left. ``folder`` keeps
    the results: a fold that is done is not trained again, and one that was begun is resumed.

    Raises:
        InputError: the data cannot be learned from, a network cannot be built, a class has fewer samples
            than there are folds, or the results in ``folder`` are damaged.
    """
    task = task or infer_task(data.target)
    check_target(data.target, task)
    done = {} if folder is None else _read(folder / RESULTS)
    parts = list(folds(data, task, k, training.seed))
    for train_rows, _ in parts:  # raises now, not after the training of other folds
        part = data.take(train_rows)
        schemas = fit_inputs(part), fit_target(part.target, task)
        for network in networks.values():
            configure(data.name, *schemas, len(part), network, training)
    trainings = [(fold, name) for fold in range(k) for name in networks]
    for number, (fold, name) in enumerate(trainings):
        key = _key(name, fold)
        if key in done:
            continue
        train_rows, test_rows = parts[fold]
        label = ", ".join(filter(None, (f"fold {fold + 1} of {k}", name)))
        part_of_all = _part(progress or no_progress, label, number, len(trainings))
        trained = learn(
            data.take(train_rows),
            networks[name],
            training,
            task,
            progress=part_of_all,
            folder=None if folder is None else folder / CHECKPOINTS / key.replace(" ", "-"),
            resume=True,
        )
        done[key] = _scored(trained, data.take(test_rows))
        part_of_all("", 1, 1)  # early stopping may have left some
        if folder is not None:
            write_json(folder / RESULTS, {name: result.model_dump() for name, result in done.items()})
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    if folder is not None:  # of a process that was killed after the last result
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return {name: _summarized(name, [done[_key(name, fold)] for fold in range(k)]) for name in networks}


def _key(name: str, fold: int) -> str:
    return f"{name or 'fold'} {fold + 1}"


def _part(progress: Progress, label: str, number: int, trainings: int) -> Progress:
    """The progress of one training, as a part of that of all; ``label`` says which it is."""
    return lambda _task, done, total, status="": progress(
        f"{trainings} trainings",
        PARTS * number + round(PARTS * done / total),
        PARTS * trainings,
        ", ".join(filter(None, (label, status.split("  ")[0]))),  # the epoch, without the loss
    )


def _scored(trained: Trained, test: Dataset) -> FoldResult:
    evaluation = evaluate(trained.run, test, interdependence=False)
    return FoldResult(
        score=evaluation.score,
        score_name=evaluation.score_name,
        loss=evaluation.loss,
        details=dict(evaluation.details),
        interdependence_parameters=interdependence_parameters(trained.run.network),
        seconds=round(trained.seconds, 2),
        cpu_seconds=round(trained.cpu_seconds, 2),
    )


def _summarized(name: str, results: list[FoldResult]) -> CrossValidation:
    scores = [result.score for result in results]
    return CrossValidation(
        name=name,
        score_name=results[0].score_name,
        scores=scores,
        losses=[result.loss for result in results],
        details={detail: [result.details[detail] for result in results] for detail in results[0].details},
        interdependence_parameters=results[0].interdependence_parameters,
        seconds=[result.seconds for result in results],
        cpu_seconds=[result.cpu_seconds for result in results],
        mean=fmean(scores),
        spread=pstdev(scores),
    )


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
