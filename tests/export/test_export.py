"""An exported run answers as the run does, from the cells of a table, for any number of samples."""

import json
import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from lphm.data.columns import as_numbers_or_words
from lphm.data.conversions import TextHash, convert, find_conversions
from lphm.data.dates import date_part as dates_part
from lphm.data.fitting import fit_features, fit_grid, fit_series
from lphm.data.schema import InputSchema
from lphm.data.targets import ClassTarget, NumberTarget, TargetSchema
from lphm.errors import InputError
from lphm.estimators import LPHMClassifier, LPHMRegressor
from lphm.export import export_run
from lphm.export.columns import Column, columns_of
from lphm.export.scorer import Scorer, date_part
from lphm.learn.config import NetworkConfig, NetworkRunConfig, TrainingConfig, build_network
from lphm.learn.run import Run, save_run
from lphm.structures.named import NAMED, structure_for
from support.runs import make_run
from support.scoring import BATCHES, score

N = max(BATCHES)
CLASSES = ClassTarget(name="y", classes=["no", "yes", "ä b"])
NUMBER = NumberTarget(name="y", mean=1e4, std=30.0)
TRAINING = TrainingConfig(seed=0, epochs=1, batch_size=4, learning_rate=0.1, weight_decay=0.0, patience=1)


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


DATA = {"features": cache(features), "images": cache(images), "series": cache(series)}


