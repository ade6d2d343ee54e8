"""``python -m lphm.ops.cpp``: compile the C++ operator, and say where it is."""

import sys

from lphm.ops.cpp.build import build


def main() -> None:
    """Print the path of the library; what is wrong goes to the error stream, with exit code 2."""
    try:
        print(build())
    except RuntimeError as reason:
        print(f"error: {reason}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
