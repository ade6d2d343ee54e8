"""From data to a tested run: sizes, schemas of training rows alone, one look at the test part, resuming."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.data.dataset import Dataset
from lphm.data.parquet import ParquetStream
from lphm.data.progress import Progress
from lphm.data.splits import held_out, split_rows
from lphm.data.targets import ClassTarget
from lphm.errors import InputError
from lphm.learn import loop, preparation
from lphm.learn.calibration import calibrate
from lphm.learn.checkpoint import CHECKPOINT
from lphm.learn.evaluation import evaluate
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.preparation import encode
from lphm.learn.run import Run
from lphm.learn.training import Outcome, Trained, learn, prepare, train
from lphm.learn.weights import FlatParameters

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame(RNG.standard_normal((120, 3)), columns=list("abc"))
PRODUCT = Dataset(
    "product",
    NUMBERS,
    pd.Series((NUMBERS["a"] * NUMBERS["b"] > 0).map({True: "same", False: "not"}), name="product"),
)
NOISE = Dataset("noise", NUMBERS, pd.Series(np.random.default_rng(0).choice(["u", "v"], 120), name="noise"))
SMALL = NetworkOptions(kind="both", width=8, channels=2, members=2)
ONE_EPOCH = TrainingOptions(epochs=1)


def write_flows(folder: Path, change: Callable[[pd.DataFrame], None] | None = None) -> ParquetStream:
    """A directory of 480 rows in 6 row groups."""
    folder.mkdir()
    table = pd.DataFrame(np.random.default_rng(1).standard_normal((480, 3)), columns=list("abc"))
    table["k"] = np.random.default_rng(2).choice(["u", "v"], 480)
    table["y"] = np.where(table["a"] + (table["k"] == "u") > 0.3, "yes", "no")
    if change is not None:
        change(table)
    for i in range(2):
        table[240 * i : 240 * (i + 1)].to_parquet(folder / f"{i}.parquet", row_group_size=80, index=False)
    return ParquetStream(folder, "y", validation=0.15)


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> ParquetStream:
    return write_flows(tmp_path_factory.mktemp("data") / "flows")


@pytest.fixture
def predicted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of samples in every call that predicts."""
    outputs, calls = Run.outputs, []

    def counted(self: Run, inputs: pd.DataFrame, *arguments: object) -> torch.Tensor:
        calls.append(len(inputs))
        return outputs(self, inputs, *arguments)

    monkeypatch.setattr(Run, "outputs", counted)
    return calls


Call = tuple[str, int, int, str]


def recorder(calls: list[Call]) -> Progress:
    """A progress that appends every call to a list."""

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        calls.append((task, done, total, status))

    return progress


# Sizes and schemas.


@pytest.mark.parametrize(
    ("network", "training"),
    [
        (NetworkOptions(r=10**9), ONE_EPOCH),
        (NetworkOptions(channels=2**31 - 1), ONE_EPOCH),  # more numbers than torch can count
        (NetworkOptions(kind="both", structure="full", width=2**17), ONE_EPOCH),
        (NetworkOptions(members=1000, width=2**20), ONE_EPOCH),
        (NetworkOptions(members=1000, width=2**15), TrainingOptions(epochs=1, batch_size=2**31 - 1)),
    ],
)
def test_a_network_beyond_memory_is_refused_before_it_is_allocated(
    monkeypatch: pytest.MonkeyPatch, network: NetworkOptions, training: TrainingOptions
) -> None:
    monkeypatch.setattr("lphm._memory.memory_limit", lambda: 64 * 2**30)
    monkeypatch.setattr("lphm.learn.training.fit", None)
    for call in (prepare, learn):
        with pytest.raises(InputError, match="must fit into memory"):
            call(PRODUCT, network, training)


def test_a_batch_is_no_larger_than_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm._memory.memory_limit", lambda: 2**26)
    config = prepare(PRODUCT, SMALL, TrainingOptions(epochs=1, batch_size=2**31 - 1)).config
    assert config.training.batch_size == 2**31 - 1


