"""What a user left open is settled: the sizes of the network and the length of its training."""

import math
from typing import Any

import torch

from lphm.data.schema import InputSchema
from lphm.data.targets import TargetSchema
from lphm.errors import InputError
from lphm.learn.options import NetworkOptions, TrainingOptions, structure_for
from lphm.learn.run import NetworkConfig, RunConfig, TrainingConfig, build_embedding

#: Length of a training where the number of epochs is not given: half as many steps as there are rows, but
#: within these bounds, and no fewer than 20 epochs of 1000 rows or more. A small table is learned by heart if
#: it is given longer.
FEWEST_STEPS, MOST_STEPS, FEWEST_EPOCHS = 200, 1500, 20
#: A large one is read so often that there are so many steps, and once at the least.
ENOUGH_STEPS = 20_000
#: Fewer training rows than this are learned by heart by a network with little dropout.
SMALL = 1000


def configure(
    source: str,
    schema: InputSchema,
    target: TargetSchema,
    rows: int,
    network: NetworkOptions,
    training: TrainingOptions,
) -> RunConfig:
    """Everything but the weights, for so many training rows; every size that was left open is settled."""
    return RunConfig(
        source=source,
        input=schema,
        target=target,
        network=_network_config(schema, network, rows),
        training=training_config(training, rows),
    )


def _network_config(schema: InputSchema, options: NetworkOptions, rows: int) -> NetworkConfig:
    width = options.width or 32
    with torch.device("meta"):
        embedded_rows = build_embedding(schema, width).rows

    def structure(kind: str, n: int) -> dict[str, Any] | None:
        try:
            return structure_for(options, n).to_config() if options.kind in (kind, "both") else None
        except (ValueError, TypeError) as error:
            raise InputError(f"the {kind} interdependence, whose W is {n} x {n}: {error}") from error

    return NetworkConfig(
        width=width,
        blocks=options.blocks,
        channels=options.channels,
        dropout=options.dropout if options.dropout is not None else (0.4 if rows < SMALL else 0.2),
        members=options.members,
        attribute=structure("attribute", embedded_rows),
        instance=structure("instance", width),
    )


def training_config(options: TrainingOptions, rows: int) -> TrainingConfig:
    """The training of so many rows."""
    batch_size = options.batch_size or min(256, max(16, 2 ** round(math.log2(max(rows, 20) / 20))))
    steps = min(max(rows // 2, FEWEST_STEPS), MOST_STEPS)
    batches = math.ceil(rows / batch_size)
    fewest = 1 if rows < SMALL else min(FEWEST_EPOCHS, math.ceil(ENOUGH_STEPS / batches))
    epochs = options.epochs or max(fewest, math.ceil(steps / batches))
    return TrainingConfig(
        seed=options.seed,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        patience=options.patience or math.ceil(epochs / 2),
    )
