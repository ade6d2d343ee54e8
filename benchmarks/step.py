"""What a training step of the default network for tables costs, by the interdependences that it has.

Forward and backward, in milliseconds of CPU time on one thread: the median over the rounds, in which the
networks take turns. The table has 20 columns of numbers.

    python -m benchmarks.step
    python -m benchmarks.step --members 2 --rows 128 256 --rounds 100
"""

import argparse
import time
from collections.abc import Iterator
from itertools import product
from statistics import median
from typing import Any

import pandas as pd
import torch

from benchmarks.fitting import classes
from benchmarks.tables import table_head, table_row
from lphm.data.dataset import Dataset
from lphm.learn.config import build_network
from lphm.learn.devices import keep_freed_memory
from lphm.learn.options import KindName, NetworkOptions, TrainingOptions
from lphm.learn.preparation import encode

KINDS: tuple[KindName, ...] = ("none", "attribute", "instance", "both")


class Step:
    """A network of one kind, and a batch of a table of 2,000 rows."""

    def __init__(self, kind: KindName, members: int, rows: int) -> None:
        (X, y), _ = classes(2000)
        table = pd.DataFrame(X).add_prefix("x")
        data = Dataset("classes", table, pd.Series(y, name="y"), None)
        options = NetworkOptions(kind=kind, members=members)
        prepared = encode(data, options, TrainingOptions(), "classification")
        torch.manual_seed(0)
        self.network, self.target = build_network(prepared.config).train(), prepared.config.target
        self.batch = tuple(
            part[:rows] for part in (prepared.train.x, prepared.train.y, prepared.train.weight)
        )

    def __call__(self) -> float:
        """Take the step, and return its CPU time in seconds."""
        x, y, weight = self.batch
        start = time.process_time()
        self.target.training_loss(self.network(x), y, weight).backward()
        return time.process_time() - start


def run(members: list[int], rows: list[int], rounds: int) -> Iterator[dict[str, Any]]:
    """The median time of every kind, for each number of members and of rows."""
    keep_freed_memory()
    for count, size in product(members, rows):
        steps = {kind: Step(kind, count, size) for kind in KINDS}
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(rounds + 3):
            for kind, step in steps.items():
                taken = step()
                if number >= 3:  # the first ones are slower
                    times[kind].append(1000 * taken)
        yield {"members": count, "rows": size, **{kind: median(times[kind]) for kind in KINDS}}


def main(arguments: list[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--members", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--rows", nargs="+", type=int, default=[32, 128])
    parser.add_argument("--rounds", type=int, default=60)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(table_head(["members", "rows", *KINDS, "none / attribute"]))
    for row in run(chosen.members, chosen.rows, chosen.rounds):
        times = [f"{row[kind]:.2f}" for kind in KINDS]
        ratio = f"{row['none'] / row['attribute']:.2f}"
        print(table_row([row["members"], row["rows"], *times, ratio]), flush=True)


if __name__ == "__main__":
    main()
