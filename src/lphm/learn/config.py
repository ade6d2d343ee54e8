"""What a user left open is settled: the sizes of the network and the length of its training."""

import math
from dataclasses import fields
from typing import Any

import torch

from lphm.data.schema import InputSchema
from lphm.data.targets import TargetSchema
from lphm.errors import InputError
from lphm.learn.options import NetworkOptions, Optimizer, Sizes, TrainingOptions
from lphm.learn.run import NetworkConfig, RunConfig, TrainingConfig, build_embedding
from lphm.structures.named import structure_for

#: Optimizer steps where the number of epochs is not given: half as many as there are rows, within these
#: bounds. A longer training would learn a small table by heart.
FEWEST_STEPS, MOST_STEPS = 200, 1500
#: From SMALL rows on, at least so many epochs.
FEWEST_EPOCHS = 20
#: Large tables: instead, enough epochs for so many optimizer steps, at least one.
ENOUGH_STEPS = 20_000
#: A network with little dropout learns fewer training rows than this by heart.
SMALL = 1000


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
    with torch.device("meta"):
        embedded_rows = build_embedding(schema, network.width).rows
    sizes = NetworkConfig(
        **{field.name: getattr(network, field.name) for field in fields(Sizes)},
        dropout=network.dropout if network.dropout is not None else (0.4 if rows < SMALL else 0.2),
        attribute=_structure("attribute", embedded_rows, network),
        instance=_structure("instance", network.width, network),
    )
    settled = training_config(training, rows)
    return RunConfig(source=source, input=schema, target=target, network=sizes, training=settled)


def _structure(kind: str, n: int, options: NetworkOptions) -> dict[str, Any] | None:
    if options.kind not in (kind, "both"):
        return None
    try:
        return structure_for(options.structure, n, *options.sizes).to_config()
    except ValueError as error:
        raise InputError(f"the {kind} interdependence, whose W is {n} x {n}: {error}") from error


def training_config(options: TrainingOptions, rows: int) -> TrainingConfig:
    """The training on so many rows."""
    batch_size = options.batch_size or min(256, max(16, 2 ** round(math.log2(max(rows, 20) / 20))))
    steps = min(max(rows // 2, FEWEST_STEPS), MOST_STEPS)
    batches = math.ceil(rows / batch_size)
    fewest = 1 if rows < SMALL else min(FEWEST_EPOCHS, math.ceil(ENOUGH_STEPS / batches))
    epochs = options.epochs or max(fewest, math.ceil(steps / batches))
    return TrainingConfig(
        seed=options.seed,
        epochs=epochs,
        batch_size=batch_size,
        **{field.name: getattr(options, field.name) for field in fields(Optimizer)},
        patience=options.patience or math.ceil(epochs / 2),
    )
