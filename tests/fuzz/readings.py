"""Calls with odd data files."""

import io
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from fuzz.bases import SMALL, base
from fuzz.binary_files import arrays, arrow_tables, directories, npz_bytes, parquet_bytes, to_npy, to_parquet
from fuzz.calls import Call, Case, Files
from fuzz.text_files import COMPRESS, CSV_DAMAGE, mutated, rarely, tables, to_csv, ts_bytes

TERMINALS = st.sampled_from(["utf-8"] * 6 + ["ascii", "latin-1"])


def train(source: str, *more: str, output: str = "new") -> Call:
    return Call(("train", source, "--target", "y", *SMALL, *more, "-o", output, "--quiet"), output)


def predict(run: str, source: str, rows: int | None = None, output: str = "o.csv", **more: Any) -> Call:
    return Call(("predict", run, source, "-o", output), output, rows=rows, **more)


@st.composite
def csv_files(draw: st.DrawFn) -> Case:
    """A CSV file: trained on, predicted and evaluated; or given to a run of ours."""
    of_ours = rarely(draw)
    table = draw(tables(width=3 if of_ours else None))
    content, rows = to_csv(table), table["rows"]
    if draw(st.integers(0, 2)) == 0:
        rows = None
        if draw(st.booleans()):
            content = CSV_DAMAGE[draw(st.integers(0, len(CSV_DAMAGE) - 1))](content)
        else:
            content = mutated(draw, content)
    ending = draw(st.sampled_from(["", "", "", *COMPRESS]))
    if ending:
        content = COMPRESS[ending](content)
        content = mutated(draw, content) if rows is None and draw(st.booleans()) else content
    name = f"f.csv{ending}"
    files: Files = {name: content}
    encoding = draw(TERMINALS)
    if of_ours:
        calls = [predict("run", name, rows), Call(("evaluate", "run", name, "--json", "--quiet"))]
        return Case(base() | files, tuple(calls[:: draw(st.sampled_from([1, -1]))]), encoding)
    more = draw(
        st.sampled_from([(), (), (), ("--folds", "2"), ("--series", "a", "--step", "b"), ("--json",)])
    )
    if "--folds" in more:
        return Case(files, (train(name, *more),), encoding)
    calls = [train(name, *more)]
    if rows and not more and "" not in table["columns"][-1]:
        head = min(rows, draw(st.integers(1, 3)))  # alone, values mean what they mean beside others
        files["head.csv"] = to_csv(table, head)
        calls += [
            predict("new", name, rows, "o.csv", must=0),
            predict("new", "head.csv", head, "h.csv", must=0),
        ]
        calls += [Call(("evaluate", "new", name, "--quiet"), must=0)]
        return Case(files, tuple(calls), encoding, (("o.csv", "h.csv"),))
    calls += [predict("new", name, None if more else rows)]
    return Case(files, tuple(calls), encoding)


@st.composite
def parquet_files(draw: st.DrawFn) -> Case:
    """A Parquet file: trained on and predicted, given to a run of ours, or to ``apply``."""
    way = draw(st.sampled_from(["train", "train", "run", "apply", "apply"]))
    table = draw(arrow_tables(only_numbers=way == "apply", width=3 if way == "run" else None))
    files: Files = {"f.parquet": parquet_bytes(draw, table)}
    same: tuple[tuple[str, str], ...] = ()
    if way == "train":
        calls = [train("f.parquet"), predict("new", "f.parquet")]
        with suppress(pa.ArrowException, OSError):
            whole = pq.read_table(io.BytesIO(files["f.parquet"]))
            if whole.column_names.count("y") == 1 and not whole["y"].null_count:
                head = min(whole.num_rows, draw(st.integers(1, 3)))
                files["head.parquet"] = to_parquet(whole.slice(0, head))
                calls = [train("f.parquet"), predict("new", "f.parquet", whole.num_rows, must=0)]
                calls.append(predict("new", "head.parquet", head, "h.csv", must=0))
                same = (("o.csv", "h.csv"),)
    elif way == "run":
        files |= base()
        calls = [predict("run", "f.parquet"), Call(("evaluate", "run", "f.parquet", "--quiet"))]
    else:
        kind = draw(
            st.sampled_from([("--normalize", "softmax"), ("--kind", "instance"), ("--keep", "a"), ()])
        )
        calls = [Call(("apply", "f.parquet", *kind, "-o", "o.parquet", "--quiet"), "o.parquet")]
    return Case(files, tuple(calls), draw(TERMINALS), same)


@st.composite
def array_files(draw: st.DrawFn) -> Case:
    """An .npz or .ts file of series, or an .npy file of rows."""
    if rarely(draw):
        files = {"f.ts": draw(ts_bytes())}
        return Case(files, (train("f.ts"), predict("new", "f.ts", must=0)), draw(TERMINALS))
    if draw(st.booleans()):
        files = {"f.npz": draw(npz_bytes())}
        if draw(st.booleans()):
            return Case(files, (train("f.npz"), predict("new", "f.npz", must=0)), draw(TERMINALS))
        return Case(base() | files, (predict("series", "f.npz"), Call(("evaluate", "series", "f.npz"))))
    array = draw(arrays(40, 3))
    content = to_npy(array)
    if draw(st.integers(0, 3)) == 0:
        content, array = mutated(draw, content), None
    kind = draw(
        st.sampled_from([("--normalize", "softmax"), ("--kind", "instance"), ("--matrix", "m.csv"), ()])
    )
    output = draw(st.sampled_from(["o.npy", "o.parquet"]))
    also = "m.csv" if "--matrix" in kind else None
    rows = len(array) if array is not None and array.ndim else None
    call = Call(("apply", "f.npy", *kind, "-o", output, "--quiet"), output, also, rows)
    return Case({"f.npy": content}, (call,))


@st.composite
def parquet_directories(draw: st.DrawFn) -> Case:
    """A directory of Parquet files: trained on, or given to ``apply``."""
    if draw(st.booleans()):
        return Case(draw(directories()), (train("d", *draw(st.sampled_from([(), ("--early-stopping",)]))),))
    files = draw(directories(only_numbers=True))
    return Case(files, (Call(("apply", "d", "-o", "o.parquet", "--quiet"), "o.parquet"),))
