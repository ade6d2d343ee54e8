"""An exported run answers as the run does, from the cells of a table, for any number of samples."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.columns import as_numbers_or_words
from lphm.data.conversions import TextHash, convert, find_conversions
from lphm.data.fitting import fit_features, fit_grid, fit_series
from lphm.data.schema import InputSchema
from lphm.data.targets import ClassTarget, NumberTarget, TargetSchema
from lphm.errors import InputError
from lphm.estimators import LPHMClassifier, LPHMRegressor
from lphm.export import export_run
from lphm.learn.config import NetworkConfig, NetworkRunConfig, TrainingConfig, build_network
from lphm.learn.run import Run, save_run
from lphm.structures.named import NAMED, structure_for
from support.runs import make_run
from support.scoring import BATCHES, score

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

N = max(BATCHES)
CLASSES = ClassTarget(name="y", classes=["no", "yes", "ä b"])
NUMBER = NumberTarget(name="y", mean=1e4, std=30.0)
TRAINING = TrainingConfig(
    seed=0, epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.0, patience=1
)


def table() -> pd.DataFrame:
    """Numbers with gaps, categories of words, numbers and truth values, dates, amounts and durations."""
    random = np.random.default_rng(0)
    seconds = random.integers(-9 * 10**9, 9 * 10**9, N)
    frame = pd.DataFrame(
        {
            "x": np.where(np.arange(N) % 5, random.normal(1e6, 1.0, N), np.nan),
            "label": random.integers(0, 4, N),
            "val_1": random.integers(0, 2, N).astype(bool),
            "c": random.choice(["u", "v", "ö w", None], N),
            "level": pd.Categorical(random.integers(0, 3, N)),
            "flag": pd.Categorical(random.integers(0, 2, N).astype(bool)),
            "when": pd.to_datetime(seconds, unit="s"),
            "price": [f"€{price:,.2f}" for price in random.uniform(1, 1e5, N)],
            "took": pd.to_timedelta(random.integers(0, 10**5, N), unit="s"),
        }
    )
    frame.loc[::7, "when"] = pd.NaT
    frame.loc[::9, "price"] = None
    return frame


def features() -> tuple[InputSchema, pd.DataFrame, dict[str, np.ndarray]]:
    """The schema of a table, the table, and its cells as an exported model takes them."""
    frame = table()
    conversions = find_conversions(frame)
    schema = fit_features(as_numbers_or_words(convert(frame, conversions)), (), conversions)
    assert len(schema.numeric) > 9
    cells = {
        "x": frame["x"],
        "label_": frame["label"].astype(float),  # the model has an output of this name
        "val_1": frame["val_1"].astype(float),
        "c": frame["c"].fillna("").astype(str),
        "level": frame["level"].astype(str),
        "flag": frame["flag"].astype(str),
        "when": (frame["when"] - pd.Timestamp(0)).dt.total_seconds(),
        "price": frame["price"].str.replace("[€,]", "", regex=True).astype(float),
        "took": frame["took"].dt.total_seconds(),
    }
    frame.loc[3, "c"] = "unknown"
    cells["c"][3] = "unknown"
    words = {"c", "level", "flag"}
    arrays = {
        name: np.array(list(each), dtype=None if name in words else np.float64)[:, None]
        for name, each in cells.items()
    }
    return schema, frame, arrays


def images() -> tuple[InputSchema, pd.DataFrame, dict[str, np.ndarray]]:
    values = np.random.default_rng(0).uniform(0, 16, (N, 24))
    values[:9, 3] = np.nan
    frame = pd.DataFrame(values, columns=[f"p{i}" for i in range(24)])
    return fit_grid(frame, 4, 6), frame, {"X": values.reshape(N, 4, 6)}


def series() -> tuple[InputSchema, np.ndarray, dict[str, np.ndarray]]:
    """With gaps in one channel, and of different lengths."""
    array = np.random.default_rng(0).normal(3.0, 2.0, (N, 12, 2)).cumsum(axis=1)
    array[::3, 4:6, 1] = np.nan
    array[1::4, 9:] = np.nan
    return fit_series(array), array, {"X": array}


DATA = {"features": features, "images": images, "series": series}


def run_of(schema: InputSchema, target: TargetSchema, structure: str, kind: str, members: int = 2) -> Run:
    """A network whose parameters are all random: a fresh one says the same about every sample."""
    rows = {"features": -(-len(schema.labels) // 4) * 4}.get(schema.layout, -(-len(schema.labels) // 4) * 4)
    attribute = structure_for(structure, rows).to_config() if kind != "instance" else None
    instance = structure_for(structure, 8).to_config() if kind != "attribute" else None
    network = NetworkConfig(
        width=8,
        blocks=1,
        channels=2,
        instance_channels=2,
        dropout=0.1,
        members=members,
        attribute=attribute,
        instance=instance,
    )
    config = NetworkRunConfig(source="t", input=schema, target=target, network=network, training=TRAINING)
    run = Run(config, build_network(config))
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    return run


def answers(run: Run, samples: pd.DataFrame | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels and probabilities, or numbers."""
    predicted = run.predict(samples)
    first = predicted.iloc[:, 0].to_numpy()
    return first, predicted.iloc[:, 1:].to_numpy() if predicted.shape[1] > 1 else None


def assert_equal_answers(run: Run, samples: pd.DataFrame | np.ndarray, scored: dict) -> None:
    first, probabilities = answers(run, samples)
    if probabilities is not None:
        assert 0.01 < probabilities.std(axis=0).min()  # the samples are told apart
    for batch, outputs in scored.items():
        if probabilities is None:
            assert outputs["prediction"].shape == (batch,)
            error = np.abs(outputs["prediction"] - first[:batch]) / NUMBER.std
            assert error.max() <= 1e-5
        else:
            assert outputs["probabilities"].shape == (batch, probabilities.shape[1])
            assert np.abs(outputs["probabilities"] - probabilities[:batch]).max() <= 1e-5
            assert (outputs["label"] == first[:batch]).mean() > 0.99  # but for ties


CASES = [
    ("features", CLASSES, "lphm", "both"),
    ("features", NUMBER, "full", "attribute"),
    ("features", CLASSES, "random-matrix", "instance"),
    ("images", CLASSES, "dual-lphm", "both"),
    ("images", NUMBER, "low-rank", "instance"),
    ("series", CLASSES, "toeplitz", "both"),
    ("series", NUMBER, "hm", "both"),
]


def test_the_cases_have_every_structure() -> None:
    assert {structure for _, _, structure, _ in CASES} == set(NAMED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "target", "structure", "kind"), CASES, ids=lambda each: getattr(each, "task", each)
)
def test_onnxruntime_gives_what_the_run_predicts(
    tmp_path: Path, data: str, target: TargetSchema, structure: str, kind: str
) -> None:
    schema, samples, cells = DATA[data]()
    run = run_of(schema, target, structure, kind)
    export_run(run, tmp_path / "model.onnx")
    assert_equal_answers(run, samples, score(tmp_path / "model.onnx", cells))
