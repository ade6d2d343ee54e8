"""Rows spread over processes: bytes sent, compared with the model of docs/scaling.md, time and memory.

python -m benchmarks.ranks [--b 16384 65536] [--m 64] [--p 64] [--r 8] [--ranks 1 2 4]

Starts one process for each rank, on this machine, with gloo. The bytes are those that /proc/self/io counts as
written, summed over the ranks: gloo writes to its sockets as to files. Times are medians of the slowest rank.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist

from benchmarks.memory import peak_resident, resident
from benchmarks.tables import table_head, table_row
from lphm import LPHM, interdependence_apply, sharded

STEPS = 20


def model(ranks: int, b: int, m: int, p: int, q: int, r: int, size: int) -> dict[str, int]:
    """Bytes that all ranks together send in a forward and a backward of the attribute kind.

    A gather of ``c`` numbers per rank sends each of them to every other rank: ``R (R - 1) c`` numbers in all,
    with ``R c = (p + q) r m``. A reduce-scatter sends as many. A sum of ``l`` numbers in a ring sends
    ``2 (R - 1) l``.
    """
    blocks = (ranks - 1) * (p + q) * r * m * size
    parameters = p * q + r * (b // p + b // q)
    return {"forward": blocks, "backward": blocks + 2 * (ranks - 1) * parameters * size}


def written() -> int:
    """Bytes that this process has written to files and sockets."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def rank_main(b: int, m: int, p: int, r: int, folder: Path) -> None:
    """Run the step ``STEPS`` times on one rank, and write the bytes and times to the folder."""
    torch.set_num_threads(1)
    if int(os.environ["WORLD_SIZE"]) > 1:
        dist.init_process_group("gloo")
    ranks, rank = int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])
    structure, generator = LPHM(n=b, p=p, r=r), torch.Generator().manual_seed(rank)
    counts, before = [b // ranks] * ranks, resident()
    w = torch.randn(structure.num_parameters, generator=torch.Generator().manual_seed(9)) / 10
    x = torch.randn(b // ranks, m, generator=generator)
    w.requires_grad_()
    x.requires_grad_()
    results: dict[str, list[float]] = {"forward": [], "backward": [], "seconds": []}
    for _ in range(STEPS):
        if ranks > 1:
            dist.barrier()
        start, before_forward = time.perf_counter(), written()
        out = (
            sharded.interdependence_apply(structure, w, x, rows=counts)
            if ranks > 1
            else interdependence_apply(structure, w, x)
        )
        after_forward = written()
        out.sum().backward()
        results["seconds"].append(time.perf_counter() - start)
        results["forward"].append(after_forward - before_forward)
        results["backward"].append(written() - after_forward)
    medians = {name: median(values[2:]) for name, values in results.items()}
    (folder / f"{rank}.json").write_text(json.dumps({**medians, "memory": peak_resident() - before}))
    if ranks > 1:
        dist.destroy_process_group()


def measure(ranks: int, module: str, arguments: list[object]) -> list[dict[str, float]]:
    """Start the ranks of a benchmark module and return the results of each."""
    with tempfile.TemporaryDirectory() as folder:
        group = {
            "WORLD_SIZE": ranks,
            "LOCAL_WORLD_SIZE": ranks,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": 29517,
        }
        command = [sys.executable, "-m", module, "--rank", folder, *map(str, arguments)]
        started = []
        for rank in range(ranks):
            place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0}
            variables = {key: str(value) for key, value in (group | place).items()}
            started.append(subprocess.Popen(command, env=os.environ | variables))
        for process in started:
            if process.wait(timeout=600):
                raise SystemExit("a rank failed")
        return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(ranks)]


def main() -> None:
    """Measure every size and number of ranks, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rank", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--b", nargs="+", type=int, default=[16384, 65536])
    parser.add_argument("--m", type=int, default=64)
    parser.add_argument("--p", type=int, default=64)
    parser.add_argument("--r", type=int, default=8)
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2, 4])
    arguments = parser.parse_args()
    if arguments.rank:
        folder, *sizes = arguments.rank
        b, m, p, r = map(int, sizes)
        return rank_main(b, m, p, r, Path(folder))
    m, p, r = arguments.m, arguments.p, arguments.r
    print(f"m = {m}, p = q = {p}, r = {r}, float32; kB of all ranks together in a step")
    names = ("b", "ranks", "forward: model", "written", "backward: model", "written", "X", "step, ms")
    print(table_head([*names, "memory of a rank, MB"]))
    for b in arguments.b:
        for ranks in arguments.ranks:
            results = measure(ranks, "benchmarks.ranks", [b, m, p, r])
            expected = model(ranks, b, m, p, p, r, 4)
            kilobytes = []
            for name in ("forward", "backward"):
                sent = sum(result[name] for result in results)
                kilobytes += [f"{expected[name] / 1e3:,.1f}", f"{sent / 1e3:,.1f}"]
            slowest, largest = (max(result[name] for result in results) for name in ("seconds", "memory"))
            ends = [f"{b * m * 4 / 1e3:,.0f}", f"{slowest * 1e3:.1f}", f"{largest / 1e6:.0f}"]
            print(table_row([f"{b:,}", ranks, *kilobytes, *ends]), flush=True)
    return None


if __name__ == "__main__":
    main()
