"""What drives predictions and what acts together, on data of which both are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lphm.data.dataset import Dataset
from lphm.data.fitting import fit_series
from lphm.data.readers import labelled_table
from lphm.data.schema import FeatureSchema
from lphm.learn.explanation import explained
from lphm.learn.importance import (
    MOST_COLUMNS,
    Probe,
    leading_features,
    not_by_chance,
    permutation_importance,
)
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.pairs import WithoutPair, surviving_pairs
from lphm.learn.run import Run
from lphm.learn.training import prepare, train
from lphm.nn.members import MemberInterdependence
from lphm.structures import LPHM
from support.report_cases import dataset, run_of


def trained_on(data: Dataset, **options: Any) -> dict[str, Any]:
    """The metrics of a short training."""
    return train(prepare(data, NetworkOptions(**options), TrainingOptions(threads=1))).metrics


def table(target: Any, columns: int = 5, rows: int = 500, **more: Any) -> Dataset:
    """Independent normal columns ``x0``, ``x1``, ... and a target made of them, with little noise."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.standard_normal((rows, columns)), columns=[f"x{i}" for i in range(columns)])
    y = target(frame, random) + 0.1 * random.standard_normal(rows)
    return Dataset("made", frame.assign(**more), pd.Series(y, name="y"))


def drops_of(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {drop["name"]: drop for drop in metrics["importance"]["drops"]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["attribute", "both"])
def test_a_product_is_found_and_noise_is_not(kind: str) -> None:
    metrics = trained_on(table(lambda x, _: x.x0 * x.x1 + x.x2), kind=kind)
    drops = drops_of(metrics)
    order = sorted(drops, key=lambda name: -drops[name]["mean"])
    assert set(order[:3]) == {"x0", "x1", "x2"}
    assert all(drops[name]["matters"] for name in order[:3])
    for name in ("x3", "x4"):
        assert abs(drops[name]["mean"]) < 0.02
        assert not drops[name]["matters"]
    assert metrics["importance"]["score"] == pytest.approx(metrics["test"]["r2"], abs=1e-5)
    pairs = metrics["pairs"]["pairs"]
    assert [set(pair["names"]) for pair in pairs if pair["survives"]] == [{"x0", "x1"}]
    assert pairs[0]["rise"] > 3 * metrics["pairs"]["loss"]


@pytest.mark.slow
def test_two_parts_of_one_date_are_one_column_and_no_pair() -> None:
    random = np.random.default_rng(0)
    days = pd.Series(pd.Timestamp("2023-01-01") + pd.to_timedelta(random.integers(0, 360, 500), unit="D"))
    frame = pd.DataFrame({"t": days, "a": random.standard_normal(500), "b": random.standard_normal(500)})
    frame["y"] = (days.dt.day_of_week - 3) * (days.dt.month - 6.5) / 6 + frame["a"]
    metrics = trained_on(labelled_table("made", frame, "y"))
    assert set(drops_of(metrics)) == {"t", "a", "b"}
    assert drops_of(metrics)["t"]["mean"] > 0.5
    sources = [{name.split(":")[0] for name in pair["names"]} for pair in metrics["pairs"]["pairs"]]
    assert sources
    assert all(len(each) == 2 for each in sources)


@pytest.mark.slow
@pytest.mark.parametrize(("together", "suspect"), [(False, "x0"), (True, None)])
def test_a_perfect_score_is_suspect_if_it_rests_on_one_column(together: bool, suspect: str | None) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.choice([-1.0, 1.0], (500, 3)), columns=["x0", "x1", "x2"])
    sign = frame["x0"] * (frame["x1"] if together else 1)
    metrics = trained_on(Dataset("made", frame, pd.Series(np.where(sign > 0, "yes", "no"), name="y")))
    assert metrics["test"]["accuracy"] == 1
    assert metrics["importance"]["suspect"] == suspect


@pytest.mark.slow
def test_columns_that_add_up_do_not_act_together() -> None:
    metrics = trained_on(table(lambda x, _: 2 * x.x0 + x.x1**2 - x.x2))
    assert {name for name, drop in drops_of(metrics).items() if drop["matters"]} == {"x0", "x1", "x2"}
    assert not any(pair["survives"] for pair in metrics["pairs"]["pairs"])


