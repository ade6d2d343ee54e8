"""Missing steps of series, by both methods: what they say is learned, and a run is built again with it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.dataset import Dataset
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import Run, load_run, save_run
from lphm.learn.training import learn

METHODS = [NetworkOptions(method="network", members=2), NetworkOptions(method="ridge")]
SHORT = {"network": TrainingOptions(seed=0, epochs=1), "ridge": TrainingOptions(seed=0)}
both_methods = pytest.mark.parametrize("options", METHODS, ids=lambda options: options.method)


def told_by_gaps(rows: int = 60, seed: int = 0, steps: int = 16) -> Dataset:
    """Series that are 5 at each step; four are missing in the first half or in the second."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    array = np.full((rows, steps, 1), 5.0)
    for each, label in zip(array, labels, strict=True):
        each[steps // 2 * label + random.choice(steps // 2 - 1, 4, replace=False)] = np.nan
    return Dataset("gaps", array, pd.Series([f"class {label}" for label in labels], name="kind"))


def bumps(rows: int, seed: int, missing: float = 0.2) -> Dataset:
    """Noise with three waves at random places, which begin upwards or downwards; steps missing at random."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    array = random.standard_normal((rows, 80, 1)).cumsum(1) * 0.2
    for each, label in zip(array, labels, strict=True):
        for start in random.integers(0, 64, 3):
            each[start : start + 16, 0] += (1 - 2 * label) * 1.5 * np.sin(np.linspace(0, 2 * np.pi, 16))
    array[random.random(array.shape) < missing] = np.nan
    return Dataset("bumps", array, pd.Series([f"class {label}" for label in labels], name="kind"))


def score(run: Run, data: Dataset) -> float:
    return float(run.predict(data.inputs)["kind"].eq(data.target).mean())


@pytest.mark.slow
@both_methods
def test_classes_that_only_the_missing_steps_tell_are_learned(options: NetworkOptions) -> None:
    run = learn(told_by_gaps(), options, TrainingOptions(seed=0)).run
    assert score(run, told_by_gaps(200, seed=1)) > 0.95


@pytest.mark.slow
@both_methods
def test_without_the_indicator_these_classes_are_chance(
    options: NetworkOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lphm.data.schema.SeriesSchema.gaps", [])
    run = learn(told_by_gaps(), options, TrainingOptions(seed=0)).run
    assert score(run, told_by_gaps(200, seed=1)) == 0.5


@pytest.mark.slow
def test_patterns_are_found_where_a_fifth_of_the_steps_is_missing() -> None:
    run = learn(bumps(80, 0), METHODS[1], TrainingOptions(seed=0)).run
    whole = learn(bumps(80, 0, missing=0), METHODS[1], TrainingOptions(seed=0)).run
    assert score(run, bumps(200, 1)) > 0.85
    # Missing where none were in training.
    assert score(whole, bumps(200, 1)) > 0.85


@pytest.mark.slow
@both_methods
def test_a_run_is_built_again_from_its_configuration(options: NetworkOptions, tmp_path: Path) -> None:
    run, fresh = learn(told_by_gaps(), options, SHORT[options.method]).run, told_by_gaps(33, seed=1).inputs
    save_run(run, tmp_path / "run", {})
    back = load_run(tmp_path / "run")
    assert back.config.input.gaps == [0]
    outputs = run.outputs(fresh)
    assert torch.equal(back.outputs(fresh), outputs)
    for rows in ([3], [0, 20, 32], list(range(17))):
        assert torch.equal(back.outputs(fresh[rows]), outputs[rows])


@pytest.mark.slow
@both_methods
def test_series_without_missing_values_have_no_indicator(options: NetworkOptions) -> None:
    whole = bumps(60, 0, missing=0)
    whole.inputs[::3, 60:] = np.nan  # an end is no gap
    run = learn(whole, options, SHORT[options.method]).run
    assert not any("missing" in name for name in run.network.state_dict())
    holes = whole.inputs.copy()
    holes[:, 10:20] = np.nan
    outputs = run.outputs(holes)
    assert outputs.isfinite().all()
    if options.method == "network":  # a value that is missing here counts as the mean
        holes[:, 10:20] = run.config.input.channels[0].mean
        torch.testing.assert_close(outputs, run.outputs(holes))


@pytest.mark.slow
@both_methods
def test_padding_changes_no_prediction_of_series_with_gaps(options: NetworkOptions) -> None:
    data = told_by_gaps()
    data.inputs[::3, 12:] = np.nan
    run = learn(data, options, SHORT[options.method]).run
    assert run.config.input.ragged
    padded = np.pad(data.inputs, ((0, 0), (0, 7), (0, 0)), constant_values=np.nan)
    assert torch.equal(run.outputs(padded), run.outputs(data.inputs))
    position = getattr(getattr(run.network, "embedding", None), "position", None)
    if position is not None:  # what comes after the end has no indicator that counts
        short = data.inputs[::3]
        before = run.outputs(short)
        with torch.no_grad():
            position[:, :, 12:16] += 10
        torch.testing.assert_close(run.outputs(short), before, atol=1e-6, rtol=0)
