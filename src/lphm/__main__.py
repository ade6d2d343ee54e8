"""``lphm`` and ``python -m lphm``: exit code 0, or 2 with one line for what a user can mend.

Exit code 1, with one line too, says that another process of a training was lost.
"""

import os
import sys

from lphm.errors import InputError, RankLostError

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
        _say(error)
        raise SystemExit(2) from None
    except RankLostError as error:
        _say(error)
        os._exit(1)  # what is left of the group would wait for who is lost


def _say(error: Exception) -> None:
    """One line, which of several processes says it, and all at once: they share a terminal."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    who = f" (process {int(os.environ.get('RANK', '0')) + 1} of {size})" if size > 1 else ""
    sys.stderr.write(f"lphm{who}: error: {' '.join(str(error).split())}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
