"""What fitting and predicting cost, and how good the predictions are, beside other estimators' defaults.

Every fit runs in a process of its own; the models take turns, in a new order for every seed. Figures are
medians over the seeds, the score is the mean. Packages that are not installed are left out, with a line that
says so.

  python -m benchmarks.fitting                              tables of 500 to 10,000 rows x 20, and series
  python -m benchmarks.fitting --set 100000 --seeds 0
  python -m benchmarks.fitting --set 2000 --model lphm --model CatBoost --threads 2
  python -m benchmarks.fitting --set 2000 --option epochs=10 --option kind=none
"""

import argparse
import random
import sys
import time
from ast import literal_eval
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from sklearn.datasets import make_classification, make_friedman1
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.memory import peak_resident, reset_peak, resident
from benchmarks.tables import table_head, table_row
from lphm._io import write_json

COLUMNS, TEST_ROWS = 20, 4000
Part = tuple[np.ndarray, np.ndarray]


def classes(rows: int) -> tuple[Part, Part]:
    """A training and a test part of two classes in six clusters each, with 2 % of wrong labels."""
    X, y = make_classification(
        rows + TEST_ROWS,
        COLUMNS,
        n_informative=10,
        n_redundant=4,
        n_clusters_per_class=6,
        flip_y=0.02,
        class_sep=0.8,
        random_state=7,
    )
    return (X[:rows], y[:rows]), (X[rows:], y[rows:])


def numbers(rows: int) -> tuple[Part, Part]:
    """A training and a test part of Friedman's first regression problem, 15 of whose columns say nothing."""
    X, y = make_friedman1(rows + TEST_ROWS, COLUMNS, noise=1.0, random_state=7)
    return (X[:rows], y[:rows]), (X[rows:], y[rows:])


def series(count: int) -> tuple[Part, Part]:
    """Series of 96 steps and 6 channels in four classes, a training and a test part.

    Two classes have a slower wave in the third channel than the others. In two, the second channel follows
    the first by three steps; in the others it leads.
    """
    generator = np.random.default_rng(7)
    total, steps, lag = count + 1000, 96, 3
    y = generator.integers(4, size=total)
    X = generator.normal(size=(total, steps, 6))
    smooth = np.apply_along_axis(
        np.convolve, 1, generator.normal(size=(total, steps + 4 * lag)), np.hanning(9) / 1.5, "same"
    )
    shift = np.where(y < 2, -lag, lag)
    frequency = np.where(y % 2 == 0, 0.05, 0.08)
    phase = generator.random(total)
    for i in range(total):
        X[i, :, 0] += 2 * smooth[i, 2 * lag : 2 * lag + steps]
        X[i, :, 1] += 2 * smooth[i, 2 * lag + shift[i] : 2 * lag + shift[i] + steps]
        X[i, :, 2] += np.sin(2 * np.pi * (frequency[i] * np.arange(steps) + phase[i]))
    return (X[:count], y[:count]), (X[count:], y[count:])


SETS: dict[str, Callable[[], tuple[Part, Part]]] = {
    **{str(rows): partial(classes, rows) for rows in (500, 1000, 2000, 10_000, 100_000)},
    "2000 numbers": partial(numbers, 2000),
    "500 series": partial(series, 500),
}
QUICK = [name for name in SETS if name != "100000"]


@dataclass(frozen=True)
class Model:
    """An estimator with its defaults, imported in the process that fits it."""

    module: str
    classifier: str
    regressor: str
    seed: str = "random_state"
    threads: str | None = None  # the argument for the number of threads
    arguments: tuple[tuple[str, Any], ...] = ()
    scaled: bool = False  # its columns are standardised first
    takes_series: bool = False

    def build(self, regression: bool, seed: int, threads: int, options: dict[str, Any]) -> Any:
        """The estimator for classes or numbers."""
        cls = getattr(import_module(self.module), self.regressor if regression else self.classifier)
        limit = {} if self.threads is None else {self.threads: threads}
        estimator = cls(**{self.seed: seed}, **limit, **dict(self.arguments), **options)
        return make_pipeline(StandardScaler(), estimator) if self.scaled else estimator


MODELS = {
    "lphm": Model("lphm.estimators", "LPHMClassifier", "LPHMRegressor", threads="threads", takes_series=True),
    "HistGradientBoosting": Model(
        "sklearn.ensemble", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor"
    ),
    "MLP": Model("sklearn.neural_network", "MLPClassifier", "MLPRegressor", scaled=True),
    "CatBoost": Model(
        "catboost",
        "CatBoostClassifier",
        "CatBoostRegressor",
        seed="random_seed",
        threads="thread_count",
        arguments=(("verbose", False), ("allow_writing_files", False)),
    ),
    "TabM": Model("pytabkit", "TabM_D_Classifier", "TabM_D_Regressor", threads="n_threads"),
}