def test_sizes_follow_the_rows_unless_given() -> None:
    config = prepare(PRODUCT, NetworkOptions(), ONE_EPOCH).config
    assert config.network.width == 32
    assert config.network.attribute == {"name": "lphm", "n": 4, "p": 2, "q": 2, "r": 2}
    assert config.training.batch_size == 16
    given = prepare(PRODUCT, SMALL, TrainingOptions(epochs=2, batch_size=50, patience=1)).config
    assert (given.network.width, given.network.blocks, given.network.channels) == (8, 1, 2)
    assert (given.training.batch_size, given.training.patience) == (50, 1)


@pytest.mark.parametrize(("channels", "rows"), [(1, 4), (2, 4), (3, 12), (4, 4), (8, 8)])
def test_rows_fill_up_to_a_multiple_of_4_that_the_channels_divide(channels: int, rows: int) -> None:
    run = learn(PRODUCT, replace(SMALL, channels=channels), ONE_EPOCH).run
    assert (run.config.network.attribute["n"], run.network.embedding.rows) == (rows, rows)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_schemas_are_fitted_once_and_see_no_row_outside_the_training_part(
    monkeypatch: pytest.MonkeyPatch, early_stopping: bool
) -> None:
    options = TrainingOptions(seed=3, epochs=1, early_stopping=early_stopping)
    data = replace(PRODUCT, time=np.arange(120)) if early_stopping else PRODUCT
    rest, test = split_rows(data, "classification", seed=3)
    train_part, outside = rest, test
    if early_stopping:
        train_part, outside = split_rows(rest, "classification", 3, options.validation)
    inputs = NUMBERS.assign(k="known", one=RNG.choice(["u", "v"], 120))
    inputs.loc[outside.inputs.index[0], ["a", "k"]] = [1e9, "unknown"]
    calls = []
    fit_inputs = preparation.fit_inputs
    monkeypatch.setattr(preparation, "fit_inputs", lambda data: calls.append(data) or fit_inputs(data))
    schema = prepare(replace(data, inputs=inputs), SMALL, options).config.input
    assert [len(data) for data in calls] == [len(train_part)]
    for column in schema.numeric:
        assert column.mean == pytest.approx(train_part.inputs[column.name].mean(), abs=1e-12)
    assert schema.labels == ["a", "b", "c", "one"]  # k does not vary in the training part


@pytest.mark.parametrize("part", ["validation", "test"])
def test_schemas_of_a_stream_see_no_row_outside_the_training_part(tmp_path: Path, part: str) -> None:
    plain = write_flows(tmp_path / "plain")
    expected = pd.concat(plain.frames("train"))
    outside = next(plain.frames(part)).iloc[0]

    def change(table: pd.DataFrame) -> None:
        row = table.index[table["a"] == outside["a"]]
        table.loc[row, ["a", "k"]] = [1e9, "unknown"]

    schema = prepare(write_flows(tmp_path / "changed", change), SMALL, ONE_EPOCH).config.input
    assert [column.name for column in schema.numeric] == ["a", "b", "c"]
    assert schema.numeric[0].mean == pytest.approx(expected["a"].mean(), abs=1e-12)
    assert schema.categorical[0].categories == ["u", "v"]


def test_a_test_row_that_cannot_be_encoded_is_found_before_the_training() -> None:
    _, test = split_rows(PRODUCT, "classification", seed=0)
    row = test.inputs.index[2]
    inputs = NUMBERS.copy()
    inputs.loc[row, "b"] = np.inf
    with pytest.raises(InputError, match=f"column 'b' must hold finite numbers, got inf in row {row + 1}"):
        prepare(replace(PRODUCT, inputs=inputs), SMALL, ONE_EPOCH)


