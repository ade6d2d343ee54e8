"""A run folder: the configuration that rebuilds a model, its weights, and what it predicts.

config.json             how rows become tensors, the network, the training, the SHA-256 of the weights
weights.safetensors     the network's parameters
metrics.json            scores and the history of the training
"""

import copy
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lphm._io import read_json, write_atomically, write_json
from lphm.data.columns import row_number
from lphm.data.progress import Progress
from lphm.errors import InputError
from lphm.learn.config import NetworkRunConfig, PatternRunConfig, RunConfig, build_network
from lphm.learn.devices import available_device, keep_freed_memory
from lphm.learn.options import DeviceName
from lphm.learn.torch_state import on_the_cpu
from lphm.learn.unfinished import no_model
from lphm.nn.network import InterdependenceNetwork
from lphm.nn.pattern_network import PatternNetwork
from lphm.nn.patterns import BLOCK

CONFIG, WEIGHTS, METRICS = "config.json", "weights.safetensors", "metrics.json"
HASH = "weights_sha256"
#: Most numbers of the embedded samples of a block, of all blocks side by side, and most samples of a block.
BLOCK_NUMBERS, SIDE_NUMBERS, MOST_SAMPLES = 2**17, 2**19, 16
#: The same for the one block on another device than a CPU.
DEVICE_NUMBERS, MOST_DEVICE_SAMPLES = 2**21, 1024


@dataclass(frozen=True)
class Run:
    """A trained network, the configuration that made it, and where it predicts."""

    config: RunConfig
    network: InterdependenceNetwork | PatternNetwork  # stays on the CPU; predictions elsewhere use a copy
    device: DeviceName = "auto"

    @on_the_cpu()
    @torch.inference_mode()
    def outputs(self, inputs: pd.DataFrame | np.ndarray, progress: Progress | None = None) -> Tensor:
        """The combined outputs of the members for every sample, ``(N, outputs)``, on the CPU.

        Samples are computed in blocks of one size, of which the last is filled up, and every block has
        products of its own, also where several are computed side by side: the same products see the same
        shapes, so an answer is the same bit for bit whatever samples it is asked for with.

        Raises:
            InputError: the samples are not like those of the training, or an output is not finite.
        """
        keep_freed_memory()
        device, network = available_device(self.device), self.network.eval()
        if device != "cpu":
            network = copy.deepcopy(network).to(device)
        size, least, most = _blocks(network, device)
        encoded, side_by_side = self.config.input.encode(inputs), network
        outputs: list[Tensor] = []
        done, total = 0, len(encoded)
        while done < total or not outputs:
            blocks = min(max(math.ceil((total - done) / size), least), most)
            if isinstance(network, InterdependenceNetwork) and blocks != side_by_side.copies:
                side_by_side = network.side_by_side(blocks)
            part = encoded[done : done + size * blocks]
            filler = encoded.new_zeros(size * blocks - len(part), *encoded.shape[1:])
            members = side_by_side(torch.cat([part, filler]).to(device)).cpu()
            outputs.append(self.config.target.combine(members.contiguous())[: len(part)])
            done += len(part)
            if progress is not None:
                progress("predicting", done, total)
        combined = torch.cat(outputs)
        finite = combined.isfinite().all(dim=1)
        if not bool(finite.all()):
            row = int(finite.int().argmin())
            number = row_number(inputs.index, row) if isinstance(inputs, pd.DataFrame) else row + 1
            raise InputError(
                f"predictions must be finite numbers, got {combined[row].tolist()} for row {number}; "
                "its numbers are too far from those of the training"
            )
        return combined

    def predict(self, inputs: pd.DataFrame | np.ndarray, progress: Progress | None = None) -> pd.DataFrame:
        """The target for every sample; for classification also the probability of each class."""
        return self.config.target.decode(self.outputs(inputs, progress=progress))


def _blocks(network: InterdependenceNetwork | PatternNetwork, device: str) -> tuple[int, int, int]:
    """Samples in a block, and the least and the most blocks that are computed side by side.

    On a CPU blocks are so small that a single sample is cheap, and so many that the operators are filled.
    """
    if isinstance(network, PatternNetwork):
        return BLOCK, 1, 1
    numbers = network.members * network.embedding.rows * network.width  # of a sample
    if device != "cpu":
        return _power_of_two(DEVICE_NUMBERS / numbers, MOST_DEVICE_SAMPLES), 1, 1
    size = _power_of_two(BLOCK_NUMBERS / numbers, MOST_SAMPLES)
    # A product that is alone in its batch may be rounded differently.
    least = 2 if 1 in (network.members, network.embedding.products) else 1
    return size, least, max(SIDE_NUMBERS // (numbers * size), least)


def _power_of_two(number: float, most: int) -> int:
    """The largest one that is neither above ``number`` nor above ``most``; at least 1."""
    return min(1 << int(math.log2(max(number, 1))), most)


def save_run(run: Run, folder: Path, metrics: dict[str, Any]) -> None:
    """Write the run folder; the configuration last, so that a folder that has one is whole."""
    weights = {name: tensor.contiguous() for name, tensor in run.network.state_dict().items()}
    content = save_tensors(weights)
    with write_atomically(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    write_json(folder / METRICS, metrics)
    config = run.config.model_dump(mode="json")
    write_json(folder / CONFIG, config | {HASH: hashlib.sha256(content).hexdigest()})


@on_the_cpu()
def load_run(folder: Path) -> Run:
    """Read a run folder back.

    The network is built without memory and checked against the weights before it takes any, so a
    damaged configuration cannot ask for terabytes.

    Raises:
        InputError: the folder or a file in it is missing, damaged, or does not fit the others.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise no_model(folder) or InputError(f"{folder} is not a run folder (it has no {CONFIG})")
    content = read_json(path)
    sha256 = content.pop(HASH, None)
    try:
        by_ridge = content.get("method") == "ridge"
        config = (PatternRunConfig if by_ridge else NetworkRunConfig).model_validate(content)
        with torch.device("meta"):
            network = build_network(config)
    except ValidationError as error:
        raise InputError(f"{path} must describe a run, got at {first_problem(error)}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    network.load_state_dict(_load_weights(folder / WEIGHTS, network.state_dict(), sha256), assign=True)
    return Run(config, network.eval())


def first_problem(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"


def _load_weights(path: Path, expected: dict[str, Tensor], sha256: object) -> dict[str, Tensor]:
    """The finite tensors in the file of that hash, with the names, shapes and types of those expected."""
    try:
        content = path.read_bytes()
        weights = load_tensors(content)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} must be a readable safetensors file, got: {error}") from error
    right, present = (
        {name: f"{tuple(tensor.shape)} {tensor.dtype}" for name, tensor in each.items()}
        for each in (expected, weights)
    )
    for name in sorted(right | present):
        if right.get(name) != present.get(name):
            wanted, got = right.get(name, "absent"), present.get(name, "absent")
            raise InputError(f"{path}: tensor {name!r} must be {wanted}, got {got}")
        if not bool(weights[name].isfinite().all()):
            raise InputError(f"{path}: tensor {name!r} must hold finite numbers, got inf or nan; train again")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{path} must hold the weights of its {CONFIG}, which has their SHA-256 as {HASH}, got others; "
            "restore both files, or train again"
        )
    return weights
