"""Classes on the site: members of this package alone, and the fields of dataclasses as arguments."""

import dataclasses
import inspect
import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from lphm import LPHMClassifier

#: They are listed as arguments.
FIELDS = {field.name for field in dataclasses.fields(LPHMClassifier)}


def choose(_app: Sphinx, _what: str, name: str, member: Any, skip: bool, _options: Any) -> bool:
    """Leave out the fields of dataclasses, and what ``torch.nn.Module`` and scikit-learn's classes have."""
    member = member.fget if isinstance(member, property) else member
    module = getattr(member, "__module__", None) or "lphm"  # data have none
    return skip or not module.startswith("lphm") or (name in FIELDS and not callable(member))


def field_texts(cls: type) -> dict[str, str]:
    """The string below each field of a dataclass and of its bases, by its name."""
    texts: dict[str, str] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("lphm."):
            found = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            texts |= {
                name: " ".join(text).strip()
                for (owner, name), text in found.items()
                if owner == base.__name__
            }
    return texts


def type_text(hint: Any) -> str:
    """A type in words: ``int of at least 1``."""
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return f"{type_text(arguments[0])} {arguments[1]}".removesuffix(f" and at most {2**31 - 1}")
    if get_origin(hint) is Literal:
        return ", ".join(map(repr, arguments))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join("None" if each is NoneType else type_text(each) for each in arguments)
    return getattr(hint, "__name__", str(hint)).replace("Any", "object")


def list_arguments(_app: Sphinx, what: str, _name: str, cls: Any, _options: Any, lines: list[str]) -> None:
    """Give a class whose arguments are described field by field the section that others have."""
    if what != "class" or not dataclasses.is_dataclass(cls):
        return
    texts, hints = field_texts(cls), get_type_hints(cls, include_extras=True)
    section = []
    for field in dataclasses.fields(cls):
        if field.name in texts:
            default = "" if field.default is None else f" Default: ``{field.default!r}``."
            section.append(f"    {field.name} ({type_text(hints[field.name])}): {texts[field.name]}{default}")
    if section:
        first = next(number for number, line in enumerate(lines) if re.fullmatch(r"\w+:", line))
        lines[first:first] = ["Args:", *section, ""]


def without_types(
    _app: Sphinx, what: str, _name: str, cls: Any, _options: Any, signature: str | None, _returns: str | None
) -> tuple[str, None] | None:
    """Leave the types of such arguments to their section."""
    if what != "class" or not dataclasses.is_dataclass(cls) or not field_texts(cls) or signature is None:
        return None
    shown = inspect.signature(cls)
    plain = [each.replace(annotation=each.empty) for each in shown.parameters.values()]
    return str(shown.replace(parameters=plain, return_annotation=shown.empty)), None


def write_dashes(_app: Sphinx, document: nodes.document) -> None:
    """Write ``name – text`` in lists of arguments; other dashes stay, for options begin with two."""
    for text in list(document.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Sphinx) -> dict[str, bool]:
    """Read docstrings before napoleon does."""
    app.connect("autodoc-skip-member", choose)
    app.connect("autodoc-process-signature", without_types)
    app.connect("doctree-read", write_dashes)
    app.connect("autodoc-process-docstring", list_arguments, priority=300)
    return {"parallel_read_safe": True}
