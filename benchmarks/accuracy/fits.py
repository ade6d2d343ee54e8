"""Every model on every fold of every set, with one thread; one line of CSV for each fit.

What is in the CSV file already is not run again. Sets and models whose package is not installed are left out,
and a line on standard error says how to install it.
"""

import argparse
import csv
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.accuracy.scores import class_scores, regression_scores
from benchmarks.fitting import read_option
from benchmarks.peers import AbsentError, load
from benchmarks.settings import commit

Line = dict[str, float]
#: ``score`` is the accuracy or R². Seconds are CPU seconds of the whole process.
SCORES = ("score", "logloss", "auc", "calibration_error", "overconfidence", "mae")
SECONDS = ("fit_cpu", "predict_cpu")
FIELDS = ("set", "model", "seed", "fold", *SCORES, *SECONDS, "version")
#: The library's variants, and the arguments of its estimators.
OURS: dict[str, dict[str, Any]] = {
    "lphm": {},
    "full": {"structure": "full"},
    "low-rank": {"structure": "low-rank"},
    "none": {"kind": "none"},
}
#: Rows of a class, or of a regression, that a model is fitted on before it is timed.
WARM_UP_ROWS = 20


@dataclass(frozen=True)
class Problem:
    """A data set and its folds: the indices of their training and test rows."""

    X: Any  # a frame, or series (N, channels, steps)
    y: np.ndarray  # numbers, or classes as 0, …, k - 1
    regression: bool
    folds: list[tuple[np.ndarray, np.ndarray]]

    def part(self, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        """The inputs and the target of some rows."""
        return (self.X[rows] if isinstance(self.X, np.ndarray) else self.X.iloc[rows]), self.y[rows]


@dataclass(frozen=True)
class Model:
    """An estimator and the package that it comes from."""

    build: Callable[[Any, bool, int], Any]  # training inputs, whether it is a regression, seed
    package: str = "sklearn"
    seeded: bool = True  # otherwise the first seed is enough
    probabilities: bool = True


@dataclass(frozen=True)
class Suite:
    """The sets and models of one command."""

    name: str
    development: dict[str, Callable[[], Problem]]
    reporting: dict[str, Callable[[], Problem]]
    peers: dict[str, Model]
    ours: Callable[[dict[str, Any]], Model]  # from the arguments of the library's estimator
    folds: int

    @property
    def sets(self) -> dict[str, Callable[[], Problem]]:
        """All sets."""
        return self.development | self.reporting

    def models(self, options: dict[str, Any]) -> dict[str, Model]:
        """All models; with options, those of the library that have them."""
        suffix = "".join(f" {name}={value}" for name, value in options.items())
        ours = {f"{name}{suffix}": self.ours(variant | options) for name, variant in OURS.items()}
        return self.peers | ours


def variant_of(model: str) -> str:
    """The name of a model without its options."""
    return model.partition(" ")[0]


def is_ours(model: str) -> bool:
    """Whether a model of a CSV file is a variant of the library."""
    return variant_of(model) in OURS


def measure(model: Model, problem: Problem, fold: int, seed: int) -> Line:
    """The scores and CPU seconds of one fit."""
    train, test = problem.folds[fold]
    (X, y), (X_test, y_test) = problem.part(train), problem.part(test)
    estimator = model.build(X, problem.regression, seed)
    start = time.process_time()
    estimator.fit(X, y)
    fitted = time.process_time()
    gives_probabilities = model.probabilities and not problem.regression
    predicted = (estimator.predict_proba if gives_probabilities else estimator.predict)(X_test)
    seconds = {"fit_cpu": fitted - start, "predict_cpu": time.process_time() - fitted}
    if problem.regression:
        return regression_scores(y_test, predicted) | seconds
    if gives_probabilities:
        return class_scores(y_test, predicted) | seconds
    return {"score": float(np.mean(predicted == y_test))} | seconds


def warm_up(model: Model, problem: Problem) -> None:
    """A small fit: what is imported or compiled for the first one is not timed."""
    train = problem.folds[0][0]
    kinds = np.zeros(len(train)) if problem.regression else problem.y[train]
    rows = np.concatenate([train[kinds == kind][:WARM_UP_ROWS] for kind in np.unique(kinds)])
    measure(model, replace(problem, folds=[(rows, rows)]), 0, seed=0)


@dataclass
class Runner:
    """Fits, and appends their lines to a CSV file."""

    file: Path
    warm: set[tuple[Any, ...]] = field(default_factory=set)
    failures: int = 0

    def __post_init__(self) -> None:
        """Read which fits are done.

        Raises:
            ValueError: the file has other columns.
        """
        self.done: set[tuple[str, ...]] = set()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if not self.file.exists():
            self._append(FIELDS)
        with self.file.open(newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != FIELDS:
                raise ValueError(
                    f"{self.file} must have the columns {', '.join(FIELDS)}: choose another file"
                )
            self.done |= {(line["set"], line["model"], line["seed"], line["fold"]) for line in reader}

    def _append(self, cells: tuple[object, ...]) -> None:
        with self.file.open("a", newline="") as file:
            csv.writer(file).writerow(cells)

    def run(
        self, names: tuple[str, str], problem: Problem, model: Model, fits: list[tuple[int, int]]
    ) -> None:
        """Fit a model on a set, named by ``names``, for pairs of a seed and a fold that are not done yet."""
        lines = []
        for seed, fold in fits:
            key = (*names, str(seed), str(fold))
            if key in self.done:
                continue
            try:
                line = self._fit(names[1], problem, model, fold, seed)
            except Exception as error:  # the other fits go on
                self.failures += 1
                print(f"FAILED: {', '.join(key)}: {error!r}"[:400], file=sys.stderr, flush=True)
                continue
            figures = [f"{line[name]:.6g}" if name in line else "" for name in (*SCORES, *SECONDS)]
            self._append((*key, *figures, version(model.package)))
            self.done.add(key)
            lines.append(line)
        if lines:
            score, seconds = (np.mean([line[name] for line in lines]) for name in ("score", "fit_cpu"))
            print(
                f"{names[0]:22} {names[1]:22} {score:7.4f}  {seconds:8.2f} s, {len(lines)} fits", flush=True
            )

    def _fit(self, name: str, problem: Problem, model: Model, fold: int, seed: int) -> Line:
        # One channel and several are compiled apart, and so are classes and numbers.
        kind = (name, problem.regression, isinstance(problem.X, np.ndarray) and problem.X.shape[1] == 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind not in self.warm:
                warm_up(model, problem)
                self.warm.add(kind)
            return measure(model, problem, fold, seed)


@cache
def version(package: str) -> str:
    """What was fitted: the package and its version, and the commit of the library."""
    words = [package, load(package).__version__, commit() if package == "lphm" else None]
    return " ".join(filter(None, words))


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, also in packages that are imported later (``load`` hands torch's number on)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def parser(suite: Suite, description: str | None) -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog=f"python -m benchmarks.accuracy.{suite.name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parse.add_argument
    add("--development", action="store_true", help="the sets that defaults may be chosen on (the default)")
    add("--reporting", action="store_true", help="the sets that are looked at when the defaults stand")
    add("--sets", nargs="+", choices=[*suite.sets], metavar="SET", help=", ".join(suite.sets))
    models = [*suite.models({})]
    add("--models", nargs="+", choices=models, default=models, metavar="MODEL", help=", ".join(models))
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the models; default: 0 1 2")
    folds = range(suite.folds)
    add("--folds", nargs="+", type=int, choices=folds, default=[*folds], metavar="FOLD", help="default: all")
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of lphm's estimator; repeatable")
    file = Path(f"runs/accuracy/{suite.name}.csv")
    add(
        "--output",
        type=Path,
        default=file,
        metavar="FILE",
        help="lines are appended to it; default: %(default)s",
    )
    return parse


def main(suite: Suite, description: str | None, words: list[str] | None = None) -> int:
    """Fit what is not done yet, and print the mean score and CPU seconds of each model and set.

    Returns:
        the exit code: 1 if a fit failed, 2 for wrong arguments, else 0.
    """
    parse = parser(suite, description)
    arguments = parse.parse_args(words)
    options = dict(read_option(text) for text in arguments.option)
    try:
        runner = Runner(arguments.output)
    except ValueError as reason:
        parse.error(f"--output: {reason}")
    with one_thread():
        models = {
            name: model
            for name, model in suite.models(options).items()
            if variant_of(name) in arguments.models and is_installed(name, model)
        }
        for name, load_set in chosen_sets(suite, arguments).items():
            try:
                problem = load_set()
            except AbsentError as reason:
                print(f"{name} is left out: {reason}", file=sys.stderr)
                continue
            for model_name, model in models.items():
                seeds = arguments.seeds if model.seeded else arguments.seeds[:1]
                runner.run((name, model_name), problem, model, [*product(seeds, arguments.folds)])
    return 1 if runner.failures else 0


def chosen_sets(suite: Suite, arguments: argparse.Namespace) -> dict[str, Callable[[], Problem]]:
    """The named sets in their order, or those of one half or both."""
    if arguments.sets:
        return {name: suite.sets[name] for name in arguments.sets}
    if not arguments.reporting:
        return suite.development
    return suite.sets if arguments.development else suite.reporting


def is_installed(name: str, model: Model) -> bool:
    """Whether a model's package can be imported; otherwise this says how to install it."""
    try:
        load(model.package)
    except AbsentError as reason:
        print(f"{name} is left out: {reason}", file=sys.stderr)
        return False
    return True
