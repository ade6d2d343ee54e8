"""Data, runs and interrupted work that the inputs start from, made once in each process."""

import io
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from fuzz.calls import Files, call, snapshot, write

FEW = ("--members", "1", "--width", "4")
SMALL = ("--epochs", "1", *FEW)
#: The commands whose interruption is resumed, and the names of their files that must not change by that.
RESUMED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "train": (("train", "t.csv", "--target", "y", *FEW, "--epochs", "3", "-o", "half"), "half", "half"),
    "folds": (
        ("train", "t.csv", "--target", "y", *FEW, "--epochs", "2", "--folds", "3", "-o", "folds"),
        "folds",
        "folds",
    ),
    "apply": (
        ("apply", "x.parquet", "--keep", "id", "-o", "out.parquet"),
        "out.parquet",
        "out.parquet.partial",
    ),
    "apply an array": (("apply", "x.npy", "-o", "out.npy"), "out.npy", "out.npy.partial"),
}
#: So many of the renames of each command, from the second to the last.
MOMENTS = 5
_renames: list[int] = []


class StoppedError(BaseException):
    """A process ends here."""


def _hook(event: str, _: object) -> None:
    if event == "os.rename" and _renames:
        _renames[0] -= 1
        if _renames[0] < 0:
            raise StoppedError


sys.addaudithook(_hook)


def _stopped(arguments: tuple[str, ...], cwd: Path, renames: int) -> bool:
    """Whether the command ends before a rename, of which so many are done; it may need fewer in all."""
    _renames.append(renames)
    result = call((*arguments, "--quiet"), cwd)
    _renames.clear()
    return result.fault.startswith("StoppedError")


def data() -> Files:
    """Small files of every format."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((40, 2)), columns=["a", "b"]).round(3)
    table["c"] = rng.choice(["u", "v", "w"], 40)
    labelled = table.assign(y=np.where(table["a"] > 0, "p", "n"))
    measured = table.assign(y=table["a"] * table["b"])
    long = pd.DataFrame({"id": np.repeat(np.arange(24), 3), "t": np.tile(np.arange(3), 24)})
    long["v"], long["y"] = rng.standard_normal(72), long["id"] % 2
    numbers = pd.DataFrame(rng.standard_normal((40, 3)), columns=["a", "b", "c"])
    numbers.insert(0, "id", [f"r{i}" for i in range(40)])
    frames = {"t": labelled, "r": measured, "long": long, "many": pd.concat([labelled] * 50)}
    files: Files = {f"{n}.csv": f.to_csv(index=False).encode() for n, f in frames.items()}
    wide = pd.DataFrame(rng.standard_normal((24, 6)).round(3), columns=[f"v_{i}" for i in range(6)])
    files["wide.csv"] = wide.assign(y=np.arange(24) % 2).to_csv(index=False, sep=";").encode("utf-16")
    cells = [",".join(map(str, row)) + f":{'pq'[i % 2]}\n" for i, row in enumerate(wide.to_numpy())]
    files["s.ts"] = (
        "@problemName s\n@timeStamps false\n@classLabel true p q\n@data\n" + "".join(cells)
    ).encode()
    files["t.parquet"] = labelled.to_parquet(index=False)
    files["x.parquet"] = numbers.to_parquet(index=False, row_group_size=10)
    files["d"] = None
    files["d/0.parquet"], files["d/1.parquet"] = files["t.parquet"], files["t.parquet"]
    for name, save in {
        "w.npy": lambda sink: np.save(sink, numbers[["a", "b", "c"]].to_numpy()[:3]),
        "x.npy": lambda sink: np.save(sink, numbers[["a", "b", "c"]].to_numpy()),
        "s.npz": lambda sink: np.savez(sink, X=rng.standard_normal((24, 4, 2)), y=np.arange(24) % 2),
    }.items():
        files[name] = _saved(save)
    return files


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    sink = io.BytesIO()
    save(sink)
    return sink.getvalue()


@cache
def base() -> Files:
    """The data; a run of each sort in ``run``, ``regression`` and ``series``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(data(), folder)
        for run, source in {"run": "t.csv", "regression": "r.csv", "series": "s.npz"}.items():
            result = call(("train", source, "--target", "y", *SMALL, "-o", run, "--quiet"), folder)
            assert result.code == 0, result
        return snapshot(folder)


@cache
def interrupted(kind: str, moment: int) -> Files:
    """What a command of ``RESUMED`` leaves when it ends before one of its renames."""
    arguments, _, begun = RESUMED[kind]
    renames = 1 + moment * (finished(kind)[1] - 2) // (MOMENTS - 1)
    while True:
        with tempfile.TemporaryDirectory() as name:
            write(data(), Path(name))
            if _stopped(arguments, Path(name), renames):
                left = snapshot(Path(name))
                return {path: content for path, content in left.items() if path.startswith(begun)}
        renames -= 1


@cache
def finished(kind: str) -> tuple[Files, int]:
    """What the same command leaves when nothing interrupts it, and how many renames there are."""
    arguments, output, _ = RESUMED[kind]
    with tempfile.TemporaryDirectory() as name:
        write(data(), Path(name))
        _renames.append(10**6)
        assert call((*arguments, "--quiet"), Path(name)).code == 0
        renames = 10**6 - _renames.pop()
        left = {path: content for path, content in snapshot(Path(name)).items() if path.startswith(output)}
        return left, renames


def prepare() -> None:
    """Make all of them before anything is drawn: what is drawn may not use random numbers of its own."""
    for kind in RESUMED:
        for moment in range(MOMENTS):
            interrupted(kind, moment)
