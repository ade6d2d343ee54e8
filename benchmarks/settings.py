"""The options of a measurement, and the machine that it ran on."""

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import lphm.ops.cpp

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PACKAGES = (
    "lphm",
    "numpy",
    "opt_einsum",
    "linear_operator",
    "cola-ml",
    "lycoris-lora",
    "pyfastkron",
    "tinybig",
)


@dataclass(frozen=True)
class Settings:
    """The options that the results depend on."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 2
    rounds: int = 31
    normalize: str | None = None
    largest_dense: int = 4096

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of every tensor except the oracle's."""
        return DTYPES[self.dtype]

    def __str__(self) -> str:
        where = torch.cuda.get_device_name() if self.device == "cuda" else f"CPU, {self.threads} thread(s)"
        softmax = f", {self.normalize}" if self.normalize else ""
        compiled = "" if lphm.ops.cpp.operator() is None else ", lphm compiled (python -m lphm.ops.cpp)"
        return f"{self.dtype}, {where}{softmax}{compiled}"


def header(settings: Settings) -> dict[str, Any]:
    """The machine, the versions and the options, which every JSON file begins with."""
    machine = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_build": [line.strip() for line in torch.__config__.show().splitlines() if line.strip()],
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": commit(),
        "compiled": lphm.ops.cpp.operator() is not None,  # python -m lphm.ops.cpp
    }
    if settings.device == "cuda":
        machine["gpu"] = torch.cuda.get_device_name()
        machine["cuda"] = torch.version.cuda
    return {"machine": machine, "settings": asdict(settings)}


def _cpu_model() -> str:
    """The model's name; on Linux, Python knows only the architecture."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The measured commit, marked if the working tree differs from it; None outside a clone."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        described = subprocess.run([*command, "--exclude", "*"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
