"""What follows from the data where an option is not given."""

import math
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from lphm.data.fitting import fit_features, fit_grid, fit_series
from lphm.data.schema import FeatureSchema, InputSchema, NumericColumn
from lphm.data.targets import NumberTarget
from lphm.errors import InputError
from lphm.learn.config import NetworkRunConfig
from lphm.learn.defaults import configure, training_config
from lphm.learn.options import NetworkOptions, TrainingOptions

TABLE = pd.DataFrame(np.random.default_rng(0).standard_normal((20, 6)), columns=list("abcdef"))
SCHEMAS: dict[str, tuple[InputSchema, set[str]]] = {
    "table": (fit_features(TABLE), {"attribute"}),
    "grid": (fit_grid(TABLE, 2, 3), {"attribute", "instance"}),
    "series": (fit_series(TABLE.to_numpy().reshape(20, 2, 3)), {"attribute", "instance"}),
}


def configured(layout: str, rows: int, **options: object) -> NetworkRunConfig:
    target = NumberTarget(name="y", mean=0.0, std=1.0)
    network = NetworkOptions(method="network", **options)
    config = configure("t", SCHEMAS[layout][0], target, rows, network, TrainingOptions())
    assert isinstance(config, NetworkRunConfig)
    return config


def method(layout: str, rows: int, **options: object) -> str:
    target = NumberTarget(name="y", mean=0.0, std=1.0)
    network = {field.name for field in fields(NetworkOptions)}
    of_network = NetworkOptions(**{k: v for k, v in options.items() if k in network})
    of_training = TrainingOptions(**{k: v for k, v in options.items() if k not in network})
    return configure("t", SCHEMAS[layout][0], target, rows, of_network, of_training).method


@pytest.mark.parametrize("layout", SCHEMAS)
def test_ridge_regression_is_the_default_for_a_few_thousand_series(layout: str) -> None:
    series = layout == "series"
    assert method(layout, 300) == ("ridge" if series else "network")
    assert method(layout, 3000) == ("ridge" if series else "network")
    assert method(layout, 3001) == "network"
    assert method(layout, 300, method="network") == "network"
    assert not series or method(layout, 3001, method="ridge") == "ridge"


def test_long_series_with_many_channels_are_for_the_network() -> None:
    target = NumberTarget(name="y", mean=0.0, std=1.0)
    for steps, expected in ((2**12, "ridge"), (2**12 + 1, "network")):
        schema = fit_series(np.random.default_rng(0).standard_normal((2, steps, 8)))
        config = configure("t", schema, target, 2**11, NetworkOptions(), TrainingOptions())
        assert config.method == expected


@pytest.mark.parametrize(
    "choice",
    [
        {"kind": "both"},
        {"structure": "full"},
        {"r": 3},
        {"width": 16},
        {"members": 1},
        {"epochs": 3},
        {"time_limit": 9.0},
        {"precision": "bf16-mixed"},
        {"validation": 0.2},
    ],
)
def test_a_choice_that_only_the_network_has_chooses_it(choice: dict[str, object]) -> None:
    assert method("series", 300, **choice) == "network"
    (name,) = choice
    with pytest.raises(InputError, match=f"{name} must be left out with the method ridge, got"):
        method("series", 300, method="ridge", **choice)


def test_a_choice_that_both_have_chooses_nothing() -> None:
    assert method("series", 300, seed=3, threads=2, device="cpu", balanced=True) == "ridge"


@pytest.mark.parametrize("layout", ["table", "grid"])
def test_ridge_regression_is_for_series_only(layout: str) -> None:
    with pytest.raises(InputError, match="method must be network for tables and images, got 'ridge'"):
        method(layout, 300, method="ridge")


def kinds(config: NetworkRunConfig) -> set[str]:
    return {kind for kind in ("attribute", "instance") if getattr(config.network, kind) is not None}


@pytest.mark.parametrize("layout", SCHEMAS)
def test_the_kind_follows_from_the_layout(layout: str) -> None:
    assert kinds(configured(layout, 300)) == SCHEMAS[layout][1]
    assert kinds(configured(layout, 300, kind="both")) == {"attribute", "instance"}
    assert kinds(configured(layout, 300, kind="instance")) == {"instance"}
    assert kinds(configured(layout, 300, kind="none")) == set()


