"""The built site: strict, without the network, and with what the page of a public name promises."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

import lphm
from support.command import lphm as run
from support.site import PROJECT, Built, build, copied, with_one_tutorial

pytestmark = pytest.mark.slow

#: Pages of names of which there is no formula.
WITHOUT_FORMULA = {
    "lphm.DivisibilityError",
    "lphm.InputError",
    "lphm.RankLostError",
    "lphm.estimators.Epoch",
    "lphm.export.export_run",
    "lphm.kernels.identity",
    "lphm.kernels.lag",
    "lphm.report.write_report",
    "lphm.structures.STRUCTURES",
    "lphm.structures.from_config",
}
COMMANDS = sorted(path.stem for path in (PROJECT / "docs/api/commands").glob("*.rst") if path.stem != "index")


def text_of(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page))


def pages_of_names(site: Built) -> dict[str, str]:
    return {
        path.stem: path.read_text(encoding="utf-8") for path in (site.folder / "api/generated").glob("*.html")
    }


def test_nothing_comes_from_the_network(site: Built) -> None:
    pages = list(site.folder.rglob("*.html"))
    assert len(pages) > 60
    for path in pages:
        page = path.read_text(encoding="utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe|source|video|object|embed|image|use)\b.*?>", page):
            assert not re.search(r"""(?:src|href|srcset|data)=["']?\s*(?:\w+:)?//""", tag), path.name
    sheets = list(site.folder.rglob("*.css"))
    assert sheets
    for path in sheets:
        sheet = path.read_text(encoding="utf-8")
        assert not re.search(r"""(?:url\(|@import)\s*["']?\s*(?:\w+:)?//""", sheet), path.name


def test_every_page_of_a_name_has_its_parts(site: Built) -> None:
    """Its signature, its formula, a link to its source, and that source."""
    pages = pages_of_names(site)
    assert len(pages) > 30
    for name, page in pages.items():
        assert f'id="{name}"' in page, name
        assert ("<math" in page) == (name not in WITHOUT_FORMULA), name
        if name == "lphm.structures.STRUCTURES":
            continue
        link = re.search(r'href="\.\./\.\./(_modules/[\w/]+\.html)#([\w.]+)"', page)
        assert link, name
        assert f'id="{link[2]}"' in (site.folder / link[1]).read_text(encoding="utf-8"), name


def test_docstrings_keep_their_sections(site: Built) -> None:
    pages = {name: text_of(page) for name, page in pages_of_names(site).items()}
    for section in ("Shape", "Parameters:", "Raises:", "Example", "Reference"):
        assert section in pages["lphm.interdependence_apply"]
    assert "running_xi" in pages["lphm.BilinearInterdependence"]
    assert ">>> layer = BilinearInterdependence(" in pages["lphm.BilinearInterdependence"]
    assert "suggest(" in pages["lphm.LPHM"]  # of a base class that has no page
    assert "load_state_dict" not in pages["lphm.BilinearInterdependence"]  # of torch


def test_the_arguments_of_an_estimator_are_described(site: Built) -> None:
    page = text_of(site.page("api/generated/lphm.LPHMClassifier"))
    for name in lphm.LPHMClassifier().get_params():
        assert re.search(rf"^{name} \(.+\) – .", page, re.MULTILINE), name
    assert "members (int of at least 1" in page


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_a_command_has_the_options_of_its_help(site: Built, command: str, tmp_path: Path) -> None:
    page = site.page(f"api/commands/{command}")
    told = run(command, "--help", cwd=tmp_path).stdout
    options = set(re.findall(r"(?<=│ )(--[\w-]+)", told))
    assert set(re.findall(rf'id="cmdoption-lphm-{command}-((?!-)[\w-]+)"', page)) >= {
        option.strip("-") for option in options
    }
    assert options or command in ("info", "report")


def test_links_of_the_readme_lead_to_headings(site: Built) -> None:
    links = re.findall(r"\]\(docs/(\w+)\.md#([\w-]+)\)", (PROJECT / "README.md").read_text())
    assert len(links) > 3
    for page, heading in links:
        assert f'id="{heading}"' in site.page(page), f"{page}#{heading}"


def test_the_version_switcher_knows_this_version(site: Built) -> None:
    versions = json.loads((site.folder / "_static/switcher.json").read_text())
    assert lphm.__version__ in [entry["version"] for entry in versions]
    assert "_static/switcher.json" in site.page("index")


def test_faults_fail_the_build(tmp_path: Path) -> None:
    """A page in no table of contents, a link to no heading, a name that is not there, LaTeX that is wrong."""
    repository = with_one_tutorial(copied(tmp_path), "print(1)")
    page = "# Lonely\n\n[nowhere](structures.md#nowhere) and $\\nothing$\n"
    (repository / "docs/lonely.md").write_text(page)
    (repository / "docs/api/streamed.rst").write_text("streamed\n========\n\n:py:class:`lphm.Nothing`\n")
    latex = repository / "docs/_ext/latex.py"
    changed = latex.read_text().replace('"W = P Qᵀ"', '"W = Q Pᵀ"').replace('"l = pq + r (n/p', '"l =')
    latex.write_text(changed)
    built = build(repository)
    assert built.returncode == 1
    for fault in (
        "lonely.md: WARNING: document isn't included in any toctree",
        "'nowhere'",
        "latex2mathml does not know: \\nothing",
        "target not found: lphm.Nothing",
        "latex.py has a formula that no docstring has: W = Q Pᵀ",
        "latex.py must have this formula of lphm.LPHM:\n    l = pq + r (n/p + n/q).",
    ):
        assert fault in built.said
