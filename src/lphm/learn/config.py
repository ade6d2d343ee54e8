"""The configuration of a run: how samples become tensors, what learns from them, and how it was trained."""

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated

from lphm.data.schema import FeatureSchema, InputSchema, SeriesSchema
from lphm.data.targets import Strict, TargetSchema
from lphm.errors import InputError
from lphm.learn.options import Checked, Count, Few, Optimizer, Positive, Seed, Share, Sizes
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.network import InterdependenceNetwork
from lphm.nn.pattern_network import PatternNetwork
from lphm.nn.patterns import LocalPatterns
from lphm.structures import from_config

STRICT = ConfigDict(extra="forbid")


@validated(kw_only=True, config=STRICT)
class NetworkConfig(Sizes, Checked):
    """The network, with everything settled; a structure is its ``to_config()``, or None if there is none."""

    channels: Count
    instance_channels: Count
    members: Few
    dropout: Share
    attribute: dict[str, Any] | None
    instance: dict[str, Any] | None


@validated(kw_only=True, config=STRICT)
class TrainingConfig(Optimizer, Checked):
    """How the network is trained, with everything settled."""

    learning_rate: Positive
    seed: Seed
    epochs: Count
    batch_size: Count
    patience: Count


@validated(kw_only=True, config=STRICT)
class PatternConfig(Checked):
    """The local patterns of series."""

    groups: Few = 4  # of maps, at each dilation
    maps: Few = 16  # in a group


class _Config(Strict):
    """What every run has."""

    format: Literal[7] = 7
    source: str
    input: InputSchema
    target: TargetSchema


class NetworkRunConfig(_Config):
    """A network that was trained by gradient descent."""

    method: Literal["network"] = "network"
    network: NetworkConfig
    training: TrainingConfig


class PatternRunConfig(_Config):
    """Ridge regression on the local patterns of series."""

    method: Literal["ridge"] = "ridge"
    patterns: PatternConfig
    seed: Annotated[int, Field(ge=0, lt=2**31)]


#: Everything but the weights.
RunConfig: TypeAlias = NetworkRunConfig | PatternRunConfig


def build_embedding(
    schema: InputSchema, width: int, members: int, channels: int
) -> FeatureEmbedding | RowEmbedding:
    """The embedding of rows that the schema encodes; its rows are filled up so that channels divide them."""
    shape = (width, members, math.lcm(4, channels))
    if isinstance(schema, FeatureSchema):
        edges = [column.standardised_edges for column in schema.numeric]
        return FeatureEmbedding(edges, len(schema.categorical), schema.vocabulary, *shape)
    of_series = (schema.ragged, schema.gaps) if isinstance(schema, SeriesSchema) else ()
    return RowEmbedding(len(schema.labels), len(schema.column_labels), *shape, *of_series)


def build_network(config: RunConfig) -> InterdependenceNetwork | PatternNetwork:
    """The network that the configuration describes, with fresh weights.

    Raises:
        InputError: sizes in it do not fit each other.
    """
    try:  # in float32, whatever type torch has by default
        if isinstance(config, PatternRunConfig):
            return _pattern_network(config).float()
        return _interdependence_network(config).float()
    except (ValueError, TypeError) as error:
        raise InputError(f"the network cannot be built: {error}") from error


def _pattern_network(config: PatternRunConfig) -> PatternNetwork:
    steps, channels, sizes = len(config.input.labels), len(config.input.column_labels), config.patterns
    gaps = config.input.gaps if isinstance(config.input, SeriesSchema) else ()
    patterns = LocalPatterns(steps, channels, sizes.groups, sizes.maps, gaps=gaps)
    return PatternNetwork(patterns, config.target.outputs)


def _interdependence_network(config: NetworkRunConfig) -> InterdependenceNetwork:
    sizes = config.network
    embedding = build_embedding(config.input, sizes.width, sizes.members, sizes.channels)
    attribute = None if sizes.attribute is None else from_config(sizes.attribute)
    instance = None if sizes.instance is None else from_config(sizes.instance)
    for name, n, structure in (("rows", embedding.rows, attribute), ("width", sizes.width, instance)):
        if structure is not None and structure.n != n:
            raise ValueError(f"n of the structure must be the network's {name}, got {structure} and {n}")
    return InterdependenceNetwork(
        embedding,
        sizes.width,
        config.target.outputs,
        attribute,
        instance,
        sizes.blocks,
        sizes.channels,
        sizes.instance_channels,
        sizes.dropout,
    )
