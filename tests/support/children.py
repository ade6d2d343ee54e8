"""Functions that tests run in processes of their own; see ``support.forked``."""

import json
import os
import resource
import runpy
import signal
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from lphm._io import write_atomically, write_json
from lphm.data.batches import MemoryBatches
from lphm.data.dataset import Dataset, fit_inputs
from lphm.data.parquet import ParquetStream
from lphm.data.parquet_batches import StreamBatches
from lphm.data.parquet_schema import fit_stream
from lphm.data.targets import fit_target
from lphm.distributed import process_group, rank, world_size
from lphm.learn import clock, loop
from lphm.learn.config import build_network
from lphm.learn.defaults import configure
from lphm.learn.monitor import Epoch, Monitor
from lphm.learn.options import NetworkOptions, TrainingOptions
from lphm.learn.training import learn
from lphm.nn import BilinearInterdependence
from lphm.streamed import files, job
from lphm.streamed.weights import read_weights
from lphm.structures import LPHM
from support.forked import lphm
from support.loggers import Recorder


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def write_until_killed(*paths: Path) -> None:
    """Killed in the middle of writing these files."""
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(write_atomically(path)).write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def signal_whose_error_is_ignored(number: signal.Signals, *arguments: str) -> None:
    """The command line, which gets the signal in a destructor, while it opens the table."""

    class Signalling:
        def __del__(self) -> None:
            signal.raise_signal(number)

    waiting = [Signalling()]

    def hook(event: str, about: tuple[object, ...]) -> None:
        if event == "open" and str(about[0]).endswith("t.csv"):
            waiting.clear()

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started it in background
    sys.addaudithook(hook)
    lphm(*arguments)


def print_accuracies(example: str) -> None:
    """Run an example whose ``main`` gives accuracies; prints them as JSON."""
    warnings.simplefilter("default")  # of what the example imports
    print(json.dumps(runpy.run_path(example)["main"]()))


def train_in_float64(file: Path) -> None:
    """One rank of a training without rounding; the first writes weights and losses to a file."""
    warnings.simplefilter("error", UserWarning)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((101, 5)), columns=list("abcde"))
    data = Dataset("drawn", table, pd.Series(table["a"] * table["b"] + rng.standard_normal(101), name="y"))
    inputs, target = fit_inputs(data), fit_target(data.target, "regression")
    network = NetworkOptions(width=8, members=2, dropout=0.0)
    training = TrainingOptions(epochs=3, batch_size=17)  # 101 = 5 · 17 + 16: the shares differ
    config = configure("drawn", inputs, target, len(data), network, training)
    torch.manual_seed(0)
    model = build_network(config).double()
    weight = torch.from_numpy(rng.uniform(0, 2, 101))
    weight[:20] = 0
    x, y = inputs.encode(table).double(), target.encode(data.target).double()
    with process_group(60):
        share = {"rank": rank(), "world_size": world_size()}
        batches = MemoryBatches(x, y, weight, 17, 0, **share)
        held_out = MemoryBatches(x[:31], y[:31], weight[20:51], 8, 0, shuffle=False, **share)
        history = loop.fit(model, config, batches, held_out)
        is_first = rank() == 0
    if is_first:
        losses = {
            f"{name} {i}": torch.tensor(value, dtype=torch.float64)
            for i, line in enumerate(history.lines)
            for name, value in line.items()
        }
        save_file({**model.state_dict(), **losses}, file)


def train_with_recorders(folder: Path) -> None:
    """One rank of a training that a callback stops; writes what its callback and its logger were given."""
    warnings.simplefilter("error", UserWarning)
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((40, 3)), columns=list("abc"))
    data = Dataset("drawn", table, pd.Series(table["a"], name="y"))
    seen: list[int] = []

    def stop(epoch: Epoch) -> bool:
        seen.append(epoch.epoch)
        return epoch.epoch == 2

    with process_group(60):
        logger = Recorder()
        options = NetworkOptions(width=8, members=1), TrainingOptions(epochs=5)
        trained = learn(data, *options, "regression", monitor=Monitor(stop, logger))
        told = {"epochs": len(trained.history.lines), "callbacks": seen}
        told["logger"] = [name for name, _ in logger.calls]
        write_json(folder / f"{rank()}.json", told)


def layer_of_another_user(uid: int, without: list[str]) -> None:
    """Prints the shape of what a layer gives that user, whose environment lacks some variables."""
    for name in without:
        del os.environ[name]
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    layer = BilinearInterdependence(LPHM(n=256, p=16, q=16, r=4))
    print(*layer(torch.randn(256, 64)).shape)


def exit_after_two_epochs(*arguments: object) -> None:
    """The quiet command line, which ends with exit code 7 once the second epoch is saved."""

    def stop(task: str, done: int, total: int, status: str = "") -> None:
        if status.startswith("epoch 2 of"):
            os._exit(7)

    loop.no_progress = stop
    lphm(*arguments, "--quiet")


def train_by_clocks_that_differ(*arguments: object) -> None:
    """The command line; the clock of every rank is faster than that of the rank before it."""
    speed = 1 + int(os.environ["RANK"])
    clock.time = SimpleNamespace(perf_counter=lambda: speed * time.perf_counter())  # type: ignore[assignment]
    lphm(*arguments)


def read_an_epoch(folder: Path) -> None:
    """Fit the schemas of a stream and read an epoch; prints the training rows and the peak memory."""
    stream = ParquetStream(folder, "y")
    batches = StreamBatches(stream, "train", fit_stream(stream), 256, seed=0)
    print(sum(len(y) for _, y, _ in batches.epoch(0)), peak_megabytes())


def apply_rows(source: Path, output: Path, kill_after: int | None = None, resume: bool = False) -> None:
    """Apply xi to the rows of a file in small blocks; prints the peak memory.

    Killed after so many parts, if asked for.
    """
    files.BLOCK_BYTES = files.GROUP_BYTES = 2**20
    rows, parts = files.open_rows(source), 0
    structure = LPHM(n=rows.rows, p=50, r=2)
    content = job.part_content

    def content_of_all_but_the_last(*arguments: object) -> bytes:
        nonlocal parts
        if parts == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        parts += 1
        return content(*arguments)  # type: ignore[arg-type]

    job.part_content = content_of_all_but_the_last  # type: ignore[assignment]
    job.apply_file(rows, output, structure, read_weights(None, structure, 0), resume=resume)
    print(peak_megabytes())
