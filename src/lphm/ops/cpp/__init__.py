"""What ``fused.py`` computes for ``LPHM``, as one compiled operator, which is optional and built once.

``python -m lphm.ops.cpp`` compiles it against the installed torch (about 20 s; it needs a C++ compiler and
ninja) and puts it where every later process looks for it: ``$LPHM_CACHE``, or ``lphm`` in the user's cache
folder. ``LPHM_NATIVE=0`` in the environment switches it off. ``docs/performance.md`` says what it is worth.

A library runs code as soon as it is loaded. So it is loaded only if nobody but this user and root can have
put it there, and if it is what the build wrote. Root is trusted because root can change this process anyway,
and because images of containers are built by root and used by others.
"""

import hashlib
import os
import stat
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


def cache_folder() -> Path:
    """Where the library is built and looked for.

    Raises:
        RuntimeError, OSError: there is no home folder, or no current one.
    """
    folder = os.environ.get("LPHM_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lphm"
    )
    return Path(folder).resolve()


def library_name(content: str) -> str:
    """Name of the library with that SHA-256, of this source and version of torch; ``*`` stands for any."""
    build = SOURCE.read_bytes() + HEADER.read_bytes() + torch.__version__.encode()
    return f"apply-{hashlib.sha256(build).hexdigest()[:16]}-{content}.so"


def built_libraries() -> list[Path]:
    """The files that bear the name of a library for this source and version of torch: one, as a rule.

    Raises:
        RuntimeError, OSError: there is no folder to look in, or it cannot be read.
    """
    return sorted(cache_folder().glob(library_name("*")))


def why_exposed(folder: Path) -> str | None:
    """What lets others than this user and root exchange the files of a folder; None if nothing does.

    Folders like ``/tmp``, where everyone can write but nobody can remove what others own, may lie above it.

    Raises:
        OSError: the folder cannot be read.
    """
    reasons = (_why_exposed(place, place != folder) for place in (folder, *folder.parents))
    return next(filter(None, reasons), None)


def _why_exposed(place: Path, may_be_sticky: bool = False) -> str | None:
    if os.name != "posix":  # Windows does not tell; there the folder of a user is private
        return None
    status = place.lstat()
    if status.st_uid not in (0, os.geteuid()):
        return f"{place} belongs to another user"
    writable, sticky = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH), status.st_mode & stat.S_ISVTX
    return f"{place} can be written by others" if writable and not (sticky and may_be_sticky) else None


def why_refused(library: Path) -> str | None:
    """Why a library must not be loaded; None if it may be.

    Raises:
        OSError: it cannot be read.
    """
    if reason := _why_exposed(library) or why_exposed(library.parent):
        return reason
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    return None if library.name == library_name(digest) else "its content is not what was built"


@lru_cache(maxsize=1)
def operator() -> Callable[..., Tensor] | None:
    """``(n, p, q, r, order, instance, w, x)`` to ``x`` mixed by its own ``xi``; None if it is not built.

    A library that must not or cannot be loaded is left alone, with one warning.
    """
    if os.environ.get("LPHM_NATIVE") == "0":
        return None
    if not hasattr(torch.ops.lphm, "apply_to_itself"):
        try:
            library = next(iter(built_libraries()), None)
        except (OSError, RuntimeError):  # no home folder, or one that this user may not read
            library = None
        if library is None or not _load(library):
            return None
    compiled: Callable[..., Tensor] = torch.ops.lphm.apply_to_itself.default
    return compiled


def _load(library: Path) -> bool:
    try:
        if not (reason := why_refused(library)):
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            if hasattr(torch.ops.lphm, "apply_to_itself"):
                return True
            reason = "it holds another operator"
    except OSError as error:
        reason = str(error)
    warnings.warn(
        f"a compiled operator must be as it was built, and only this user may be able to write it, got "
        f"{library}, which is not used: {reason}; delete it, and run python -m lphm.ops.cpp",
        stacklevel=3,
    )
    return False
