"""What follows from the data where an option is not given: the method, the sizes, the steps."""

import math
from dataclasses import fields
from typing import Any

import torch

from lphm.data.schema import FeatureSchema, InputSchema, SeriesSchema
from lphm.data.targets import TargetSchema
from lphm.errors import InputError
from lphm.learn.config import (
    NetworkConfig,
    NetworkRunConfig,
    PatternConfig,
    PatternRunConfig,
    RunConfig,
    TrainingConfig,
    build_embedding,
)
from lphm.learn.options import MethodName, NetworkOptions, Optimizer, Sizes, TrainingOptions, sizes_of
from lphm.structures.named import structure_for

#: Rows that defaults follow from. Small data are learned by heart with little dropout; large data do what
#: dropout and averaging do for smaller ones.
SMALL, LARGE = 1000, 5000
SMALL_TABLE = 2000
#: The most rows of X, such as the features of a table, of all members together, unless there is one member.
WIDE = 8192
#: Passes over the training part; and over that of a table below VERY_LARGE rows of at most so many features,
#: where early stopping ends those that are too many. A batch of few features takes little but overhead.
EPOCHS, TABLE_EPOCHS = 16, {12: 28, 24: 22, math.inf: 18}
VERY_LARGE = 20_000
#: Fewer samples than this, if no table, get the fewest optimizer steps: they are soon learned by heart.
FEW_SAMPLES = 450
#: Optimizer steps; there is at least one pass.
FEWEST_STEPS, MOST_STEPS = 160, 20_000

#: Most series, and most numbers of all series together, that ridge regression is the default for: it keeps
#: some 20,000 features of each.
MOST_SERIES, MOST_NUMBERS = 3000, 2**26
#: Options that both ways to learn have.
SHARED = {"method", "threads", "device", "seed", "balanced"}


def configure(
    source: str,
    schema: InputSchema,
    target: TargetSchema,
    rows: int,
    network: NetworkOptions,
    training: TrainingOptions,
) -> RunConfig:
    """Everything but the weights, for so many training rows; every size that was left open is settled.

    Raises:
        InputError: there is no ``W`` of the sizes that were asked for.
    """
    is_table, is_series = isinstance(schema, FeatureSchema), isinstance(schema, SeriesSchema)
    if _method(schema, rows, network, training) == "ridge":
        patterns = PatternConfig()
        return PatternRunConfig(
            source=source, input=schema, target=target, patterns=patterns, seed=training.seed
        )
    channels = network.channels or (1 if is_table else 4)
    with torch.device("meta"):
        embedded_rows = build_embedding(schema, network.width, 1, channels).rows
    kind = network.kind or ("attribute" if is_table else "both")
    dropout = 0.4 if rows < SMALL else 0.1 if rows < LARGE else 0.0
    if is_table:
        dropout = 0.2 if rows < SMALL_TABLE else 0.1
    sizes = NetworkConfig(
        **{field.name: getattr(network, field.name) for field in fields(Sizes)},
        channels=channels,
        instance_channels=network.instance_channels or math.gcd(4 if is_series else 1, network.width),
        members=network.members or max(min(4 if rows < LARGE else 2, WIDE // len(schema.labels)), 1),
        dropout=dropout if network.dropout is None else network.dropout,
        attribute=_structure("attribute", embedded_rows, network) if kind in ("attribute", "both") else None,
        instance=_structure("instance", network.width, network) if kind in ("instance", "both") else None,
    )
    settled = training_config(training, rows, schema)
    return NetworkRunConfig(source=source, input=schema, target=target, network=sizes, training=settled)


def _method(schema: InputSchema, rows: int, network: NetworkOptions, training: TrainingOptions) -> MethodName:
    """The method that is asked for, or the default; see ``NetworkOptions.method``."""
    choices = {
        field.name: value
        for options in (network, training)
        for field in fields(options)
        if field.name not in SHARED and (value := getattr(options, field.name)) != field.default
    }
    if network.method is None:
        few = isinstance(schema, SeriesSchema) and rows <= MOST_SERIES
        small = few and rows * len(schema.labels) * len(schema.column_labels) <= MOST_NUMBERS
        return "ridge" if small and not choices else "network"
    if network.method == "ridge" and not isinstance(schema, SeriesSchema):
        raise InputError("method must be network for tables and images, got 'ridge'", option="method")
    if network.method == "ridge" and choices:
        name, value = next(iter(choices.items()))
        raise InputError(f"{name} must be left out with the method ridge, got {value!r}", option=name)
    return network.method


def _structure(kind: str, n: int, options: NetworkOptions) -> dict[str, Any]:
    try:
        return structure_for(options.structure, n, **sizes_of(options)).to_config()
    except ValueError as error:
        raise InputError(f"the {kind} interdependence, whose W is {n} x {n}: {error}") from error


def training_config(options: TrainingOptions, rows: int, schema: InputSchema) -> TrainingConfig:
    """The training on so many rows, encoded by the schema."""
    is_table = isinstance(schema, FeatureSchema)
    # A large batch leaves a small table too few steps; a small one costs more for each row.
    size = min(rows / 20, max(32, math.sqrt(rows))) * (2 if is_table else 1)
    batch_size = options.batch_size or min(256, max(16, 2 ** round(math.log2(max(size, 1)))))
    batches = math.ceil(rows / batch_size)
    steps = min(max(_passes(rows, schema) * batches, FEWEST_STEPS), MOST_STEPS)
    epochs = options.epochs or math.ceil(steps / batches)
    chosen = {field.name: getattr(options, field.name) for field in fields(Optimizer)}
    chosen["learning_rate"] = options.learning_rate or (5e-3 if is_table else 2e-3)
    return TrainingConfig(
        seed=options.seed,
        epochs=epochs,
        batch_size=batch_size,
        **chosen,
        patience=options.patience or math.ceil(epochs / 4),
    )


def _passes(rows: int, schema: InputSchema) -> int:
    """Passes over the training part, as long as these are not too few or too many steps."""
    if not isinstance(schema, FeatureSchema):
        return EPOCHS if rows >= FEW_SAMPLES else 0
    if rows >= VERY_LARGE:
        return EPOCHS
    return next(passes for most, passes in TABLE_EPOCHS.items() if len(schema.labels) <= most)
