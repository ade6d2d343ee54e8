"""Processes forked from a server that has imported the library once, so that each starts in an instant.

A function that runs in such a process is found by its name: it must be at the top of a module in ``support``.
"""

import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from lphm.__main__ import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["pytest", "lphm.cli", "lphm.learn.training", "lphm.report", "lphm.streamed.job"]
)


@dataclass(frozen=True)
class Ended:
    """Exit code, output and errors of a process."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Child:
    """A process that runs a function."""

    process: BaseProcess
    folder: Path

    def is_alive(self) -> bool:
        return self.process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self, timeout: float = 240) -> Ended:
        """Wait until it ends; it is killed if it does not in time."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        code = self.process.exitcode
        self.process.close()
        out, err = ((self.folder / name).read_text(encoding="utf-8") for name in ("out", "err"))
        shutil.rmtree(self.folder)
        return Ended(code, out, err)


def start(call: Callable[..., Any], *arguments: object, cwd: Path, **environment: object) -> Child:
    """Run ``call(*arguments)`` in a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="lphm-test-"))
    variables = {key: str(value) for key, value in environment.items()}
    process = CONTEXT.Process(target=_run, args=(call, arguments, cwd, folder, variables))
    process.start()
    return Child(process, folder)


def start_ranks(size: int, call: Callable[..., Any], *arguments: object, cwd: Path) -> list[Child]:
    """Run the call once for each rank of a group, with the environment that a launcher gives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        start(call, *arguments, cwd=cwd, **group, RANK=rank, LOCAL_RANK=rank, GROUP_RANK=0)
        for rank in range(size)
    ]


def lphm(*arguments: object) -> None:
    """The command line."""
    sys.argv = ["lphm", *map(str, arguments)]
    main()


def _run(
    call: Callable[..., Any], arguments: tuple[Any, ...], cwd: Path, folder: Path, variables: dict[str, str]
) -> None:
    os.chdir(cwd)
    os.environ.update(variables | {"COLUMNS": "100"})
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    torch.set_num_threads(1)
    call(*arguments)
