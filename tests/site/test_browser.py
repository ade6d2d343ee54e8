"""The site in a real browser: on a desktop and on a phone, light and dark."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from support.browser import needs_browser, resize, running
from support.site import PROJECT, Built

pytestmark = [pytest.mark.slow, needs_browser]
browser = pytest.fixture(running, scope="module")

#: What lies beyond the right edge, unless it is in something that can be scrolled sideways.
CUT_OFF = """
const scrolled = (e) => {
  for (e = e.parentElement; e && !e.className.includes("bd-"); e = e.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true;
  return false;
};
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > width + 1 && !scrolled(e))
  .map((e) => `${e.tagName}: ${e.textContent.slice(0, 40)}`);
"""
TUTORIALS = sorted(f"tutorials/{path.stem}" for path in (PROJECT / "tutorials").glob("plot_*.py"))
PAGES = [
    "index",
    "start",
    "guide",
    "understand",
    "results",
    "CONTRIBUTING",
    "interdependence",
    "structures",
    "command_line",
    "performance",
    "accuracy",
    "api/index",
    "api/rpn",
    "api/symbols",
    "api/commands/train",
    "api/generated/lphm.LPHM",
    "api/generated/lphm.LPHMClassifier",
    "api/generated/lphm.interdependence_apply",
    "api/generated/lphm.rpn.random_matrix_adaption_parameterized_bilinear_interdependence",
    "tutorials/index",
    *TUTORIALS,
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def address(site: Built) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site.folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_off(browser: webdriver.Chrome, address: str, page: str, width: int) -> None:
    resize(browser, width, "light")
    browser.get(f"{address}/{page}.html")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CUT_OFF) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_follow_the_system_until_they_are_chosen(
    browser: webdriver.Chrome, address: str, theme: str
) -> None:
    resize(browser, 1280, theme)
    browser.get(f"{address}/index.html")
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    shown = "return document.documentElement.dataset.theme"
    assert browser.execute_script(shown) == theme
    other = {"light": "dark", "dark": "light"}[theme]
    button = browser.find_element(By.CSS_SELECTOR, f"button[data-mode={other}]")
    browser.execute_script("arguments[0].click()", button)
    assert browser.execute_script(shown) == other
    browser.get(f"{address}/guide.html")
    assert browser.execute_script(shown) == other
    browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", TUTORIALS)
def test_figures_have_the_colours_of_the_page(
    browser: webdriver.Chrome, address: str, page: str, theme: str
) -> None:
    """Each figure is shown once, and its ink is not that of the background."""
    resize(browser, 390, theme)
    browser.get(f"{address}/{page}.html")
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    figures = browser.find_elements(By.CSS_SELECTOR, "img.tutorial-figure")
    shown = [figure.get_attribute("src") for figure in figures if figure.is_displayed()]
    assert len(shown) == len(figures) / 2 > 0
    assert all(src.endswith(".dark.svg") == (theme == "dark") for src in shown)
    loaded = "return [...arguments[0]].every((image) => image.naturalWidth > 300)"
    WebDriverWait(browser, 10).until(
        lambda driver: driver.execute_script(loaded, [each for each in figures if each.is_displayed()])
    )


def test_the_search_finds_a_name(browser: webdriver.Chrome, address: str) -> None:
    resize(browser, 1280, "light")
    browser.get(f"{address}/search.html?q=LPHMClassifier")
    results = (By.CSS_SELECTOR, "#search-results li a")
    found = WebDriverWait(browser, 10).until(lambda shown: shown.find_elements(*results))
    assert any("lphm.LPHMClassifier.html" in (link.get_attribute("href") or "") for link in found)


def test_the_font_of_formulas_is_loaded(browser: webdriver.Chrome, address: str) -> None:
    browser.get(f"{address}/index.html")
    browser.execute_async_script("document.fonts.ready.then(arguments[0])")
    loaded = "return [...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
    assert any("Math" in family for family in browser.execute_script(loaded))
