"""``lphm`` and ``python -m lphm``: exit code 0, or 2 with one line for what a user can mend."""

import sys

from lphm.errors import InputError

try:
    from lphm.cli import app
except ModuleNotFoundError as error:
    print(f"lphm: error: {error}; the command line needs: pip install 'lphm[train]'", file=sys.stderr)
    raise SystemExit(2) from None


def main() -> None:
    """Run the command line."""
    try:
        app()
    except InputError as error:
        print(f"lphm: error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
