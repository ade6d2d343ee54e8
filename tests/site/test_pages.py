"""Every public name has a page, which is found without a build: the sources of the pages list the names."""

import importlib
import re

import pytest

import lphm
from lphm.cli import app
from support.sources import ROOT, SOURCES

API = ROOT.parent / "docs" / "api"
#: Packages that say what is public; that of the command line has commands for names.
PACKAGES = {
    name
    for name, path in SOURCES.items()
    if path.name == "__init__.py" and "__all__" in path.read_text() and name.count(".") < 2
} - {"lphm.cli"}


def listed() -> list[str]:
    """The names in the lists of ``docs/api``, and the modules with a page of their own."""
    names = []
    for path in API.glob("*.rst"):
        text = path.read_text()
        module = re.findall(r"^\.\. (?:currentmodule|automodule):: (\S+)$", text, re.MULTILINE)
        names += re.findall(r"^\.\. automodule:: (\S+)$", text, re.MULTILINE)
        for entries in re.findall(r"^\.\. autosummary::\n(?:   :.*\n)*\n((?:   .*\n)+)", text, re.MULTILINE):
            names += [f"{module[0]}.{name}" for name in entries.split()]
    return names


def value_of(name: str) -> object:
    if name in SOURCES:
        return importlib.import_module(name)
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_packages_are_known() -> None:
    assert {"lphm", "lphm.nn", "lphm.rpn", "lphm.sharded", "lphm.streamed", "lphm.structures"} <= PACKAGES


def test_every_public_name_has_one_page() -> None:
    """A name that two packages have is one object, with one page."""
    pages = [id(value_of(name)) for name in listed()]
    assert len(pages) == len(set(pages))
    public = {
        f"{package}.{name}": value_of(f"{package}.{name}")
        for package in PACKAGES
        for name in importlib.import_module(package).__all__
    }
    assert not {name for name, value in public.items() if id(value) not in pages}
    assert set(pages) == {id(value) for value in public.values()}


@pytest.mark.parametrize("name", [name for name in lphm.__all__ if name != "initialize_"])
def test_a_page_has_the_name_by_which_it_is_imported(name: str) -> None:
    assert f"lphm.{name}" in listed()


def test_every_command_has_a_page() -> None:
    commands = {name for name in app if not name.startswith("-")}
    pages = {path.stem: path.read_text() for path in (API / "commands").glob("*.rst")}
    index = pages.pop("index")
    assert set(pages) == commands
    for name, text in pages.items():
        assert text.startswith(f"lphm {name}\n")
        assert f".. lphm-command:: {name}\n" in text
        assert f"   {name}\n" in index
