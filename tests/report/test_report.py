"""The report as a page: it needs nothing beside itself, and can be read by everybody."""

import re
from pathlib import Path

import pytest

from lphm.report import write_report
from support.report_cases import NASTY, NASTY_CLASS
from support.report_reader import Reader, page_of, section

pytest_plugins = ["report_folders"]
both = pytest.mark.parametrize("run", ["classified", "regressed"])


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
