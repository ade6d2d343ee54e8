"""``lphm apply`` on generated tables: seconds of each pass, bytes read, and peak memory.

python -m benchmarks.rows_on_disk [--rows 1000000 10000000] [--columns 64] [--r 8]

Needs free space of three times the largest table in the folder for temporary files.
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
from benchmarks.tables import table_head, table_row

GROUP = 500_000


def write(path: Path, rows: int, columns: int) -> None:
    """Write normal numbers as float32, with half a million rows in a row group."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(columns)]
    schema = pa.schema([(name, pa.float32()) for name in names])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        for start in range(0, rows, GROUP):
            values = rng.standard_normal((columns, min(GROUP, rows - start)), dtype=np.float32)
            writer.write_table(pa.table(dict(zip(names, values, strict=True))))


def main() -> None:
    """Measure every size and kind, and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 2_500_000, 5_000_000, 10_000_000])
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--r", type=int, default=8)
    parser.add_argument("--kind", nargs="+", default=["attribute", "instance"])
    arguments = parser.parse_args()
    print(f"lphm {lphm.__version__}, {arguments.columns} columns, r = {arguments.r}")
    passes = ("reducing", "mixing", "joining")
    timed = [f"{name}, s" for name in (*passes, "all")]
    print(table_head(["kind", "rows", "l", "GB read twice", *timed, "peak, MiB"]))
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "rows.parquet"
            write(table, rows, arguments.columns)
            for kind in arguments.kind:
                command = [sys.executable, "-m", "lphm", "apply", str(table), "--kind", kind, "--json"]
                command += ["--r", str(arguments.r), "-o", str(Path(folder) / "out.parquet")]
                start = time.monotonic()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                seconds = time.monotonic() - start
                result = json.loads(done.stdout)
                times = [f"{second:.1f}" for second in (*map(result["seconds"].get, passes), seconds)]
                size, peak = table.stat().st_size / 1e9, result["peak_memory_bytes"] / 2**20
                cells = [kind, f"{rows:,}", f"{result['parameters']:,}", f"{size:.2f}", *times, f"{peak:.0f}"]
                print(table_row(cells), flush=True)


if __name__ == "__main__":
    main()
