"""Reads a report: its HTML as a tree, and the numbers in its tables and heat maps."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

VOID = {"meta", "link", "br", "wbr", "col", "img", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list["Element"] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        below = [e for child in self.children for e in child.all(tag, **attributes)]
        matches = tag in (self.tag, "*") and all(self.attributes.get(k) == v for k, v in attributes.items())
        return [self, *below] if matches else below

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


def page_of(folder: Path) -> Element:
    return Reader((folder / "report.html").read_text(encoding="utf-8")).root


def section(page: Element, name: str) -> Element:
    return page.all("section", id=name)[0]


def rows_of(table: Element, part: str = "tbody") -> list[list[str]]:
    return [[cell.text for cell in row.children] for row in table.all(part)[0].all("tr")]


def table_of(section: Element, label: str) -> Element:
    """The table of that label."""
    (region,) = section.all("div", **{"aria-label": label})
    return region.all("table")[0]


def heat_map_of(page: Element, name: str) -> tuple[Element, np.ndarray]:
    """A heat map, and the numbers in the titles of its cells."""
    svg = page.all("svg", id=name)[0]
    cells = svg.all("g", **{"class": "cells"})[0].all("rect")
    rows, columns = (1 + max(int(c.attributes[k]) for c in cells) for k in "yx")
    matrix = np.full((rows, columns), np.nan)
    for cell in cells:
        matrix[int(cell.attributes["y"]), int(cell.attributes["x"])] = float(cell.text.rpartition(": ")[2])
    return svg, matrix


def data_of(page: Element) -> dict:
    return json.loads(page.all("script", id="maps")[0].words[0])
