"""A run folder: the configuration that rebuilds a model, its weights, and what it predicts.

config.json             how rows become tensors, the network, the training
weights.safetensors     the network's parameters
metrics.json            scores and the history of the training
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from lphm._io import write_atomically, write_json
from lphm.data.schema import FeatureSchema, InputSchema
from lphm.data.targets import Strict, TargetSchema
from lphm.errors import InputError
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.network import Ensemble, InterdependenceNetwork
from lphm.structures import from_config

CONFIG, WEIGHTS, METRICS = "config.json", "weights.safetensors", "metrics.json"


class NetworkConfig(Strict):
    """Sizes of the network; a structure is what its ``to_config()`` says, or None for no such mixing."""

    width: int = Field(ge=1, le=2**20)
    blocks: int = Field(ge=1, le=1000)
    channels: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    members: int = Field(ge=1, le=1000)
    attribute: dict[str, Any] | None
    instance: dict[str, Any] | None


class TrainingConfig(Strict):
    """How the network is trained."""

    seed: int = Field(ge=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    patience: int = Field(ge=1)


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
    return RowEmbedding(schema.rows, schema.columns, width)


def build_network(config: RunConfig) -> Ensemble:
    """The network that the configuration describes, with fresh weights.

    Raises:
        InputError: sizes in it do not fit each other.
    """
    options = config.network
    try:
        attribute = from_config(options.attribute) if options.attribute is not None else None
        instance = from_config(options.instance) if options.instance is not None else None
        members = []
        for _ in range(options.members):
            embedding = build_embedding(config.input, options.width)
            for what, structure, n in (
                ("rows", attribute, embedding.rows),
                ("width", instance, options.width),
            ):
                if structure is not None and structure.n != n:
                    raise ValueError(
                        f"the {what} of the network must be the structure's n, got {n} and {structure}"
                    )
            members.append(
                InterdependenceNetwork(
                    embedding,
                    options.width,
                    config.target.outputs,
                    attribute,
                    instance,
                    options.blocks,
                    options.channels,
                    options.dropout,
                )
            )
        return Ensemble(members)
    except (ValueError, TypeError) as error:
        raise InputError(f"the network cannot be built: {error}") from error


@dataclass(frozen=True)
class Run:
    """A trained network and the configuration that made it."""

    config: RunConfig
    network: Ensemble

    @torch.inference_mode()
    def outputs(
        self,
        inputs: pd.DataFrame | np.ndarray,
        batch_size: int = 1024,
        dtype: torch.dtype = torch.float32,
        after: Callable[[int], None] | None = None,
    ) -> torch.Tensor:
        """What the members say together for every sample, ``(N, outputs)``, computed in ``dtype``.

        ``after`` is called with the samples of each batch that is done.
        """
        network = self.network.eval()
        if dtype != torch.float32:
            network = copy.deepcopy(network).to(dtype)
        encoded = self.config.input.encode(inputs).to(dtype)
        said = []
        for part in torch.split(encoded, batch_size):
            said.append(network(part))
            if after is not None:
                after(len(part))
        return self.config.target.combine(torch.cat(said))

    def predict(
        self, inputs: pd.DataFrame | np.ndarray, after: Callable[[int], None] | None = None
    ) -> pd.DataFrame:
        """The target for every sample; for classification also the probability of each class."""
        return self.config.target.decode(self.outputs(inputs, after=after))


# Writing.


def save_run(run: Run, folder: Path, metrics: dict[str, Any]) -> None:
    """Write the run folder; the configuration last, so that a folder that has one is whole."""
    weights = {name: tensor.contiguous() for name, tensor in run.network.state_dict().items()}
    with write_atomically(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save_tensors(weights))
    write_json(folder / METRICS, metrics)
    write_json(folder / CONFIG, run.config.model_dump(mode="json"))


# Reading.


def load_run(folder: Path) -> Run:
    """Read a run folder back.

    The network is built without memory and checked against the weights before it takes any, so a
    damaged configuration cannot ask for terabytes.

    Raises:
        InputError: the folder or a file in it is missing, damaged, or does not fit the others.
    """
    config = _load_config(folder)
    try:
        with torch.device("meta"):
            network = build_network(config)
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    try:
        weights = load_tensors(_read(folder / WEIGHTS))
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS} must be a whole safetensors file, got: {error}") from error
    expected = network.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights or name not in expected:
            word = "without" if name not in weights else "with the unknown"
            raise InputError(
                f"{folder / WEIGHTS} must hold the network's weights, got a file {word} {name!r}"
            )
        must, got = expected[name], weights[name]
        if got.shape != must.shape or got.dtype != must.dtype:
            raise InputError(
                f"{folder / WEIGHTS}: {name!r} must be {tuple(must.shape)} {must.dtype}, "
                f"got {tuple(got.shape)} {got.dtype}"
            )
    network.load_state_dict(weights, assign=True)
    return Run(config, network.eval())


def read_metrics(folder: Path) -> dict[str, Any]:
    """Scores and history of a run.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        content = json.loads(_read(folder / METRICS))
    except ValueError as error:
        raise InputError(f"{folder / METRICS} must be JSON, got: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{folder / METRICS} must hold an object, got {type(content).__name__}")
    return content


def _load_config(folder: Path) -> RunConfig:
    path = folder / CONFIG
    if not folder.is_dir():
        raise InputError(f"a run must be a folder that 'lphm train' wrote, got {folder}, which is none")
    try:
        return RunConfig.model_validate_json(_read(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path} must describe a run, got at {where}: {first['msg']}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}") from error
