"""What W is: frozen, validated value objects that map a parameter vector to W or to a thin pair."""

from typing import Any

from lphm.structures.base import Structure
from lphm.structures.dual_lphm import DualLPHM
from lphm.structures.full import Full
from lphm.structures.hm import HM
from lphm.structures.low_rank import LowRank
from lphm.structures.lphm import LPHM
from lphm.structures.random_matrix import RandomMatrixAdaptation
from lphm.structures.toeplitz import Toeplitz

__all__ = [
    "HM",
    "LPHM",
    "STRUCTURES",
    "DualLPHM",
    "Full",
    "LowRank",
    "RandomMatrixAdaptation",
    "Structure",
    "Toeplitz",
    "from_config",
]

#: Every structure, by the name that ``to_config`` writes.
STRUCTURES: dict[str, type[Structure]] = {
    cls.name: cls for cls in (Full, LowRank, HM, LPHM, DualLPHM, RandomMatrixAdaptation, Toeplitz)
}


def from_config(config: dict[str, Any]) -> Structure:
    """The structure that ``structure.to_config()`` describes.

    Raises:
        ValueError: the name is unknown, or the sizes do not fit.
        TypeError: a size is missing, is not an int, or has no place in this structure.

    Example:
        >>> from lphm.structures import from_config
        >>> from_config({"name": "low_rank", "n": 96, "r": 4})
        LowRank(n=96, r=4)
    """
    sizes = dict(config)
    name = sizes.pop("name", None)
    if name not in STRUCTURES:
        raise ValueError(f"structure name must be one of {', '.join(STRUCTURES)}, got {name!r}")
    return STRUCTURES[name](**sizes)
