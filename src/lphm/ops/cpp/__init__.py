"""What ``fused.py`` computes for ``LPHM``, as one compiled operator, which is optional and built once.

``python -m lphm.ops.cpp`` compiles it against the installed torch (about 20 s; it needs a C++ compiler and
ninja) and puts it where every later process looks for it: ``$LPHM_CACHE``, or ``lphm`` in the user's cache
folder. ``LPHM_NATIVE=0`` in the environment switches it off. ``docs/performance.md`` says what it is worth.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("apply.cpp")
HEADER = Path(__file__).with_name("products.h")
#: The orders that the operator knows, by name, as it numbers them.
ORDERS = {"MATRIX": 0, "FACTORED": 1, "DENSE_FACTORED": 2}


def library_path() -> Path:
    """Where the library for this version of torch and of the source is expected."""
    folder = os.environ.get("LPHM_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lphm"
    )
    content = SOURCE.read_bytes() + HEADER.read_bytes() + torch.__version__.encode()
    return Path(folder, f"apply-{hashlib.sha256(content).hexdigest()[:16]}.so")


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
    compiled: Callable[..., Tensor] = torch.ops.lphm.apply_to_itself.default
    return compiled
