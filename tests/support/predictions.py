"""Runs with random weights for samples of every layout, for the tests of predictions."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch

from lphm.data.fitting import fit_features, fit_grid, fit_series
from lphm.data.schema import InputSchema
from lphm.data.targets import fit_target
from lphm.learn.config import build_network
from lphm.learn.defaults import configure
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import Run

Inputs: TypeAlias = pd.DataFrame | np.ndarray
LAYOUTS = ("table", "grid", "series")
SAMPLES, STEPS = 37, 5


def drawn_inputs(layout: str, columns: int) -> tuple[Inputs, InputSchema]:
    """Samples and their schema; a table has missing numbers and, beside others, a column of categories."""
    rng = np.random.default_rng(columns)
    if layout == "series":
        series = rng.standard_normal((SAMPLES, STEPS, columns))
        return series, fit_series(series)
    width = columns * (STEPS if layout == "grid" else 1)
    table = pd.DataFrame(rng.standard_normal((SAMPLES, width))).add_prefix("x")
    if layout == "grid":
        return table, fit_grid(table, STEPS, columns)
    table.loc[::5, "x0"] = np.nan
    if columns > 1:
        table["x1"] = rng.choice(["u", "v", "w"], SAMPLES)
    return table, fit_features(table)


def drawn_run(layout: str, columns: int, classes: int, members: int, **options: Any) -> tuple[Run, Inputs]:
    """A run for so many columns, all of whose weights are random, and samples; 0 classes: a number."""
    inputs, schema = drawn_inputs(layout, columns)
    target = pd.Series(np.arange(SAMPLES) % classes if classes else np.arange(SAMPLES) / 7, name="y")
    task = "classification" if classes else "regression"
    network = NetworkOptions(**{"kind": "both", "width": 16, **options}, members=members)
    config = configure("drawn", schema, fit_target(target, task), SAMPLES, network, TrainingOptions())
    built = build_network(config).eval()
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return Run(config, built, "cpu"), inputs


def select(inputs: Inputs, rows: Sequence[int] | np.ndarray) -> Inputs:
    """The samples of these rows."""
    rows = np.asarray(rows)
    return inputs.iloc[rows] if isinstance(inputs, pd.DataFrame) else inputs[rows]
