"""The examples in the docstrings run."""

import doctest
import importlib

import pytest
import torch

import lphm
from support.sources import SOURCES

NAMES = {name: getattr(lphm, name) for name in lphm.__all__}
WITH_EXAMPLES = [name for name, path in SOURCES.items() if ">>>" in path.read_text()]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for example in finder.find(module, name, globs={"torch": torch, "lphm": lphm, **NAMES}):
        runner.run(example, out=report.append)
    assert runner.summarize(verbose=False).attempted > 0
    assert not report, "".join(report)
