"""``python -m lphm.ops.cpp``: compile the C++ operator, and print where it is."""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from torch.utils import cpp_extension

from lphm.ops.cpp import SOURCE, built_libraries, cache_folder, library_name, why_exposed, why_refused


def build() -> Path:
    """Compile the library, unless it is there, and return its path.

    Raises:
        RuntimeError: there is no C++ compiler or no ninja, or they failed, or others can write where the
            library would be; the message says which.
        OSError: the folder cannot be made or written.
    """
    for library in built_libraries():
        if why_refused(library) is None:
            return library
    compiler = cpp_extension.get_cxx_compiler()  # type: ignore[no-untyped-call]
    if shutil.which(compiler) is None:
        raise RuntimeError(
            f"a C++ compiler must be installed to build the operator, got none as {compiler!r}; install "
            "one, or set CXX (without the operator lphm works all the same, only slower at small sizes)"
        )
    if not cpp_extension.is_ninja_available():
        raise RuntimeError("ninja must be installed to build the operator, got none; pip install ninja")
    folder = cache_folder()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if reason := why_exposed(folder):
        raise RuntimeError(
            f"a compiled operator must be where only this user can write, got {folder}: {reason}; "
            "mend that, or set LPHM_CACHE to another folder"
        )
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        cpp_extension.load(
            name="lphm_apply",
            sources=[str(SOURCE)],
            extra_cflags=["-O2"],
            build_directory=temporary,
            is_python_module=False,
        )
        (built,) = Path(temporary).glob(f"*{cpp_extension.LIB_EXT}")
        built.chmod(0o755)
        path = folder / library_name(hashlib.sha256(built.read_bytes()).hexdigest())
        for old in built_libraries():
            old.unlink(missing_ok=True)  # one that is refused
        os.replace(built, path)
    return path


if __name__ == "__main__":
    try:
        print(build())
    except (OSError, RuntimeError) as reason:
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(2) from None
