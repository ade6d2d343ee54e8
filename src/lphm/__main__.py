"""``lphm`` and ``python -m lphm``: exit code 0, or 2 with one line for an error that the user can fix.

Exit code 1, with one line too, means that another process of a training was lost; 130 and 143 that SIGINT
(Ctrl-C) and SIGTERM ended the command; 141, without a line, that nobody reads what is printed.
"""

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from io import TextIOWrapper

from lphm import __version__
from lphm._io import environment_number
from lphm.errors import Fix, InputError, RankLostError, one_line

#: Words in errors that mean that memory was used up.
OUT_OF_MEMORY = ("allocate memory", "out of memory", "MemoryError")
EXTRA = "the command line needs: pip install 'lphm[train]'"

try:
    from cyclopts import CycloptsError, UnknownCommandError, UnusedCliTokensError

    from lphm.cli import app
    from lphm.cli.interruption import Interruption
except ModuleNotFoundError as error:
    print(f"lphm: error: {error}; {EXTRA}", file=sys.stderr)
    raise SystemExit(2) from None


def main() -> None:
    """Run the command line."""
    app.version = __version__
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the terminal cannot show is printed as escapes
            stream.reconfigure(errors="backslashreplace")
    interruption = Interruption()
    try:
        alone = environment_number("WORLD_SIZE", 1) == 1  # a process that waits for others could not raise it
        with interruption.heeded() if alone else nullcontext():
            app(sys.argv[1:], print_error=False, exit_on_error=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except RankLostError as error:
        _print(str(error))
        os._exit(1)  # the processes that are left would wait for the lost one
    except KeyboardInterrupt as stopped:
        raise SystemExit(_stopped(interruption, str(stopped))) from None
    except BrokenPipeError:  # who reads what is printed has read enough, as in "lphm info RUN | head -1"
        _discard_output()
        raise SystemExit(141) from None
    except Exception as error:
        if interruption.number:  # code in between made it an error of its own, as pandas does
            raise SystemExit(_stopped(interruption)) from None
        message = _message(error)
        if message is None:
            raise
        _print(message)
        raise SystemExit(2) from None


def _message(error: Exception) -> str | None:
    """The line for an error that the user can fix; None for a fault of this package."""
    message: str | None = None
    match error:
        case UnusedCliTokensError():
            message = _too_many(error.unused_tokens or [])
        case UnknownCommandError():  # the list of all commands would be cut
            message = str(error).partition(" Available commands")[0]
        case CycloptsError():
            message = str(error).rstrip(".")
        case InputError(fixes=(_, *_)):
            mended = _mended(sys.argv[1:], error.fixes)
            message = f"{error} try: {mended}" if str(error).endswith("?") else f"{error}; try: {mended}"
        case InputError(option=None):
            message = str(error)
        case InputError(option=str() as option):
            value = "" if error.value is None else f" {error.value!r}"
            message = f"{error}; --{option.replace('_', '-')}{value}"
        case ModuleNotFoundError():
            message = f"{error}; {EXTRA}"
        case UnicodeEncodeError(reason="surrogates not allowed"):
            message = f"the name of a file must be text in UTF-8, got {error.object}; rename it"
        case OSError():
            _discard_output()
            message = f"{error.filename or 'the output'} must be usable, got: {error.strerror or error}"
        case MemoryError() | RuntimeError() if any(words in repr(error) for words in OUT_OF_MEMORY):
            message = f"memory must hold what is computed, got {repr(error)[:200]}; choose smaller sizes"
    return message


def _too_many(tokens: Sequence[str]) -> str:
    """The message for arguments that the command does not take; one may be meant as the target."""
    message = f"the command takes fewer arguments, got {' '.join(tokens)} as well"
    if sys.argv[1:2] == ["train"] and len(tokens) == 1 and not any("--target" in word for word in sys.argv):
        message += f"; did you mean --target {shlex.quote(tokens[0])}?"
    return message


def _mended(arguments: Sequence[str], fixes: Sequence[Fix]) -> str:
    """The command line with the arguments that mend an error."""
    words = list(arguments)
    for fix in fixes:
        if fix.instead_of is None:
            words += [f"--{fix.option.replace('_', '-')}", fix.value]
        else:
            right = {fix.instead_of: fix.value}
            words = ["=".join(right.get(part, part) for part in word.split("=")) for word in words]
    return shlex.join(["lphm", *words])


def _stopped(interruption: Interruption, message: str = "") -> int:
    """Say which signal ended the command; the exit code for it."""
    number = interruption.number or signal.SIGINT
    _print(f"stopped by {number.name}; {message or 'every file that was written is whole'}")
    return 128 + number


def _discard_output() -> None:
    """Let nothing more be printed where it failed: Python would try once more at its end."""
    with suppress(OSError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print(message: str) -> None:
    """Write one line at once, for several processes share a terminal; then it has the number of this one."""
    process = ""
    with suppress(InputError):
        size = environment_number("WORLD_SIZE", 1)
        process = f" (process {environment_number('RANK', 0) + 1} of {size})" if size > 1 else ""
    with suppress(OSError, AttributeError):  # standard error may be closed or full
        sys.stderr.write(f"lphm{process}: error: {one_line(message)}\n")
        sys.stderr.flush()


if __name__ == "__main__":
    main()
