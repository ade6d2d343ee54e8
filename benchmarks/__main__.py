"""Time and memory of xi applied to its own data, compared with other ways to compute the same result.

The value and the gradients of every contender are checked against a float64 oracle before it is timed. The
contenders of a size take turns in one process, in a new random order every round. The figures are ratios of
medians to a linear layer X @ M. Packages that are not installed are skipped; a message says how to install
them.

Examples:
  python -m benchmarks                                  the whole table
  python -m benchmarks --kind attribute --output out    results.json, results.md, results.png in out/
  python -m benchmarks --case 1024,64,32,32,4 --peer einsum --peer lokr --rounds 100
  python -m benchmarks --case 16384,64,128,128,8 --largest-dense 16384
                                                        W of 16384 x 16384: takes minutes and gigabytes
  python -m benchmarks --normalize softmax              softmax of xi, compared with attention
  python -m benchmarks --memory                         peak memory, each in a process of its own
  python -m benchmarks --scaling                        exponents in b, a thousand to a million rows
  python -m benchmarks --device cuda --dtype bfloat16   CUDA events, torch.cuda.max_memory_allocated
"""

import argparse
import sys
from pathlib import Path

import torch

from benchmarks import memory, plots, runner, scaling, tables
from benchmarks.cases import KINDS, Case, parse_sizes, select
from benchmarks.contenders import Contender
from benchmarks.roofline import measure_rates
from benchmarks.settings import DTYPES, Settings
from benchmarks.timing import clock_for


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    quantity = parse.add_mutually_exclusive_group()
    quantity.add_argument("--memory", action="store_true", help="measure peak memory instead of time")
    quantity.add_argument("--scaling", action="store_true", help="measure how time and memory grow with b")
    add = parse.add_argument
    add("--kind", choices=KINDS, help="measure one kind only")
    add("--case", action="append", default=[], metavar="b,m,p,q,r", help="measure this size only; repeatable")
    add("--peer", action="append", choices=runner.peer_names(), help="compare this peer only; repeatable")
    add("--normalize", choices=["softmax"], help="apply softmax over the summed index of xi")
    add("--rows", action="append", type=int, help="number of rows for --scaling; repeatable")
    add("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    add("--rounds", type=int, default=31, help="timed calls (%(default)s; 3 if a call takes over 1 s)")
    add(
        "--largest-dense",
        type=int,
        default=4096,
        metavar="ROWS",
        help="skip contenders that form a larger square matrix (%(default)s)",
    )
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--dtype", choices=list(DTYPES), default="float32")
    add("--output", type=Path, metavar="DIR", help="folder for the JSON, Markdown and PNG files")
    return parse


def main(words: list[str] | None = None) -> int:
    """Measure, print Markdown and write files.

    Returns:
        the exit code: 1 if a result was wrong, 2 for wrong arguments, else 0.
    """
    parse = parser()
    options = parse.parse_args(words)
    for name in ("threads", "rounds"):
        if getattr(options, name) < 1:
            parse.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parse.error("--device cuda: torch sees no CUDA device")
    names = ("device", "dtype", "threads", "rounds", "normalize", "largest_dense")
    settings = Settings(**{name: getattr(options, name) for name in names})
    torch.set_num_threads(settings.threads)
    if options.scaling:
        return _scaling(options, settings)
    try:
        kinds = KINDS if options.kind is None else (options.kind,)
        cases = select(kinds, [parse_sizes(text) for text in options.case])
    except ValueError as reason:
        parse.error(f"--case: {reason}")
    contenders = runner.choose_contenders(settings.normalize, options.peer)
    return (_memory if options.memory else _times)(options.output, settings, cases, contenders)


def _times(output: Path | None, settings: Settings, cases: list[Case], contenders: list[Contender]) -> int:
    clock = clock_for(settings.device)
    results = runner.run(cases, contenders, settings, clock)
    rates = measure_rates(settings, clock)
    names = [contender.name for contender in contenders]
    text = tables.time_table(results, names, settings) + "\n" + tables.roofline_table(results, rates)
    tables.finish(output, "results", settings, {"rates": rates, "results": results}, text)
    if output is not None and plots.can_plot():
        plots.plot_times(results, output / "results.png")
    return 1 if any(result["wrong"] for result in results) else 0


def _memory(output: Path | None, settings: Settings, cases: list[Case], contenders: list[Contender]) -> int:
    results = memory.run(cases, contenders, settings)
    text = tables.memory_table(results, [contender.name for contender in contenders], settings)
    tables.finish(output, "memory", settings, {"results": results}, text)
    return 0


def _scaling(options: argparse.Namespace, settings: Settings) -> int:
    results = scaling.run(sorted(options.rows or scaling.ROWS), settings, clock_for(settings.device))
    tables.finish(options.output, "scaling", settings, results, tables.scaling_table(results, settings))
    if options.output is not None and plots.can_plot():
        plots.plot_scaling(results, options.output / "scaling.png")
    return 1 if any(point["wrong"] for point in results["points"]) else 0


if __name__ == "__main__":
    sys.exit(main())
