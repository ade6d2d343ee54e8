"""One call of the command line in this process, and what must hold after it, whatever it was given.

A ``Case`` is files and calls. ``attempt`` writes the files, makes the calls and notes what is wrong.
"""

import faulthandler
import hashlib
import io
import json
import os
import re
import resource
import shlex
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lphm.__main__ import main

#: Relative path to content; None is a folder.
Files = dict[str, bytes | None]

SECONDS, MEMORY = 20, 4 * 2**30
RUN = {"config.json", "metrics.json", "options.json", "summary.json", "weights.safetensors"}
RUN |= {"predictions.csv", "interdependence.npz", "report.html"}
VALIDATED = {"options.json", "cross_validation.json"}
#: Where the input of a failure is kept.
FAILURES = Path(tempfile.gettempdir()) / "lphm-fuzz-failures"


@dataclass(frozen=True)
class Call:
    """Arguments of the command line, and what is promised when they are accepted."""

    arguments: tuple[str, ...]
    output: str | None = None  # the file or folder that is written
    also: str | None = None  # a second file that is written
    rows: int | None = None  # of that file
    resumed: str | None = (
        None  # what an interrupted command has begun, which may change when it is refused too
    )
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


@dataclass
class Figures:
    """What became of the inputs of one kind."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)  # kind of failure to the first of its kind


class HungError(BaseException):
    """The time is up."""


def call(arguments: tuple[str, ...], cwd: Path, encoding: str = "utf-8", room: int = 2**29) -> Result:
    """``lphm ARGUMENTS`` in this process."""
    result, streams = Result(), [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    streams[1].reconfigure(errors="backslashreplace")
    begun, before = time.monotonic(), (sys.argv, sys.stdout, sys.stderr, Path.cwd())
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
    if time.monotonic() - begun > SECONDS and not result.fault:
        result.fault = "took too long"
    return result


@contextmanager
def _limits(room: int) -> Iterator[None]:
    """Time, memory and the size of files are bounded."""

    def stop(*_: object) -> None:
        raise HungError

    handlers = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGTERM)}
    signal.signal(signal.SIGALRM, stop)
    used = int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
    bounds = {resource.RLIMIT_DATA: used + MEMORY, resource.RLIMIT_FSIZE: room}
    old = {limit: resource.getrlimit(limit) for limit in bounds}
    faulthandler.dump_traceback_later(5 * SECONDS, exit=True, file=sys.__stderr__)
    try:
        for limit, bound in bounds.items():
            resource.setrlimit(limit, (bound, old[limit][1]))
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
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


def attempt(case: Case, folder: Path, figures: Figures) -> None:
    """Make the calls of a case in a folder that is empty, and note what is wrong."""
    cwd = folder / "w"  # so that .. is ours too
    write({".": None, **case.files}, cwd)
    figures.counts["inputs"] += 1
    problems: list[str] = []
    for each in case.calls:
        before = snapshot(folder)
        result = call(each.arguments, cwd, case.encoding, case.room)
        problems = list(wrong(each, result, before, snapshot(folder), cwd))
        figures.counts["calls"] += 1
        figures.counts[f"exit {result.code}"] += 1
        if problems or result.code:
            break
    else:
        problems = [f"{a} and {b} differ" for a, b in case.same if not _agree(cwd / a, cwd / b)]
    if problems:
        figures.counts["failures"] += 1
        kept = _keep(case)
        for problem in problems:
            name = re.sub(r"[\d'\"].*", "", problem.split(": ")[0])
            command = shlex.join(["lphm", *each.arguments])
            text = f"{problem}\n{command}\n{case.note}\n{result.err}{result.trace}\nfiles: {kept}"
            figures.failures.setdefault(f"{each.arguments[0] if each.arguments else ''} {name}", text)
        (kept / "script.sh").write_text(f"{case}\n", encoding="utf-8", errors="surrogateescape")


def wrong(each: Call, result: Result, before: Files, after: Files, cwd: Path) -> Iterator[str]:
    """What must not be: of the exit code, the messages, and the files."""
    if result.fault:
        yield f"traceback: {result.fault}"
        return
    if result.code not in (0, 2):
        yield f"exit code {result.code}"
    if each.must is not None and result.code != each.must:
        yield f"exit code is not {each.must}: {result.err[-300:]}"
    bars = "--quiet" not in each.arguments
    lines = [line for line in result.err.splitlines() if not (bars and re.search("━━|---", line))]
    if result.code == 2 and (len(lines) != 1 or not lines[0].startswith("lphm: error: ") or result.out):
        yield f"not one line of error: {result.out} {lines}"
    if control := sorted(set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.out + result.err))):
        yield f"control characters are printed: {control}"
    if result.code == 0 and lines:
        yield f"words on standard error: {lines}"
    own = [each.output, each.also] if result.code == 0 else []
    mine = [os.path.normpath(f"{cwd.name}/{name}") for name in [*own, each.resumed] if name]
    for name in sorted(before.keys() | after.keys()):
        if before.get(name, 0) == after.get(name, 0):
            continue
        if any(name == one or name.startswith(one + "/") for one in mine) and not _is_temporary(name):
            continue
        if (
            result.code == 0
            and after.get(name, 0) is None
            and any(one.startswith(name + "/") for one in mine)
        ):
            continue  # a folder that the output is in
        what = "new" if name not in before else "gone" if name not in after else "changed"
        yield f"a file is {what}: {name} after exit {result.code}"
    if result.code == 0:
        yield from _overwritten(each, before, cwd)
        yield from _broken(each, result, cwd)


def _overwritten(each: Call, before: Files, cwd: Path) -> Iterator[str]:
    """An input that is an output as well."""
    for name in filter(None, (each.output, each.also)):
        read = [
            word for word, last in zip(each.arguments[1:], each.arguments, strict=False) if last[:1] != "-"
        ]
        inside = any(name.startswith(f"{word}/") for word in read if word) and f"{cwd.name}/{name}" in before
        if name in read or (inside and not name.endswith("/report.html")):
            yield f"an input is overwritten: {name}"


def _is_temporary(name: str) -> bool:
    return re.search(r"(^|/)\.[^/]*-[^/]{8}(\.[a-z]+)?$", name) is not None


def _broken(each: Call, result: Result, cwd: Path) -> Iterator[str]:
    """What was promised, and is not there or not readable."""
    if "--help" in each.arguments:
        return
    if "--json" in each.arguments:
        try:
            json.loads(result.out, parse_constant=_no_constant)
        except ValueError as error:
            yield f"no JSON on standard output: {error}: {result.out[-200:]}"
    if each.output is None:
        return
    path = cwd / each.output
    try:
        if path.is_dir():
            names = {file.name for file in path.iterdir()} - {"comparison.json"}
            if names not in (RUN, VALIDATED):
                yield f"a run folder holds something else: {sorted(names)}"
            for file in path.glob("*.json"):
                json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_constant)
        elif each.arguments[0] == "report":
            assert path.read_text(encoding="utf-8").endswith("</html>")
        else:
            rows, numbers = _table(path)
            if each.rows not in (None, rows):
                yield f"the output has another number of rows: {rows} for {each.rows}"
            if not np.isfinite(numbers).all():
                yield "the output is not finite"
    except (OSError, ValueError, AssertionError) as error:
        yield f"the output cannot be read: {error}"


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _table(path: Path) -> tuple[int, np.ndarray]:
    """Rows of a file that was written, and the numbers that must be finite."""
    if path.suffix.lower() == ".npy":
        array = np.load(path)
        return len(array), array
    if path.suffix.lower() == ".parquet":
        frame = pd.read_parquet(path)
        return len(frame), frame.select_dtypes("float").to_numpy()
    frame = pd.read_csv(path, keep_default_na=False, low_memory=False)
    numbers = frame.iloc[:, 1:] if frame.shape[1] > 1 else frame
    return len(frame), numbers.replace("", np.nan).to_numpy(dtype=float)


def without_seconds(name: str, content: bytes | None) -> bytes | None:
    """The content of a file of a run that is the same each time."""
    if content is None or name.endswith(".html"):
        return None
    return re.sub(rb'"seconds": [\d.]+', b"", content) if name.endswith(".json") else content


def _agree(a: Path, b: Path) -> bool:
    first, second = (without_seconds(path.name, path.read_bytes()) or b"" for path in (a, b))
    return all(x == y for x, y in zip(first.splitlines(), second.splitlines(), strict=False))


def _keep(case: Case) -> Path:
    """Keep the files of a case that failed."""
    name = hashlib.sha256(repr((case.files, case.calls)).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = FAILURES / name
    write({".": None, **case.files}, folder)
    return folder
