"""The tutorials: pages have what the scripts printed and drew, and a script that fails fails the build."""

import ast
import json
import re
from html import unescape
from pathlib import Path

import pytest

from support.site import PROJECT, Built, build, copied, with_one_tutorial

pytestmark = pytest.mark.slow

SCRIPTS = {path.stem: path for path in sorted((PROJECT / "tutorials").glob("plot_*.py"))}


def images_of(page: str, kind: str) -> list[str]:
    """The files of the images of a class, light or dark."""
    return [
        re.search(r'src="([^"]+)"', tag)[1]
        for tag in re.findall(r"<img\b.*?>", page, re.DOTALL)
        if f"only-{kind}" in tag and "tutorial-figure" in tag
    ]


def test_there_are_five() -> None:
    assert len(SCRIPTS) == 5


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_page_has_output_and_figures(site: Built, name: str) -> None:
    page = site.page(f"tutorials/{name}")
    outputs = re.findall(r'<div class="sphx-glr-script-out\b.*?<pre>(.*?)</pre>', page, re.DOTALL)
    assert outputs
    assert not any("Warning" in output for output in outputs)
    light, dark = images_of(page, "light"), images_of(page, "dark")
    assert len(light) == len(dark) == SCRIPTS[name].read_text().count("plt.show()") > 0
    for number, (one, other) in enumerate(zip(light, dark, strict=True)):
        drawn = [(site.folder / "tutorials" / path).read_text() for path in (one, other)]
        assert drawn[0] != drawn[1], number
        assert [len(svg) for svg in drawn] == [len(drawn[0])] * 2  # the same but for the ink
    words = [re.search(r'alt="([^"]*)"', tag)[1] for tag in re.findall(r"<img\b.*?tutorial-figure.*?>", page)]
    assert all(words)


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_can_be_downloaded_as_a_script_and_as_a_notebook(site: Built, name: str) -> None:
    links = re.findall(r'href="\.\./(_downloads/[^"]+)"', site.page(f"tutorials/{name}"))
    files = {Path(link).suffix: site.folder / link for link in links}
    assert set(files) >= {".py", ".ipynb"}
    assert files[".py"].read_text() == SCRIPTS[name].read_text()
    cells = json.loads(files[".ipynb"].read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 3
    ast.parse("\n".join(code))


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_text_claims_is_asserted(name: str) -> None:
    assert SCRIPTS[name].read_text().count("\nassert ") >= 4


def test_the_gallery_has_a_picture_of_each(site: Built) -> None:
    page = site.page("tutorials/index")
    for name, path in SCRIPTS.items():
        assert f"sphx_glr_{name}_thumb.svg" in page
        assert ast.get_docstring(ast.parse(path.read_text())).splitlines()[0] in unescape(page)
        assert f'href="{name}.html"' in page


def test_names_in_the_code_lead_to_their_pages(site: Built) -> None:
    page = site.page("tutorials/plot_2_lags")
    assert re.search(r'<a [^>]*href="\.\./api/generated/lphm\.Toeplitz\.html[^>]*><span class="n">lphm', page)


def test_an_assertion_that_fails_fails_the_build(tmp_path: Path) -> None:
    built = build(with_one_tutorial(copied(tmp_path), "print(1)\nassert 1 == 2, 'a claim that is wrong'"))
    assert built.returncode != 0
    assert "plot_it.py" in built.said
    assert "a claim that is wrong" in built.said
