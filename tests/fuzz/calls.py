"""The inputs of the command line, and one call of it in this process."""

import faulthandler
import io
import os
import re
import resource
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from lphm.__main__ import main

#: Relative path to content; None is a folder.
Files = dict[str, bytes | None]

#: Of a call: processor time, time, and new memory.
SECONDS, PATIENCE, MEMORY = 20, 120, 4 * 2**30


@dataclass(frozen=True)
class Call:
    """Arguments of the command line, and what is promised when they are accepted."""

    arguments: tuple[str, ...]
    output: str | None = None  # the file or folder that is written
    also: str | None = None  # a second file that is written
    rows: int | None = None  # of the output
    resumed: str | None = None  # what was begun, which may change also when the command is refused
    must: int | None = None  # the exit code, where it is known


@dataclass(frozen=True, repr=False)
class Case:
    """Files, and calls that use them; a call that is refused ends the case."""

    files: Files
    calls: tuple[Call, ...]
    encoding: str = "utf-8"  # of the terminal
    same: tuple[tuple[str, str], ...] = ()  # files that must have the same lines, as far as the shorter goes
    room: int = 2**29  # bytes that a file may have, as on a full disk
    note: str = ""  # what is odd about it

    def __repr__(self) -> str:
        return "; ".join(shlex.join(["lphm", *each.arguments]) for each in self.calls)


@dataclass
class Result:
    """How a call ended."""

    code: int | None = None
    out: str = ""
    err: str = ""
    fault: str = ""  # the exception and the place of a traceback, or that the call hung
    trace: str = ""


class HungError(BaseException):
    """The time is up."""


def call(arguments: tuple[str, ...], cwd: Path, encoding: str = "utf-8", room: int = 2**29) -> Result:
    """``lphm ARGUMENTS`` in this process."""
    result, streams = Result(), [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    streams[1].reconfigure(errors="backslashreplace")
    before = (sys.argv, sys.stdout, sys.stderr, Path.cwd())
    sys.argv, sys.stdout, sys.stderr = ["lphm", *arguments], *streams
    os.chdir(cwd)
    try:
        with _limits(room), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for ignored in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", ignored)
            try:
                main()
                result.code = 0
            except SystemExit as end:
                result.code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException as error:
                result.fault, result.trace = _fault(error), traceback.format_exc()
        for stream in streams:
            stream.flush()
    finally:
        sys.argv, sys.stdout, sys.stderr, folder = before
        os.chdir(folder)
        torch.set_num_threads(1)
    written = [stream.buffer.getvalue().decode(encoding) for stream in streams]  # type: ignore[attr-defined]
    result.out = written[0]
    result.err = written[1] + "".join(f"{w.category.__name__}: {w.message}\n" for w in caught)
    return result


@contextmanager
def _limits(room: int) -> Iterator[None]:
    """Time, memory and the size of files are bounded."""

    def stop(*_: object) -> None:
        raise HungError

    numbers = (signal.SIGALRM, signal.SIGPROF, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    timers = {signal.ITIMER_REAL: PATIENCE, signal.ITIMER_PROF: SECONDS}
    signal.signal(signal.SIGALRM, stop)
    signal.signal(signal.SIGPROF, stop)
    used = int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    bounds = {resource.RLIMIT_DATA: used + MEMORY, resource.RLIMIT_FSIZE: room}
    old = {limit: resource.getrlimit(limit) for limit in bounds}
    faulthandler.dump_traceback_later(2 * PATIENCE, exit=True, file=sys.__stderr__)
    try:
        for limit, bound in bounds.items():
            resource.setrlimit(limit, (bound, old[limit][1]))
        for timer, seconds in timers.items():
            signal.setitimer(timer, seconds)
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        faulthandler.cancel_dump_traceback_later()
        for limit, bound in old.items():
            resource.setrlimit(limit, bound)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _fault(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}lphm{os.sep}" in frame.filename][-1:]
    place = f"{Path(own[0].filename).name}:{own[0].name}" if own else "?"
    return f"{'hung' if isinstance(error, HungError) else type(error).__name__} in {place}"


def snapshot(folder: Path) -> Files:
    """All that is in a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def write(files: Files, folder: Path) -> None:
    """Make a folder that holds these."""
    for name, content in files.items():
        path = folder / name
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)
            os.utime(path, (1e9, 1e9))  # a job that is resumed knows its source by its time
