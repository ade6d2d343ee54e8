"""The whole of what a structure must pass."""

from support.suite_algebra import AlgebraSuite
from support.suite_torch import TorchSuite


class StructureSuite(AlgebraSuite, TorchSuite):
    """The whole of what a structure must pass; it gives ``row``."""
