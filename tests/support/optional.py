"""Packages of an extra that not every environment of the tests has."""

from types import ModuleType

import pytest


def optional(module: str, extra: str = "integrations") -> ModuleType:
    """The module; without its package the test, or the file of tests, is skipped and says what to install."""
    reason = f"{module.partition('.')[0]} is not installed (pip install 'lphm[{extra}]')"
    return pytest.importorskip(module, reason=reason)
