"""Results as Markdown and JSON; ratios within one run, never bare times."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.runner import ratios_to_linear
from benchmarks.settings import Settings

#: Not compared: the yardstick, and one that computes something else.
NO_PEERS = ("lphm", "linear", "tinybig")
FOOTNOTES = {
    "tinybig": "tinybig: its W is vec(A) vec(S Tᵀ)ᵀ cut into rows of n, which is A ⊗ (S Tᵀ) only for q = 1 "
    "or p = q = n. It is checked against its own W, and does not count as the best peer.",
    "dense": "dense: W formed by torch.kron, then X (Xᵀ (W X)) or X (Wᵀ (Xᵀ X)).",
    "dense-xi": "dense-xi: xi (b x b) formed as well, as tinyBIG does.",
    "softmax-xi": "softmax-xi: W, xi and its softmax formed.",
    "softmax-sdpa": "softmax-sdpa: W formed, then scaled_dot_product_attention(X Wᵀ, X, X).",
}


def time_table(results: list[dict[str, Any]], everybody: list[str], settings: Settings) -> str:
    """Ratios of medians to the linear layer's, the best peer of a row in bold."""
    names = _columns(everybody, [{*result["both"]["seconds"], *result["wrong"]} for result in results])
    others = [name for name in names if name != "linear"]
    rows = [[*_size(result), *_time_cells(result, others)] for result in results]
    titles = ["kind", "b, m, p, q, r", *others, "best peer / lphm", "flop limit"]
    lines = [
        f"Forward+backward (forward) over a linear layer X @ M in the same run; {settings}; medians.",
        "",
        *_table(titles, rows),
        *_footnotes(names),
        *_left_out(results),
    ]
    return "\n".join(lines) + "\n"


def _time_cells(result: dict[str, Any], names: list[str]) -> list[str]:
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
    """The fastest forward+backward of those that compute the same without this library."""
    seconds = result["both"]["seconds"]
    peers = [name for name in seconds if name not in NO_PEERS]
    return min(peers, key=lambda name: seconds[name]["median"], default=None)


def roofline_table(results: list[dict[str, Any]], rates: dict[str, float]) -> str:
    """The library's rates as fractions of what the device does at best."""
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


def memory_table(results: list[dict[str, Any]], everybody: list[str], settings: Settings) -> str:
    """Megabytes over the inputs, and of the whole process."""
    names = _columns(everybody, [set(result["peaks"]) for result in results])
    rows = []
    for result in results:
        cells = []
        for name in names:
            peak = result["peaks"].get(name)
            text = "" if peak is None else f"{peak['over_inputs'] / 1e6:.0f} ({peak['process'] / 1e6:.0f})"
            cells.append(text)
        rows.append([*_size(result), *cells])
    lines = [
        "Peak memory of one forward+backward in a process of its own, in MB over the inputs (and of the "
        f"whole process); {settings}.",
        "",
        *_table(["kind", "b, m, p, q, r", *names], rows),
        *_footnotes(names),
        *_left_out(results),
    ]
    return "\n".join(lines) + "\n"


def scaling_table(found: dict[str, Any], settings: Settings) -> str:
    """The sizes, and the exponents with the range that they are fitted over."""
    rows = [cell for point in found["points"] if (cell := _scaling_cells(point))]
    titles = ["b, m, p, q, r", "over linear", "MB over inputs", "linear's", "MB of process", "linear's"]
    fits = [
        [
            fit["contender"],
            f"{fit['from']:,} to {fit['to']:,}",
            *("" if fit[name] is None else f"{fit[name]:.2f}" for name in ("seconds", "over_inputs")),
        ]
        for fit in found["fits"]
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
    found = point["contenders"]
    if not {"lphm", "linear"} <= set(found):
        return []
    ours, linear = found["lphm"], found["linear"]
    megabytes = [f"{side[name] / 1e6:.0f}" for name in ("over_inputs", "process") for side in (ours, linear)]
    return [Case(**point["case"]).sizes, f"{ours['seconds'] / linear['seconds']:.2f}", *megabytes]


def _size(result: dict[str, Any]) -> list[str]:
    case = Case(**result["case"])
    return [case.kind, case.sizes]


def _columns(everybody: list[str], present: list[set[str]]) -> list[str]:
    """Those who have something to show in any row, in the order of the contenders."""
    return [name for name in everybody if any(name in names for names in present)]


def _table(titles: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *rows)]


def _footnotes(names: list[str]) -> list[str]:
    notes = [f"- {FOOTNOTES[name]}" for name in names if name in FOOTNOTES]
    return ["", *notes] if notes else []


def _left_out(results: list[dict[str, Any]]) -> list[str]:
    """One line for everybody who did not start, or whose result was wrong."""
    lines: dict[str, None] = {}
    for result in results:
        lines |= {f"- {name} was skipped: {why}": None for name, why in result["skipped"].items()}
        lines |= {f"- WRONG, not timed: {why}": None for why in result.get("wrong", {}).values()}
    return ["", *lines] if lines else []


def write(path: Path, save: Callable[[Path], object]) -> None:
    """A file, whole or not at all: saved under a temporary name beside it, and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        save(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Readable JSON without NaN."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_text(path: Path, text: str) -> None:
    """A text as it is."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