def run_of(schema: InputSchema, target: TargetSchema, attribute: str | None, instance: str | None) -> Run:
    """A network whose parameters are all random: a fresh one says the same about every sample."""
    rows = -(-len(schema.labels) // 4) * 4
    network = NetworkConfig(
        width=8,
        blocks=1,
        channels=2,
        instance_channels=2,
        dropout=0.1,
        members=2,
        attribute=structure_for(attribute, rows).to_config() if attribute else None,
        instance=structure_for(instance, 8).to_config() if instance else None,
    )
    config = NetworkRunConfig(source="t", input=schema, target=target, network=network, training=TRAINING)
    run, generator = Run(config, build_network(config)), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in run.network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return run


def answers(run: Run, samples: pd.DataFrame | np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels and probabilities, or numbers."""
    predicted = run.predict(samples)
    first = predicted.iloc[:, 0].to_numpy()
    return first, predicted.iloc[:, 1:].to_numpy() if predicted.shape[1] > 1 else None


def assert_equal_answers(run: Run, samples: pd.DataFrame | np.ndarray, scored: dict) -> None:
    first, probabilities = answers(run, samples)
    if probabilities is not None:
        assert probabilities.std(axis=0).min() > 0.01  # the samples are told apart
    for batch, outputs in scored.items():
        if probabilities is None:
            assert outputs["prediction"].shape == (batch,)
            error = np.abs(outputs["prediction"] - first[:batch]) / NUMBER.std
            assert error.max() <= 1e-5
        else:
            assert outputs["probabilities"].shape == (batch, probabilities.shape[1])
            assert np.abs(outputs["probabilities"] - probabilities[:batch]).max() <= 1e-5
            assert (outputs["label"] == first[:batch]).mean() > 0.99  # but for ties


def tensors(columns: list[Column], cells: dict[str, np.ndarray]) -> list[torch.Tensor]:
    """The cells, with codes in the place of categories."""
    inputs = []
    for column in columns:
        values = cells[column.input_name]
        if column.content == "category":
            codes = column.codes()
            values = np.array([[codes.get(word, 0)] for word in values[:, 0]])
        inputs.append(torch.from_numpy(values))
    return inputs


@pytest.mark.parametrize("structure", NAMED)
@pytest.mark.parametrize("target", [CLASSES, NUMBER], ids=lambda each: each.task)
@pytest.mark.parametrize("data", DATA)
def test_what_is_exported_says_what_the_run_predicts(data: str, target: TargetSchema, structure: str) -> None:
    """Every structure, with every kind of data and both tasks, before it is written to a file."""
    schema, samples, cells = DATA[data]()
    run, columns = run_of(schema, target, structure, structure), columns_of(schema)
    scorer, inputs = Scorer(run, columns), tensors(columns, cells)
    scored: dict[int, dict[str, np.ndarray]] = {}
    for batch in BATCHES:
        with torch.no_grad():
            outputs = scorer(*(each[:batch] for each in inputs))
        if isinstance(target, NumberTarget):
            scored[batch] = {"prediction": outputs.numpy()}
            continue
        labels = np.array(target.classes)[outputs[0].numpy()]
        scored[batch] = {"label": labels, "probabilities": outputs[1].numpy()}
    assert_equal_answers(run, samples, scored)


#: Data and task, and the structures of the attribute and the instance kind.
CASES = [
    ("features", CLASSES, "lphm", "full"),
    ("features", NUMBER, None, "random-matrix"),
    ("images", CLASSES, "dual-lphm", None),
    ("images", NUMBER, "low-rank", None),
    ("series", CLASSES, None, "toeplitz"),
    ("series", NUMBER, "hm", "lphm"),
]


#: For `make soak`: every structure, as both kinds, with every kind of data and both tasks.
PRODUCT = [(data, target, name, name) for data in DATA for target in (CLASSES, NUMBER) for name in NAMED]


def test_the_cases_have_every_structure_and_every_task_with_every_kind_of_data() -> None:
    assert {name for _, _, *names in CASES for name in names} == {None, *NAMED}
    assert {(data, target.task) for data, target, _, _ in CASES} == {
        (data, target.task) for data in DATA for target in (CLASSES, NUMBER)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "target", "attribute", "instance"),
    PRODUCT if "LPHM_SOAK" in os.environ else CASES,
    ids=lambda each: getattr(each, "task", each),
)
def test_onnxruntime_gives_what_the_run_predicts(
    tmp_path: Path, data: str, target: TargetSchema, attribute: str | None, instance: str | None
) -> None:
    """Every kind of data with both tasks, and every structure with one of them.

    A file takes seconds to write. The test above crosses all of them in torch, and `make soak` does here.
    """
    schema, samples, cells = DATA[data]()
    run = run_of(schema, target, attribute, instance)
    export_run(run, tmp_path / "model.onnx")
    assert_equal_answers(run, samples, score(tmp_path / "model.onnx", cells))


@pytest.mark.slow
def test_new_series_by_ridge_regression(tmp_path: Path) -> None:
    """Its sums are taken in float64, where they are exact: in float32 each library rounds them otherwise."""
    random = np.random.default_rng(1)
    seen, samples = random.normal(size=(200, 20, 2)), random.normal(size=(N, 20, 2))
    classes = (seen[:, :10].mean((1, 2)) > 0).astype(int)
    for array in (seen, samples):
        array[::3, 4:6, 0] = np.nan
        array[1::4, 16:] = np.nan
    model = LPHMClassifier(random_state=0).fit(seen, classes)
    assert model.run_.config.method == "ridge"
    model.to_onnx(tmp_path / "model.onnx")
    assert "Conv" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    scored = score(tmp_path / "model.onnx", {"X": samples})
    assert_equal_answers(model.run_, samples, scored)
    assert scored[N]["label"].dtype == np.int64
    assert (scored[N]["label"] == model.predict(samples)).all()


@pytest.mark.slow
def test_a_program_of_torch_takes_codes_and_gives_numbers_of_classes(tmp_path: Path) -> None:
    schema, samples, cells = features()
    run = run_of(schema, CLASSES, "lphm", "lphm")
    export_run(run, tmp_path / "model.pt2")
    description = {"lphm.json": ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=description).module()
    facts = json.loads(description["lphm.json"])
    inputs = []
    for each in facts["inputs"]:
        column = cells[each["name"]]
        if each["content"] == "category":
            codes = {word: code for code, word in enumerate(each["categories"], start=1)}
            column = np.array([[codes.get(word, 0)] for word in column[:, 0]])
        inputs.append(torch.from_numpy(column))
    first, probabilities = answers(run, samples)
    for batch in BATCHES:
        label, given = program(*(column[:batch] for column in inputs))
        assert np.abs(given.detach().numpy() - probabilities[:batch]).max() <= 1e-5
        assert [facts["classes"][i] for i in label] == first[:batch].tolist()
    unknown = [torch.full_like(each, 99) if each.dtype == torch.int64 else each for each in inputs]
    missing = [torch.zeros_like(each) if each.dtype == torch.int64 else each for each in inputs]
    assert torch.equal(program(*unknown)[1], program(*missing)[1])


@pytest.mark.slow
def test_the_command_and_the_estimator_write_the_same_model(
    tmp_path: Path, succeeding, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    save_run(run, tmp_path / "run", {})
    assert succeeding("export", "run").strip() == "run/model.onnx"
    assert capsys.readouterr().err == ""
    succeeding("export", "run", "-o", "model.pt2")
    LPHMClassifier.load(tmp_path / "run").to_onnx(tmp_path / "other.onnx")
    written = (tmp_path / "run" / "model.onnx").read_bytes()
    assert written == (tmp_path / "other.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in written  # nor any other path of this machine
    assert torch.export.load(tmp_path / "model.pt2").module()(
        torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.int64)
    )[1].shape == (2, 2)


def test_words_mean_a_category_as_other_programs_write_it() -> None:
    schema = fit_features(
        as_numbers_or_words(
            pd.DataFrame({"k": pd.Categorical([1, 2, 10] * 3), "t": pd.Categorical([True, False, True] * 3)})
        )
    )
    number, truth = columns_of(schema)
    codes = number.codes()
    assert [codes[word] for word in ("1", "1.0", "10", "10.0")] == [
        number.categories.index(word) + 1 for word in ("1", "1", "10", "10")
    ]
    assert {word: truth.codes()[word] for word in ("True", "true", "1")} == dict.fromkeys(
        ("True", "true", "1"), truth.categories.index("True") + 1
    )
    assert "3" not in codes


@pytest.mark.parametrize("part", ["year", "month", "day", "weekday", "hour", "days"])
def test_parts_of_dates_are_those_of_the_run(part: str) -> None:
    """Of every day in 571 years, and of the times around midnight."""
    midnights = pd.Series(pd.date_range("1684-01-01", "2255-01-01", freq="D"))
    for dates in (midnights, midnights + pd.Timedelta("13h"), midnights - pd.Timedelta("1us")):
        seconds = torch.from_numpy(((dates - pd.Timestamp(0)) / pd.Timedelta("1s")).to_numpy(copy=True))
        assert np.allclose(date_part(seconds, part).numpy(), dates_part(dates, part), rtol=1e-14, atol=0)
    assert date_part(torch.tensor([torch.nan]), part).isnan().all()


def test_text_that_is_hashed_is_refused(tmp_path: Path) -> None:
    run = make_run()
    conversions = {"review": TextHash(buckets=2)}
    names = {"numeric": [run.config.input.numeric[0].model_copy(update={"name": "review: 0"})]}
    schema = run.config.input.model_copy(update={"conversions": conversions, **names})
    text = Run(run.config.model_copy(update={"input": schema}), run.network)
    with pytest.raises(InputError, match=r"got 'review', which holds text, .*train without it") as error:
        export_run(text, tmp_path / "model.onnx")
    assert (error.value.option, error.value.value) == ("drop", "review")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a \.onnx or \.pt2 file, got .*model\.pt; change its end"):
        export_run(make_run(), tmp_path / "model.pt")
    regressor = LPHMRegressor(members=1, epochs=1, random_state=0).fit([[0.0], [1.0]] * 9, [0.0, 1.0] * 9)
    with pytest.raises(InputError, match=r"must be an \.onnx file, got .*model\.pt2"):
        regressor.to_onnx(tmp_path / "model.pt2")


def test_without_the_extra_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    with pytest.raises(InputError, match=r"onnx_ir must be installed .* pip install 'lphm\[export\]'"):
        export_run(make_run(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
