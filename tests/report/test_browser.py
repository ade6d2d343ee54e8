"""The report in a real browser: on a desktop and on a phone, light and dark, with and without its script."""

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from lphm.report import write_report
from lphm.structures import LPHM
from support.browser import needs_browser, resize, running
from support.report_cases import many_columns, metrics_of, series, write_run

pytestmark = [pytest.mark.slow, needs_browser]
browser = pytest.fixture(running, scope="module")
#: The contrast (WCAG) of every element that has text of its own, from its computed styles.
CONTRASTS = """
const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number)
  .map((v, i) => (color.startsWith("color(srgb") && i < 3 ? 255 * v : v));
const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  let [color, left] = [[0, 0, 0], 1];  // what is seen, and the share that lies further behind
  for (let e = element; e && left; e = e.parentElement) {
    const own = parse(getComputedStyle(e).backgroundColor);
    const share = left * (own.length === 3 ? 1 : own[3]);
    color = color.map((v, i) => v + share * own[i]);
    left -= share;
  }
  return color.map((v) => v + left * 255);
};
const ownText = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
return [...document.querySelectorAll("body *")]
  .filter((e) => ownText(e) && e.checkVisibility() && !["TITLE", "title", "SCRIPT"].includes(e.tagName))
  .map((e) => {
    const style = getComputedStyle(e);
    const [a, b] = [parse(e instanceof SVGElement ? style.fill : style.color), behind(e)].map(luminance);
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.tagName + ": " + e.textContent.slice(0, 40)];
  });
"""
Open = Callable[..., webdriver.Chrome]