@pytest.mark.slow
def test_classes_of_a_category_and_a_number_together() -> None:
    side = np.random.default_rng(1).choice(["left", "right"], 600)

    def target(x: pd.DataFrame, _: np.random.Generator) -> pd.Series:
        return x.x0 * np.where(side == "left", 1, -1)

    data = table(target, 4, 600, side=side)
    data = replace(data, target=pd.Series(np.where(data.target > 0, "up", "down"), name="y"))
    metrics = trained_on(data)
    assert {name for name, drop in drops_of(metrics).items() if drop["matters"]} == {"x0", "side"}
    assert drops_of(metrics)["side"]["mean"] > 0.2  # of the accuracy
    strongest = metrics["pairs"]["pairs"][0]  # the hidden layer of the head can know it, too
    assert set(strongest["names"]) == {"x0", "side"}
    assert not any(pair["survives"] for pair in metrics["pairs"]["pairs"][1:])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ridge", "network"])
def test_series_are_told_by_channel(method: str) -> None:
    random = np.random.default_rng(0)
    classes, x = random.integers(0, 2, 120), random.standard_normal((120, 30, 3))
    x[:, :, 1] += np.where(classes, 2, 0)[:, None] * np.sin(np.arange(30) / 2)
    x[::3, 20:] = np.nan
    data = Dataset("made", x, pd.Series(np.array(["a", "b"])[classes], name="y"))
    metrics = trained_on(data, method=method)
    drops = drops_of(metrics)
    assert metrics["importance"]["parts"] == "channel"
    assert max(drops, key=lambda name: drops[name]["mean"]) == "channel 2"
    assert drops["channel 2"]["mean"] > 0.2
    assert max(abs(drops[name]["mean"]) for name in ("channel 1", "channel 3")) < 0.15
    assert metrics["pairs"] is None


class Linear(nn.Module):
    """Stands for a network: the first output is a sum of the entries, the second is zero."""

    def __init__(self, weights: list[float]) -> None:
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        said = (x.nan_to_num() * self.weights).flatten(1).sum(1)
        return torch.stack([said, torch.zeros_like(said)], dim=1).unsqueeze(1)


def test_one_channel_is_told_by_step() -> None:
    """Only the last steps matter; what has ended has not begun again in the samples that are shuffled."""
    random = np.random.default_rng(0)
    x = random.standard_normal((60, 16, 1))
    x[:20, 15:] = np.nan
    probe = probe_of_series(x, Linear(15 * [[0.0]] + [[1.0]]))
    found = permutation_importance(probe, 10_000)
    drops = {drop["name"]: drop["mean"] for drop in found["drops"]}
    assert list(drops)[:2] == ["step 1 to step 2", "step 3 to step 4"]
    assert [name for name, drop in drops.items() if drop != 0] == ["step 15 to step 16"]


def probe_of_series(x: np.ndarray, network: Any) -> Probe:
    data = dataset(samples=len(x))
    run = run_of(data)
    config = run.config.model_copy(update={"input": fit_series(x)})
    encoded = config.input.encode(x)
    y = network(encoded)[:, 0].argmax(dim=1)
    sized = run.network
    sized.forward = network.forward  # type: ignore[method-assign]
    return Probe(Run(config, sized), sized, encoded, y, torch.ones(len(x)))


def test_columns_of_one_source_are_shuffled_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FeatureSchema, "sources", property(lambda _: ["a", "a", "b", "b", "c"]))
    probe = Probe.of(run_of(dataset()), dataset())
    found = permutation_importance(probe, 10_000)
    assert [drop["name"] for drop in found["drops"]] == ["a", "b", "c"]
    assert len(leading_features(probe.run.config.input, found, 1)) in (1, 2)
    assert leading_features(probe.run.config.input, found, 3) == [0, 1, 2, 3, 4]


def test_what_it_costs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted: list[int] = []
    outputs = Probe.outputs

    def counted(self: Probe, x: torch.Tensor, network: nn.Module | None = None) -> torch.Tensor:
        predicted.append(len(x))
        return outputs(self, x[:1], network).expand(len(x), -1)  # what they are does not matter here

    monkeypatch.setattr(Probe, "outputs", counted)
    many = table(lambda x, _: x.x3 - 2 * x.x70, 120, 900)
    run = run_of(many, "regression", attribute=LPHM(n=120, p=10, q=10, r=1).to_config(), instance=None)
    for samples, columns, rows in ((0, 10, 50), (30_000, 10, 900), (10**6, MOST_COLUMNS, 900)):
        predicted.clear()
        found = permutation_importance(Probe.of(run, many), samples)
        assert (len(found["drops"]), found["rows"], found["of"]) == (columns, rows, 120)
        assert sum(predicted) <= max(samples, 10 * 50 * 3) + rows
    assert len(Probe.of(run, table(lambda x, _: x.x0, 120, 3000)).x) == 2000


