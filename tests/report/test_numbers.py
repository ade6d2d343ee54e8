"""What the report says, against scikit-learn, the network and the files of the run."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, mean_absolute_error, recall_score, root_mean_squared_error

from lphm.learn.evaluation import Evaluation
from lphm.learn.run import load_run
from lphm.nn.layer import BilinearInterdependence
from lphm.report import write_report
from lphm.report.quality import confusion_counts, reliability, residuals
from lphm.report.tables import confusion_table
from lphm.structures import Full, RandomMatrixAdaptation
from support.report_cases import dataset, write_run
from support.report_reader import data_of, page_of, picture, rows_of, section

pytest_plugins = ["report_folders"]
both = pytest.mark.parametrize("run", ["classified", "regressed"])


def test_scores_are_those_of_the_metrics(classified: Path, regressed: Path) -> None:
    assert rows_of(section(page_of(classified), "scores")) == [
        ["train", "1,234", "0.5", "87.5 %"],
        ["validation", "56", "0.75", "62.5 %"],
        ["test", "78", "0.625", "75.0 %"],
    ]
    assert rows_of(section(page_of(regressed), "scores"))[0] == ["train", "1,234", "0.5", "0.875"]


def test_confusion_against_scikit_learn(classified: Path) -> None:
    frame = Evaluation.load(classified).predictions
    truth, guess = frame.iloc[:, 1], frame.iloc[:, 2]
    classes = sorted(set(truth))
    wanted = confusion_matrix(truth, guess, labels=classes)
    np.testing.assert_array_equal(confusion_counts(frame, classes), wanted)
    assert len(np.unique(wanted)) > 4  # else a transposed matrix would not show
    table = section(page_of(classified), "errors").all("table")[0]
    assert [th.text for th in table.all("thead")[0].all("th")][1:-2] == classes
    recall = recall_score(truth, guess, average=None, labels=classes)
    for i, row in enumerate(rows_of(table)):
        shares = wanted[i] / wanted[i].sum()
        told = [f"{n} {100 * s:.1f} %" if n else "0" for n, s in zip(wanted[i], shares, strict=True)]
        assert row == [classes[i], *told, str(wanted[i].sum()), f"{100 * recall[i]:.1f} %"]
    precision = wanted.diagonal() / wanted.sum(axis=0)
    assert rows_of(table, "tfoot")[0][1:4] == [f"{100 * p:.1f} %" for p in precision]


def test_a_confusion_of_many_classes_shows_the_most_frequent() -> None:
    counts = np.diag(np.arange(1, 41))
    table = confusion_table(counts, [f"c{i}" for i in range(40)])
    assert table.classes == [f"c{i}" for i in range(10, 40)]
    assert (table.left_out, table.totals[0], table.cells[0][0][0]) == (10, 11, 11)
    absent = confusion_table(np.array([[2, 0], [0, 0]]), ["a", "b"])
    assert (absent.recall, absent.precision) == ([1.0, None], [1.0, None])


def test_calibration_against_scikit_learn(classified: Path) -> None:
    frame = Evaluation.load(classified).predictions
    confidence = frame.iloc[:, 3:].max(axis=1)
    right = (frame.iloc[:, 1] == frame.iloc[:, 2]).astype(int)
    often, sure = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    found = reliability(frame)
    there = found.counts > 0
    np.testing.assert_allclose(found.accuracy[there], often)
    np.testing.assert_allclose(found.confidence[there], sure)
    counts = np.histogram(confidence, bins=10, range=(0, 1))[0]
    np.testing.assert_array_equal(found.counts, counts)
    error = (counts[there] * np.abs(often - sure)).sum() / len(frame)
    assert found.error == pytest.approx(error)
    assert error > 0.02
    told = section(page_of(classified), "calibration")
    assert told.all("strong")[0].text == f"{100 * error:.1f} %"
    assert [row[1] for row in rows_of(told)] == [str(n) for n in counts if n]


def test_residuals_against_scikit_learn(regressed: Path) -> None:
    frame = Evaluation.load(regressed).predictions
    found = residuals(frame)
    assert found.rmse == pytest.approx(root_mean_squared_error(frame.iloc[:, 1], frame.iloc[:, 2]))
    assert found.mae == pytest.approx(mean_absolute_error(frame.iloc[:, 1], frame.iloc[:, 2]))
    assert found.bias == pytest.approx((frame.iloc[:, 1] - frame.iloc[:, 2]).mean())
    assert section(page_of(regressed), "errors").all("strong")[0].text == f"{found.rmse:,.4g}"


def test_normal_residuals_lie_on_the_line_of_the_quantiles() -> None:
    values = np.random.default_rng(0).normal(3, 2, 4000)
    found = residuals(pd.DataFrame({"row": range(4000), "y": values, "predicted": 0.0}))
    np.testing.assert_allclose(np.sort(found.values)[50:-50], found.normal[50:-50], atol=0.25)


@pytest.mark.parametrize("kind", ["instance", "attribute"])
@both
def test_xi_is_what_the_network_says(run: str, kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(run)
    page, data = page_of(folder), dataset("classification" if run == "classified" else "regression")
    model = load_run(folder)
    xi = model.network.interdependence(model.config.input.encode(data.inputs), kind).mean(dim=1).numpy()
    svg, matrix = picture(page, f"{kind}-xi")
    np.testing.assert_allclose(matrix, xi.mean(axis=0), rtol=1e-3, atol=1e-6)
    assert np.abs(matrix - matrix.T).max() > 0.01  # else rows for columns would not show
    options = [o.text for o in page.all("select", id=f"{kind}-choice")[0].all("option")]
    assert options[0] == "mean over the test set, 90 samples"
    samples = [int(re.match(r"sample (\d+): ", option)[1]) - 1 for option in options[1:]]
    assert len(samples) == 12
    values = np.array(data_of(page)[f"{kind}-xi"]["values"]).reshape(13, *matrix.shape)
    np.testing.assert_allclose(values[0], matrix)
    np.testing.assert_allclose(values[1:], xi[samples], rtol=1e-3, atol=1e-6)
    names = [text.text for text in svg.all("g", **{"class": "names"})[0].all("text")]
    k = len(matrix)
    assert names[:k] == names[k:]
    assert names[-1] == {"instance": "learned row 4", "attribute": "channel 6"}[kind]


def test_examples_say_what_they_are(classified: Path, regressed: Path) -> None:
    frame = Evaluation.load(classified).predictions
    for option in page_of(classified).all("select", id="instance-choice")[0].all("option")[1:]:
        row = int(re.match(r"sample (\d+): ", option.text)[1]) - 1
        truth, guess = frame.iloc[row, 1], frame.iloc[row, 2]
        word = "right" if truth == guess else "wrong"
        assert option.text == f"sample {row + 1}: answer <b> {truth}, predicted {guess} ({word})"
    frame = Evaluation.load(regressed).predictions
    option = page_of(regressed).all("select", id="instance-choice")[0].all("option")[-1]
    assert f"answer <b> {frame.iloc[:, 1].max():.4g}, predicted" in option.text


def test_factors_are_those_of_the_layers(classified: Path) -> None:
    page = page_of(classified)
    network, from_page = load_run(classified).network, data_of(page)
    layers = [m for m in network.modules() if isinstance(m, BilinearInterdependence)]
    assert len(section(page, "factors").all("details")) == len(layers) == 5
    for i, layer in enumerate(layers):
        factors = layer.structure.unpack(layer.weight.detach())
        for letter, factor in zip(layer.structure.factor_shapes, factors, strict=True):
            svg, matrix = picture(page, f"w{i}-{letter}")
            assert svg.attributes["data-scheme"] == "d"
            np.testing.assert_allclose(matrix, factor[0].numpy(), rtol=1e-3)
            values = np.array(from_page[f"w{i}-{letter}"]["values"])
            np.testing.assert_allclose(values, factor.flatten(1).numpy(), rtol=1e-3)
    titles = [caption.text for caption in section(page, "factors").all("figcaption")]
    assert titles[:3] == ["A, 2 × 4", "S, 4 × 3", "T, 2 × 3"]
    assert "LPHM(n=8, p=2, q=4, r=3)" in section(page, "factors").all("summary")[0].text


@pytest.mark.parametrize("structure", [Full(n=8), RandomMatrixAdaptation(n=8, r=3)])
def test_factors_of_other_structures(tmp_path: Path, structure) -> None:
    write_run(tmp_path, attribute=structure.to_config(), instance=None)
    write_report(tmp_path)
    page = page_of(tmp_path)
    shapes = structure.factor_shapes
    assert len(section(page, "factors").all("figure")) == 3 * len(shapes)
    for letter, shape in shapes.items():
        matrix = picture(page, f"w0-{letter}")[1]
        assert matrix.size == np.prod(shape)


def test_parameters_are_counted(classified: Path) -> None:
    told = section(page_of(classified), "parameters")
    model = load_run(classified)
    rows = {row[0]: row[1:] for row in rows_of(told)}
    assert set(rows) == set(model.network.state_dict())
    for name, tensor in model.network.named_parameters():
        shape = " × ".join(map(str, tensor.shape))
        assert rows[name][:2] == [shape, f"{tensor.numel():,}"]
    own = [int(row[1].replace(",", "")) for row in rows.values() if row[2] == "interdependence"]
    attribute, instance = 8 + 3 * (4 + 2), 6 + 2 * (3 + 2)
    assert sorted(own) == sorted(3 * [2 * attribute] + 2 * [2 * instance])
    total = sum(p.numel() for p in model.network.parameters())
    full = 2 * (3 * 8**2 + 2 * 6**2)
    words = told.all("p")[0].text
    assert f"{total:,} learned numbers, of which {sum(own)} ({100 * sum(own) / total:.1f} %)" in words
    assert f"these would be {full}, {full / sum(own):.1f} times as many" in words
