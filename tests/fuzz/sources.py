"""Data files of every odd kind, as bytes."""

import csv
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

Rng = np.random.Generator
SEEDS = st.integers(0, 2**32)


def rarely(draw: st.DrawFn, times: int = 4) -> bool:
    """True once in so many times."""
    return draw(st.integers(1, times)) == times


def one_of(*words: str) -> Callable[[Rng, int], list[str]]:
    return lambda rng, n: [words[i] for i in rng.integers(0, len(words), n)]


def _number(rng: Rng, n: int) -> list[str]:
    return [f"{value:.4g}" for value in rng.standard_normal(n)]


def _mixed(*words: str) -> Callable[[Rng, int], list[str]]:
    """Numbers, and here and there one of these words."""
    return lambda rng, n: [
        words[rng.integers(len(words))] if rng.random() < 0.15 else number for number in _number(rng, n)
    ]


#: What a column may hold, as text.
PLAIN: dict[str, Callable[[Rng, int], list[str]]] = {
    "numbers": _number,
    "integers": one_of("0", "1", "2", "3", "4"),
    "words": one_of("u", "v", "w"),
    "numbers with gaps": _mixed(""),
    "words with gaps": one_of("u", "v", ""),
    "booleans": one_of("true", "false"),
}
ODD: dict[str, Callable[[Rng, int], list[str]]] = {
    "words for missing": _mixed("NA", "?", "-", "null", "None", "NaN", "n/a"),
    "a word among numbers": _mixed("x"),
    "huge": _mixed("1e200", "-1e200", "1e308", "5e-324"),
    "infinite": _mixed("inf", "-inf", "Infinity"),
    "long integers": _mixed("9" * 400, "9" * 25),
    "19 digits": one_of("9223372036854775807", "9223372036854775808", "18446744073709551615", "1"),
    "all long integers": lambda _, n: [str(i % 7) + "0" * 400 for i in range(n)],
    "True": one_of("True", "False", ""),
    "yes": one_of("yes", "no"),
    "booleans and numbers": one_of("true", "false", "1", "0"),
    "leading zeros": one_of("01", "02", "1", "x"),
    "zeros only": one_of("01", "02", "10"),
    "dates": lambda _, n: [f"2023-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(n)],
    "American dates": lambda _, n: [f"{1 + i % 12}/{1 + i % 28}/2023" for i in range(n)],
    "times": lambda _, n: [f"2023-01-01T00:00:{i % 60:02}+0{i % 2}:00" for i in range(n)],
    "free text": lambda _, n: [f"sentence {i}, with 'quotes\" and\nlines" for i in range(n)],
    "markup": one_of("[red]", "[/]", "[/nothing]", "<b>", "{x}", "$1$", "\\"),
    "unicode": one_of("é", "日本", "\u202e", "😀", "\ufeff", "a\u0301", "\x1b[31m"),
    "quotes": one_of('"', "'", '"a', "a,b", "a\nb", "a\r\nb", ";"),
    "zero bytes": one_of("\x00", "a\x00b", "c"),
    "spaces": one_of(" u", "u", "u ", " ", "\t"),
    "formulas": one_of("=1+1", "+1", "-x", "@a"),
    "written numbers": one_of("1,234", "1_000", "0x10", "1e3", "10%", "1+2j", "٣", "½"),
    "empty": one_of(""),
    "constant": one_of("7"),
    "a long cell": lambda _, n: ["x" * 50_000 if i == 0 else "y" for i in range(n)],
    "class names of ours": one_of("probability_p", "predicted", "row"),
    "rare words": lambda _, n: ["rare" if i == 0 else "often" for i in range(n)],
    "two values": lambda _, n: ["1.5" if i == 0 else "2.5" for i in range(n)],
    "nearly constant": lambda _, n: [f"{1e15 + (i == 0)}" for i in range(n)],
    "subnormal": lambda _, n: [f"{1e-310 * (1 + i % 3)}" for i in range(n)],
}
COLUMNS = PLAIN | ODD
NAMES = ["a", "b", "c", "d", "e"]
ODD_NAMES = ["", " ", "a", "y", "probability_p", "probability_u", "row", "predicted", "[bold]x[/bold]", "[/]"]
ODD_NAMES += [
    "<script>alert(1)</script>",
    "x" * 3000,
    "é",
    "日本",
    "a\nb",
    'q"uote',
    "a,b",
    "Unnamed: 0",
    "0",
]
ODD_NAMES += [
    "nan",
    "True",
    "--target",
    "=cmd()",
    "\x00",
    "\x1b[31m",
    "$x_$",
    "{{ x }}",
    "index",
    "y.1",
    "a.1",
]


@st.composite
def tables(draw: st.DrawFn, width: int | None = None, most_odd: int = 2) -> dict[str, Any]:
    """Names and columns of text, the last of them ``y``: mostly plain, a few things odd."""
    rng = np.random.default_rng(draw(SEEDS))
    n = draw(st.sampled_from([*range(20, 61)] * 3 + [0, 1, 2, 19]))
    width = width or draw(st.integers(1, 4))
    kinds = draw(st.lists(st.sampled_from(sorted(PLAIN)), min_size=width, max_size=width))
    names = NAMES[:width]
    target = draw(st.sampled_from(["words", "numbers", "integers", "booleans"]))
    if rarely(draw):
        target = draw(st.sampled_from(sorted(ODD)))
    for _ in range(draw(st.integers(0, most_odd))):
        place = draw(st.integers(0, width - 1))
        if draw(st.booleans()):
            kinds[place] = draw(st.sampled_from(sorted(ODD)))
        else:
            names[place] = draw(st.sampled_from(ODD_NAMES))
    columns = [COLUMNS[kind](rng, n) for kind in [*kinds, target]]
    return {"names": [*names, "y"], "columns": columns, "rows": n, "kinds": [*kinds, target]}


def to_csv(table: dict[str, Any], rows: int | None = None, **dialect: Any) -> bytes:
    """The first rows of a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, **{"lineterminator": "\n", **dialect})
    writer.writerow(table["names"])
    writer.writerows(list(zip(*table["columns"], strict=True))[:rows])
    return text.getvalue().encode()


#: The same file as careless programs write it.
CSV_DAMAGE: list[Callable[[bytes], bytes]] = [
    lambda c: b"".join(line + b",\n" for line in c.splitlines()),
    lambda c: c.replace(b"\n", b",\n").replace(b",\n", b"\n", 1),
    lambda c: b"".join(line + b",9" * (i == 7) + b"\n" for i, line in enumerate(c.splitlines())),
    lambda c: b"".join(line[: 3 if i == 7 else None] + b"\n" for i, line in enumerate(c.splitlines())),
    lambda c: c.replace(b"\n", b"\r\n"),
    lambda c: c.replace(b"\n", b"\r"),
    lambda c: c.replace(b"\n", b"\n\n"),
    lambda c: c.replace(b",", b";"),
    lambda c: c.replace(b",", b"\t"),
    lambda c: b"# a comment\n" + c,
    lambda c: c.removesuffix(b"\n"),
    lambda c: b"\xef\xbb\xbf" + c,
    *(lambda c, e=encoding: c.decode().encode(e, "replace") for encoding in ("latin-1", "utf-16", "cp1252")),
    *(lambda _, e=empty: e for empty in (b"", b"\n", b"a,y", b"a,y\n", b"\x00" * 64, b"\xff\xfe")),
]


def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """A few bytes changed, cut out, repeated or cut off."""
    rng = np.random.default_rng(draw(SEEDS))
    for _ in range(rng.integers(1, 4)):
        # Ends matter most: there are headers, footers and lengths.
        least, most = [(0, 64), (len(content) - 64, len(content)), (0, len(content))][rng.integers(3)]
        place, length = int(rng.integers(max(least, 0), max(most, 1))), int(rng.integers(1, 16))
        before, after = content[:place], content[place:]
        match rng.integers(6):
            case 0 | 1 | 2:
                content = before + rng.bytes(length % 4 + 1) + after[length % 4 + 1 :]
            case 3:
                content = before + after[length:]
            case 4:
                content = before + after[:length] + after
            case _:
                content = before
    return content


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
