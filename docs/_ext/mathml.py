"""Formulas as MathML, which browsers show without a script: LaTeX is converted when the site is built."""

import html

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

LOGGER = logging.getLogger(__name__)


def _converted(node: nodes.math | nodes.math_block, display: str) -> str:
    latex = node.astext()
    mathml = convert(latex, display=display)
    if "\\" in html.unescape(mathml):
        LOGGER.warning("LaTeX has a command that latex2mathml does not know: %s", latex, location=node)
    return mathml


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(_converted(node, "inline"))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula that stands alone; one that is wider than the page is scrolled."""
    self.body.append(f'<div class="formula" tabindex="0">{_converted(node, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Make it the renderer of formulas."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
