"""The report says what the run folder says: its numbers against scikit-learn and the network."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, mean_absolute_error, recall_score, root_mean_squared_error

from lphm.errors import InputError
from lphm.evaluation import Evaluation
from lphm.interdependence import BilinearInterdependence
from lphm.report import write_report
from lphm.report.colors import level_rules
from lphm.report.heatmaps import HeatMap, pooled
from lphm.report.quality import confusion_counts, reliability, residuals
from lphm.report.tables import confusion_table
from lphm.runs import load_run
from lphm.structures import Full, RandomMatrixAdaptation
from report_cases import NASTY, NASTY_CLASS, dataset, write_run

VOID = {"meta", "link", "br", "img", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list["Element"] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        found = [e for child in self.children for e in child.all(tag, **attributes)]
        fits = tag in (self.tag, "*") and all(self.attributes.get(k) == v for k, v in attributes.items())
        return [self, *found] if fits else found

    @property
    def text(self) -> str:
        return " ".join("".join([*self.words, *(f" {c.text}" for c in self.children)]).split())


class Reader(HTMLParser):
    """A page as a tree; fails where an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(page)
        self.close()
        assert self.open == [self.root], self.open[-1].tag

    def handle_starttag(self, tag: str, attributes: list) -> None:
        element = Element(tag, dict(attributes))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.open[-1].children.append(Element(tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].words.append(data)


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("classified")
    write_run(folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def regressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("regressed")
    write_run(folder, "regression")
    write_report(folder)
    return folder


def page_of(folder: Path) -> Element:
    return Reader((folder / "report.html").read_text(encoding="utf-8")).root


def section(page: Element, name: str) -> Element:
    return page.all("section", id=name)[0]


def rows_of(table: Element, part: str = "tbody") -> list[list[str]]:
    return [[cell.text for cell in row.children] for row in table.all(part)[0].all("tr")]


both = pytest.mark.parametrize("run", ["classified", "regressed"])


# The whole page.


@both
def test_every_section_is_there_and_linked(run: str, request: pytest.FixtureRequest) -> None:
    page = page_of(request.getfixturevalue(run))
    sections = [s.attributes["id"] for s in page.all("section")]
    assert sections == [a.attributes["href"][1:] for a in page.all("nav")[0].all("a")]
    assert len(sections) == 9
    assert all(s.all("h2") for s in page.all("section"))
    assert "missing" not in [p.attributes.get("class") for p in page.all("p")]


@both
def test_nothing_is_fetched(run: str, request: pytest.FixtureRequest) -> None:
    text = (request.getfixturevalue(run) / "report.html").read_text()
    page = Reader(text).root
    for element in page.all("*"):
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            value = element.attributes.get(name)
            assert value is None or value[0] == "#" or value == "data:,", (element.tag, name, value)
    assert not re.search(r"https?:|@import|\bimport\b|fetch\(|XMLHttp|url\((?!#)", text)


@both
def test_ids_are_unique_and_references_lead_somewhere(run: str, request: pytest.FixtureRequest) -> None:
    text = (request.getfixturevalue(run) / "report.html").read_text()
    ids = [e.attributes["id"] for e in Reader(text).root.all("*") if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#|for=")([^")]+)', text)) <= set(ids)


@both
def test_what_a_screen_reader_needs(run: str, request: pytest.FixtureRequest) -> None:
    page = page_of(request.getfixturevalue(run))
    assert page.all("html")[0].attributes["lang"] == "en"
    assert len(page.all("h1")) == 1
    for cell in page.all("th"):
        assert cell.attributes["scope"] in ("row", "col")
    for svg in page.all("svg"):
        hidden = svg.attributes.get("aria-hidden") == "true"
        assert hidden or (svg.attributes["role"] == "img" and svg.attributes["aria-label"])
    for figure in page.all("div", role="img"):
        assert figure.attributes["aria-label"]
    labelled = {label.attributes["for"] for label in page.all("label")}
    assert {select.attributes["id"] for select in page.all("select")} == labelled
    for region in page.all("div", role="region"):
        assert region.attributes["aria-label"]
        assert region.attributes["tabindex"] == "0"


@both
def test_charts_take_the_colours_of_the_page_and_keep_their_text(
    run: str, request: pytest.FixtureRequest
) -> None:
    charts = page_of(request.getfixturevalue(run)).all("svg", **{"class": "chart"})
    assert len(charts) == {"classified": 3, "regressed": 5}[run]
    for chart in charts:
        styles = " ".join(e.attributes.get("style") or "" for e in chart.all("*"))
        assert "var(--text)" in styles
        assert "var(--first)" in styles
        assert not re.search(r"#[0-9a-fA-F]{3,6}", styles)
        assert not chart.all("style")  # it would hold for the whole page
        assert len(chart.all("text")) > 6
    assert "epoch" in charts[0].text


def test_curves_are_told_in_words(classified: Path) -> None:
    labels = [
        e.attributes["aria-label"] for e in section(page_of(classified), "curves").all("div", role="img")
    ]
    assert labels == [
        "Loss of each epoch: training from 2 to 0.6667, validation from 2 to 2",
        "Validation accuracy of each epoch: validation from 0.1 to 0.3",
    ]


def test_names_are_escaped(classified: Path) -> None:
    text = (classified / "report.html").read_text()
    page = Reader(text).root
    assert len(page.all("script")) == 2
    assert not page.all("img")
    assert not page.all("b")
    assert page.all("h1")[0].text == "t <1>.csv: answer <b>"
    assert page.all("title")[0].words == ["t <1>.csv: answer <b>"]
    assert NASTY in [th.text for th in section(page, "data").all("th")]
    assert NASTY_CLASS in [th.text for th in section(page, "errors").all("th")]
    assert any(NASTY in title.text for title in section(page, "interdependence").all("title"))
    assert any(NASTY_CLASS in option.text for option in page.all("option"))


def test_the_page_is_a_function_of_the_folder(classified: Path, tmp_path: Path) -> None:
    other = write_report(classified, tmp_path / "deep" / "other.html")
    assert other == tmp_path / "deep" / "other.html"
    assert other.read_bytes() == (classified / "report.html").read_bytes()
    assert [p.name for p in other.parent.iterdir()] == ["other.html"]


# Numbers.


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


def picture(page: Element, name: str) -> tuple[Element, np.ndarray]:
    """A picture, and the numbers that its titles say."""
    svg = page.all("svg", id=name)[0]
    cells = svg.all("g", **{"class": "cells"})[0].all("rect")
    rows, columns = (1 + max(int(c.attributes[k]) for c in cells) for k in "yx")
    matrix = np.full((rows, columns), np.nan)
    for cell in cells:
        matrix[int(cell.attributes["y"]), int(cell.attributes["x"])] = float(cell.text.rpartition(": ")[2])
    return svg, matrix


def data_of(page: Element) -> dict:
    return json.loads(page.all("script", id="maps")[0].words[0])


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
    assert len(section(page, "factors").all("details")) == len(layers) == 4
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
    assert len(section(page, "factors").all("figure")) == 2 * len(shapes)
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
    assert sorted(own) == sorted(2 * [2 * attribute] + 2 * [2 * instance])
    total = sum(p.numel() for p in model.network.parameters())
    full = 2 * 2 * (8**2 + 6**2)
    words = told.all("p")[0].text
    assert f"{total:,} learned numbers, of which {sum(own)} ({100 * sum(own) / total:.1f} %)" in words
    assert f"these would be {full}, {full / sum(own):.1f} times as many" in words


# Pictures.


def heat_map(*matrices: list, signed: bool = True) -> HeatMap:
    arrays = [np.array(matrix, dtype=float) for matrix in matrices]
    return HeatMap("m", "m", list("abc"), list("xy"), arrays, signed)


def test_levels_of_colour() -> None:
    signed = heat_map([[-2, 2], [0, 1], [-1, 0.5]])
    assert [cell[2] for cell in signed.cells] == ["d0", "d40", "d20", "d30", "d10", "d25"]
    assert [cell[:2] for cell in signed.cells[:3]] == [(0, 0), (1, 0), (0, 1)]
    assert signed.cells[1][3] == "a → y: 2"
    assert [cell[2] for cell in heat_map([[0, 4], [1, 2], [3, 4]], signed=False).cells] == [
        "q0", "q40", "q10", "q20", "q30", "q40",
    ]  # fmt: skip
    assert [cell[2] for cell in heat_map([[0, 0], [0, 0], [0, 0]]).cells] == ["d20"] * 6
    assert signed.strongest(2) == ["a → x: -2", "a → y: 2"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_far_from_zero_stands_out_from_the_page(theme: str) -> None:
    colors = dict(re.findall(r"\.(\w+){--c:#(\w+)}", level_rules(theme)))
    assert len(colors) == 2 * 41

    def brightness(level: str) -> float:
        parts = [int(colors[level][i : i + 2], 16) for i in (0, 2, 4)]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722])) * (1 if theme == "dark" else -1)

    assert (np.diff([brightness(f"q{i}") for i in range(41)]) > 0).all()
    assert (np.diff([brightness(f"d{i}") for i in range(20, 41)]) > 0).all()
    assert (np.diff([brightness(f"d{i}") for i in range(21)]) < 0).all()


def test_pooling_averages_neighbours() -> None:
    matrix = np.arange(35.0).reshape(5, 7)
    rows, names = pooled(matrix, list("abcde"), -2, 2)
    np.testing.assert_allclose(rows, [matrix[:3].mean(axis=0), matrix[3:].mean(axis=0)])
    assert names == ["a – c", "d – e"]
    columns, names = pooled(np.stack([matrix, -matrix]), list("abcdefg"), -1, 4)
    np.testing.assert_allclose(columns[1, 0], [-0.5, -2.5, -4.5, -6])
    assert names == ["a – b", "c – d", "e – f", "g"]
    assert pooled(matrix, list("abcde"), -2, 5)[0] is matrix


def test_a_wide_network_is_shown_in_few_cells(tmp_path: Path) -> None:
    write_run(tmp_path, width=90, blocks=1, instance=Full(n=90).to_config(), channels=1)
    write_report(tmp_path)
    page = page_of(tmp_path)
    mean = Evaluation.load(tmp_path).interdependence["attribute"].mean
    matrix = picture(page, "attribute-xi")[1]
    assert matrix.shape == (64, 64)
    np.testing.assert_allclose(matrix[0, 0], mean[:2, :2].mean(), rtol=1e-3)
    np.testing.assert_allclose(matrix[-1, -1], mean[-1, -1], rtol=1e-3)
    assert "90 × 90 entries in 64 × 64 cells" in section(page, "interdependence").text
    assert picture(page, "w1-W")[1].shape == (32, 32)
    assert (tmp_path / "report.html").stat().st_size < 2e6


# What is not there, and what is damaged.


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names]


