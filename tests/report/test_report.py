"""The report as a page: it needs no other file, it is accessible, and names from files are escaped."""

import ast
import re
from pathlib import Path

from lphm.report import write_report
from support.report_cases import NASTY, NASTY_CLASS
from support.report_reader import Element, section
from support.sources import SOURCES


def test_every_section_is_there_and_linked(page: Element) -> None:
    sections = [s.attributes["id"] for s in page.all("section")]
    assert sections == [a.attributes["href"][1:] for a in page.all("nav")[0].all("a")]
    assert sections[:3] == ["scores", "drivers", "together"]  # the answers first
    assert sections[-2:] == ["factors", "parameters"]
    assert len(sections) == 11
    assert all(s.all("h2") for s in page.all("section"))
    assert "missing" not in [p.attributes.get("class") for p in page.all("p")]


def test_nothing_is_fetched(page: Element, task: str, folders: dict[str, Path]) -> None:
    for element in page.all("*"):
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            value = element.attributes.get(name)
            assert value is None or value[0] == "#" or value == "data:,", (element.tag, name, value)
    text = (folders[task] / "report.html").read_text()
    assert not re.search(r"https?:|@import|\bimport\b|fetch\(|XMLHttp|url\((?!#)", text)


def test_ids_are_unique_and_references_lead_somewhere(
    page: Element, task: str, folders: dict[str, Path]
) -> None:
    ids = [e.attributes["id"] for e in page.all("*") if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    text = (folders[task] / "report.html").read_text()
    assert set(re.findall(r'(?:href="#|url\(#|for=")([^")]+)', text)) <= set(ids)


def test_screen_readers_get_labels(page: Element) -> None:
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


def test_charts_use_the_colours_of_the_page_and_keep_their_text(page: Element, task: str) -> None:
    charts = page.all("svg", **{"class": "chart"})
    assert len(charts) == {"classification": 3, "regression": 5}[task]
    for chart in charts:
        styles = " ".join(e.attributes.get("style") or "" for e in chart.all("*"))
        assert "var(--text)" in styles
        assert "var(--first)" in styles
        assert not re.search(r"#[0-9a-fA-F]{3,6}", styles)
        assert not chart.all("style")  # it would apply to the whole page
        assert len(chart.all("text")) > 6
    assert "epoch" in charts[0].text


def test_learning_curves_are_described_in_words(pages: dict[str, Element]) -> None:
    charts = section(pages["classification"], "curves").all("div", role="img")
    assert [chart.attributes["aria-label"] for chart in charts] == [
        "Loss of each epoch: training from 2 to 0.667, validation from 2 to 2",
        "Validation accuracy of each epoch: validation from 0.1 to 0.3",
    ]


def test_names_are_escaped(pages: dict[str, Element]) -> None:
    page = pages["classification"]
    assert len(page.all("script")) == 2
    assert not page.all("img")
    assert not page.all("b")
    assert page.all("h1")[0].text == "t <1>.csv: answer <b>"
    assert page.all("title")[0].words == ["t <1>.csv: answer <b>"]
    for place in ("data", "drivers"):
        assert NASTY in [th.text for th in section(page, place).all("th")]
    assert NASTY in [each.text for each in section(page, "together").all("strong")]
    assert NASTY_CLASS in [th.text for th in section(page, "errors").all("th")]
    assert any(NASTY in title.text for title in section(page, "interdependence").all("title"))
    assert any(NASTY_CLASS in option.text for option in page.all("option"))


def test_the_page_depends_on_the_folder_alone(classified: Path, tmp_path: Path) -> None:
    other = write_report(classified, tmp_path / "deep" / "other.html")
    assert other == tmp_path / "deep" / "other.html"
    assert other.read_bytes() == (classified / "report.html").read_bytes()
    assert [p.name for p in other.parent.iterdir()] == ["other.html"]


def test_the_report_imports_no_training_code() -> None:
    """The modules that train a network are not needed to write a report."""
    modules, pending = set[str](), ["lphm.report"]
    while pending:
        name = pending.pop()
        modules.add(name)
        nodes = list(ast.walk(ast.parse(SOURCES[name].read_text()))) if name in SOURCES else []
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        pending += names - modules
    assert {"lphm.report.page", "lphm.learn.run", "matplotlib"} <= modules
    assert not modules & {"lphm.learn.training", "lphm.learn.loop"}