def test_the_columns_to_which_outputs_are_sensitive_are_chosen() -> None:
    many = table(lambda x, _: x.x3, 120, 100)
    run = run_of(many, "regression", attribute=None, instance=None)
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.zero_()
        run.network.embedding.numbers.normal_()
        run.network.linear.weight.view(1, 120, -1)[:, [7, 90]] = 1.0
    names = [drop["name"] for drop in permutation_importance(Probe.of(run, many), 0)["drops"]]
    assert {"x7", "x90"} <= set(names)


def test_the_answers_are_the_same_again_and_change_no_weight() -> None:
    run = run_of(dataset())
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    first = explained(run, dataset(), 10_000)
    assert first == explained(run, dataset(), 10_000)
    after = run.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert first["pairs"]["compared"] > 0


@pytest.mark.parametrize("changes", [{"attribute": None, "instance": None}, {}])
def test_no_pairs_where_there_is_nothing_to_take_out(changes: dict) -> None:
    run = run_of(dataset(), **changes)
    probe = Probe.of(run, dataset())
    assert (surviving_pairs(probe, 1000, range(5)) is None) == bool(changes)
    assert surviving_pairs(probe, 1000, range(3)) is None  # three pairs
    assert surviving_pairs(probe.first(10), 1000, range(5)) is None


@pytest.mark.parametrize("channels", [1, 2])
def test_a_pair_is_taken_out_of_a_dense_w(channels: int) -> None:
    """Against ``W`` whose entries are zero, for rows of mean zero; those of the others change nothing."""
    torch.manual_seed(0)
    layer = MemberInterdependence(LPHM(n=6, p=2, q=3, r=2), "attribute", 3, channels).double()
    nn.init.normal_(layer.weight)
    x = torch.randn(3, 40, 6, 4, dtype=torch.float64)
    x = x - x.mean(dim=1, keepdim=True)
    W = layer.structure.to_dense(layer.weight.detach())  # (members, channels, 6, 6)
    W[..., 1, 4] = W[..., 4, 1] = 0
    xi = torch.einsum("mnac,mhab,mnbd->mnhcd", x, W, x)
    with torch.no_grad():
        without = WithoutPair(layer, 6, torch.tensor([0, 1, 4]))
        torch.testing.assert_close(without.matrix(x), layer.matrix(x))
        torch.testing.assert_close(without(x), layer(x))
        without.pair = (1, 2)
        torch.testing.assert_close(without.matrix(x), xi)
        groups = x.unflatten(2, (channels, -1))
        mixed = torch.einsum("mnhbc,mnhcd->mnhbd", groups, xi).flatten(2, 3)
        torch.testing.assert_close(without(x), mixed)
        assert (without(x) - layer(x)).abs().max() > 0.1
        constant = x[:, :1].expand_as(x).contiguous()  # nothing varies together
        torch.testing.assert_close(without(constant), layer(constant))


def test_a_pair_is_taken_out_of_xi_of_rows() -> None:
    torch.manual_seed(0)
    layer = MemberInterdependence(LPHM(n=4, p=2, q=2, r=1), "instance", 2, 2, "softmax")
    nn.init.normal_(layer.weight)
    x = torch.randn(2, 30, 5, 4)
    with torch.no_grad():
        without, xi = WithoutPair(layer, 5, torch.tensor([0, 3])), layer.matrix(x)
        torch.testing.assert_close(without(x), layer(x))
        without.pair = (0, 1)
        changed = without.matrix(x)
    for i, j in ((0, 3), (3, 0)):
        torch.testing.assert_close(changed[..., i, j], xi[..., i, j].mean(1, keepdim=True).expand(2, 30, 2))
        xi[..., i, j] = changed[..., i, j]
    torch.testing.assert_close(changed, xi)


def test_chance_is_told_from_an_effect() -> None:
    random = np.random.default_rng(0)
    noise = random.standard_normal((1000, 20))
    assert np.mean([not_by_chance(rises) for rises in noise]) < 0.03
    assert np.mean([not_by_chance(rises + 1.5) for rises in noise]) > 0.95
    assert not not_by_chance(np.array([1.0]))
