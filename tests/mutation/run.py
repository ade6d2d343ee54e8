"""The mutation run: changes the code in small ways, and lists the changes that no test notices.

    python tests/mutation/run.py [module or folder of src/lphm ...] [-- arguments of pytest]

First the tests run once, and what each executes of every module is recorded. Then, for each change, a fork of
this process gives the functions the changed code and runs tests that execute the changed lines, until one
fails, as many as took ``SECONDS`` before: first those that noticed other changes of the function, then in
turn a case of every test function, the tests that execute the fewest lines, and those in the file that is
named after the module. A change that stops the tests is noticed as well.

``explained.txt`` names the changes that make no difference, under the reason. The run fails if a change is
neither noticed nor explained, and if an explained one is noticed.
"""

import functools
import gc
import os
import resource
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import hypothesis
import pytest
from mutants import Live, Mutant, mutants_of

ROOT = Path(__file__).parents[2] / "src" / "lphm"
FOLDERS = ["ops", "structures", "nn", "rpn"]
TESTS = [*(f"tests/{folder}" for folder in FOLDERS), "tests/streamed/test_functional.py"]
PLUGINS = [argument for name in ("terminal", "xdist", "cacheprovider") for argument in ("-p", f"no:{name}")]
OPTIONS = [
    *("-o", "addopts=", "--import-mode=importlib", "-m", "not slow and not cuda"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # hypothesis is imported already
]
#: For the tests of one change: processor time that they took without it, if it is not and if it is explained.
SECONDS, SECONDS_EXPLAINED = 60.0, 6.0
MEMORY = 2**33  # bytes
NOTICED, MISSED, BROKEN = 1, 0, 3
CACHED = type(functools.lru_cache(len))


class Run:
    """Takes the place of pytest's loop over the tests."""

    def __init__(self, paths: list[Path]) -> None:
        self.mutants = [mutant for path in paths for mutant in mutants_of(path, ROOT)]
        self.explained = explained()
        self.files = {str(path) for path in paths}
        self.tests: dict[tuple[str, int], list[int]] = defaultdict(list)  # by line
        self.times: list[float] = []
        self.sizes: list[int] = []  # lines that each test executes
        self.noticed_by: dict[object, list[int]] = defaultdict(list)  # by function
        self.failed = False
        self.missed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        start = time.monotonic()
        self.items = session.items
        self.caches: list[Any] = [
            each for each in gc.get_objects() if type(each) is CACHED and _is_ours(each)
        ]
        for i, following in enumerate([*self.items[1:], self.items[0]]):
            self._record(i, following)
        say(f"{len(self.items)} tests in {time.monotonic() - start:.0f} s")
        live: Live = defaultdict(list)
        for function in gc.get_objects():
            if type(function) is FunctionType and function.__code__.co_filename in self.files:
                code = function.__code__
                live[code.co_filename, code.co_name, code.co_firstlineno].append(function)
        gc.freeze()  # the collector would copy what forks share
        for mutant in self.mutants:
            verdict = self._try(mutant, live)
            if verdict != NOTICED:
                self.missed.append(mutant.name)
                say(f"{'missed' if verdict == MISSED else 'cannot be run'}: {mutant.name}")
        say(f"{len(self.mutants)} mutants in {time.monotonic() - start:.0f} s")
        return True

    def _record(self, i: int, following: pytest.Item) -> None:
        """Run a test, and note which lines it executes."""
        executed: set[tuple[str, int]] = set()

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            if frame.f_code.co_filename not in self.files:
                return None
            executed.add((frame.f_code.co_filename, frame.f_lineno))
            return trace

        self._forget()
        self.failed = False
        start = time.process_time()
        threading.settrace(trace)
        sys.settrace(trace)
        self._run(self.items[i], following)
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        self.times.append(time.process_time() - start)
        self.sizes.append(len(executed))
        if self.failed:
            say(f"left out, for it fails without a change: {self.items[i].nodeid}")
        for line in () if self.failed else executed:
            self.tests[line].append(i)

    def _run(self, item: pytest.Item, following: pytest.Item) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)

    def _forget(self) -> None:
        """Empty the package's caches, so that what they hold is computed with the code as it is now."""
        for cache in self.caches:
            cache.cache_clear()

    def _chosen(self, mutant: Mutant) -> Iterator[int]:
        """The tests of a mutant, in their order."""
        covering = {i for line in mutant.lines for i in self.tests.get((str(mutant.path), line), ())}
        first: dict[str, int] = {}
        for i in sorted(covering, key=lambda i: self.times[i]):
            first.setdefault(self.items[i].nodeid.partition("[")[0], i)
        special = sorted(covering, key=lambda i: (self.sizes[i], self.times[i]))
        named = [i for i in special if f"/test_{mutant.path.stem}.py" in self.items[i].nodeid]
        mixed = [i for each in zip_longest(first.values(), special, named) for i in each if i is not None]
        known = [i for i in self.noticed_by[mutant.functions][::-1] if i in covering]
        most = SECONDS_EXPLAINED if mutant.name in self.explained else SECONDS
        seconds = 0.0
        for i in dict.fromkeys([*known[:8], *mixed]):
            if seconds > most:
                break
            seconds += self.times[i]
            yield i

    def _try(self, mutant: Mutant, live: Live) -> int:
        chosen = list(self._chosen(mutant))
        if not chosen:
            return MISSED
        out, into = os.pipe()
        child = os.fork()
        if not child:
            os._exit(self._in_child(mutant, live, chosen, into))
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            first = pipe.read()
        _, status = os.waitpid(child, 0)
        if first:
            others = [i for i in self.noticed_by[mutant.functions] if i != int(first)]
            self.noticed_by[mutant.functions] = [*others, int(first)]
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else NOTICED

    def _in_child(self, mutant: Mutant, live: Live, chosen: list[int], into: int) -> int:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        self._forget()
        try:
            mutant.apply(live)
        except Exception:  # a fault of this script
            return BROKEN
        signal.alarm(20 + int(10 * sum(self.times[i] for i in chosen)))  # ends the process
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        self.failed = False
        for i, following in zip(chosen, [*chosen[1:], chosen[-1]], strict=True):
            try:
                self._run(self.items[i], self.items[following])
            except BaseException:  # pytest itself gave up
                self.failed = True
            if self.failed:
                os.write(into, str(i).encode())
                return NOTICED
        return MISSED


