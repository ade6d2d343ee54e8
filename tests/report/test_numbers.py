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
    median_absolute_error,
    precision_score,
    recall_score,
    root_mean_squared_error,
)

from lphm.learn.evaluation import Evaluation
from lphm.learn.run import load_run
from lphm.nn.network import interdependence_layers
from lphm.report import write_report
from lphm.report.charts import tick
from lphm.report.numbers import exact, percent, plain, spread_out, with_spread
from lphm.report.quality import (
    calibration,
    calibration_error,
    confusion,
    largest_errors,
    most_confident_errors,
    most_confused,
    normal_quantiles,
    overconfidence,
    residuals,
)
from lphm.structures import Full, RandomMatrixAdaptation, Toeplitz
from support.report_cases import dataset, write_run
from support.report_reader import Element, data_of, heat_map_of, page_of, rows_of, section, table_of


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
    assert list(run.values()) == ["t <1>.csv", "answer <b>", "regression", "features", "7", "network"]
    assert network["attribute"] == "LPHM(n=8, p=2, q=4, r=3)"
    assert training["batch size"] == "4"


def test_confusion_against_scikit_learn(classified: Path, pages: dict[str, Element]) -> None:
    frame = Evaluation.load(classified).predictions
    truth, predicted = frame.iloc[:, 1], frame.iloc[:, 2]
    classes = sorted(set(truth))
    expected = confusion_matrix(truth, predicted, labels=classes)
    counts = [[cell[0] for cell in cells] for cells, _, _ in confusion(frame, classes)["rows"]]
    np.testing.assert_array_equal(counts, expected)
    assert len(np.unique(expected)) > 4  # otherwise the test could not tell a transposed matrix
    table = table_of(section(pages["classification"], "errors"), "Confusion matrix")
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
    assert shown.all("strong")[-1].text == f"{100 * error:.1f} %"
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
    assert section(pages["regression"], "errors").all("strong")[0].text == f"{numbers['rmse']:,.1f}"
    assert numbers["median"] == pytest.approx(median_absolute_error(truth, predicted))


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
    assert f"answer <b> {frame.iloc[:, 1].max():.6g}, predicted" in option.text


def test_factors_are_those_of_the_layers(classified: Path, pages: dict[str, Element]) -> None:
    page = pages["classification"]
    network, data = load_run(classified).network, data_of(page)
    layers = list(interdependence_layers(network).values())
    titles = [heading.text for heading in section(page, "factors").all("h3")]
    assert [title.partition(":")[0] for title in titles] == [
        "block 1, mixing of columns",
        "block 1, mixing of rows",
        "block 2, mixing of columns",
        "block 2, mixing of rows",
        "readout of xi of the columns",
    ]
    assert len(layers) == 5
    for i, layer in enumerate(layers):
        factors = layer.structure.unpack(layer.weight.detach()[0])
        for letter, factor in zip(layer.structure.factor_shapes, factors, strict=True):
            np.testing.assert_allclose(heat_map_of(page, f"w{i}-{letter}")[1], factor[0].numpy(), rtol=1e-3)
            values = np.array(data[f"w{i}-{letter}"]["values"])
            np.testing.assert_allclose(values, factor.flatten(1).numpy(), rtol=1e-3)
    captions = [caption.text for caption in section(page, "factors").all("figcaption")]
    assert captions[:3] == ["A, 2 × 4", "S, 4 × 3", "T, 2 × 3"]
    assert titles[0] == "block 1, mixing of columns: LPHM(n=8, p=2, q=4, r=3), 52 parameters"


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
    assert names == [f"member {m}, channel {c}" for m in (1, 2, 3) for c in (1, 2)]
    first = layer.structure.unpack(layer.weight.detach())[0]
    values = np.array(data_of(page)["w0-A"]["values"])
    np.testing.assert_allclose(values, first.reshape(6, -1).numpy(), rtol=1e-3)
    assert section(page, "factors").all("h3")[0].text.endswith(", 156 parameters")


