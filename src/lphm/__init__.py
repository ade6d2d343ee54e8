"""Parameterized bilinear interdependence, ``xi(X | w) = Xᵀ W X`` with ``W = A ⊗ (S Tᵀ)``.

Every public name is imported when it is first used (PEP 562): ``import lphm`` and ``lphm --help`` cost
nothing, the functions and the layer need torch alone, the estimators need ``pip install 'lphm[train]'``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lphm import kernels, nn, rpn, sharded, streamed
    from lphm.errors import DivisibilityError, InputError, RankLostError
    from lphm.estimators import InterdependenceTransformer, LPHMClassifier, LPHMRegressor
    from lphm.nn import BilinearInterdependence, InterdependenceAttention, initialize_
    from lphm.ops.functional import interdependence_apply, interdependence_matrix
    from lphm.structures import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure, Toeplitz
    from lphm.structures.compression import Compressed, compress
    from lphm.structures.nearest import nearest

__version__ = "0.1.0"

__all__ = [
    "HM",
    "LPHM",
    "BilinearInterdependence",
    "Compressed",
    "DivisibilityError",
    "DualLPHM",
    "Full",
    "InputError",
    "InterdependenceAttention",
    "InterdependenceTransformer",
    "LPHMClassifier",
    "LPHMRegressor",
    "LowRank",
    "RandomMatrixAdaptation",
    "RankLostError",
    "Structure",
    "Toeplitz",
    "compress",
    "initialize_",
    "interdependence_apply",
    "interdependence_matrix",
    "kernels",
    "nearest",
    "nn",
    "rpn",
    "sharded",
    "streamed",
]

#: Where each public name is defined.
_ORIGINS = {
    "lphm.errors": ["DivisibilityError", "InputError", "RankLostError"],
    "lphm.estimators": ["InterdependenceTransformer", "LPHMClassifier", "LPHMRegressor"],
    "lphm.nn": ["BilinearInterdependence", "InterdependenceAttention", "initialize_"],
    "lphm.ops.functional": ["interdependence_apply", "interdependence_matrix"],
    "lphm.structures": [
        "HM",
        "LPHM",
        "DualLPHM",
        "Full",
        "LowRank",
        "RandomMatrixAdaptation",
        "Structure",
        "Toeplitz",
    ],
    "lphm.structures.compression": ["Compressed", "compress"],
    "lphm.structures.nearest": ["nearest"],
}
_MODULE_OF = {name: module for module, names in _ORIGINS.items() for name in names}


if not TYPE_CHECKING:  # a type checker reads the imports above, and reports a name that is not among them

    def __getattr__(name: str) -> Any:
        """Import a public name on first use."""
        if name in _MODULE_OF:
            value = getattr(import_module(_MODULE_OF[name]), name)
        elif name in __all__:
            value = import_module(f"lphm.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value  # found directly from now on
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
