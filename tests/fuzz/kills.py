"""Commands that are killed, at a moment or a file operation, in processes of their own; see ``forked``."""

import os
import signal
import sys
import time

from support.forked import lphm

#: Operations on files; an ``open`` counts if it may write.
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}


def kill_at_operation(number: int, sent: signal.Signals, *arguments: str) -> None:
    """The command line, which gets a signal before an operation on files; prints how many and how long."""
    done, folder = 0, os.getcwd()

    def hook(event: str, about: tuple[object, ...]) -> None:
        nonlocal done
        if event not in OPERATIONS or not isinstance(about[0], str | bytes | os.PathLike):
            return
        writes = event != "open" or int(about[2]) & (os.O_WRONLY | os.O_RDWR)  # type: ignore[call-overload]
        if writes and os.path.abspath(os.fsdecode(about[0])).startswith(folder):
            done += 1
            if done == number:
                os.kill(os.getpid(), sent)

    sys.addaudithook(hook)
    begun = time.monotonic()
    lphm(*arguments)
    print(done, time.monotonic() - begun)


def kill_after(seconds: float, sent: signal.Signals, *arguments: str) -> None:
    """The command line, which gets a signal after so many seconds."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), sent))
    if sent == signal.SIGKILL:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process as SIGKILL does, wherever it is
    signal.setitimer(signal.ITIMER_REAL, seconds)
    lphm(*arguments)