def test_what_cannot_be_prepared() -> None:
    with pytest.raises(InputError, match="training needs at least 20 rows with a target, got 10"):
        prepare(PRODUCT.take(np.arange(10)), SMALL, ONE_EPOCH)
    with pytest.raises(InputError, match="the network cannot be built: instance_channels must divide width"):
        prepare(PRODUCT, replace(SMALL, instance_channels=3), ONE_EPOCH)
    with pytest.raises(InputError, match="the attribute interdependence, whose W is 4 x 4: p must divide n"):
        prepare(PRODUCT, replace(SMALL, p=3), ONE_EPOCH)


def test_a_stream_needs_a_test_part(flows: ParquetStream) -> None:
    stream = ParquetStream(flows.index.files[0].parent, "y", test=0.0)
    with pytest.raises(InputError, match="flows must hold enough rows for a test part, got none in it"):
        prepare(stream, SMALL, ONE_EPOCH)


def test_a_stream_takes_no_weights(flows: ParquetStream) -> None:
    with pytest.raises(InputError, match="balanced must be left out for a directory") as caught:
        prepare(flows, SMALL, TrainingOptions(balanced=True))
    assert caught.value.option == "balanced"


# The test part.


def check_outcome(outcome: Outcome, rows: int) -> None:
    """Scores and evaluation say the same of the same rows."""
    assert outcome.metrics["test"] == outcome.evaluation.scores
    assert outcome.metrics["rows"]["test"] == len(outcome.evaluation.predictions) == rows
    assert list(outcome.evaluation.interdependence) == ["instance", "attribute"]


def test_the_test_part_is_predicted_once(predicted: list[int]) -> None:
    outcome = train(prepare(PRODUCT, SMALL, ONE_EPOCH))
    assert predicted == [24, 96]  # the test part, then the training part
    check_outcome(outcome, 24)
    _, test = split_rows(PRODUCT, "classification", seed=0)
    again = evaluate(outcome.run, test)
    pd.testing.assert_frame_equal(again.predictions, outcome.evaluation.predictions)
    assert outcome.sample is PRODUCT


def test_the_test_part_of_a_stream_is_predicted_once(
    flows: ParquetStream, predicted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Call] = []
    options = TrainingOptions(epochs=2, early_stopping=True)
    outcome = train(prepare(flows, SMALL, options), progress=recorder(calls))
    test = pd.concat(flows.frames("test"), ignore_index=True)
    assert sum(predicted) == len(test)
    check_outcome(outcome, len(test))
    assert list(outcome.evaluation.predictions["y"]) == list(test["y"])
    assert evaluate(outcome.run, Dataset("t", test, test["y"])).loss == pytest.approx(outcome.evaluation.loss)
    assert outcome.metrics["rows"]["train"] == len(pd.concat(flows.frames("train"))) == len(outcome.sample)
    assert calls[-1] == ("testing", len(test), len(test), "")
    # Of many rows, the first ones are evaluated; the scores are those of all rows.
    monkeypatch.setattr(preparation, "MOST_ROWS", 50)
    shown = train(prepare(flows, SMALL, options))
    assert shown.metrics["test"] == outcome.metrics["test"]
    assert len(shown.evaluation.predictions) == len(shown.sample) == 50
    assert list(shown.evaluation.predictions["y"]) == list(test["y"][:50])


# The training.


def same_training(trained: Trained, expected: Trained) -> None:
    assert trained.history == expected.history
    for name, tensor in expected.run.network.state_dict().items():
        assert torch.equal(trained.run.network.state_dict()[name], tensor), name


@pytest.fixture(scope="module")
def overfitted() -> Trained:
    """Trained on noise until the validation loss has not fallen for 4 epochs."""
    options = TrainingOptions(epochs=40, learning_rate=0.02, patience=4, early_stopping=True)
    return learn(NOISE, SMALL, options)


def test_the_best_epoch_is_kept_and_training_stops(overfitted: Trained) -> None:
    lines = overfitted.history.lines
    validated = [line for line in lines if "val_loss" in line]
    best = min(validated, key=lambda line: line["val_loss"])
    assert overfitted.history.best_epoch == best["epoch"] == len(lines) - 4
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    every_third = set(range(3, len(lines) + 1, 3))  # of 40, 16 at most
    assert {line["epoch"] for line in validated} == every_third | {len(lines)}
    assert len(lines) < 40
    loss, score = judged_by_members_that_did_not_see(overfitted, NOISE)
    assert loss == pytest.approx(best["val_loss"], rel=1e-4)
    assert score == pytest.approx(best["val_score"])


