"""``lphm apply`` on a table that it makes first: seconds of each pass, bytes, and the memory it took.

python -m benchmarks.rows_on_disk [--rows 1000000 10000000] [--columns 64] [--r 8]

Needs three times the size of the largest table on disk, in the folder for temporary files.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import lphm

GROUP = 500_000


def write(path: Path, rows: int, columns: int) -> None:
    """Normal numbers, float32, half a million rows in a row group."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(columns)]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, rows, GROUP):
            values = rng.standard_normal((columns, min(GROUP, rows - start)), dtype=np.float32)
            writer.write_table(pa.table(dict(zip(names, values, strict=True))))


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 2_500_000, 5_000_000, 10_000_000])
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--r", type=int, default=8)
    parser.add_argument("--kind", nargs="+", default=["attribute", "instance"])
    arguments = parser.parse_args()
    print(f"lphm {lphm.__version__}, {arguments.columns} columns, r = {arguments.r}")
    names = (
        "kind",
        "rows",
        "l",
        "GB read twice",
        "reducing, s",
        "mixing, s",
        "joining, s",
        "all, s",
        "peak, MiB",
    )
    print("| " + " | ".join(names) + " |\n" + "| --- " * len(names) + "|")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "rows.parquet"
            write(table, rows, arguments.columns)
            for kind in arguments.kind:
                command = [sys.executable, "-m", "lphm", "apply", str(table), "--kind", kind, "--json"]
                command += ["--r", str(arguments.r), "-o", str(Path(folder) / "out.parquet")]
                begun = time.monotonic()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                told, seconds = json.loads(done.stdout), time.monotonic() - begun
                passes = " | ".join(
                    f"{told['seconds'][name]:.1f}" for name in ("reducing", "mixing", "joining")
                )
                size, peak = table.stat().st_size / 1e9, told["peak_memory_bytes"] / 2**20
                print(
                    f"| {kind} | {rows:,} | {told['parameters']:,} | {size:.2f} | {passes} "
                    f"| {seconds:.1f} | {peak:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
