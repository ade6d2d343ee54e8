"""The report in a real browser: on a desk and on a phone, light and dark, with and without its script."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from lphm.report import write_report
from support.report_cases import write_run

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed"),
]
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
#: WCAG's contrast of every element with text of its own, as its computed styles have it.
CONTRASTS = """
const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
const luminance = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = parse(getComputedStyle(e).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
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
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each task, and one of a wide network, whose pictures are wider than a phone."""
    torch.manual_seed(0)
    made = {}
    for name, task, sizes in (
        ("classification", "classification", {}),
        ("regression", "regression", {}),
        ("wide", "classification", {"width": 48, "instance": None}),
    ):
        folder = tmp_path_factory.mktemp(name)
        write_run(folder, task, **sizes)
        made[name] = write_report(folder)
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    profile = tmp_path_factory.mktemp("profile")
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def show(browser: webdriver.Chrome, pages: dict[str, Path]) -> Open:
    """Open a report at a width in a theme, everything that can be folded unfolded."""

    def opened(name: str, width: int = 1280, theme: str = "light", script: bool = True) -> webdriver.Chrome:
        command = browser.execute_cdp_cmd
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        command("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": theme}
        command("Emulation.setEmulatedMedia", {"features": [feature]})
        command("Emulation.setScriptExecutionDisabled", {"value": not script})
        for log in ("browser", "performance"):
            browser.get_log(log)  # what was before is forgotten
        browser.get(pages[name].as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        return browser

    return opened


SETTINGS = list(itertools.product(("classification", "regression", "wide"), (1280, 375), ("light", "dark")))
each_setting = pytest.mark.parametrize(("name", "width", "theme"), SETTINGS)


@each_setting
def test_nothing_overflows(show: Open, name: str, width: int, theme: str) -> None:
    driver = show(name, width, theme)
    assert driver.execute_script("return innerWidth") == width
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    wider = (
        "return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()"
        " && !e.closest('.scroll, svg, option') && e.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((e) => e.tagName + ' ' + e.textContent.slice(0, 40))"
    )
    assert driver.execute_script(wider) == []
    scrolled = "return [...document.querySelectorAll('.scroll')].some((e) => e.scrollWidth > e.clientWidth)"
    assert driver.execute_script(scrolled) == (width == 375)


@each_setting
def test_everything_can_be_read(show: Open, name: str, width: int, theme: str) -> None:
    found = show(name, width, theme).execute_script(CONTRASTS)
    assert len(found) > 200
    assert [text for contrast, text in found if contrast < 4.5] == []


@each_setting
def test_pictures_are_there(show: Open, name: str, width: int, theme: str) -> None:
    driver = show(name, width, theme)
    pictures = driver.find_elements(By.TAG_NAME, "svg")
    assert len(pictures) > 12
    for picture in pictures:
        assert picture.is_displayed()
        assert picture.size["width"] > 0
        assert picture.size["height"] > 0
    cells = "return document.querySelector('.cells rect').getBoundingClientRect().width"
    assert driver.execute_script(cells) >= 10


@each_setting
def test_nothing_is_fetched_and_nothing_goes_wrong(show: Open, name: str, width: int, theme: str) -> None:
    driver = show(name, width, theme)
    assert driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if url.startswith("file:")], "the page itself is seen, so others would be"
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in urls if url.startswith("file:")]) == 1


def color(driver: webdriver.Chrome, selector: str, name: str) -> str:
    script = f"return getComputedStyle(document.querySelector({selector!r})).{name}"
    return str(driver.execute_script(script))


def test_light_and_dark_differ(show: Open) -> None:
    seen: dict[str, list[str]] = {}
    for theme in ("light", "dark"):
        driver = show("classification", theme=theme)
        wanted = [("body", "backgroundColor"), ("body", "color"), (".cells rect", "fill")]
        wanted += [("svg.chart text", "fill"), (".level", "backgroundColor"), ("select", "backgroundColor")]
        seen[theme] = [color(driver, *one) for one in wanted]
    assert all(a != b for a, b in zip(*seen.values(), strict=True))
    assert seen["light"][0] == "rgb(255, 255, 255)"


def shown(driver: webdriver.Chrome, name: str) -> tuple[list[str], list[str], list[str]]:
    """Titles and colours of a picture's entries, and the words at its bar."""
    return tuple(
        driver.execute_script(f"return [...document.querySelectorAll('#{name} {part}')].map((e) => {what})")
        for part, what in (
            (".cells title", "e.textContent"),
            (".cells rect", "getComputedStyle(e).fill"),
            (".bar text", "e.textContent"),
        )
    )


@pytest.mark.parametrize(("choice", "name"), [("instance-choice", "instance-xi"), ("w0-A-choice", "w0-S")])
def test_a_choice_changes_the_picture_and_back(show: Open, choice: str, name: str) -> None:
    driver = show("classification", width=375)
    select = Select(driver.find_element(By.ID, choice))
    before = shown(driver, name)
    select.select_by_index(1)
    titles, colors, bar = shown(driver, name)
    values = driver.execute_script("return maps[arguments[0]]", name)
    assert [float(title.rpartition(": ")[2]) for title in titles] == pytest.approx(values["values"][1])
    assert [title.rpartition(": ")[0] for title in titles] == [t.rpartition(": ")[0] for t in before[0]]
    assert sum(a != b for a, b in zip(colors, before[1], strict=True)) > len(colors) / 3
    assert float(bar[0]) == pytest.approx(values["limits"][1])
    label = driver.find_element(By.ID, name).get_attribute("aria-label")
    assert f"to {max(values['values'][1]):g}" in label
    select.select_by_index(0)  # the script's colours are those of the page as it was written
    assert shown(driver, name) == before


def test_an_entry_that_is_touched_is_read_out(show: Open) -> None:
    driver = show("classification", width=375)
    for selector in ("#attribute-xi .cells rect:nth-child(3)", "#w1-T .cells rect:nth-child(2)"):
        cell = driver.find_element(By.CSS_SELECTOR, selector)
        driver.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", cell)
        cell.click()
        title = cell.get_property("textContent")
        read = [e.text for e in driver.find_elements(By.CLASS_NAME, "reading") if e.text]
        assert title in read
        assert ": " in title


def test_without_script_the_mean_is_shown_and_no_choice_is_offered(show: Open) -> None:
    driver = show("classification", script=False)
    assert not any(select.is_displayed() for select in driver.find_elements(By.TAG_NAME, "select"))
    assert driver.find_element(By.ID, "instance-xi").is_displayed()
    assert driver.find_elements(By.CSS_SELECTOR, "#instance-xi .cells rect title")


def test_with_script_the_choices_are_offered(show: Open) -> None:
    selects = show("classification").find_elements(By.TAG_NAME, "select")
    assert len(selects) == 7
    assert all(select.is_displayed() for select in selects)
