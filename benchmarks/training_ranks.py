"""Training over processes: bytes written to sockets in a step beside the model, and rows in a second.

python -m benchmarks.training_ranks [--rows 200000] [--ranks 1 2 4]

Makes a directory of Parquet files and trains on it for one epoch, without dropout, on this machine with gloo.
Bytes are those of /proc/self/io, summed over the ranks, less what a training of one process writes.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.ranks import measure, resident, written
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.distributed import process_group, rank
from lphm.learn import lightning as loop
from lphm.learn.config import configure
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import build_network

COLUMNS, FILES, GROUP = 16, 4, 5000


def write(folder: Path, rows: int) -> None:
    """Normal numbers and a class that depends on products of neighbours."""
    rng = np.random.default_rng(0)
    for i in range(FILES):
        x = rng.standard_normal((rows // FILES, COLUMNS))
        table = pd.DataFrame(x, columns=[f"x{j}" for j in range(COLUMNS)])
        table["y"] = np.where(x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] > 0, "yes", "no")
        table.to_parquet(folder / f"{i}.parquet", row_group_size=GROUP, index=False)


def rank_main(folder: Path, data: Path, batch_size: int) -> None:
    """One rank: a pass to fit the schemas, and an epoch."""
    torch.set_num_threads(1)
    stream = ParquetStream(data, "y")
    with process_group(120):
        before, begun = resident(most=False), time.perf_counter()
        fitted = fit_stream(stream)
        fitting = time.perf_counter() - begun
        training = TrainingOptions(epochs=1, batch_size=batch_size)
        network = NetworkOptions(members=1, dropout=0.0)
        config = configure("drawn", fitted.input, fitted.target, fitted.rows["train"], network, training)
        torch.manual_seed(0)
        model = build_network(config)
        batches = StreamBatches(stream, "train", fitted, batch_size, 0)
        start, begun = written(), time.perf_counter()
        history = loop.fit(model, config, batches)
        told = {
            "written": written() - start,
            "seconds": time.perf_counter() - begun,
            "fitting": fitting,
            "steps": len(batches),
            "rows": batches.rows,
            "parameters": sum(p.numel() for p in model.parameters()),
            "loss": history.lines[-1]["train_loss"],
            "memory": resident(most=True) - before,
        }
        (folder / f"{rank()}.json").write_text(json.dumps(told))


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2, 4])
    arguments = parser.parse_args()
    if arguments.rank:
        folder, data, batch_size = arguments.rank
        return rank_main(Path(folder), Path(data), int(batch_size))
    print(f"{arguments.rows:,} rows x {COLUMNS}, batches of {arguments.batch_size}, {os.cpu_count()} cores")
    names = (
        "ranks",
        "parameters",
        "kB a step: model",
        "written",
        "rows/s",
        "fitting, s",
        "memory of a rank, MB",
        "loss",
    )
    print("| " + " | ".join(names) + " |\n" + "| --- " * len(names) + "|")
    with tempfile.TemporaryDirectory() as data:
        write(Path(data), arguments.rows)
        alone = 0.0
        for ranks in arguments.ranks:
            every = measure(ranks, "benchmarks.training_ranks", [data, arguments.batch_size])
            steps, parameters = every[0]["steps"], every[0]["parameters"]
            sent = sum(one["written"] for one in every) / steps
            alone = sent if ranks == 1 else alone
            expected = 2 * (ranks - 1) * (parameters * 4 + 8)
            slowest, fitting, most = (
                max(one[name] for one in every) for name in ("seconds", "fitting", "memory")
            )
            rate, loss = every[0]["rows"] / slowest, every[0]["loss"]
            print(
                f"| {ranks} | {parameters:,.0f} | {expected / 1e3:,.1f} | {(sent - alone) / 1e3:,.1f} "
                f"| {rate:,.0f} | {fitting:.2f} | {most / 1e6:.0f} | {loss:.6f} |",
                flush=True,
            )
    return None


if __name__ == "__main__":
    main()
