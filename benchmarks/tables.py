"""Results as Markdown tables: ratios within one run, never absolute times."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.runner import ratios_to_linear
from benchmarks.settings import Settings, header
from lphm._io import write_atomically, write_json

#: Not peers: the library, the linear layer, and tinyBIG and nn.MultiheadAttention, whose results differ.
NO_PEERS = ("lphm", "linear", "tinybig", "attention")
FOOTNOTES = {
    "tinybig": "tinybig: its W is vec(A) vec(S Tᵀ)ᵀ reshaped to rows of n, which equals A ⊗ (S Tᵀ) only for "
    "q = 1 or p = q = n. It is checked against its own W and does not count as the best peer.",
    "dense": "dense: W formed by torch.kron, then X (Xᵀ (W X)) or X (Wᵀ (Xᵀ X)).",
    "dense-xi": "dense-xi: xi (b x b) formed as well, as tinyBIG does.",
    "softmax-xi": "softmax-xi: W, xi and its softmax formed.",
    "softmax-sdpa": "softmax-sdpa: W formed, then scaled_dot_product_attention(X Wᵀ, X, X).",
}


def finish(output: Path | None, name: str, settings: Settings, content: dict[str, Any], text: str) -> None:
    """Print the table; with an output folder, also write it and the JSON file."""
    print(text)
    if output is not None:
        write_json(output / f"{name}.json", header(settings) | content)
        with write_atomically(output / f"{name}.md") as temporary:
            temporary.write_text(text, encoding="utf-8")


def time_table(results: list[dict[str, Any]], contenders: list[str], settings: Settings) -> str:
    """Ratios of medians to the linear layer; the best peer of a row is bold."""
    names = _columns(contenders, [{*result["both"]["seconds"], *result["wrong"]} for result in results])
    others = [name for name in names if name != "linear"]
    rows = [[*_size(result), *time_cells(result, others)] for result in results]
    titles = ["kind", "b, m, p, q, r", *others, "best peer / lphm", "flop limit"]
    lines = [
        f"Forward+backward (forward) as ratios to a linear layer X @ M in the same run; {settings}; medians.",
        "",
        *_table(titles, rows),
        *_footnotes(names),
        *left_out(results),
    ]
    return "\n".join(lines) + "\n"


def time_cells(result: dict[str, Any], names: list[str]) -> list[str]:
    """A cell for every contender, the margin over the best peer, and the flop limit."""
    ratios = {way: ratios_to_linear(result, way) for way in ("both", "forward")}
    best = best_peer(result)
    cells = []
    for name in names:
        if name not in ratios["both"]:
            cells.append("wrong" if name in result["wrong"] else "")
            continue
        text = f"{ratios['both'][name]:.2f} ({ratios['forward'][name]:.2f})"
        cells.append(f"**{text}**" if name == best else text)
    margin = ratios["both"][best] / ratios["both"]["lphm"] if best and "lphm" in ratios["both"] else None
    limit = result["counted"].get("flop_limit")
    return [*cells, *("" if value is None else f"{value:.2f}" for value in (margin, limit))]


def best_peer(result: dict[str, Any]) -> str | None:
    """The contender with the fastest forward+backward that computes the same without this library."""
    seconds = result["both"]["seconds"]
    peers = [name for name in seconds if name not in NO_PEERS]
    return min(peers, key=lambda name: seconds[name]["median"], default=None)


def roofline_table(results: list[dict[str, Any]], rates: dict[str, float]) -> str:
    """The library's rates as fractions of the peak rates of the device."""
    ways = ("both", "forward")
    rows = []
    for result in results:
        if not result["counted"]:
            continue
        cells = [f"{result['counted'][way]['flop_rate'] / rates['matmul']:.0%}" for way in ways]
        cells += [f"{result['counted'][way]['byte_rate'] / rates['copy']:.0%}" for way in ways]
        rows.append([*_size(result), *cells])
    if not rows:
        return ""
    lines = [
        f"lphm in fractions of a large product ({rates['matmul'] / 1e12:.3g} TFLOP/s) and of a large copy "
        f"({rates['copy'] / 1e9:.3g} GB/s), by counted flops and unavoidable bytes.",
        "",
        *_table(
            ["kind", "b, m, p, q, r", "flops, both", "flops, forward", "bytes, both", "bytes, forward"], rows
        ),
    ]
    return "\n".join(lines) + "\n"


