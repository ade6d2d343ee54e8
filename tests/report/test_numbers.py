"""The numbers of the report against scikit-learn, the network and the files of the run."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    confusion_matrix,
    mean_absolute_error,
    precision_score,
    recall_score,
    root_mean_squared_error,
)

from lphm.learn.evaluation import Evaluation
from lphm.learn.run import load_run
from lphm.nn.network import interdependence_layers
from lphm.report import write_report
from lphm.report.content import calibration, calibration_error, confusion, normal_quantiles, residuals
from lphm.structures import Full, RandomMatrixAdaptation, Toeplitz
from support.report_cases import dataset, write_run
from support.report_reader import Element, data_of, heat_map_of, page_of, rows_of, section


def test_scores_are_those_of_the_metrics(pages: dict[str, Element]) -> None:
    assert rows_of(section(pages["classification"], "scores")) == [
        ["train", "1,234", "0.5", "87.5 %"],
        ["validation", "56", "0.75", "62.5 %"],
        ["test", "78", "0.625", "75.0 %"],
    ]
    assert rows_of(section(pages["regression"], "scores"))[0] == ["train", "1,234", "0.5", "0.875"]


def test_the_configuration_is_that_of_the_run(pages: dict[str, Element]) -> None:
    tables = section(pages["regression"], "configuration").all("table")
    run, network, training = (dict(rows_of(table)) for table in tables)
    assert list(run) == ["source", "target", "task", "layout", "format", "method"]
    assert list(run.values()) == ["t <1>.csv", "answer <b>", "regression", "features", "6", "network"]
    assert network["attribute"] == "LPHM(n=8, p=2, q=4, r=3)"
    assert training["batch size"] == "4"


def test_the_first_paragraph_compares_with_a_constant_prediction(pages: dict[str, Element]) -> None:
    first = pages["classification"].all("p")[0].text
    classes = dataset().target.value_counts()
    assert f"always predicting the most frequent class would reach {100 * classes.max() / 90:.1f} %" in first
    assert "predicting the mean scores 0, a perfect model 1" in pages["regression"].all("p")[0].text


def test_confusion_against_scikit_learn(classified: Path, pages: dict[str, Element]) -> None:
    frame = Evaluation.load(classified).predictions
    truth, predicted = frame.iloc[:, 1], frame.iloc[:, 2]
    classes = sorted(set(truth))
    expected = confusion_matrix(truth, predicted, labels=classes)
    counts = [[cell[0] for cell in cells] for cells, _, _ in confusion(frame, classes)["rows"]]
    np.testing.assert_array_equal(counts, expected)
    assert len(np.unique(expected)) > 4  # otherwise the test could not tell a transposed matrix
    table = section(pages["classification"], "errors").all("table")[0]
    assert [th.text for th in table.all("thead")[0].all("th")][1:-2] == classes
    recall = recall_score(truth, predicted, average=None, labels=classes)
    for i, row in enumerate(rows_of(table)):
        shares = expected[i] / expected[i].sum()
        cells = [f"{n} {100 * s:.1f} %" if n else "0" for n, s in zip(expected[i], shares, strict=True)]
        assert row == [classes[i], *cells, str(expected[i].sum()), f"{100 * recall[i]:.1f} %"]
    precision = precision_score(truth, predicted, average=None, labels=classes, zero_division=np.nan)
    shares = ["–" if np.isnan(p) else f"{100 * p:.1f} %" for p in precision]
    assert rows_of(table, "tfoot")[0][1:4] == shares


def pairs(truth: list[str], predicted: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"row": range(len(truth)), "y": truth, "predicted": predicted})


def test_colours_of_the_confusion_matrix() -> None:
    rows = confusion(pairs(["a"] * 10 + ["b"], ["a"] * 9 + ["b", "b"]), ["a", "b"])["rows"]
    colors = [[cell[2] for cell in cells] for cells, _, _ in rows]
    assert colors == [[-0.9, 0.3], [0, -1]]  # the single error is not paler than 0.3


def test_the_confusion_matrix_shows_the_most_frequent_of_many_classes() -> None:
    classes = [f"c{i}" for i in range(40)]
    names = np.repeat(classes, np.arange(1, 41)).tolist()
    shown = confusion(pairs(names, names), classes)
    assert shown["classes"] == classes[10:]
    assert shown["left_out"] == 10
    cells, total, recall = shown["rows"][0]
    assert (cells[0][0], total, recall) == (11, 11, 1)


def test_a_class_without_samples_has_no_recall_and_no_precision() -> None:
    shown = confusion(pairs(["a", "a"], ["a", "a"]), ["a", "b"])
    assert [row[2] for row in shown["rows"]] == pytest.approx([1, np.nan], nan_ok=True)
    assert shown["precision"].tolist() == pytest.approx([1, np.nan], nan_ok=True)


def test_calibration_against_scikit_learn(classified: Path, pages: dict[str, Element]) -> None:
    frame = Evaluation.load(classified).predictions
    confidence = frame.iloc[:, 3:].max(axis=1)
    correct = (frame.iloc[:, 1] == frame.iloc[:, 2]).astype(int)
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=10, strategy="uniform")
    bins = calibration(frame)
    np.testing.assert_allclose(bins.accuracy, accuracy)
    np.testing.assert_allclose(bins.confidence, mean_confidence)
    counts = np.histogram(confidence, bins=10, range=(0, 1))[0]
    np.testing.assert_array_equal(bins.samples.reindex(range(10), fill_value=0), counts)
    error = (counts[counts > 0] * np.abs(accuracy - mean_confidence)).sum() / len(frame)
    assert calibration_error(bins) == pytest.approx(error)
    assert error > 0.02
    shown = section(pages["classification"], "calibration")
    assert shown.all("strong")[0].text == f"{100 * error:.1f} %"
    first = np.flatnonzero(counts)[0]
    assert rows_of(shown)[0][0] == f"{10 * first} – {10 * first + 10} %"
    assert [row[1] for row in rows_of(shown)] == [str(n) for n in counts if n]


def test_residuals_against_scikit_learn(regressed: Path, pages: dict[str, Element]) -> None:
    frame = Evaluation.load(regressed).predictions
    truth, predicted = frame.iloc[:, 1].to_numpy(), frame.iloc[:, 2].to_numpy()
    numbers = residuals(truth, predicted)
    assert numbers["rmse"] == pytest.approx(root_mean_squared_error(truth, predicted))
    assert numbers["mae"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert numbers["bias"] == pytest.approx((truth - predicted).mean())
    assert section(pages["regression"], "errors").all("strong")[0].text == f"{numbers['rmse']:,.4g}"


def test_normal_samples_match_the_normal_quantiles() -> None:
    values = np.sort(np.random.default_rng(0).normal(3, 2, 4000))
    np.testing.assert_allclose(values[50:-50], normal_quantiles(values)[50:-50], atol=0.25)


@pytest.mark.parametrize("kind", ["instance", "attribute"])
def test_xi_is_that_of_the_network(page: Element, task: str, folders: dict[str, Path], kind: str) -> None:
    model, data = load_run(folders[task]), dataset(task)
    xi = model.network.interdependence(model.config.input.encode(data.inputs), kind).mean(dim=1).numpy()
    svg, matrix = heat_map_of(page, f"{kind}-xi")
    np.testing.assert_allclose(matrix, xi.mean(axis=0), rtol=1e-3, atol=1e-6)
    assert np.abs(matrix - matrix.T).max() > 0.01  # otherwise the test could not tell rows from columns
    options = [o.text for o in page.all("select", id=f"{kind}-xi-choice")[0].all("option")]
    assert options[0] == "mean over the test set, 90 samples"
    samples = [int(re.match(r"sample (\d+): ", option)[1]) - 1 for option in options[1:]]
    assert len(samples) == 12
    values = np.array(data_of(page)[f"{kind}-xi"]["values"]).reshape(13, *matrix.shape)
    np.testing.assert_allclose(values[0], matrix)
    np.testing.assert_allclose(values[1:], xi[samples], rtol=1e-3, atol=1e-6)
    names = [text.text for text in svg.all("g", **{"class": "names"})[0].all("text")]
    k = len(matrix)
    assert names[:k] == names[k:]
    labels = Evaluation.load(folders[task]).interdependence[kind].labels
    assert [name[:21] for name in names[:k]] == [label[:21] for label in labels]


def test_samples_are_described(classified: Path, regressed: Path, pages: dict[str, Element]) -> None:
    frame = Evaluation.load(classified).predictions
    for option in pages["classification"].all("select", id="instance-xi-choice")[0].all("option")[1:]:
        row = int(re.match(r"sample (\d+): ", option.text)[1]) - 1
        truth, predicted = frame.iloc[row, 1], frame.iloc[row, 2]
        verdict = "correct" if truth == predicted else "wrong"
        assert option.text == f"sample {row + 1}: answer <b> {truth}, predicted {predicted} ({verdict})"
    frame = Evaluation.load(regressed).predictions
    option = pages["regression"].all("select", id="instance-xi-choice")[0].all("option")[-1]
    assert f"answer <b> {frame.iloc[:, 1].max():.4g}, predicted" in option.text


def test_factors_are_those_of_the_layers(classified: Path, pages: dict[str, Element]) -> None:
    page = pages["classification"]
    network, data = load_run(classified).network, data_of(page)
    layers = list(interdependence_layers(network).values())
    assert len(section(page, "factors").all("details")) == len(layers) == 5
    for i, layer in enumerate(layers):
        factors = layer.structure.unpack(layer.weight.detach()[0])
        for letter, factor in zip(layer.structure.factor_shapes, factors, strict=True):
            np.testing.assert_allclose(heat_map_of(page, f"w{i}-{letter}")[1], factor[0].numpy(), rtol=1e-3)
            values = np.array(data[f"w{i}-{letter}"]["values"])
            np.testing.assert_allclose(values, factor.flatten(1).numpy(), rtol=1e-3)
    titles = [caption.text for caption in section(page, "factors").all("figcaption")]
    assert titles[:3] == ["A, 2 × 4", "S, 4 × 3", "T, 2 × 3"]
    summary = section(page, "factors").all("summary")[0].text
    assert "attribute interdependence, LPHM(n=8, p=2, q=4, r=3), 2 channels, 52 parameters" in summary


@pytest.mark.parametrize("structure", [Full(n=8), RandomMatrixAdaptation(n=8, r=3), Toeplitz(n=8, lags=5)])
def test_factors_of_other_structures(tmp_path: Path, structure) -> None:
    write_run(tmp_path, attribute=structure.to_config(), instance=None)
    page = page_of(write_report(tmp_path).parent)
    shapes = structure.factor_shapes
    assert len(section(page, "factors").all("figure")) == 3 * len(shapes)
    for letter, shape in shapes.items():
        assert heat_map_of(page, f"w0-{letter}")[1].size == np.prod(shape)


def test_factors_of_every_member_can_be_chosen(tmp_path: Path) -> None:
    (layer, *_) = interdependence_layers(write_run(tmp_path, members=3, instance=None).network).values()
    page = page_of(write_report(tmp_path).parent)
    names = [o.text for o in page.all("select", id="w0-A-choice")[0].all("option")]
    assert names == [f"channel {c} of member {m}" for m in (1, 2, 3) for c in (1, 2)]
    first = layer.structure.unpack(layer.weight.detach())[0]
    values = np.array(data_of(page)["w0-A"]["values"])
    np.testing.assert_allclose(values, first.reshape(6, -1).numpy(), rtol=1e-3)
    summary = section(page, "factors").all("summary")[0].text
    assert "2 channels of each of 3 members, 156 parameters" in summary


def test_parameters_are_counted(classified: Path, pages: dict[str, Element]) -> None:
    shown = section(pages["classification"], "parameters")
    model = load_run(classified)
    rows = {row[0]: row[1:] for row in rows_of(shown)}
    assert set(rows) == set(model.network.state_dict())
    for name, tensor in model.network.named_parameters():
        shape = " × ".join(map(str, tensor.shape))
        assert rows[name][:2] == [shape, f"{tensor.numel():,}"]
    counts = [int(row[1].replace(",", "")) for row in rows.values() if row[2] == "interdependence"]
    attribute, instance = 8 + 3 * (4 + 2), 6 + 2 * (3 + 2)
    assert sorted(counts) == sorted(3 * [2 * attribute] + 2 * [2 * instance])
    total = sum(p.numel() for p in model.network.parameters())
    full = 2 * (3 * 8**2 + 2 * 6**2)
    words = shown.all("p")[0].text
    assert f"{total:,} parameters; {sum(counts)} of them ({100 * sum(counts) / total:.1f} %)" in words
    assert f"these would be {full}, {full / sum(counts):.1f} times as many" in words
