"""The gradient by hand of ``LPHM`` as one C++ operator. Optional: built once, found from then on.

    python -m lphm.ops.cpp

compiles ``by_hand.cpp`` against the installed torch (some 20 s; it takes a C++ compiler and ninja) and puts
the library where every later process finds it: ``$LPHM_CACHE``, or ``lphm`` in the user's cache folder. With
another torch it is built anew. ``LPHM_NATIVE=0`` in the environment switches it off.

It computes what ``fused.py`` computes, operator for operator; only the Python between the operators is gone.
``docs/performance.md`` has what that is worth, and why it is not a part of the installation.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("by_hand.cpp")
#: The orders that the operator knows, by name, as it numbers them.
ORDERS = {"MATRIX": 0, "FACTORED": 1, "DENSE_FACTORED": 2}


def library_path() -> Path:
    """Where the library for this torch and this source is, or would be."""
    folder = os.environ.get("LPHM_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lphm"
    )
    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    return Path(folder, f"by_hand-{key}.so")


@lru_cache(maxsize=1)
def operator() -> Callable[..., Tensor] | None:
    """``(n, p, q, r, order, instance, w, x)`` to ``x`` mixed by its own ``xi``; None if it is not built."""
    if os.environ.get("LPHM_NATIVE") == "0":
        return None
    if not hasattr(torch.ops.lphm, "apply_to_itself"):
        path = library_path()
        if not path.exists():
            return None
        try:
            torch.ops.load_library(path)  # type: ignore[no-untyped-call]
        except OSError as reason:
            warnings.warn(f"{path} cannot be loaded ({reason}); delete it, or build it anew", stacklevel=2)
            return None
    found: Callable[..., Tensor] = torch.ops.lphm.apply_to_itself.default
    return found
