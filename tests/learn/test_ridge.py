"""Ridge regression on local patterns: against refits without each sample, and what comes out of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from torch.nn import functional as F

from lphm import LPHMClassifier
from lphm.data.dataset import Dataset
from lphm.learn.calibration import calibrate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.ridge import STRENGTHS
from lphm.learn.run import load_run, save_run
from lphm.learn.training import learn, prepare, train
from lphm.nn.pattern_network import PatternNetwork
from lphm.report import write_report


def waves(rows: int = 40, classes: int = 2, steps: int = 30, seed: int = 0) -> Dataset:
    """Series of two channels whose period says what class they are of."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    phase = 2 * np.pi * random.random((rows, 1, 2))
    time = np.arange(steps)[None, :, None]
    array = np.sin(phase + time / (1 + labels)[:, None, None]) + 0.3 * random.standard_normal(
        (rows, steps, 2)
    )
    return Dataset("waves", array, pd.Series([f"class {label}" for label in labels], name="kind"))


def numbers(rows: int = 40) -> Dataset:
    data = waves(rows)
    speed = np.abs(np.diff(data.inputs, axis=1)).mean((1, 2))
    return Dataset("waves", data.inputs, pd.Series(100 * speed, name="speed"))


def test_it_learns_and_predicts_the_same_in_any_company() -> None:
    trained = learn(waves(), training=TrainingOptions(seed=1))
    assert isinstance(trained.run.network, PatternNetwork)
    fresh = waves(33, seed=5)
    outputs = trained.run.outputs(fresh.inputs)
    assert trained.run.predict(fresh.inputs)["kind"].eq(fresh.target).mean() > 0.95
    for rows in ([3], [0, 20, 32], list(range(17))):
        assert torch.equal(trained.run.outputs(fresh.inputs[rows]), outputs[rows])


def test_a_seed_repeats_it_bit_for_bit() -> None:
    one, two, other = (learn(waves(), training=TrainingOptions(seed=seed)).run for seed in (1, 1, 2))
    states = one.network.state_dict(), two.network.state_dict()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not torch.equal(other.network.patterns.kernels, one.network.patterns.kernels)


@pytest.mark.parametrize("classes", [2, 3, 0])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_the_ridge_that_predicts_left_out_samples_best(classes: int, weighted: bool) -> None:
    data = waves(24, classes) if classes else numbers(24)
    if weighted:
        data = Dataset(data.name, data.inputs, data.target, np.random.default_rng(0).random(24) + 0.5)
    trained = learn(data)
    run, network = trained.run, trained.run.network
    x, y = run.config.input.encode(data.inputs), run.config.target.encode(data.target)
    features = ((network.patterns(x) - network.mean) * network.scale).double().numpy()
    wanted = (2 * F.one_hot(y) - 1).numpy() if classes else y.double().numpy()[:, None]
    weight = np.ones(24) if data.weight is None else data.weight / data.weight.mean()

    def left_out(strength: float) -> np.ndarray:
        rows = np.arange(24)
        return np.stack(
            [
                Ridge(strength)
                .fit(features[rows != row], wanted[rows != row], weight[rows != row])
                .predict(features[row : row + 1])[0]
                for row in rows
            ]
        ).reshape(24, -1)

    errors = [((left_out(strength) - wanted) ** 2).mean() for strength in STRENGTHS]
    best = STRENGTHS[int(np.argmin(errors))]
    ridge = Ridge(best).fit(features, wanted, weight)
    left = torch.from_numpy(left_out(best)).float()
    target, of = run.config.target, torch.from_numpy(weight).float()
    loss, factor = calibrate(target, left, y, of)
    coefficients = ridge.coef_.reshape(wanted.shape[1], -1)
    torch.testing.assert_close(
        network.linear.weight.data, torch.from_numpy(factor * coefficients).float(), rtol=2e-2, atol=1e-5
    )
    (line,) = trained.history.lines
    assert line["val_loss"] == pytest.approx(loss, rel=1e-2)
    assert line["val_score"] == pytest.approx(target.score(left, y, of).item(), abs=1e-3)
    assert line["train_loss"] == pytest.approx(target.loss(run.outputs(data.inputs), y, of).item(), abs=1e-4)


def test_weights_that_are_all_alike_change_nothing() -> None:
    data = numbers(20)
    doubled = Dataset("weighted", data.inputs, data.target, np.full(20, 2.0))
    torch.testing.assert_close(*(learn(each).run.outputs(data.inputs) for each in (data, doubled)))


def test_samples_of_weight_zero_are_not_learned_from() -> None:
    data, weight = waves(30), np.where(np.arange(30) < 6, 0.0, 1.0)
    wrong = data.target.copy()
    wrong[:6] = data.target[1:7].to_numpy()
    one, other = (learn(Dataset("waves", data.inputs, y, weight)).run for y in (data.target, wrong))
    torch.testing.assert_close(one.outputs(data.inputs), other.outputs(data.inputs))
    speeds = numbers(30)
    run = learn(Dataset("speeds", speeds.inputs, speeds.target, weight)).run
    assert run.outputs(speeds.inputs).isfinite().all()


def test_there_is_no_matrix_to_show() -> None:
    data = waves()
    model = LPHMClassifier(random_state=0).fit(data.inputs, data.target)
    with pytest.raises(ValueError, match="a matrix must be that of a network, got ridge; fit with method="):
        model.interdependence_matrix(data.inputs)


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    run = learn(waves()).run
    save_run(run, tmp_path, {})
    again = load_run(tmp_path)
    assert again.config == run.config
    assert torch.equal(again.outputs(waves(9).inputs), run.outputs(waves(9).inputs))


def test_it_is_tested_and_reported(tmp_path: Path) -> None:
    outcome = train(prepare(waves(60)))
    assert outcome.metrics["test"]["accuracy"] > 0.9
    assert outcome.metrics["interdependence_parameters"] == 0
    assert outcome.evaluation.interdependence == {}
    outcome.evaluation.save(tmp_path)
    save_run(outcome.run, tmp_path, outcome.metrics)
    page = write_report(tmp_path).read_text()
    assert "ridge" in page


def test_shorter_series_are_series_that_end(tmp_path: Path) -> None:
    data = waves()
    data.inputs[::3, 20:] = np.nan
    run = learn(data).run
    assert torch.equal(run.outputs(data.inputs[::3]), run.outputs(data.inputs[::3, :20]))


def test_a_constant_channel_and_a_class_of_few_samples() -> None:
    data = waves(30)
    data.inputs[:, :, 1] = 3.0
    assert learn(data).run.outputs(data.inputs).isfinite().all()
    network = NetworkOptions(method="ridge")
    assert learn(waves(4), network).run.outputs(waves(4).inputs).isfinite().all()
