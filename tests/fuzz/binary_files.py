"""Parquet, .npz and .npy files and directories of every odd kind, as bytes."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from fuzz.calls import Files
from fuzz.text_files import NAMES, ODD_NAMES, SEEDS, Rng, mutated, rarely


def _dictionary(values: list[Any], index: pa.DataType) -> pa.Array:
    return pa.array(values).dictionary_encode().cast(pa.dictionary(index, pa.infer_type(values)))


def _arrow_columns(rng: Rng, n: int) -> dict[str, Callable[[], pa.Array]]:
    """Columns of every Arrow type."""
    x, k = rng.standard_normal(n), rng.integers(0, 4, n)
    gaps = rng.random(n) < 0.2
    words = ["uvwx"[i] for i in k]
    whole, real = pa.array(k, pa.int64()), pa.array(x, pa.float64())
    return {
        **{str(kind): partial(whole.cast, kind) for kind in (pa.int8(), pa.int16(), pa.int64(), pa.uint64())},
        **{str(kind): partial(real.cast, kind) for kind in (pa.float32(), pa.float64())},
        "int64 with gaps": lambda: pa.array(k, mask=gaps),
        "double with gaps": lambda: pa.array(x, mask=gaps),
        "half": lambda: pa.array(x.astype(np.float16)),
        "bool": lambda: pa.array(k > 1),
        "bool with gaps": lambda: pa.array(k > 1, mask=gaps),
        "string": lambda: pa.array(words),
        "string with gaps": lambda: pa.array(words, mask=gaps),
        "large_string": lambda: pa.array(words, pa.large_string()),
        "number text": lambda: pa.array([f"{value:.3f}" for value in x]),
        "binary": lambda: pa.array([word.encode() for word in words]),
        "dictionary": lambda: _dictionary(words, pa.int8()),
        "dictionary of integers": lambda: _dictionary(k.tolist(), pa.int32()),
        "decimal": lambda: pa.array(np.round(x, 2)).cast(pa.decimal128(20, 2), safe=False),
        "decimal256": lambda: pa.array(k).cast(pa.decimal256(60, 2)),
        "date": lambda: pa.array(k.astype(np.int32)).cast(pa.date32()),
        "timestamp": lambda: pa.array(k).cast(pa.timestamp("ns")),
        "timestamp with zone": lambda: pa.array(k).cast(pa.timestamp("us", "Europe/Berlin")),
        "far timestamp": lambda: pa.array([2**60 + int(i) for i in k], pa.timestamp("us")),
        "time": lambda: pa.array(k).cast(pa.time64("us")),
        "duration": lambda: pa.array(k).cast(pa.duration("s")),
        "list": lambda: pa.array([[float(v), 1.0] for v in x], pa.list_(pa.float64())),
        "struct": lambda: pa.array([{"p": float(v)} for v in x], pa.struct({"p": pa.float64()})),
        "map": lambda: pa.array([[("k", float(v))] for v in x], pa.map_(pa.string(), pa.float64())),
        "null": lambda: pa.nulls(n),
        "all missing": lambda: pa.array([None] * n, pa.float64()),
        "infinite": lambda: pa.array(np.where(gaps, np.inf, x)),
        "huge": lambda: pa.array(np.where(gaps, 1e200, x)),
        "largest": lambda: pa.array([2**63 + int(i) for i in k], pa.uint64()),
        "nan": lambda: pa.array(np.where(gaps, np.nan, x)),
        "constant": lambda: pa.array([1.0] * n),
    }


ARROW = sorted(_arrow_columns(np.random.default_rng(0), 1))
NUMBERS = ["double", "float", "int64", "bool", "int8"]


def to_parquet(table: pa.Table, **more: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **more)
    return sink.getvalue()


@st.composite
def arrow_tables(draw: st.DrawFn, only_numbers: bool = False, width: int | None = None) -> pa.Table:
    """A table with a few columns of any Arrow type and mostly ``y``."""
    n = draw(st.sampled_from([*range(20, 61)] * 3 + [0, 1, 19]))
    columns = _arrow_columns(np.random.default_rng(draw(SEEDS)), n)
    plain = st.sampled_from(NUMBERS if only_numbers else ["double", "float", "int64", "string", "bool"])
    width = draw(st.sampled_from([0, 1, 2, 2, 3, 4])) if width is None else width
    kinds = draw(st.lists(plain, min_size=width, max_size=width))
    if rarely(draw, 3) and kinds:
        kinds[0] = draw(st.sampled_from(ARROW))
    names = NAMES[: len(kinds)]
    if rarely(draw, 6) and names:
        names[0] = draw(st.sampled_from(["b", "y", *ODD_NAMES]))
    likely = ["double", "float"] if only_numbers else ["double", "string", "bool"]
    kinds.append(draw(st.sampled_from(likely if not rarely(draw, 3) else ARROW)))
    return pa.Table.from_arrays([columns[kind]() for kind in kinds], [*names, "y"])


def parquet_bytes(draw: st.DrawFn, table: pa.Table) -> bytes:
    """A table as Parquet, in some of the ways there are, or damaged."""
    more: dict[str, Any] = {"row_group_size": draw(st.sampled_from([1, 7, 1000]))}
    more["compression"] = draw(st.sampled_from(["snappy", "none", "gzip", "zstd"]))
    if rarely(draw, 5) and len(set(table.column_names)) == table.num_columns:
        frame = pd.DataFrame({"a": np.arange(table.num_rows) / 7, "y": np.arange(table.num_rows) % 2})
        frame.index = draw(
            st.sampled_from(
                [
                    pd.Index(np.arange(len(frame)), name="id"),
                    pd.Index([f"k{i}" for i in range(len(frame))]),
                    pd.RangeIndex(5, 5 + len(frame), name="c"),
                    pd.MultiIndex.from_arrays([np.arange(len(frame))] * 2, names=["p", None]),
                ]
            )
        )
        table = pa.Table.from_pandas(frame)
    content = to_parquet(table, **more)
    return mutated(draw, content) if rarely(draw, 5) else content


@st.composite
def arrays(draw: st.DrawFn, *shape: int) -> np.ndarray:
    """An array of any type, mostly of this shape."""
    rng, n = np.random.default_rng(draw(SEEDS)), shape[0]
    if rarely(draw):
        shape = draw(
            st.sampled_from([(n,), (), (0, 3), (n, 0), (1, 3), (n, 4, 1), (n, 1, 2), (n, 0, 2), (2, n, 2, 2)])
        )
    values, kind = rng.standard_normal(shape), "f8"
    if rarely(draw, 2):
        kind = draw(
            st.sampled_from(["f4", "f2", "i8", "u8", "?", "c16", "O", "U3", "S3", "M8[s]", ">f8", "p,q"])
        )
    if kind == "p,q":
        return np.zeros(shape, [("p", "f8"), ("q", "i4")])
    if kind in ("f8", "f4") and rarely(draw):
        odd = draw(st.sampled_from([np.nan, np.inf, 1e200, 1e30, 1e-310]))
        values = np.where(rng.random(shape) < 0.1, odd, values)
    with np.errstate(all="ignore"):
        array = (values * 3).astype("i8").astype(kind) if kind in ("M8[s]", "u8") else values.astype(kind)
    return np.asfortranarray(array) if draw(st.booleans()) else array


def to_npy(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


@st.composite
def npz_bytes(draw: st.DrawFn) -> bytes:
    """The arrays of series and their target, or what is taken for them."""
    n = draw(st.sampled_from([24, 32, 40]))
    held: dict[str, Any] = {
        "X": draw(arrays(n, 4, 2)),
        "y": np.arange(n) % draw(st.sampled_from([2, 2, 3, 1])),
    }
    odd = draw(st.integers(0, 11))
    if odd == 0:
        held["y"] = draw(arrays(n))
    elif odd == 1:
        held["y"] = np.random.default_rng(0).standard_normal(n)
    elif odd == 2:
        held["channels"] = draw(st.sampled_from([["p", "q"], ["p"], ["p", "p"], ["[red]", "<b>"], [1, 2], 3]))
    elif odd == 3:
        held.pop(draw(st.sampled_from(["X", "y"])))
    elif odd == 4:
        held["y"] = np.array([["p"], ["日本"]] * n)[:n, 0]
    sink = io.BytesIO()
    (np.savez_compressed if draw(st.booleans()) else np.savez)(sink, **held)
    content = sink.getvalue()
    return mutated(draw, content) if rarely(draw, 5) else content


#: What lies in directories beside the files that are meant.
BESIDE = [
    "._part-0.parquet",
    ".hidden.parquet",
    "_SUCCESS",
    "notes.txt",
    "k=1/part.parquet",
    "upper.PARQUET",
    "s/x",
]


@st.composite
def directories(draw: st.DrawFn, only_numbers: bool = False) -> Files:
    """A directory of Parquet files, with what else lies in directories."""
    table = draw(arrow_tables(only_numbers))
    files: Files = {"d": None}
    for i in range(draw(st.sampled_from([0, 1, 2, 2, 3, 3]))):
        part = table.slice(0, draw(st.sampled_from([table.num_rows] * 4 + [10, 0])))
        match draw(st.integers(0, 19)):
            case 0:
                part = draw(arrow_tables())
            case 1 if len({*part.column_names}) == part.num_columns:
                part = part.select(part.column_names[::-1])
            case 2 if part.num_columns:
                part = part.set_column(0, part.column_names[0], [[str(i) for i in range(part.num_rows)]])
        files[f"d/part-{i}.parquet"] = parquet_bytes(draw, part)
    for name in draw(st.lists(st.sampled_from(BESIDE), max_size=2)):
        files[f"d/{name}"] = to_parquet(table) if draw(st.booleans()) else b"not parquet"
    return files