def memory_table(results: list[dict[str, Any]], contenders: list[str], settings: Settings) -> str:
    """Peak megabytes above the inputs, and of the whole process."""
    names = _columns(contenders, [set(result["peaks"]) for result in results])
    rows = []
    for result in results:
        cells = []
        for name in names:
            peak = result["peaks"].get(name)
            text = "" if peak is None else f"{peak['over_inputs'] / 1e6:.0f} ({peak['process'] / 1e6:.0f})"
            cells.append(text)
        rows.append([*_size(result), *cells])
    lines = [
        "Peak memory of one forward+backward in a process of its own, in MB above the inputs (and of the "
        f"whole process); {settings}.",
        "",
        *_table(["kind", "b, m, p, q, r", *names], rows),
        *_footnotes(names),
        *left_out(results),
    ]
    return "\n".join(lines) + "\n"


def scaling_table(results: dict[str, Any], settings: Settings) -> str:
    """Time and memory of every size, and the fitted exponents with their range."""
    rows = [cell for point in results["points"] if (cell := _scaling_cells(point))]
    titles = ["b, m, p, q, r", "over linear", "MB over inputs", "linear's", "MB of process", "linear's"]
    fits = [
        [
            fit["contender"],
            f"{fit['from']:,} to {fit['to']:,}",
            *("" if fit[name] is None else f"{fit[name]:.2f}" for name in ("seconds", "over_inputs")),
        ]
        for fit in results["fits"]
    ]
    lines = [
        f"Forward+backward of lphm, attribute kind, p = q near the root of b; {settings}.",
        "",
        *_table(titles, rows),
        "",
        *_table(["contender", "rows fitted", "exponent of time", "exponent of memory"], fits),
    ]
    return "\n".join(lines) + "\n"


def _scaling_cells(point: dict[str, Any]) -> list[str]:
    if not {"lphm", "linear"} <= set(point["contenders"]):
        return []
    lphm, linear = (point["contenders"][name] for name in ("lphm", "linear"))
    megabytes = [f"{one[name] / 1e6:.0f}" for name in ("over_inputs", "process") for one in (lphm, linear)]
    return [Case(**point["case"]).sizes, f"{lphm['seconds'] / linear['seconds']:.2f}", *megabytes]


def _size(result: dict[str, Any]) -> list[str]:
    case = Case(**result["case"])
    return [case.kind, case.sizes]


def _columns(contenders: list[str], present: list[set[str]]) -> list[str]:
    """The contenders that are present in any row, in their order."""
    return [name for name in contenders if any(name in names for names in present)]


def table_row(cells: Iterable[object]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def table_head(titles: Sequence[str]) -> str:
    """The first two rows of a Markdown table."""
    return f"{table_row(titles)}\n{table_row(['---'] * len(titles))}"


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    return [table_head(titles), *map(table_row, rows)]


def _footnotes(names: list[str]) -> list[str]:
    notes = [f"- {FOOTNOTES[name]}" for name in names if name in FOOTNOTES]
    return ["", *notes] if notes else []


def left_out(results: list[dict[str, Any]]) -> list[str]:
    """One line for every contender that was skipped or wrong, and every reason."""
    lines: dict[str, None] = {}
    for result in results:
        lines |= {f"- {name} was skipped: {why}": None for name, why in result["skipped"].items()}
        lines |= {f"- WRONG, not timed: {why}": None for why in result.get("wrong", {}).values()}
    return ["", *lines] if lines else []