ABSENT = {
    "summary": (remove("summary.json"), {"data": "no summary.json"}),
    "metrics": (remove("metrics.json"), {"scores": "no metrics.json", "curves": "no history"}),
    "predictions": (
        remove("predictions.csv"),
        {"errors": "no predictions.csv", "interdependence": "no predictions.csv"},
    ),
    "everything": (
        remove("summary.json", "metrics.json", "predictions.csv", "interdependence.npz"),
        {"scores": "no", "data": "no", "curves": "no", "errors": "no", "interdependence": "no"},
    ),
}


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("case", ABSENT)
def test_what_is_missing_is_left_out_with_a_sentence(tmp_path: Path, case: str, task: str) -> None:
    write_run(tmp_path, task)
    damage, sentences = ABSENT[case]
    damage(tmp_path)
    page = page_of(write_report(tmp_path).parent)
    told = {s.attributes["id"]: s.all("p", **{"class": "missing"}) for s in page.all("section")}
    assert {name for name, found in told.items() if found} == set(sentences)
    for name, words in sentences.items():
        assert f"There is {words}" in told[name][0].text or f"There are {words}" in told[name][0].text
    ids = {e.attributes.get("id") for e in page.all("*")}
    assert {a.attributes["href"][1:] for a in page.all("a")} <= ids
    assert section(page, "factors").all("svg")


