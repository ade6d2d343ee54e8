"""``python -m lphm.ops.cpp``: compile the C++ operator, and print where it is."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from torch.utils import cpp_extension

from lphm.ops.cpp import SOURCE, library_path


def build() -> Path:
    """Compile the library, unless it is there, and return its path.

    Raises:
        RuntimeError: there is no C++ compiler or no ninja, or they failed; the message says which.
    """
    path = library_path()
    if path.exists():
        return path
    compiler = cpp_extension.get_cxx_compiler()  # type: ignore[no-untyped-call]
    if shutil.which(compiler) is None:
        raise RuntimeError(
            f"a C++ compiler must be installed to build the operator, got none as {compiler!r}; install "
            "one, or set CXX (without the operator lphm works all the same, only slower at small sizes)"
        )
    if not cpp_extension.is_ninja_available():
        raise RuntimeError("ninja must be installed to build the operator, got none; pip install ninja")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        cpp_extension.load(
            name=path.stem.replace("-", "_"),
            sources=[str(SOURCE)],
            extra_cflags=["-O2"],
            build_directory=folder,
            is_python_module=False,
        )
        (library,) = Path(folder).glob(f"*{cpp_extension.LIB_EXT}")
        os.replace(library, path)
    return path


if __name__ == "__main__":
    try:
        print(build())
    except RuntimeError as reason:
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(2) from None
