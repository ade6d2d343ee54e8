"""The transformer and its linear head as one module: the same answers, in torch and in onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifierCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from lphm import InterdependenceTransformer
from lphm.errors import InputError


def waves(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Series with gaps, some of which end early, and their classes."""
    random = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    series = np.sin(np.arange(20)[:, None] / (1 + y)[:, None, None] + random.uniform(0, 6, (rows, 1, 2)))
    series += 0.3 * random.standard_normal((rows, 20, 2))
    series[::3, 5:8, 0] = np.nan
    series[::4, 16:] = np.nan
    return series.astype(np.float32), y


X, Y = waves(45, seed=0)
NEW, _ = waves(30, seed=1)
SMALL = InterdependenceTransformer(groups=2, maps=2, random_state=0)


def answers(pipeline: Pipeline, series: np.ndarray) -> np.ndarray:
    for name in ("predict_proba", "decision_function", "predict"):
        if hasattr(pipeline, name):
            found = getattr(pipeline, name)(series)
            return found if found.ndim == 2 else found[:, None]
    return pipeline.transform(series)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "steps",
    [
        (),
        (LogisticRegression(),),
        (StandardScaler(), LogisticRegression()),
        (StandardScaler(with_mean=False), RidgeClassifierCV()),
        (StandardScaler(with_std=False), Ridge()),
        (LinearRegression(fit_intercept=False),),
    ],
    ids=str,
)
def test_the_module_says_what_the_pipeline_says(steps: tuple[Any, ...], classes: int) -> None:
    pipeline = make_pipeline(SMALL, *steps).fit(X, Y % classes)
    module = pipeline[0].to_module(*list(pipeline)[1:])
    assert not module.training
    with torch.no_grad():
        outputs = module(torch.from_numpy(NEW)).numpy()
    expected = answers(pipeline, NEW)
    assert outputs.shape == expected.shape
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_linear_model_is_refused() -> None:
    transformer = SMALL.fit(X)
    with pytest.raises(InputError, match=r"steps must be a StandardScaler .*, got MinMaxScaler, Ridge"):
        transformer.to_module(MinMaxScaler(), Ridge())
    with pytest.raises(InputError, match=r", got Lasso$"):
        transformer.to_module(Lasso())
    matrices = InterdependenceTransformer(groups=1, maps=2, output="matrices").fit(X)
    with pytest.raises(InputError, match="output must be 'features' for a module, got 'matrices'"):
        matrices.to_module()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the exporter
def test_it_is_exported_to_onnx_with_any_number_of_series(tmp_path: Path) -> None:
    pipeline = make_pipeline(SMALL, StandardScaler(), LogisticRegression()).fit(X, Y)
    module, file = pipeline[0].to_module(*list(pipeline)[1:]), str(tmp_path / "waves.onnx")
    batch = {0: torch.export.Dim("N")}
    torch.onnx.export(module, (torch.from_numpy(X[:3]),), file, dynamo=True, dynamic_shapes=(batch,))
    session = onnxruntime.InferenceSession(file)
    (name,) = (each.name for each in session.get_inputs())
    for rows in (NEW[:1], NEW[:7], NEW, waves(1024, seed=2)[0], X):
        (scores,) = session.run(None, {name: rows})
        np.testing.assert_allclose(scores, pipeline.predict_proba(rows), atol=1e-5)
