"""Docstrings on the site: their formulas in LaTeX.

``help()`` shows docstrings as they are, so their formulas are plain text: a paragraph that is indented by
itself, or a literal within a line. Here they become what ``latex.py`` has for them. A paragraph that has
nothing there is a warning, which fails the build, and so is LaTeX that no docstring asks for.
"""

import re
from typing import Any

from latex import FORMULAS
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
SECTION = re.compile(r"\w+:")
_used: set[str] = set()


def write_latex(_app: Sphinx, what: str, name: str, _object: object, _options: Any, lines: list[str]) -> None:
    """Replace the formulas of a docstring."""
    if what in ("property", "attribute"):
        lines[:0] = ["..", ""]  # napoleon takes what stands before a colon in the first line for a type
    paragraphs = "\n".join(lines).split("\n\n")
    above = ""  # the last line that is not indented
    for number, paragraph in enumerate(paragraphs):
        indented = all(line.startswith("    ") for line in paragraph.splitlines())
        if indented and paragraph and not above.endswith("::") and not SECTION.fullmatch(above):
            latex = _latex(paragraph)
            if latex is None:
                LOGGER.warning("latex.py must have this formula of %s:\n%s", name, paragraph)
            else:
                paragraphs[number] = f".. math::\n\n    {latex}"
            continue
        above = next((line for line in reversed(paragraph.splitlines()) if line[:1].strip()), above)
        paragraphs[number] = re.sub(r"``([^`]+)``", _literal, paragraph)
    lines[:] = "\n\n".join(paragraphs).split("\n")


def _latex(text: str) -> str | None:
    """The LaTeX of a formula, in one line."""
    key = " ".join(text.split())
    if key not in FORMULAS:
        return None
    _used.add(key)
    return " ".join(FORMULAS[key].split())


def _literal(match: re.Match[str]) -> str:
    latex = _latex(match[1])
    return match[0] if latex is None else f":math:`{latex}`"


def report_unused(_app: Sphinx, _environment: object) -> None:
    """Warn of LaTeX that is not used any more."""
    for text in FORMULAS.keys() - _used:
        LOGGER.warning("latex.py has a formula that no docstring has: %s", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Read docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", write_latex, priority=400)
    app.connect("env-check-consistency", report_unused)
    return {"parallel_read_safe": False}
