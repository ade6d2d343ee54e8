"""Training over processes: bytes sent in a step, compared with a model, and rows per second.

python -m benchmarks.training_ranks [--rows 200000] [--ranks 1 2 4]

Writes a directory of Parquet files and trains on it for one epoch, without dropout, with gloo. The bytes
are those that /proc/self/io counts as written, summed over the ranks, minus those of one process.
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

from benchmarks.memory import peak_resident, resident
from benchmarks.ranks import measure, written
from benchmarks.tables import table_head, table_row
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.distributed import process_group, rank
from lphm.learn.config import build_network
from lphm.learn.defaults import configure
from lphm.learn.loop import fit
from lphm.learn.options import NetworkOptions, TrainingOptions

COLUMNS, FILES, GROUP = 16, 4, 5000


def write(folder: Path, rows: int) -> None:
    """Write normal numbers, and a class that depends on products of neighbouring columns."""
    rng = np.random.default_rng(0)
    for i in range(FILES):
        x = rng.standard_normal((rows // FILES, COLUMNS))
        table = pd.DataFrame(x, columns=[f"x{j}" for j in range(COLUMNS)])
        table["y"] = np.where(x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3] > 0, "yes", "no")
        table.to_parquet(folder / f"{i}.parquet", row_group_size=GROUP, index=False)


def rank_main(folder: Path, data: Path, batch_size: int) -> None:
    """Fit the schemas and train one epoch on one rank, and write the results to the folder."""
    torch.set_num_threads(1)
    stream = ParquetStream(data, "y")
    with process_group(120):
        before, start = resident(), time.perf_counter()
        fitted = fit_stream(stream)
        fitting = time.perf_counter() - start
        training = TrainingOptions(epochs=1, batch_size=batch_size)
        network = NetworkOptions(members=1, dropout=0.0)
        config = configure("drawn", fitted.input, fitted.target, fitted.rows["train"], network, training)
        torch.manual_seed(0)
        model = build_network(config)
        batches = StreamBatches(stream, "train", fitted, batch_size, 0)
        written_before, start = written(), time.perf_counter()
        history = fit(model, config, batches)
        results = {
            "written": written() - written_before,
            "seconds": time.perf_counter() - start,
            "fitting": fitting,
            "steps": len(batches),
            "rows": batches.rows,
            "parameters": sum(p.numel() for p in model.parameters()),
            "loss": history.lines[-1]["train_loss"],
            "memory": peak_resident() - before,
        }
        (folder / f"{rank()}.json").write_text(json.dumps(results))


def main() -> None:
    """Train with every number of ranks and print a Markdown table."""
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
    names = ["ranks", "parameters", "kB a step: model", "written", "rows/s", "fitting, s"]
    print(table_head([*names, "memory of a rank, MB", "loss"]))
    with tempfile.TemporaryDirectory() as data:
        write(Path(data), arguments.rows)
        alone = 0.0
        for ranks in arguments.ranks:
            results = measure(ranks, "benchmarks.training_ranks", [data, arguments.batch_size])
            first = results[0]
            sent = sum(result["written"] for result in results) / first["steps"]
            alone = sent if ranks == 1 else alone
            expected = 2 * (ranks - 1) * (first["parameters"] * 4 + 8)
            slowest, fitting, largest = (
                max(result[name] for result in results) for name in ("seconds", "fitting", "memory")
            )
            kilobytes = [f"{size / 1e3:,.1f}" for size in (expected, sent - alone)]
            speed = [f"{first['rows'] / slowest:,.0f}", f"{fitting:.2f}"]
            ends = [f"{largest / 1e6:.0f}", f"{first['loss']:.6f}"]
            print(table_row([ranks, f"{first['parameters']:,.0f}", *kilobytes, *speed, *ends]), flush=True)
    return None


if __name__ == "__main__":
    main()
