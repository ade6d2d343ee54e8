"""Parameterized bilinear interdependence, ``xi(X | w) = Xᵀ W X`` with ``W = A ⊗ (S Tᵀ)``.

``import lphm`` needs torch and imports nothing heavier; the estimators, which need ``lphm[train]``, and
``lphm.sharded`` and ``lphm.streamed`` are imported when they are first asked for.
"""

from importlib import import_module
from typing import Any

from lphm import rpn
from lphm.contraction import interdependence_apply, interdependence_matrix
from lphm.errors import DivisibilityError, InputError, RankLostError
from lphm.initialization import initialize_
from lphm.interdependence import BilinearInterdependence
from lphm.nearest import nearest
from lphm.structures import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure

__version__ = "0.1.0"

__all__ = [
    "HM",
    "LPHM",
    "BilinearInterdependence",
    "DivisibilityError",
    "DualLPHM",
    "Full",
    "InputError",
    "LPHMClassifier",
    "LPHMRegressor",
    "LowRank",
    "RandomMatrixAdaptation",
    "RankLostError",
    "Structure",
    "initialize_",
    "interdependence_apply",
    "interdependence_matrix",
    "nearest",
    "rpn",
    "sharded",
    "streamed",
]


def __getattr__(name: str) -> Any:
    """The estimators, ``lphm.sharded`` and ``lphm.streamed``, imported on first use (PEP 562)."""
    if name in ("sharded", "streamed"):
        return import_module(f"lphm.{name}")
    if name in ("LPHMClassifier", "LPHMRegressor"):
        return getattr(import_module("lphm.estimators"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
