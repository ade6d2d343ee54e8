"""Time of the layer on batches of small matrices, compared with W formed, nn.Linear and attention.

python -m benchmarks.layer                              the whole table
python -m benchmarks.layer --case 64,24,32 --channels 4 --normalize softmax

The contenders of a size take turns in one process, and are checked against a float64 oracle before they are
timed. The figures are ratios of medians to nn.Linear(m, m) on (N, b, m).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks import tables
from benchmarks.cases import KINDS
from benchmarks.counts import layer_flop_limit
from benchmarks.layer_cases import CHANNELS, SIZES, LayerCase, draw, readout_cases, select
from benchmarks.layer_contenders import contenders_of
from benchmarks.runner import log, ratios_to_linear, time_contenders
from benchmarks.settings import DTYPES, Settings
from benchmarks.timing import clock_for

NAMES = ("lphm", "linear", "dense", "dense-sdpa", "attention")


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="python -m benchmarks.layer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parse.add_argument
    add("--kind", choices=KINDS, help="measure one kind only")
    add("--normalize", choices=["none", "softmax", "matrix"], help="measure this operation only")
    add("--case", action="append", default=[], metavar="N,b,m", type=_size, help="this size only; repeatable")
    add("--channels", action="append", default=[], type=int, help="this number only; repeatable")
    add("--threads", type=int, default=1, help="CPU threads (%(default)s)")
    add("--rounds", type=int, default=31, help="timed calls (%(default)s; 3 if a call takes over 1 s)")
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--dtype", choices=list(DTYPES), default="float32")
    add("--output", type=Path, metavar="DIR", help="folder for layer.json and layer.md")
    return parse


def _size(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"must be three integers N,b,m, got {text!r}")
    return tuple(map(int, parts))


def cases_of(options: argparse.Namespace) -> list[LayerCase]:
    """The cases that the options choose."""
    kinds = KINDS if options.kind is None else (options.kind,)
    sizes = tuple(options.case) or SIZES
    channels = tuple(options.channels) or CHANNELS
    normalizes = {"none": (None,), "softmax": ("softmax",), "matrix": ()}.get(
        options.normalize, (None, "softmax")
    )
    cases = select(kinds, normalizes, sizes, channels)
    if options.normalize in (None, "matrix") and "attribute" in kinds and not options.case:
        cases += readout_cases(channels)
    return cases


def measure(cases: list[LayerCase], settings: Settings) -> list[dict[str, Any]]:
    """The results of all cases, each checked, then timed."""
    clock, results = clock_for(settings.device), []
    for case in cases:
        inputs = draw(case, settings.device, settings.torch_dtype)
        result = time_contenders(inputs, contenders_of(case), settings, clock)
        result["counted"] = {"flop_limit": layer_flop_limit(case)}
        results.append(result)
        ratios = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios_to_linear(result).items())
        log(f"{case}: {ratios}", *result["wrong"].values())
    return results


def main(words: list[str] | None = None) -> int:
    """Measure, print Markdown and write files; 1 if a result was wrong."""
    options = parser().parse_args(words)
    settings = Settings(**{name: getattr(options, name) for name in ("device", "dtype", "threads", "rounds")})
    torch.set_num_threads(settings.threads)
    results = measure(cases_of(options), settings)
    tables.finish(options.output, "layer", settings, {"results": results}, layer_table(results, settings))
    return 1 if any(result["wrong"] for result in results) else 0


def layer_table(results: list[dict[str, Any]], settings: Settings) -> str:
    """Ratios of medians to the linear layer; the fastest that computes the same is bold."""
    names = [name for name in NAMES if name != "linear"]
    rows = []
    for result in results:
        case = LayerCase(**result["case"])
        sizes = [case.kind, case.operation, case.sizes, f"{case.channels}", f"{case.p}, {case.r}"]
        rows.append([*sizes, *tables.time_cells(result, names)])
    titles = ["kind", "operation", "N, b, m", "channels", "p, r", *names, "best peer / lphm", "flop limit"]
    lines = [
        f"Forward+backward (forward) as ratios to nn.Linear(m, m) in the same run; {settings}; medians.",
        "",
        tables.table_head(titles),
        *map(tables.table_row, rows),
        "",
        "- dense: W of every channel formed, then the products in the order with the fewest flops.",
        "- dense-sdpa: W formed, then scaled_dot_product_attention with queries X Wᵀ.",
        "- attention: nn.MultiheadAttention, a different function with four projections.",
        *tables.left_out(results),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
