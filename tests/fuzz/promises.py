"""What must hold after a call of the command line, whatever it was given.

``attempt`` writes the files of a case, makes its calls and notes what is wrong.
"""

import hashlib
import json
import os
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from fuzz.calls import Call, Case, Files, Result, call, snapshot, write

RUN = {"config.json", "metrics.json", "options.json", "summary.json", "weights.safetensors"}
RUN |= {"predictions.csv", "interdependence.npz", "report.html"}
VALIDATED = {"options.json", "cross_validation.json"}
#: Where the input of a failure is kept.
FAILURES = Path(tempfile.gettempdir()) / "lphm-fuzz-failures"


@dataclass
class Figures:
    """What became of the inputs of one kind."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)  # kind of failure to the first of its kind


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
            command = shlex.join(["lphm", *each.arguments])
            text = f"{problem}\n{command}\n{case.note}\n{result.err}{result.trace}\nfiles: {kept}"
            name = re.sub(r"['\"\[{].*|\bw/.*|\d+", "", problem)
            figures.failures.setdefault(f"{each.arguments[0]} {name}", text)
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
    columns = ": columns" in result.out.partition("\n")[0]  # printed before a training that fails
    printed = result.out and not columns
    if result.code == 2 and (len(lines) != 1 or not lines[0].startswith("lphm: error: ") or printed):
        yield f"not one line of error: {result.out} {lines}"
    if control := sorted(set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.out + result.err))):
        yield f"control characters are printed: {control}"
    known = (
        r"unknown categories count as missing$|: it was trained on .* shows the test score$"
        r"|^column .* is missing in .*, and never was in training; "
    )
    lines = [line for line in lines if not re.search(known, line)]
    if result.code == 0 and lines:
        yield f"words on standard error: {lines}"
    own = [each.output, each.also] if result.code == 0 else [each.resumed and each.also]
    mine = [os.path.normpath(f"{cwd.name}/{name}") for name in [*own, each.resumed] if name]
    for name in sorted(before.keys() | after.keys()):
        if before.get(name, 0) == after.get(name, 0):
            continue
        if any(name == one or name.startswith(one + "/") for one in mine) and not Path(name).name.startswith(
            "."
        ):
            continue
        is_above = after.get(name, 0) is None and any(one.startswith(name + "/") for one in mine)
        if result.code == 0 and is_above:
            continue
        what = "new" if name not in before else "gone" if name not in after else "changed"
        yield f"a file is {what}: {name} after exit {result.code}"
    if result.code == 0:
        yield from _overwritten(each, before, cwd)
        yield from _broken(each, result, cwd)


def _overwritten(each: Call, before: Files, cwd: Path) -> Iterator[str]:
    """An input that is an output as well."""
    for name in filter(None, (each.output, each.also)):
        pairs = zip(each.arguments, each.arguments[1:], strict=False)
        read = [word for last, word in pairs if not last.startswith("-")]
        inside = any(name.startswith(f"{word}/") for word in read if word) and f"{cwd.name}/{name}" in before
        if name in read or (inside and not name.endswith("/report.html")):
            yield f"an input is overwritten: {name}"


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
    if path.suffix.lower() == ".safetensors":
        numbers = load_file(path)["w"]
        return len(numbers), numbers
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
    return re.sub(rb'"(?:cpu_)?seconds": [\d.]+', b"", content) if name.endswith(".json") else content


def _agree(a: Path, b: Path) -> bool:
    first, second = (without_seconds(path.name, path.read_bytes()) or b"" for path in (a, b))
    return all(x == y for x, y in zip(first.splitlines(), second.splitlines(), strict=False))


def _keep(case: Case) -> Path:
    """Keep the files of a case that failed."""
    name = hashlib.sha256(repr((case.files, case.calls)).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = FAILURES / name
    write({".": None, **case.files}, folder)
    return folder
