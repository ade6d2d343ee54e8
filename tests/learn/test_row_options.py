"""Groups, times, weights and a file of test rows, from the data to the scores."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.dataset import Dataset
from lphm.data.parquet import ParquetStream
from lphm.data.readers import read_dataset
from lphm.data.row_options import RowOptions
from lphm.data.splits import folds, split_rows
from lphm.errors import InputError
from lphm.learn import cross_validation
from lphm.learn.cross_validation import cross_validate
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.preparation import encode
from lphm.learn.training import learn, prepare, train

RNG = np.random.default_rng(0)
ROWS = 160
#: ``place`` is what the rows are split by, as a feature: it says which rows a part has.
TABLE = pd.DataFrame({"place": RNG.integers(0, 25, ROWS).astype(float), "a": RNG.standard_normal(ROWS)})
PLACES = TABLE["place"].to_numpy()
NUMBERS = pd.Series(TABLE["a"] * 2 + RNG.standard_normal(ROWS), name="y")
CLASSES = pd.Series(np.where(NUMBERS > 0, "yes", "no"), name="y")
BY = {
    "group": Dataset("t", TABLE, CLASSES, groups=PLACES.astype(int).astype(str).astype(object)),
    "time": Dataset("t", TABLE, CLASSES, time=PLACES),
}
SMALL = NetworkOptions(width=8, channels=2, members=1)
QUICK = TrainingOptions(epochs=2, early_stopping=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": np.zeros(ROWS)}, "rows must be of at least 2 times to be split by time, got 1"),
        ({"time": np.where(CLASSES == "yes", 1.0, 0.0)}, "rows for training must have every class, .*"),
        ({"groups": (CLASSES == "yes").to_numpy()}, "rows for training must have every class, .*"),
        ({"weight": np.eye(ROWS)[0]}, "there must be at least 2 samples that count, got 1"),
    ],
)
def test_rows_that_cannot_be_held_out_can_be_trained_on(changes: dict, message: str) -> None:
    data = Dataset("t", TABLE, CLASSES, **changes)
    with pytest.raises(InputError, match=f"^early stopping must hold rows out: {message}; train without it$"):
        encode(data, SMALL, QUICK, "classification")
    encode(data, SMALL, replace(QUICK, early_stopping=False), "classification")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Rows to train on as a table and as a directory, and two files of test rows."""
    table = TABLE.assign(y=CLASSES, w=COUNTS)
    table.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "d").mkdir()
    table.to_parquet(tmp_path / "d" / "0.parquet", row_group_size=40)
    table[:50].to_csv(tmp_path / "near.csv", index=False)
    table[:70].assign(place=5000.0, a=-table["a"]).to_csv(tmp_path / "far.csv", index=False)
    return tmp_path


def open_source(files: Path, source: str, options: RowOptions) -> Dataset | ParquetStream:
    if source == "directory":
        return ParquetStream(files / "d", "y", validation=0.15, options=options)
    return read_dataset(files / "t.csv", "y", options=options)


each_way = pytest.mark.parametrize("way", BY)


def apart(way: str, *parts: set[float]) -> bool:
    """Whether parts have no group in common; by time, whether each is later than those before it."""
    if way == "time":
        return all(max(a) < min(b) for a, b in pairwise(parts))
    return sum(map(len, parts)) == len(set.union(*parts))


@each_way
def test_all_three_parts_of_a_training_are_apart(way: str) -> None:
    prepared = prepare(BY[way], SMALL, QUICK)
    place = prepared.config.input.numeric[0]
    parts = [
        {round(float(x) * place.std + place.mean) for x in batches.x[batches.weight.view(-1) > 0, 0]}
        for batches in (prepared.train, prepared.validation)  # of the only member
    ]
    _, test = prepared.test.args
    assert apart(way, *parts, {*test.inputs["place"]})
    assert set.union(*parts, {*test.inputs["place"]}) == {*PLACES}
    trained_on = int((prepared.train.weight > 0).sum())
    assert trained_on + prepared.validation.rows + len(test) == ROWS


