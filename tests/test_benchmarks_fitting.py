"""The benchmarks of fitting and of a training step measure what they say, on the sets that they describe."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

# The package is not part of the distribution; it is in the root of the repository.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import fitting, step

from lphm.nn.network import interdependence_layers

OPTIONS = {"members": 1, "epochs": 1, "width": 8, "channels": 2}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets, measured in this process."""
    monkeypatch.setattr(fitting, "TEST_ROWS", 40)
    sets = {"60": partial(fitting.classes, 60), "60 numbers": partial(fitting.numbers, 60)}
    for name, load in sets.items():
        monkeypatch.setitem(fitting.SETS, name, load)
    monkeypatch.setattr(fitting, "in_fresh_process", fitting.measure)


@pytest.mark.parametrize(("name", "model"), [("60", "lphm"), ("60 numbers", "lphm"), ("60", "MLP")])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_fit_is_measured(name: str, model: str) -> None:
    found = fitting.measure(name, model, 0, 1, OPTIONS)
    assert all(found[key] > 0 for key in ("wall", "cpu", "rows_per_second", "one"))
    (X, y), (X_test, y_test) = fitting.SETS[name]()
    options = OPTIONS if model == "lphm" else {}
    estimator = fitting.MODELS[model].build(name.endswith("numbers"), 0, 1, options).fit(X, y)
    assert found["score"] == pytest.approx(estimator.score(X_test, y_test))


def test_parts_are_apart_and_have_their_sizes() -> None:
    for name, load in fitting.SETS.items():
        if name in ("60", "60 numbers", "500", "500 series"):
            (X, y), (X_test, y_test) = load()
            rows, tested = int(name.split()[0]), 1000 if name.endswith("series") else 40
            assert (len(X), len(y), len(X_test), len(y_test)) == (rows, rows, tested, tested), name
            assert not (X[:, None].reshape(rows, 1, -1)[:40] == X_test.reshape(tested, -1)[:40]).all(-1).any()


def test_the_classes_of_the_series_differ_in_lead_and_frequency() -> None:
    (X, y), _ = fitting.series(200)
    lagged = [np.mean([np.corrcoef(s[:-3, 0], s[3:, 1])[0, 1] for s in X[y == label]]) for label in range(4)]
    slow = [np.abs(np.fft.rfft(X[y == label][:, :, 2], axis=1)).mean(0)[4:9].argmax() for label in range(4)]
    assert set(np.argsort(lagged)[2:]) == {0, 1}
    assert slow[0] == slow[2] < slow[1] == slow[3]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_command_writes_a_row_for_each_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "fit.json"
    words = ["--set", "60", "--model", "lphm", "--model", "MLP", "--seeds", "0", "1", "--output", str(output)]
    for name, value in OPTIONS.items():
        words += ["--option", f"{name}={value}"]
    assert fitting.main(words) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 60 ")]
    assert [line.split(" | ")[1] for line in table] == ["lphm", "MLP"]
    written = json.loads(output.read_text())
    assert written["options"] == OPTIONS
    for row in written["rows"]:
        assert row["score"] == pytest.approx(np.mean(row["scores"]))
        assert len(row["scores"]) == 2


@pytest.mark.parametrize(
    ("text", "value"), [("a=3", 3), ("a=none", "none"), ("a=0.5", 0.5), ("a=None", None)]
)
def test_options_are_read_as_python_reads_them(text: str, value: object) -> None:
    assert fitting.read_option(text) == ("a", value)


# A training step.


def test_a_step_of_every_kind_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    step.main(["--members", "1", "2", "--rows", "5", "--rounds", "2"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["members", "rows", *step.KINDS, "none / attribute"]
    for members, row in zip((1, 2), rows[2:], strict=True):
        assert [int(cell) for cell in row[:2]] == [members, 5]
        none, attribute, *_, ratio = map(float, row[2:])
        assert ratio == pytest.approx(none / attribute, abs=0.02)
        assert 0 < none < attribute


@pytest.mark.parametrize("kind", step.KINDS)
def test_a_step_is_that_of_the_default_network_on_its_rows(kind: str) -> None:
    one = step.Step(kind, members=2, rows=7)
    assert one() > 0
    assert [len(part) for part in one.batch] == [7, 7, 7]
    layers = interdependence_layers(one.network).values()
    kinds = {"none": set(), "both": {"attribute", "instance"}}.get(kind, {kind})
    assert {layer.kind for layer in layers} == kinds
    assert all(parameter.grad is not None for parameter in one.network.parameters())