def _is_ours(cache: Any) -> bool:
    return (cache.__module__ or "").startswith("lphm")


def explained() -> dict[str, str]:
    """The reason, by the name of the mutant."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in Path(__file__).with_name("explained.txt").read_text().splitlines():
        if line.startswith("  "):
            reasons[line.strip()] = reason
        elif line:
            reason = line
    return reasons


def say(line: str) -> None:
    print(line, file=sys.__stdout__, flush=True)


def report(run: Run) -> bool:
    """Print the score. Returns whether all mutants are noticed or explained, and no more are explained."""
    reasons = run.explained
    names = [mutant.name for mutant in run.mutants]
    missed = set(run.missed)
    left = [name for name in run.missed if name not in reasons]
    modules = {name.split()[0] for name in names}
    stale = [name for name in reasons if name.split()[0] in modules and name not in missed]
    for folder in sorted({name.partition("/")[0] for name in names}):
        inside = [name for name in names if name.startswith(f"{folder}/")]
        gone, open_ = (sum(name.startswith(f"{folder}/") for name in of) for of in (missed, left))
        score = f"{len(inside) - gone} noticed, {gone - open_} explained, {open_} left"
        say(f"{folder}: {len(inside)} mutants, {score}: {1 - open_ / len(inside):.1%}")
    for name in left:
        say(f"left: {name}")
    for name in stale:
        say(f"explained, but noticed or gone: {name}")
    return bool(names) and not left and not stale


def main() -> int:
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given = [ROOT / each for each in arguments[:end] or FOLDERS]
    paths = [path for each in given for path in ([each] if each.is_file() else sorted(each.rglob("*.py")))]
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "mutation", database=None, deadline=None, derandomize=True, phases=phases
    )
    hypothesis.settings.load_profile("mutation")
    run = Run([path for path in paths if "cpp" not in path.parts])
    ended = pytest.main([*OPTIONS, *PLUGINS, *(arguments[end + 1 :] or TESTS)], plugins=[run])
    return 0 if report(run) and ended in (0, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
