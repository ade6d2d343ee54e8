"""The whole of what a structure must pass."""

from support.suite_algebra import AlgebraSuite
from support.suite_torch import TorchSuite
from support.suite_two_sets import TwoSetsSuite


class StructureSuite(AlgebraSuite, TorchSuite, TwoSetsSuite):
    """The whole of what a structure must pass; it gives ``row``."""
