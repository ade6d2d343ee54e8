"""One rank of a training in float64; the first writes the weights to the file that is named.

    python ranks_worker.py FILE.safetensors

with RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT set, or none of them.
"""

import sys

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from lphm.data.batches import MemoryBatches
from lphm.data.dataset import Dataset, fit_inputs
from lphm.data.targets import fit_target
from lphm.distributed import process_group, rank, ranks
from lphm.learn import lightning as loop
from lphm.learn.config import configure
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.run import build_network


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((101, 5)), columns=list("abcde"))
    data = Dataset("drawn", table, pd.Series(table["a"] * table["b"] + rng.standard_normal(101), name="y"))
    inputs, target = fit_inputs(data), fit_target(data.target, "regression")
    network = NetworkOptions(width=8, members=2, dropout=0.0)
    training = TrainingOptions(epochs=3, batch_size=17)  # 101 = 5 · 17 + 16, and no share is alike
    config = configure("drawn", inputs, target, len(data), network, training)
    torch.manual_seed(0)
    model = build_network(config).double()
    weight = torch.from_numpy(rng.uniform(0, 2, 101))
    weight[:20] = 0
    x, y = inputs.encode(table).double(), target.encode(data.target).double()
    with process_group(60):
        batches = MemoryBatches(x, y, weight, 17, 0, True, rank(), ranks())
        held_out = MemoryBatches(x[:31], y[:31], weight[20:51], 8, 0, False, rank(), ranks())
        history = loop.fit(model, config, batches, held_out)
        first = rank() == 0
    if first:
        lines = {
            f"{name} {i}": torch.tensor(value, dtype=torch.float64)
            for i, line in enumerate(history.lines)
            for name, value in line.items()
        }
        save_file({**model.state_dict(), **lines}, sys.argv[1])


if __name__ == "__main__":
    main()