def judged_by_members_that_did_not_see(trained: Trained, data: Dataset) -> tuple[float, float]:
    """Loss and score of each member on the rows that were held out for it."""
    parts = held_out(data, "classification", 0, 0.1, SMALL.members).T
    target, x = trained.run.config.target, trained.run.config.input.encode(data.inputs)
    outputs, y = trained.run.network(x).detach(), target.encode(data.target)
    logits = torch.cat([outputs[part, member] for member, part in enumerate(parts)])
    truth = torch.cat([y[part] for part in parts])
    loss, factor = calibrate(target, logits, truth, torch.ones(len(truth)))
    assert factor == pytest.approx(1, abs=0.02)  # the best one is in the weights
    return loss, target.score(logits, truth).item()


def test_members_learn_from_all_rows_but_those_that_they_hold_out() -> None:
    data = replace(PRODUCT, weight=np.arange(120.0))
    encoded = encode(data, SMALL, replace(ONE_EPOCH, early_stopping=True), "classification")
    parts = torch.as_tensor(held_out(data, "classification", 0, 0.1, SMALL.members))
    weight = torch.arange(120).float().unsqueeze(1) / 59.5
    torch.testing.assert_close(encoded.train.weight, weight * ~parts)
    validated = parts.any(dim=1)
    torch.testing.assert_close(encoded.validation.weight, (weight * parts)[validated])
    assert torch.equal(encoded.validation.x, encoded.train.x[validated])
    assert torch.equal(encoded.validation.y, encoded.train.y[validated])
    assert 0 < encoded.train.weight[1:].eq(0).float().mean() < 0.2


def test_the_weights_that_are_kept_are_a_running_average(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.Tensor, float]] = []
    update = FlatParameters.update_average

    def recorded(self: FlatParameters, weight: float) -> None:
        seen.append((self.values.detach().clone(), weight))
        update(self, weight)

    monkeypatch.setattr(FlatParameters, "update_average", recorded)
    options = TrainingOptions(epochs=16, batch_size=15, learning_rate=0.02, early_stopping=False)
    network = learn(PRODUCT, SMALL, options).run.network
    average = torch.zeros_like(seen[0][0])
    for values, weight in seen:
        assert weight == 32 / 128  # over the last 32nd of the steps
        average += weight * (values - average)
    kept = torch.cat([p.detach().flatten() for p in network.parameters()])
    torch.testing.assert_close(kept, average, rtol=1e-4, atol=1e-6)
    assert (kept - seen[-1][0]).abs().max() > 1e-5


@pytest.mark.parametrize("early_stopping", [None, False])
def test_a_small_table_holds_nothing_out_by_itself(early_stopping: bool | None) -> None:
    options = TrainingOptions(epochs=1, early_stopping=early_stopping)
    for rows in (99, 100):
        encoded = encode(PRODUCT.take(np.arange(rows)), SMALL, options, "classification")
        assert (encoded.validation is not None) == (rows == 100 and early_stopping is None)


X = np.random.default_rng(0).standard_normal((120, 4))
IMAGES = replace(PRODUCT, inputs=pd.DataFrame(X, columns=list("abcd")), grid=(2, 2))
SERIES = replace(PRODUCT, inputs=X.reshape(120, 2, 2))


def test_series_hold_nothing_out_by_themselves() -> None:
    stops = replace(ONE_EPOCH, early_stopping=True)
    for data, choice, held in ((IMAGES, ONE_EPOCH, True), (SERIES, ONE_EPOCH, False), (SERIES, stops, True)):
        assert (encode(data, SMALL, choice, "classification").validation is not None) == held


