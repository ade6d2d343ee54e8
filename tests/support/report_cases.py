"""Runs with random weights, which cost no training, for the tests of evaluations and reports."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lphm.data.dataset import Dataset
from lphm.data.fitting import fit_features, fit_series
from lphm.data.summary import summarize
from lphm.data.targets import fit_target
from lphm.learn.config import NetworkConfig, NetworkRunConfig, TrainingConfig, build_network
from lphm.learn.evaluation import evaluate
from lphm.learn.run import Run, save_run, write_json
from lphm.structures import LPHM

#: Names that contain HTML; the page must show them as text.
NASTY, NASTY_CLASS = "<script>alert('f')</script>", '</script><img src=x onerror=alert(1)> & "co" $x$'
METRICS: dict[str, Any] = {
    "task": "classification",
    "train": {"loss": 0.5, "accuracy": 0.875},
    "validation": {"loss": 0.75, "accuracy": 0.625},
    "test": {"loss": 0.625, "accuracy": 0.75},
    "rows": {"train": 1234, "validation": 56, "test": 78},
    "best_epoch": 2,
    "seconds": 1.0,
    "importance": {
        "parts": "column",
        "of": 40,
        "score": 0.75,
        "rows": 78,
        "repeats": 3,
        "drops": [
            {"name": NASTY, "mean": 0.25, "spread": 0.03, "matters": True},
            {"name": "$x_1$ & more", "mean": 0.5, "spread": 0.04, "matters": True},
            *(
                {"name": f"c{i}", "mean": 0.01 - i / 1000, "spread": 0.02, "matters": False}
                for i in range(14)
            ),
        ],
    },
    "pairs": {
        "loss": 0.5,
        "rows": 70,
        "compared": 20,
        "random": 0.02,
        "pairs": [
            {"names": [NASTY, "fifth"], "rise": 0.1, "survives": True},
            {"names": ["$x_1$ & more", "kind"], "rise": 0.01, "survives": False},
        ],
    },
    "history": [
        {"epoch": i, "train_loss": 2.0 / i, "val_loss": 1.0 + (i - 2) ** 2, "val_score": 0.1 * i}
        for i in (1, 2, 3)
    ],
}


def dataset(task: str = "classification", samples: int = 90, unit: float = 20.0) -> Dataset:
    """A table with numbers, categories, missing values and nasty names."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            NASTY: rng.standard_normal(samples),
            "$x_1$ & more": rng.exponential(size=samples),
            "a name that is much longer than an axis of a picture has room for": rng.standard_normal(samples),
            "kind": rng.choice(["u", "v", NASTY], samples),
        }
    )
    frame.loc[::9, NASTY] = np.nan
    classes = np.array(["01", "NA", NASTY_CLASS])[rng.integers(0, 3, samples)]
    frame["fifth"] = rng.standard_normal(samples)  # with five features, learned rows fill up to eight
    target = classes if task == "classification" else 100 + unit * frame["$x_1$ & more"]
    return Dataset("t <1>.csv", frame, pd.Series(target, name="answer <b>"))


def series(samples: int = 90) -> Dataset:
    """Series of one channel, whose end is missing in some."""
    rng = np.random.default_rng(0)
    array = rng.standard_normal((samples, 8, 1))
    array[::9, 6:] = np.nan
    return Dataset("t.npz", array, pd.Series(rng.choice(["worn", "as new"], samples), name="state"))


def many_columns(samples: int = 90) -> Dataset:
    """200 columns whose names are long, and cannot be broken between words."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((samples, 200)))
    frame.columns = [f"temperature_of_the_outer_shell_behind_the_valve_{i}" for i in range(200)]
    return Dataset("t.csv", frame, pd.Series(rng.choice(["good", "fair"], samples), name="grade"))


def metrics_of(data: Dataset, parts: str) -> dict[str, Any]:
    """Metrics of a training without a validation part, in which the first parts of the data matter."""
    names = [*data.inputs] if isinstance(data.inputs, pd.DataFrame) else ["step 1 to step 4", "step 5"]
    drops = [
        {"name": name, "mean": 0.1 / (i + 1), "spread": 0.02, "matters": i < 3}
        for i, name in enumerate(names[:10])
    ]
    pair = {"names": names[:2], "rise": 0.001, "survives": False}
    changes = {
        "best_epoch": None,
        "importance": {**METRICS["importance"], "parts": parts, "of": len(names), "drops": drops},
        "pairs": {**METRICS["pairs"], "pairs": [pair, {**pair, "names": names[:3:2]}]},
        "history": [{"epoch": i, "train_loss": 2.0 / i} for i in range(1, 8)],
    }
    return {key: value for key, value in {**METRICS, **changes}.items() if key != "validation"}


def run_of(data: Dataset, task: str = "classification", **changes: Any) -> Run:
    """A network for the data, all of whose weights are random."""
    sizes: dict[str, Any] = {
        "width": 6,
        "blocks": 2,
        "channels": 2,
        "instance_channels": 2,
        "dropout": 0.0,
        "members": 1,
        "attribute": LPHM(n=8, p=2, q=4, r=3).to_config(),
        "instance": LPHM(n=6, p=2, q=3, r=2).to_config(),
    }
    config = NetworkRunConfig(
        source=data.name,
        input=fit_features(data.inputs) if isinstance(data.inputs, pd.DataFrame) else fit_series(data.inputs),
        target=fit_target(data.target, task),
        network=NetworkConfig(**{**sizes, **changes}),
        training=TrainingConfig(
            seed=0, epochs=3, batch_size=4, learning_rate=0.1, weight_decay=0.0, patience=1
        ),
    )
    network = build_network(config).eval()
    with torch.no_grad():
        for tensor in network.parameters():
            tensor.add_(0.3 * torch.randn_like(tensor))
    return Run(config, network)


def write_run(
    folder: Path,
    task: str = "classification",
    unit: float = 20.0,
    data: Dataset | None = None,
    metrics: dict[str, Any] = METRICS,
    **changes: Any,
) -> Run:
    """Write a complete run folder without the report."""
    data = data or dataset(task, unit=unit)
    run = run_of(data, task, **changes)
    if task == "regression":
        scored = {p: {"loss": METRICS[p]["loss"], "r2": METRICS[p]["accuracy"]} for p in METRICS["rows"]}
        metrics = {**METRICS, "task": task, **scored}
    evaluate(run, data).save(folder)
    write_json(folder / "summary.json", summarize(data, task))
    save_run(run, folder, metrics)
    return run