@each_way
def test_the_parts_of_a_fold_are_apart_and_so_are_those_of_its_training(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, scored = [], []

    def encoded(data: Dataset, *arguments: object, **named: object) -> object:
        task = "classification"
        trained.append([{*part.inputs["place"]} for part in split_rows(data, task, 0, 0.15)])
        return learn(data, SMALL, replace(QUICK, epochs=1), task)

    def evaluated(run: object, data: Dataset, **named: object) -> object:
        scored.append({*data.inputs["place"]})
        return evaluate(run, data, **named)

    monkeypatch.setattr(cross_validation, "learn", encoded)
    monkeypatch.setattr(cross_validation, "evaluate", evaluated)
    cross_validate(BY[way], SMALL, QUICK, 4)
    assert len(trained) == len(scored) == 4
    for (training, validation), test in zip(trained, scored, strict=True):
        assert apart(way, training, validation, test)


# Weights.

COUNTS = RNG.integers(0, 4, ROWS)
REPEATED = np.repeat(np.arange(ROWS), COUNTS)


@pytest.mark.parametrize("target", [NUMBERS, CLASSES], ids=["numbers", "classes"])
def test_scores_of_weighted_rows_are_those_of_repeated_ones(target: pd.Series) -> None:
    data = Dataset("t", TABLE, target)
    run = learn(data, SMALL, TrainingOptions(epochs=3)).run
    weighted = evaluate(run, replace(data, weight=COUNTS.astype(float)), interdependence=False)
    repeated = evaluate(run, data.take(REPEATED), interdependence=False)
    assert weighted.score == pytest.approx(repeated.score, abs=1e-6)
    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-5)
    assert weighted.score != pytest.approx(evaluate(run, data, interdependence=False).score, abs=1e-3)


@pytest.mark.parametrize("target", [NUMBERS, CLASSES], ids=["numbers", "classes"])
def test_steps_over_all_weighted_rows_are_those_over_repeated_ones(target: pd.Series) -> None:
    data = Dataset("t", TABLE, target)
    start = learn(data, replace(SMALL, dropout=0.0), TrainingOptions(epochs=1)).run
    options = TrainingOptions(epochs=6, batch_size=10_000, learning_rate=0.02, early_stopping=False)
    trained = [
        learn(part, training=options, start=start)
        for part in (replace(data, weight=COUNTS * 7.5), data.take(REPEATED), data)
    ]
    weighted, repeated, plain = (each.run.outputs(TABLE) for each in trained)
    torch.testing.assert_close(weighted, repeated, atol=1e-3, rtol=1e-3)
    assert (plain - repeated).abs().max() > 0.02
    losses = [[line["train_loss"] for line in each.history.lines] for each in trained]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_equal_weights_are_none_bit_for_bit() -> None:
    data = Dataset("t", TABLE, CLASSES)
    plain, weighted = (
        train(prepare(each, SMALL, QUICK)) for each in (data, replace(data, weight=np.full(ROWS, 4.0)))
    )
    assert weighted.metrics["history"] == plain.metrics["history"]
    assert weighted.metrics["test"] == plain.metrics["test"]


def test_the_scores_of_all_parts_and_folds_are_weighted() -> None:
    data = Dataset("t", TABLE, CLASSES, weight=np.where(CLASSES == "yes", 1e-9, 1.0))
    outcome = train(prepare(data, SMALL, replace(QUICK, epochs=15)))
    for part in ("train", "test"):
        assert outcome.metrics[part]["accuracy"] > 0.999  # only "no" counts, and only "no" is predicted
    assert outcome.metrics["history"][-1]["val_score"] > 0.999
    assert set(outcome.evaluation.predictions["predicted"]) == {"no"}
    validated = cross_validate(data, SMALL, TrainingOptions(epochs=15), 3)
    assert min(validated.scores) > 0.999
    rows = [test for _, test in folds(data, "classification", 3, 0)]
    assert all((CLASSES[test] == "yes").any() for test in rows)


def test_the_scores_of_a_stream_are_weighted(files: Path) -> None:
    stream = open_source(files, "directory", RowOptions(weight="w"))
    outcome = train(prepare(stream, SMALL, QUICK))
    rows = pd.concat(stream.frames("test"), ignore_index=True)
    weighted = Dataset("t", rows, rows["y"], weight=rows["w"].to_numpy())
    score, plain = (evaluate(outcome.run, each).loss for each in (weighted, replace(weighted, weight=None)))
    assert outcome.metrics["test"]["loss"] == pytest.approx(score)
    assert outcome.evaluation.loss == pytest.approx(score)
    assert score != pytest.approx(plain, rel=1e-4)


# A validation part that is given.