@pytest.mark.parametrize(
    ("layout", "rows", "members", "dropout"),
    [
        ("table", 20, 4, 0.2),
        ("table", 1999, 4, 0.2),
        ("table", 2000, 4, 0.1),
        ("table", 4999, 4, 0.1),
        ("table", 5000, 2, 0.1),
        ("table", 10**6, 2, 0.1),
        ("grid", 999, 4, 0.4),
        ("series", 1000, 4, 0.1),
        ("series", 4999, 4, 0.1),
        ("grid", 5000, 2, 0.0),
    ],
)
def test_members_and_dropout_follow_from_the_rows(
    layout: str, rows: int, members: int, dropout: float
) -> None:
    network = configured(layout, rows).network
    assert (network.members, network.dropout) == (members, dropout)
    given = configured(layout, rows, members=5, dropout=0.0).network
    assert (given.members, given.dropout) == (5, 0.0)


@pytest.mark.parametrize(("features", "members"), [(2048, 4), (2049, 3), (4096, 2), (4097, 1), (20_000, 1)])
def test_a_wide_table_has_fewer_members(features: int, members: int) -> None:
    columns = [NumericColumn(name=str(i), mean=0, std=1) for i in range(features)]
    schema = FeatureSchema(numeric=columns, categorical=[])
    target = NumberTarget(name="y", mean=0.0, std=1.0)
    config = configure("t", schema, target, 40, NetworkOptions(), TrainingOptions())
    assert config.network.members == members


ROWS = [2, 20, 100, 449, 450, 999, 4999, 5000, 19_999, 20_000, 10**6, 10**9]


@pytest.mark.parametrize("layout", SCHEMAS)
@pytest.mark.parametrize("rows", ROWS)
def test_a_training_has_enough_steps_and_not_too_many(layout: str, rows: int) -> None:
    training = training_config(TrainingOptions(), rows, SCHEMAS[layout][0])
    assert 16 <= training.batch_size <= 256
    batches = math.ceil(rows / training.batch_size)
    assert training.epochs == 1 or training.epochs * batches < 20_000 + batches
    assert training.epochs * batches >= 160
    assert training.patience == math.ceil(training.epochs / 4)
    given = training_config(TrainingOptions(epochs=7, batch_size=11, patience=5), rows, SCHEMAS[layout][0])
    assert (given.epochs, given.batch_size, given.patience) == (7, 11, 5)


@pytest.mark.parametrize(
    ("layout", "rows", "batch_size", "epochs"),
    [
        ("table", 100, 16, 28),
        ("table", 800, 64, 28),
        ("table", 4999, 128, 28),
        ("table", 19_999, 256, 28),
        ("table", 20_000, 256, 16),
        ("table", 10**6, 256, 6),
        ("series", 449, 16, 6),
        ("series", 450, 16, 16),
        ("grid", 1600, 32, 16),
    ],
)
def test_batches_and_epochs_follow_from_the_rows(
    layout: str, rows: int, batch_size: int, epochs: int
) -> None:
    training = training_config(TrainingOptions(), rows, SCHEMAS[layout][0])
    assert (training.batch_size, training.epochs) == (batch_size, epochs)


@pytest.mark.parametrize(("features", "epochs"), [(12, 28), (13, 22), (24, 22), (25, 18), (500, 18)])
def test_a_wide_table_has_fewer_passes(features: int, epochs: int) -> None:
    columns = [NumericColumn(name=str(i), mean=0, std=1) for i in range(features)]
    schema = FeatureSchema(numeric=columns, categorical=[])
    assert training_config(TrainingOptions(), 5000, schema).epochs == epochs
    assert training_config(TrainingOptions(), 20_000, schema).epochs == 16


@pytest.mark.parametrize("layout", SCHEMAS)
def test_the_learning_rate_and_the_channels_follow_from_the_layout(layout: str) -> None:
    found = configured(layout, 300)
    channels, rate = (1, 5e-3) if layout == "table" else (4, 2e-3)
    of_rows = 4 if layout == "series" else 1
    assert (found.network.channels, found.network.instance_channels) == (channels, of_rows)
    assert found.training.learning_rate == rate
    assert configured(layout, 300, width=6).network.instance_channels in (1, 2)  # divides the width
    given = training_config(TrainingOptions(learning_rate=0.5), 300, SCHEMAS[layout][0])
    assert given.learning_rate == 0.5
    given = configured(layout, 300, channels=3, instance_channels=2).network
    assert (given.channels, given.instance_channels) == (3, 2)