def test_labels_are_smoothed_but_not_those_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, used = ClassTarget.training_loss, []

    def recorded(self: ClassTarget, *arguments: object) -> torch.Tensor:
        used.append(arguments[-1])
        return plain(self, *arguments)

    monkeypatch.setattr(ClassTarget, "training_loss", recorded)
    smoothing = []
    for data in (PRODUCT, IMAGES, SERIES):
        learn(data, SMALL, ONE_EPOCH)
        smoothing.append({*used})
        used.clear()
    assert smoothing == [{0.0}, {loop.SMOOTHING}, {loop.SMOOTHING}]


class KilledError(Exception):
    """Stands for kill -9: nothing is tidied up."""


def killed(folder: Path, epoch: int, data: Dataset, options: TrainingOptions) -> None:
    """A training that ends once the checkpoint of an epoch is written."""

    def progress(task: str, done: int, total: int, status: str = "") -> None:
        if status.startswith(f"epoch {epoch} of"):
            raise KilledError

    with pytest.raises(KilledError):
        learn(data, SMALL, options, folder=folder, progress=progress)


@pytest.fixture(scope="module")
def uninterrupted() -> Trained:
    return learn(PRODUCT, SMALL, TrainingOptions(epochs=4))


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_resumed_training_ends_with_the_same_weights(
    tmp_path: Path, uninterrupted: Trained, epoch: int
) -> None:
    killed(tmp_path, epoch, PRODUCT, TrainingOptions(epochs=4))
    calls: list[Call] = []
    options = TrainingOptions(epochs=4)
    again = learn(PRODUCT, SMALL, options, folder=tmp_path, resume=True, progress=recorder(calls))
    same_training(again, uninterrupted)
    steps = len(range(0, 120, 16))
    assert [done for _, done, _, _ in calls[:1]] == ([] if epoch == 4 else [epoch * steps + 1])


@pytest.mark.parametrize("before_the_end", [0, 1, 3, 5])
def test_a_resumed_training_stops_where_it_would_have_stopped(
    tmp_path: Path, overfitted: Trained, before_the_end: int
) -> None:
    options = TrainingOptions(epochs=40, learning_rate=0.02, patience=4, early_stopping=True)
    killed(tmp_path, len(overfitted.history.lines) - before_the_end, NOISE, options)
    same_training(learn(NOISE, SMALL, options, folder=tmp_path, resume=True), overfitted)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text", "pickle", "of another network"])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, damage: str) -> None:
    other = replace(SMALL, members=1) if damage == "of another network" else SMALL
    learn(PRODUCT, other, ONE_EPOCH, folder=tmp_path)
    file = tmp_path / CHECKPOINT
    whole = file.read_bytes()
    contents = {
        "cut": whole[:-100],
        "changed": whole.replace(b"average", b"overage"),
        "empty": b"",
        "text": b"not a checkpoint",
        "pickle": pickle.dumps({"network": 1}),
    }
    file.write_bytes(contents.get(damage, whole))
    with pytest.raises(InputError, match=r"checkpoint\.ckpt must be a whole checkpoint of this training"):
        learn(PRODUCT, SMALL, ONE_EPOCH, folder=tmp_path, resume=True)


def test_progress_counts_the_steps_and_says_the_losses() -> None:
    calls: list[Call] = []
    options = TrainingOptions(epochs=2, batch_size=50, early_stopping=True)
    trained = learn(PRODUCT, SMALL, options, progress=recorder(calls))
    assert [call[:3] for call in calls] == [("training", done, 6) for done in (1, 2, 3, 3, 4, 5, 6, 6)]
    line = trained.history.lines[-1]
    assert calls[-1][3] == (
        f"epoch 2 of 2  loss {line['train_loss']:.4f}  validation accuracy {line['val_score']:.4f}"
    )


@pytest.mark.parametrize("members", [1, 3])
def test_the_training_loss_is_that_of_one_member(members: int) -> None:
    options = TrainingOptions(epochs=1, learning_rate=1e-12)
    trained = learn(PRODUCT, replace(SMALL, members=members), options)
    assert trained.history.lines[0]["train_loss"] == pytest.approx(np.log(2), rel=1e-4)  # it knows nothing