def test_parameters_are_counted(classified: Path, pages: dict[str, Element]) -> None:
    shown = section(pages["classification"], "parameters")
    model = load_run(classified)
    rows = {row[0]: row[1:] for row in rows_of(shown)}
    assert set(rows) == set(model.network.state_dict())
    for name, tensor in model.network.named_parameters():
        shape = " × ".join(map(str, tensor.shape))
        assert rows[name][:2] == [shape, f"{tensor.numel():,}"]
    counts = [int(row[1].replace(",", "")) for row in rows.values() if row[2]]
    attribute, instance = 8 + 3 * (4 + 2), 6 + 2 * (3 + 2)
    assert sorted(counts) == sorted(3 * [2 * attribute] + 2 * [2 * instance])
    total = sum(p.numel() for p in model.network.parameters())
    full = 2 * (3 * 8**2 + 2 * 6**2)
    words = shown.all("p")[0].text
    assert f"{total:,} parameters; {sum(counts)} of them ({100 * sum(counts) / total:.1f} %)" in words
    assert f"these would be {full}, {full / sum(counts):.1f} times as many" in words


def test_the_mean_has_the_decimals_that_the_spread_asks_for() -> None:
    year = {"name": "sold: year", "min": 2022.0, "max": 2024.0, "mean": 2022.9137, "std": 0.7612}
    assert spread_out(year) == "2022 to 2024, mean 2022.91, standard deviation 0.761"
    price = {"name": "price", "min": 1000.0, "max": 97412.0, "mean": 41234.5, "std": 20123.4}
    assert spread_out(price) == "1,000 to 97,412, mean 41,200, standard deviation 20,100"
    constant = {"name": "x", "min": 2.0, "max": 2.0, "mean": 2.0, "std": 0.0}
    assert spread_out(constant) == "2 to 2, mean 2, standard deviation 0"
    missing = dict.fromkeys(("min", "max", "mean", "std"))
    assert spread_out({"name": "x", **missing}) == "– to –, mean –, standard deviation –"


def test_numbers_are_written_as_people_write_them() -> None:
    written = {
        97412.0: "97,400",
        1234567.0: "1,230,000",
        0.00123456: "0.00123",
        0.0: "0",
        2.0: "2",
        19.96: "20",
    }
    written |= {-0.5: "−0.5", 999.6: "1,000", 1e-9: "1 · 10^−9", 2.5e20: "2.5 · 10^20", float("nan"): "–"}
    assert {value: plain(value) for value in written} == written
    assert exact(1489960.0) == "1,489,960"
    assert plain([1, "a", None, 12345]) == "1, a, –, 12,345"
    assert percent(-0.0001) == "0.0\N{NO-BREAK SPACE}%"
    assert [with_spread(1.386, spread, 3) for spread in (0.12, 0.012, 0)] == [
        "1.4 ± 0.1",
        "1.39 ± 0.01",
        "1.386 ± 0.000",
    ]


def test_ticks_are_short() -> None:
    assert [tick(v) for v in (-40000.0, 1.2e6, 2.5e9, 0.30000000000000004)] == [
        "−40,000",
        "1.2 M",
        "2.5 G",
        "0.3",
    ]


def test_errors_are_listed_the_largest_first() -> None:
    frame = pd.DataFrame({"row": [0, 1, 2], "y": [1.0, 5.0, 3.0], "predicted": [1.5, 1.0, 3.0]})
    assert largest_errors(frame) == [(2, 5.0, 1.0, 4.0), (1, 1.0, 1.5, -0.5), (3, 3.0, 3.0, 0.0)]
    frame = pairs(list("aaabbb"), list("abbbaa"))
    frame["probability_a"] = [0.9, 0.3, 0.2, 0.1, 0.6, 0.7]
    frame["probability_b"] = 1 - frame["probability_a"]
    assert most_confused(frame) == [("a", "b", 2, 2 / 3), ("b", "a", 2, 2 / 3)]
    assert [error[:3] for error in most_confident_errors(frame)] == [
        (3, "a", "b"), (2, "a", "b"), (6, "b", "a"), (5, "b", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(("right", "sign", "certain"), [(60, 1, True), (90, 0, False), (100, -1, True)])
def test_calibration_has_a_direction(right: int, sign: int, certain: bool) -> None:
    frame = pairs(["a"] * 100, ["a"] * right + ["b"] * (100 - right))
    frame["probability_a"] = np.where(frame.predicted == "a", 0.9, 0.1)
    frame["probability_b"] = 1 - frame["probability_a"]
    assert overconfidence(frame) == (pytest.approx(0.9 - right / 100), certain)
    assert np.sign(round(0.9 - right / 100, 9)) == sign