def test_a_validation_part_that_is_given_stands_for_one_that_is_split_off() -> None:
    data = BY["time"]
    parts = split_rows(data, "classification", 0, QUICK.validation)
    whole = learn(data, SMALL, QUICK)
    given = learn(parts[0], SMALL, QUICK, validation=parts[1])
    assert given.history == whole.history
    assert given.run.config == whole.run.config
    for name, tensor in whole.run.network.state_dict().items():
        assert torch.equal(given.run.network.state_dict()[name], tensor), name


def test_nothing_is_learned_from_a_validation_part_that_is_given() -> None:
    data = Dataset("t", TABLE, CLASSES)
    far = Dataset("v", TABLE + 100.0, CLASSES)
    plain, other = (
        encode(data, SMALL, QUICK, "classification", validation=part)
        for part in (data.take(np.arange(9)), far)
    )
    assert other.config == plain.config
    assert torch.equal(other.train.x, plain.train.x)
    assert len(other.train.x) == ROWS


# A file of test rows.


SOURCES = ["table", "directory"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("weight", [None, "w"])
def test_nothing_is_learned_from_a_file_of_test_rows(files: Path, source: str, weight: str | None) -> None:
    near, far = (
        train(
            prepare(
                open_source(files, source, RowOptions(test=str(files / name), weight=weight)), SMALL, QUICK
            )
        )
        for name in ("near.csv", "far.csv")
    )
    assert near.run.config == far.run.config
    for key, tensor in near.run.network.state_dict().items():
        assert torch.equal(far.run.network.state_dict()[key], tensor)
    assert near.metrics["history"] == far.metrics["history"]
    assert near.metrics["test"] != far.metrics["test"]
    assert (near.metrics["rows"]["test"], far.metrics["rows"]["test"]) == (50, 70)
    assert near.metrics["rows"]["train"] == far.metrics["rows"]["train"]
    if source == "table":
        assert near.metrics["rows"]["train"] == ROWS  # none of them is held out
    else:
        drawn = open_source(files, source, RowOptions(weight=weight))
        assert near.metrics["rows"]["train"] > len(pd.concat(drawn.frames("train")))
    assert len(far.evaluation.predictions) == 70


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"y": "maybe"}, {}, "'y' must be one of the classes .*, got 'maybe'"),
        ({"a": "one"}, {}, "column 'a' must hold numbers, got 'one' in row 1"),
        ({"a": 1e200}, {}, "column 'a' must hold numbers of at most"),
        ({"a": 1e40}, {}, "column 'a' must hold numbers near those of training"),
        ({"y": None}, {}, r"near\.csv must have rows in which 'y' is not missing, got none"),
        ({"w": 0}, {"weight": "w"}, r"near\.csv must have rows whose weight is above 0, got none"),
        ({"w": -1}, {"weight": "w"}, "the weight 'w' must be a number of at least 0"),
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_test_rows_that_cannot_be_used_are_found_before_the_training(
    files: Path, source: str, change: dict, options: dict, message: str
) -> None:
    pd.read_csv(files / "near.csv").assign(**change).to_csv(files / "near.csv", index=False)
    data = open_source(files, source, RowOptions(test=str(files / "near.csv"), **options))
    with pytest.raises(InputError, match=message):
        prepare(data, SMALL, QUICK)


@pytest.mark.parametrize(
    ("change", "way", "message"),
    [
        (lambda f: f.drop(columns="place"), "group", r"near\.csv must have the column 'place', got a, y, w"),
        (lambda f: f, "group", r"near\.csv must have other groups than t\.csv, got '\d+\.0' in both"),
        (lambda f: f, "time", r"every row of near\.csv must be later than those of t\.csv"),
        (
            lambda f: f.assign(place=24.0),
            "time",
            r"every row of near\.csv must be later than those of t\.csv",
        ),
        (lambda f: f.assign(place=24.5), "group", None),
        (lambda f: f.assign(place=24.5), "time", None),
    ],
)
def test_test_rows_are_of_other_groups_and_later(
    files: Path, change: Any, way: str, message: str | None
) -> None:
    change(pd.read_csv(files / "near.csv")).to_csv(files / "near.csv", index=False)
    data = read_dataset(
        files / "t.csv", "y", options=RowOptions(test=str(files / "near.csv"), **{way: "place"})
    )
    if message is None:
        assert 0 < (prepare(data, SMALL, QUICK).train.weight > 0).sum() < ROWS
    else:
        with pytest.raises(InputError, match=message):
            prepare(data, SMALL, QUICK)
