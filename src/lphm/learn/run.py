"""A run folder: the configuration that rebuilds a model, its weights, and what it predicts.

config.json             how rows become tensors, the network, the training
weights.safetensors     the network's parameters
metrics.json            scores and the history of the training
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as validated
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lphm._io import read_json, write_atomically, write_json
from lphm.data.progress import Progress
from lphm.data.schema import FeatureSchema, InputSchema
from lphm.data.targets import Strict, TargetSchema
from lphm.errors import InputError
from lphm.learn.devices import available_device
from lphm.learn.options import Checked, Count, DeviceName, Optimizer, Seed, Share, Sizes
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.network import Ensemble, InterdependenceNetwork
from lphm.structures import from_config

CONFIG, WEIGHTS, METRICS = "config.json", "weights.safetensors", "metrics.json"
STRICT = ConfigDict(extra="forbid")


@validated(kw_only=True, config=STRICT)
class NetworkConfig(Sizes, Checked):
    """The network, with everything settled; a structure is its ``to_config()``, or None if there is none."""

    dropout: Share
    attribute: dict[str, Any] | None
    instance: dict[str, Any] | None


@validated(kw_only=True, config=STRICT)
class TrainingConfig(Optimizer, Checked):
    """How the network is trained, with everything settled."""

    seed: Seed
    epochs: Count
    batch_size: Count
    patience: Count


class RunConfig(Strict):
    """Everything but the weights."""

    format: Literal[2] = 2
    source: str
    input: InputSchema
    target: TargetSchema
    network: NetworkConfig
    training: TrainingConfig


def build_embedding(schema: InputSchema, width: int) -> FeatureEmbedding | RowEmbedding:
    """The embedding of rows that the schema encodes."""
    if isinstance(schema, FeatureSchema):
        return FeatureEmbedding(len(schema.numeric), len(schema.categorical), schema.vocabulary, width)
    return RowEmbedding(len(schema.labels), len(schema.column_labels), width)


def build_network(config: RunConfig) -> Ensemble:
    """The network that the configuration describes, with fresh weights.

    Raises:
        InputError: sizes in it do not fit each other.
    """
    try:
        return Ensemble([_member(config) for _ in range(config.network.members)])
    except (ValueError, TypeError) as error:
        raise InputError(f"the network cannot be built: {error}") from error


def _member(config: RunConfig) -> InterdependenceNetwork:
    sizes = config.network
    embedding = build_embedding(config.input, sizes.width)
    attribute = None if sizes.attribute is None else from_config(sizes.attribute)
    instance = None if sizes.instance is None else from_config(sizes.instance)
    for name, n, structure in (("rows", embedding.rows, attribute), ("width", sizes.width, instance)):
        if structure is not None and structure.n != n:
            raise ValueError(f"n of the structure must be the network's {name}, got {structure} and {n}")
    shape = (embedding, sizes.width, config.target.outputs)
    return InterdependenceNetwork(*shape, attribute, instance, sizes.blocks, sizes.channels, sizes.dropout)


@dataclass(frozen=True)
class Run:
    """A trained network, the configuration that made it, and where it predicts."""

    config: RunConfig
    network: Ensemble  # stays on the CPU; predictions elsewhere use a copy
    device: DeviceName = "auto"

    @torch.inference_mode()
    def outputs(
        self,
        inputs: pd.DataFrame | np.ndarray,
        batch_size: int = 1024,
        dtype: torch.dtype = torch.float32,
        progress: Progress | None = None,
    ) -> Tensor:
        """The combined outputs of the members for every sample, ``(N, outputs)``, computed in ``dtype``.

        The result is on the CPU, wherever it was computed.
        """
        device, network = available_device(self.device), self.network.eval()
        if device == "mps" and dtype == torch.float64:  # which mps does not have
            device = "cpu"
        if dtype != torch.float32 or device != "cpu":
            network = copy.deepcopy(network).to(device, dtype)
        encoded = self.config.input.encode(inputs).to(dtype)
        outputs: list[Tensor] = []
        for first in range(0, max(len(encoded), 1), batch_size):
            outputs.append(network(encoded[first : first + batch_size].to(device)).cpu())
            if progress is not None:
                progress("predicting", min(first + batch_size, len(encoded)), len(encoded))
        return self.config.target.combine(torch.cat(outputs))

    def predict(self, inputs: pd.DataFrame | np.ndarray, progress: Progress | None = None) -> pd.DataFrame:
        """The target for every sample; for classification also the probability of each class."""
        return self.config.target.decode(self.outputs(inputs, progress=progress))


def save_run(run: Run, folder: Path, metrics: dict[str, Any]) -> None:
    """Write the run folder; the configuration last, so that a folder that has one is whole."""
    weights = {name: tensor.contiguous() for name, tensor in run.network.state_dict().items()}
    with write_atomically(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save_tensors(weights))
    write_json(folder / METRICS, metrics)
    write_json(folder / CONFIG, run.config.model_dump(mode="json"))


def load_run(folder: Path) -> Run:
    """Read a run folder back.

    The network is built without memory and checked against the weights before it takes any, so a
    damaged configuration cannot ask for terabytes.

    Raises:
        InputError: the folder or a file in it is missing, damaged, or does not fit the others.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder (it has no {CONFIG})")
    content = read_json(path)
    try:
        config = RunConfig.model_validate(content)
        with torch.device("meta"):
            network = build_network(config)
    except ValidationError as error:
        raise InputError(f"{path} must describe a run, got at {first_problem(error)}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    network.load_state_dict(_load_weights(folder / WEIGHTS, network.state_dict()), assign=True)
    return Run(config, network.eval())


def first_problem(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"


def _load_weights(path: Path, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in a file, which must have the names, shapes and types of those expected."""
    try:
        weights = load_tensors(path.read_bytes())
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
    return weights
