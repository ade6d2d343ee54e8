"""The arguments of an estimator: those of the network, checked, and all as a run folder keeps them."""

from typing import Any

import numpy as np
import pandas as pd

from lphm.learn.options import NetworkOptions, sizes_of
from lphm.structures.named import require_sizes

#: What to do in a search over the arguments, where sizes meet a structure that does not have them.
GRIDS = (
    "In a search over several structures, give a list with a grid for each: "
    '[{"structure": ["full"]}, {"structure": ["lphm"], "r": [1, 2]}]'
)


def network_options(arguments: dict[str, Any]) -> NetworkOptions:
    """The checked options of the network.

    Raises:
        ValueError: an argument is out of bounds, or a size is given that the structure does not have.
    """
    options = NetworkOptions(**arguments)
    if options.kind != "none":  # which has no W
        try:
            require_sizes(options.structure, sizes_of(options))
        except ValueError as error:
            raise ValueError(f"{error}. {GRIDS}") from None
    return options


def plain(value: Any) -> Any:
    """A parameter as JSON has it: arrays and numbers of numpy as those of Python, a dictionary as pairs."""
    if isinstance(value, dict):
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, np.ndarray | pd.Index | pd.Series):
        return value.tolist()
    if isinstance(value, list | tuple | range):
        return [plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value