def edited(change: Callable[[dict], object], name: str = "metrics.json") -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return edit


def without_validation(metrics: dict) -> None:
    metrics.pop("validation")
    metrics["best_epoch"] = None
    for line in metrics["history"]:
        del line["val_loss"], line["val_score"]


def test_a_training_without_validation(tmp_path: Path) -> None:
    write_run(tmp_path)
    edited(without_validation)(tmp_path)
    page = page_of(write_report(tmp_path).parent)
    curves = section(page, "curves")
    assert "There was no validation part." in curves.text
    assert "chosen" not in curves.text
    assert len(curves.all("svg")) == 1
    assert [row[0] for row in rows_of(section(page, "scores"))] == ["train", "test"]


def test_a_loss_that_was_not_a_number(tmp_path: Path) -> None:
    write_run(tmp_path)
    edited(lambda m: m["history"][1].update(train_loss=None))(tmp_path)
    assert len(section(page_of(write_report(tmp_path).parent), "curves").all("svg")) == 2


def test_a_network_without_interdependence(tmp_path: Path) -> None:
    write_run(tmp_path, attribute=None, instance=None)
    page = page_of(write_report(tmp_path).parent)
    assert "This network has no interdependence." in section(page, "interdependence").text
    assert "no W" in section(page, "factors").text
    assert "of which 0 (0.0 %)" in section(page, "parameters").text


DAMAGE = {
    "no configuration": (remove("config.json"), "config.json must be a readable file"),
    "metrics that are no JSON": (
        lambda f: (f / "metrics.json").write_text("{"),
        "metrics.json must be a JSON file, got",
    ),
    "metrics that are a list": (
        lambda f: (f / "metrics.json").write_text("[]"),
        "metrics.json must hold an object, got list",
    ),
    "history without epochs": (edited(lambda m: m["history"][0].pop("epoch")), "as training wrote them"),
    "summary without target": (edited(lambda s: s.pop("target"), "summary.json"), "as training wrote them"),
    "another class": (
        lambda f: (f / "predictions.csv").write_text(
            (f / "predictions.csv").read_text().replace(",NA,", ",other,", 1)
        ),
        "must hold the classes of config.json, got the class 'other'",
    ),
    "another table": (
        lambda f: (f / "predictions.csv").write_text("row,y,predicted\n0,1,1\n"),
        "must hold the classes of config.json, got the columns",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line_and_writes_nothing(tmp_path: Path, case: str) -> None:
    write_run(tmp_path)
    damage, message = DAMAGE[case]
    damage(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=message) as caught:
        write_report(tmp_path)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