def test_every_epoch_drops_other_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    options = TrainingOptions(epochs=3, batch_size=40)
    learn(PRODUCT, SMALL, options, progress=lambda *_: seeds.append(torch.initial_seed()))
    assert len(set(seeds)) == 3
    learn(PRODUCT, SMALL, replace(options, seed=1), progress=lambda *_: seeds.append(torch.initial_seed()))
    assert len(set(seeds)) == 6
    monkeypatch.setattr(loop, "rank", lambda: 1)  # another process drops others again
    learn(PRODUCT, SMALL, options, progress=lambda *_: seeds.append(torch.initial_seed()))
    assert len(set(seeds)) == 9


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_a_training_of_few_steps(steps: int) -> None:
    options = TrainingOptions(epochs=1, batch_size=-(-120 // steps))
    trained = learn(PRODUCT, SMALL, options)
    assert np.isfinite(trained.history.lines[0]["train_loss"])
    assert not trained.run.network.training


def test_weights_decay() -> None:
    sizes = []
    for decay in (0.0, 5.0):
        options = TrainingOptions(epochs=3, learning_rate=0.02, weight_decay=decay)
        network = learn(PRODUCT, SMALL, options).run.network
        sizes.append(sum(float(parameter.detach().square().sum()) for parameter in network.parameters()))
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize("members", [1, 3])
def test_the_gradients_of_a_step_are_at_most_1_for_each_member(
    monkeypatch: pytest.MonkeyPatch, members: int
) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def recorded(self: torch.optim.AdamW) -> None:
        gradients = [p.grad.norm() for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.stack(gradients).norm()))
        step(self)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    wild = replace(PRODUCT, target=pd.Series(np.random.default_rng(0).standard_normal(120) ** 5))
    learn(wild, replace(SMALL, members=members), TrainingOptions(epochs=5, learning_rate=0.02))
    assert max(norms) == pytest.approx(members**0.5, rel=1e-5)
    norms.clear()
    learn(PRODUCT, replace(SMALL, members=members), TrainingOptions(epochs=12))
    assert min(norms) < 0.9 * members**0.5  # smaller gradients are not made larger


def test_training_leaves_the_random_state_and_the_threads_as_they_were() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    learn(PRODUCT, SMALL, TrainingOptions(epochs=1, batch_size=120, threads=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_weights_decide() -> None:
    """If the samples of one class weigh nothing, the network predicts the other."""
    weight = (PRODUCT.target == "same").to_numpy(dtype=float)
    trained = learn(replace(PRODUCT, weight=weight), SMALL, TrainingOptions(epochs=10))
    assert set(trained.run.predict(NUMBERS)["product"]) == {"same"}


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_diverging_training_is_an_error(early_stopping: bool) -> None:
    numbers = replace(PRODUCT, target=pd.Series(np.linspace(0, 1, 120)))
    options = TrainingOptions(epochs=3, learning_rate=1e38, early_stopping=early_stopping)
    with pytest.raises(InputError, match="training must keep a finite loss, got none; choose a sm") as caught:
        learn(numbers, SMALL, options)
    assert (caught.value.option, caught.value.value) == ("learning_rate", "1e+37")


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device must be available, got 'cuda'") as caught:
        learn(PRODUCT, SMALL, TrainingOptions(epochs=1, device="cuda"))
    assert caught.value.option == "device"


def test_a_target_that_is_too_far_in_the_test_part_is_found_before_the_training() -> None:
    rng = np.random.default_rng(0)
    frame, y = pd.DataFrame({"a": rng.normal(size=60)}), pd.Series(rng.normal(size=60), name="y")
    _, test = split_rows(Dataset("t", frame, y), "regression", seed=0)
    y[test.target.index[0]] = 1e40
    with pytest.raises(InputError, match=r"column 'y' must hold numbers near those of training, got 1e\+40"):
        prepare(Dataset("t", frame, y))