@pytest.fixture(scope="module")
def reports(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each task, of a network whose heat maps are wider than a phone, of large numbers, of series and of
    a table with 200 columns."""
    torch.manual_seed(0)
    wide, large = (tmp_path_factory.mktemp(name) for name in ("wide", "large"))
    write_run(wide, width=48, instance=None)
    write_run(large, "regression", unit=1_234_567.0)
    paths = {task: folder / "report.html" for task, folder in folders.items()}
    paths |= {"wide": write_report(wide), "large": write_report(large)}
    sizes = {"attribute": LPHM(n=200, p=10, q=10, r=2).to_config()}
    for name, data, parts, more in (
        ("series", series(), "step", {}),
        ("columns", many_columns(), "column", sizes),
    ):
        folder = tmp_path_factory.mktemp(name)
        write_run(folder, data=data, metrics=metrics_of(data, parts), **more)
        paths[name] = write_report(folder)
    return paths


@pytest.fixture(scope="module")
def show(browser: webdriver.Chrome, reports: dict[str, Path]) -> Open:
    """Opens a report at a width in a theme, and unfolds everything that can be unfolded."""

    def opened(name: str, width: int = 1280, theme: str = "light", script: bool = True) -> webdriver.Chrome:
        resize(browser, width, theme)
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        for log in ("browser", "performance"):
            browser.get_log(log)  # forget the entries of earlier pages
        browser.get(reports[name].as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        return browser

    return opened


@dataclass(frozen=True)
class Opened:
    """A page that several tests look at without changing it, and the logs of its opening."""

    driver: webdriver.Chrome
    width: int
    messages: list[dict]
    events: list[dict]


SETTINGS = list(
    itertools.product(
        ("classification", "regression", "wide", "large", "series", "columns"), (1280, 390), ("light", "dark")
    )
)


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda setting: "-".join(map(str, setting)))
def opened(show: Open, request: pytest.FixtureRequest) -> Opened:
    """Each report at each width in each theme, opened once for all tests that look at it."""
    driver = show(*request.param)
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return Opened(driver, request.param[1], driver.get_log("browser"), events)


def test_nothing_overflows(opened: Opened) -> None:
    driver, width = opened.driver, opened.width
    assert driver.execute_script("return innerWidth") == width
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    wider = (
        "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
        " && !e.closest('.scroll, svg, option') && e.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((e) => e.tagName + ' ' + e.textContent.slice(0, 40))"
    )
    assert driver.execute_script(wider) == []
    scrolled = (
        "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth)"
        ".map((e) => e.getAttribute('aria-label') + ' ' + e.scrollWidth + ' ' + e.clientWidth)"
    )
    regions = driver.execute_script(scrolled)
    assert bool(regions) == (width == 390), regions


#: Texts of a chart that lie on each other; turned ones are compared by their boxes, too.
OVERLAPS = """
const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1
  || b.bottom <= a.top + 1;
const charts = document.querySelectorAll("svg.chart, svg.map .scale, table.bar-chart, nav ul");
return [...charts].flatMap((chart) => {
  const texts = [...chart.querySelectorAll("text, tbody th, tbody td:last-child, .track, a")]
    .map((e) => [e.getBoundingClientRect(), e.textContent]).filter(([box]) => box.width);
  return texts.flatMap(([a, text], i) => texts.slice(i + 1).filter(([b]) => !apart(a, b))
    .map(([, other]) => text + " lies on " + other));
});
"""
#: Elements whose text needs more room than they have, and charts whose text reaches out of them.
CUT_OFF = """
const outside = [...document.querySelectorAll("svg.chart text, svg.map text")].filter((e) => {
  const [a, b] = [e.getBoundingClientRect(), e.closest("svg").getBoundingClientRect()];
  return a.left < b.left - 2 || a.right > b.right + 2 || a.top < b.top - 2 || a.bottom > b.bottom + 2;
});
const narrow = [...document.querySelectorAll("main *")].filter((e) => e.checkVisibility()
  && !e.closest("svg, .hidden, select") && !e.matches(".scroll") && e.scrollWidth > e.clientWidth + 1
  && getComputedStyle(e).display !== "inline");
return [...outside, ...narrow].map((e) => e.tagName + " " + e.className + ": " + e.textContent.slice(0, 60));
"""


def test_no_text_lies_on_another_or_is_cut_off(opened: Opened) -> None:
    assert opened.driver.execute_script(OVERLAPS) == []
    assert opened.driver.execute_script(CUT_OFF) == []


def test_the_first_screen_holds_score_and_drivers(show: Open) -> None:
    for name in ("classification", "regression"):
        driver = show(name)
        boxes = [driver.find_element(By.ID, section).rect for section in ("scores", "drivers")]
        assert boxes[0]["y"] == boxes[1]["y"]  # side by side
        assert all(box["y"] + box["height"] < 1000 and 500 < box["width"] < 600 for box in boxes)
        assert boxes[1]["x"] + boxes[1]["width"] > 1150


def test_a_chart_that_is_alone_is_no_wider_than_one_of_two(show: Open) -> None:
    widths = []
    for name in ("classification", "series"):
        charts = show(name).find_elements(By.CSS_SELECTOR, "#curves svg.chart")
        widths.append([chart.size["width"] for chart in charts])
    assert [len(each) for each in widths] == [2, 1]
    assert widths[1][0] <= 1.05 * widths[0][0]


def test_columns_that_stand_below_each_other_are_apart(show: Open) -> None:
    driver = show("classification", width=390)
    first, second = driver.find_elements(By.CSS_SELECTOR, "#errors .split > div")
    assert second.rect["y"] - first.rect["y"] - first.rect["height"] >= 12


def test_a_table_that_scrolls_shows_it(show: Open) -> None:
    """At 390 pixels there is a shadow at the right edge of a table that goes on, and none where it ends."""
    driver = show("classification", width=390)
    edges = {}
    for label in ("Confusion matrix", "Scores"):
        region = driver.find_element(By.CSS_SELECTOR, f".scroll[aria-label='{label}']")
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", region)
        image = Image.open(io.BytesIO(region.screenshot_as_png)).convert("L")
        edges[label] = image.getpixel((image.width - 2, image.height - 8))
    assert edges["Confusion matrix"] < 230
    assert edges["Scores"] > 250


def test_all_text_can_be_read(opened: Opened) -> None:
    contrasts = opened.driver.execute_script(CONTRASTS)
    assert len(contrasts) > 200
    assert [text for contrast, text in contrasts if contrast < 4.5] == []


def test_charts_and_heat_maps_are_visible(opened: Opened) -> None:
    sizes = (
        "return [...document.querySelectorAll('svg')].map((svg) => "
        "{ const box = svg.getBoundingClientRect(); return svg.checkVisibility() && box.width * box.height })"
    )
    areas = opened.driver.execute_script(sizes)
    assert len(areas) > 12
    assert all(areas)
    cells = "return document.querySelector('.cells rect').getBoundingClientRect().width"
    assert opened.driver.execute_script(cells) >= 10


def test_nothing_is_fetched_and_nothing_goes_wrong(opened: Opened) -> None:
    assert opened.messages == []
    requests = [e["params"]["request"] for e in opened.events if e["method"] == "Network.requestWillBeSent"]
    urls = [request["url"] for request in requests]
    assert len([url for url in urls if url.startswith("file:")]) == 1  # the page itself is in the log
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []


def color(driver: webdriver.Chrome, selector: str, name: str) -> str:
    script = f"return getComputedStyle(document.querySelector({selector!r})).{name}"
    return str(driver.execute_script(script))


def test_light_and_dark_differ(show: Open) -> None:
    seen: dict[str, list[str]] = {}
    for theme in ("light", "dark"):
        driver = show("classification", theme=theme)
        styles = [("body", "backgroundColor"), ("body", "color"), (".cells rect", "fill")]
        styles += [
            ("svg.chart text", "fill"),
            (".cell:has(small)", "backgroundColor"),
            ("select", "backgroundColor"),
        ]
        seen[theme] = [color(driver, *style) for style in styles]
    assert all(a != b for a, b in zip(*seen.values(), strict=True))
    assert seen["light"][0] == "rgb(255, 255, 255)"


#: Value in units of the limit and brightness of every entry of a heat map.
BRIGHTNESS = """
const limit = Number(document.getElementById(arguments[0]).style.getPropertyValue("--limit"));
return [...document.querySelectorAll(`#${arguments[0]} .cells rect`)].map((cell) => {
  const [r, g, b] = getComputedStyle(cell).fill.match(/[\\d.]+/g).map(Number);
  return [Number(cell.style.getPropertyValue("--value")) / limit, 0.2126 * r + 0.7152 * g + 0.0722 * b];
});
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_entries_stand_out_from_the_page_the_more_the_further_they_are_from_zero(
    show: Open, theme: str
) -> None:
    entries = show("classification", theme=theme).execute_script(BRIGHTNESS, "attribute-xi")
    for sign in (-1, 1):
        side = sorted((abs(value), brightness) for value, brightness in entries if value * sign > 0)
        assert len(side) > 5
        brightness = np.array([b for _, b in side])
        assert (np.diff(brightness) * (1 if theme == "dark" else -1) >= 0).all()
        assert abs(brightness[-1] - brightness[0]) > 0.2


def shown(driver: webdriver.Chrome, name: str) -> tuple[list[str], list[str], list[str]]:
    """Titles and colours of a heat map's entries, and the numbers at its scale."""
    return tuple(
        driver.execute_script(f"return [...document.querySelectorAll('#{name} {part}')].map((e) => {value})")
        for part, value in (
            (".cells title", "e.textContent"),
            (".cells rect", "getComputedStyle(e).fill"),
            (".scale text", "e.textContent"),
        )
    )


@pytest.mark.parametrize(("choice", "name"), [("instance-xi-choice", "instance-xi"), ("w0-A-choice", "w0-S")])
def test_a_choice_changes_the_heat_map_and_back(show: Open, choice: str, name: str) -> None:
    driver = show("classification", width=390)
    select = Select(driver.find_element(By.ID, choice))
    before = shown(driver, name)
    select.select_by_index(1)
    titles, colors, scale = shown(driver, name)
    data = driver.execute_script("return maps[arguments[0]]", name)
    assert [float(title.rpartition(": ")[2]) for title in titles] == pytest.approx(data["values"][1])
    assert [title.rpartition(": ")[0] for title in titles] == [t.rpartition(": ")[0] for t in before[0]]
    assert sum(a != b for a, b in zip(colors, before[1], strict=True)) > len(colors) / 3
    assert float(scale[0]) == pytest.approx(data["limits"][1])
    limit = f"return document.getElementById({name!r}).style.getPropertyValue('--limit')"
    assert float(driver.execute_script(limit)) == data["limits"][1]
    assert float(scale[-1]) == pytest.approx(data["lowest"] * data["limits"][1])
    label = driver.find_element(By.ID, name).get_attribute("aria-label")
    assert f"to {max(data['values'][1]):g}" in label
    select.select_by_index(0)
    assert shown(driver, name) == before


def test_an_entry_that_is_touched_is_read_out(show: Open) -> None:
    driver = show("classification", width=390)
    for selector in ("#attribute-xi .cells rect:nth-child(3)", "#w1-T .cells rect:nth-child(2)"):
        cell = driver.find_element(By.CSS_SELECTOR, selector)
        driver.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", cell)
        cell.click()
        title = cell.get_property("textContent")
        assert ": " in title
        assert title in [e.text for e in driver.find_elements(By.CLASS_NAME, "reading")]


def test_without_script_the_mean_is_shown_and_no_choice_is_offered(show: Open) -> None:
    driver = show("classification", script=False)
    assert not any(select.is_displayed() for select in driver.find_elements(By.TAG_NAME, "select"))
    assert driver.find_element(By.ID, "instance-xi").is_displayed()
    assert driver.find_elements(By.CSS_SELECTOR, "#instance-xi .cells rect title")


def test_with_script_the_choices_are_offered(show: Open) -> None:
    selects = show("classification").find_elements(By.TAG_NAME, "select")
    assert len(selects) == 7
    assert all(select.is_displayed() for select in selects)
