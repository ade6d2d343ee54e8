"""``lphm`` and ``python -m lphm``: exit code 0, or 2 with one line for an error that the user can fix.

Exit code 1, with one line too, means that another process of a training was lost; 130 and 143 that SIGINT
(Ctrl-C) and SIGTERM ended the command.
"""

import os
import signal
import sys
from typing import NoReturn

from lphm import __version__
from lphm._io import environment_number
from lphm.errors import InputError, RankLostError, TerminatedError

EXTRA = "the command line needs: pip install 'lphm[train]'"

try:
    from cyclopts import CycloptsError, UnusedCliTokensError

    from lphm.cli import app
except ModuleNotFoundError as error:
    print(f"lphm: error: {error}; {EXTRA}", file=sys.stderr)
    raise SystemExit(2) from None


def main() -> None:
    """Run the command line."""
    app.version = __version__
    if environment_number("WORLD_SIZE", 1) == 1:  # a process that waits for others could not raise anything
        signal.signal(signal.SIGTERM, _terminate)
    try:
        app(sys.argv[1:], print_error=False, exit_on_error=False)
    except UnusedCliTokensError as error:
        _print(f"the command takes fewer arguments, got {' '.join(error.unused_tokens or [])} as well")
    except CycloptsError as error:
        _print(str(error).rstrip("."))
    except InputError as error:
        value = "" if error.value is None else f" {error.value!r}"
        _print(f"{error}; --{error.option.replace('_', '-')}{value}" if error.option else str(error))
    except ModuleNotFoundError as error:
        _print(f"{error}; {EXTRA}")
    except RankLostError as error:
        _print(str(error))
        os._exit(1)  # the processes that are left would wait for the lost one
    except KeyboardInterrupt as stopped:
        name, code = ("SIGTERM", 143) if isinstance(stopped, TerminatedError) else ("SIGINT", 130)
        _print(f"stopped by {name}; {str(stopped) or 'every file that was written is whole'}")
        raise SystemExit(code) from None
    else:
        return
    raise SystemExit(2)


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise TerminatedError


def _print(message: str) -> None:
    """Write one line at once, for several processes share a terminal; then it has the number of this one."""
    size = environment_number("WORLD_SIZE", 1)
    process = f" (process {environment_number('RANK', 0) + 1} of {size})" if size > 1 else ""
    sys.stderr.write(f"lphm{process}: error: {' '.join(message.split())}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