def measure(name: str, model: str, seed: int, threads: int, options: dict[str, Any]) -> dict[str, float]:
    """One fit and its predictions; meant to be called in a new process."""
    torch.set_num_threads(threads)
    (X, y), (X_test, y_test) = SETS[name]()
    regression = name.endswith("numbers")
    # A small fit first: what is imported and built for the first one does not count.
    chosen = options if model == "lphm" else {}
    MODELS[model].build(regression, seed, threads, chosen).fit(X[:200], y[:200])
    estimator = MODELS[model].build(regression, seed, threads, chosen)
    with threadpool_limits(threads):
        reset_peak()
        before, wall, cpu = resident(), time.perf_counter(), time.process_time()
        estimator.fit(X, y)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = peak_resident() - before
        many = np.concatenate([X_test] * 3)[:10_000]
        estimator.predict(many)
        batch = min(_seconds(partial(estimator.predict, many)) for _ in range(3))
        one = median(_seconds(partial(estimator.predict, X_test[i : i + 1])) for i in range(30))
    return {
        "wall": wall,
        "cpu": cpu,
        "peak": peak,
        "rows_per_second": len(many) / batch,
        "one": one,
        "score": float(estimator.score(X_test, y_test)),
    }


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_fresh_process(*arguments: Any) -> dict[str, float]:
    """``measure`` in a new interpreter."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def run(
    sets: list[str], models: list[str], seeds: list[int], threads: int, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Fit every model with every seed on every set, and give the row of each model and set."""
    for name in sets:
        chosen = [m for m in models if MODELS[m].takes_series or not name.endswith("series")]
        found: dict[str, list[dict[str, float]]] = {model: [] for model in chosen}
        for seed in seeds:
            for model in random.Random(seed).sample(chosen, len(chosen)):
                found[model].append(in_fresh_process(name, model, seed, threads, options))
        for model in chosen:
            row: dict[str, Any] = {key: median(one[key] for one in found[model]) for key in found[model][0]}
            scores = [one["score"] for one in found[model]]
            yield {"set": name, "model": model, **row, "score": fmean(scores), "scores": scores}


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="python -m benchmarks.fitting",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parse.add_argument
    add("--set", action="append", choices=SETS, help="repeatable; default: all but 100000")
    add("--model", action="append", choices=MODELS, help="repeatable; default: all that are installed")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    add("--threads", type=int, default=1, help="(%(default)s)")
    add("--option", action="append", default=[], metavar="NAME=VALUE", help="of lphm's estimator; repeatable")
    add("--output", type=Path, metavar="FILE", help="JSON file for the rows")
    return parse


def main(words: list[str] | None = None) -> int:
    """Measure, and print a Markdown table row by row."""
    arguments = parser().parse_args(words)
    options = dict(read_option(text) for text in arguments.option)
    models = []
    for name in arguments.model or MODELS:
        package = MODELS[name].module.partition(".")[0]
        if find_spec(package) is None:
            print(f"{name} is left out: pip install {package}", file=sys.stderr)
        else:
            models.append(name)
    titles = ["set", "model", "fit, s", "fit, CPU s", "MiB", "rows/s", "one row, ms", "score", "by seed"]
    print(table_head(titles), flush=True)
    rows = []
    for row in run(arguments.set or QUICK, models, arguments.seeds, arguments.threads, options):
        rows.append(row)
        cells = [
            f"{row['wall']:.2f}",
            f"{row['cpu']:.2f}",
            f"{row['peak'] / 2**20:.0f}",
            f"{row['rows_per_second']:,.0f}",
            f"{1000 * row['one']:.2f}",
            f"{row['score']:.4f}",
            ", ".join(f"{score:.4f}" for score in row["scores"]),
        ]
        print(table_row([row["set"], row["model"], *cells]), flush=True)
    if arguments.output:
        write_json(arguments.output, {"threads": arguments.threads, "options": options, "rows": rows})
    return 0


def read_option(text: str) -> tuple[str, Any]:
    """``name=value``, the value as Python reads it, or as text."""
    name, _, value = text.partition("=")
    try:
        return name, literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


if __name__ == "__main__":
    sys.exit(main())
