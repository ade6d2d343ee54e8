"""CSV files of every odd kind, and damaged bytes."""

import bz2
import csv
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

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


#: What compresses a file whose name ends so.
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
}


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
    lambda c: c.replace(b",", b"|"),
    lambda c: b"# a comment\n" + c,
    lambda c: c.removesuffix(b"\n"),
    lambda c: b"\xef\xbb\xbf" + c,
    *(
        lambda c, e=encoding: c.decode().encode(e, "replace")
        for encoding in ("latin-1", "utf-16", "utf-16-le", "cp1252")
    ),
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


@st.composite
def ts_bytes(draw: st.DrawFn) -> bytes:
    """A file of series of the archives, or what is taken for one."""
    rng, n = np.random.default_rng(draw(SEEDS)), draw(st.sampled_from([24, 40, 3]))
    header = ["@problemName x", "@timeStamps false", "@classLabel true p q r"]
    labels = one_of("p", "q")(rng, n)
    match draw(st.integers(0, 9)):
        case 0:
            header[2], labels = "@targetLabel true", _number(rng, n)
        case 1:
            header[draw(st.integers(0, 2))] = draw(st.sampled_from(["", "@timestamps true", "x", "%", "@"]))
        case 2:
            labels[0] = draw(st.sampled_from(["?", "", "s", ":", "1"]))
    channels, odd = (
        draw(st.integers(1, 2)),
        draw(st.sampled_from([""] * 9 + ["?", "nan", "1e200", "x", "inf"])),
    )
    lines = [*header, "@data"]
    for label in labels:
        steps = rng.integers(1, 5) if odd == "?" else 4
        cells = [_number(rng, steps) for _ in range(channels)]
        cells[0][0] = odd if odd and rng.random() < 0.2 else cells[0][0]
        lines.append(":".join([*map(",".join, cells), label]))
    content = "\n".join(lines).encode()
    return mutated(draw, content) if rarely(draw, 5) else content
