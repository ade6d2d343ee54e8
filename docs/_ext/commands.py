"""The directive ``lphm-command``: a command with its options, as ``lphm COMMAND --help`` lists them."""

import io
import re
from typing import Any

from docutils import nodes
from rich.console import Console
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lphm.cli import app as command_line


class Collected:
    """Takes what cyclopts would print for ``--help``."""

    def __init__(self, command: str) -> None:
        self.usage, self.description = "", ""
        self.panels: list[Any] = []
        command_line.help_formatter = self
        command_line.help_print([command], console=Console(file=io.StringIO()))

    def __call__(self, _console: Console, _options: object, panel: Any) -> None:
        """Take a group of options."""
        self.panels.append(panel)

    def render_usage(self, _console: Console, _options: object, usage: object) -> None:
        """Take the line that says how the command is called."""
        self.usage = str(usage).strip()

    def render_description(self, _console: Console, _options: object, description: Any) -> None:
        """Take the text below it."""
        self.description = _plain(description)


def _plain(renderable: Any) -> str:
    """Text as a wide terminal shows it."""
    out = io.StringIO()
    Console(file=out, width=10_000).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _label(entry: Any) -> str:
    """The names of an option or an argument, and what it takes."""
    names = [getattr(entry, "positional_label", None), *entry.all_options]
    metavar = getattr(entry, "metavar", None)
    return ", ".join(f"{name} {metavar}" if name[0] == "-" and metavar else name for name in names if name)


def _notes(entry: Any) -> str:
    """What the help says behind the description."""
    notes = ["required"] if entry.required else []
    if entry.choices:
        notes.append("one of " + ", ".join(f"``{choice}``" for choice in entry.choices))
    if entry.default not in (None, "False"):
        notes.append(f"default: ``{entry.default}``")
    return f" ({'; '.join(notes)})" if notes else ""


def _literally(text: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\`*_|<])", r"\\\1", " ".join(text.split()))


class Command(SphinxDirective):
    """``.. lphm-command:: train``: usage, description, examples and options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse them as if they stood on the page."""
        (name,) = self.arguments
        shown = Collected(name)
        summary, _, examples = shown.description.strip().partition("Examples\n")
        lines = [f".. program:: lphm {name}", "", _literally(summary), ""]
        lines += [".. code-block:: text", "", f"   {shown.usage}", ""]
        if examples:
            lines += [".. rubric:: Examples", "", ".. code-block:: text", ""]
            lines += [f"   {line.strip()}" for line in examples.splitlines()] + [""]
        for panel in shown.panels:
            if panel.entries:
                lines += [f".. rubric:: {panel.title}", ""]
            for entry in panel.entries:
                text = _literally(_plain(entry.description)) + _notes(entry)
                lines += [f".. option:: {_label(entry)}", "", f"   {text}", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("lphm-command", Command)
    return {"parallel_read_safe": True}
