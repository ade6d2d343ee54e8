"""The processes of a group, started as a launcher would start them."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def start(size: int, command: list[str], cwd: Path | None = None) -> list[subprocess.Popen[str]]:
    """``python`` with this command, once for each rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    group = {
        "PYTHONPATH": path,
        "WORLD_SIZE": size,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    started = []
    for rank in range(size):
        own = group | {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "OMP_NUM_THREADS": 1}
        started.append(
            subprocess.Popen(
                [sys.executable, *command],
                cwd=cwd,
                env=os.environ | {key: str(value) for key, value in own.items()},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return started


def finish(processes: list[subprocess.Popen[str]], timeout: float = 240) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each; none is left behind."""
    try:
        said = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]
