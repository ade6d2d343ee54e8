"""Every choice about a network and its training, written once: name, type, bounds, default and help text.

The options of the command line, the arguments of the estimators, the fields of ``config.json`` and the checks
of all three come from these fields; the string below a field is its help text. ``None`` leaves a choice to
the data.

The classes are not frozen: scikit-learn sets the arguments of an estimator one by one (``set_params``).
"""

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from lphm.errors import InputError


@dataclass(frozen=True)
class Bounds:
    """What a number may be."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf

    def hold(self, value: float) -> bool:
        """Whether the value is finite and within the bounds."""
        return self.at_least <= value <= self.at_most and self.above < value < self.below

    def __str__(self) -> str:
        words = ("of at least", "above", "at most", "below")
        limits = zip(words, vars(self).values(), strict=True)
        return " and ".join(f"{word} {limit}" for word, limit in limits if math.isfinite(limit))


StructureName = Literal["lphm", "full", "low-rank", "hm", "dual-lphm", "toeplitz"]
KindName = Literal["attribute", "instance", "both", "none"]
MethodName = Literal["network", "ridge"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["32-true", "bf16-mixed"]
Count = Annotated[int, Bounds(at_least=1, at_most=2**31 - 1)]
Threads = Annotated[int, Bounds(at_least=1, at_most=1024)]
Few = Annotated[int, Bounds(at_least=1, at_most=1000)]  # a damaged config.json must not ask for billions
Width = Annotated[int, Bounds(at_least=1, at_most=2**20)]
Seed = Annotated[int, Bounds(at_least=0, at_most=2**31 - 1)]
Share = Annotated[float, Bounds(at_least=0, below=1)]
Positive = Annotated[float, Bounds(above=0)]


class Checked:
    """A dataclass of which every value is checked when it is built."""

    def __post_init__(self) -> None:
        """Raise ``InputError`` unless every field holds a value of its type and within its bounds.

        Numbers of numpy become those of Python.
        """
        hints = get_type_hints(type(self), include_extras=True)
        for name in (each.name for each in fields(self)):  # type: ignore[arg-type]
            setattr(self, name, _checked(name, getattr(self, name), hints[name]))


@dataclass(kw_only=True)
class StructureOptions(Checked):
    """What ``W`` is."""

    structure: StructureName = "lphm"
    """What W is."""
    p: Count | None = None
    """Row blocks of W. Default: chosen from n."""
    q: Count | None = None
    """Column blocks of W. Default: p."""
    r: Count | None = None
    """Rank of the factors of lphm, dual-lphm and low-rank. Default: 2."""
    lags: Count | None = None
    """Lags of toeplitz: an odd number, 0 and as many backwards as forwards. Default: chosen from n."""
    budget: Positive | None = None
    """Choose p, q, r or lags for so many parameters of W. Up to 1: a share of those of the structure full."""


def sizes_of(options: StructureOptions) -> dict[str, Any]:
    """The sizes and the budget, as ``lphm.structures.named.structure_for`` takes them."""
    return {name: getattr(options, name) for name in ("p", "q", "r", "lags", "budget")}


@dataclass(kw_only=True)
class Sizes:
    """The network around ``W``, as far as nothing is left open."""

    width: Width = 32
    """Columns inside the network."""
    blocks: Few = 1
    """Blocks of the network."""


@dataclass(kw_only=True)
class NetworkOptions(Sizes, StructureOptions):
    """The network, or what takes its place."""

    method: MethodName | None = None
    """What learns: the network, or for series ridge regression on their local patterns, in closed form.
    Default: ridge for up to a few thousand series, if no choice is made that only the network has."""
    kind: KindName | None = None
    """Which interdependences there are: of columns (attribute), of rows (instance), both or none. Default:
    attribute for a table, both for series and images."""
    channels: Count | None = None
    """Attribute interdependences side by side in each layer. Default: 1 for a table, 4 for series and
    images."""
    instance_channels: Count | None = None
    """Instance interdependences side by side in each layer. Default: 4 for series, else 1."""
    members: Few | None = None
    """Networks that are trained side by side and averaged. Default: 4, from 5,000 rows on 2; fewer for tables
    of more than 2,048 features."""
    dropout: Share | None = None
    """Share of each branch's output, and of the hidden units of a table's head, that is dropped in training.
    Default: for a table 0.2 below 2,000 rows, else 0.1; for series and images 0.4 below 1,000 rows, 0.1 below
    5,000, else 0."""


@dataclass(kw_only=True)
class Optimizer:
    """The optimiser, its arithmetic and its time."""

    learning_rate: Positive | None = None
    """The largest learning rate; it rises at first and falls to zero at the end. Default: 5e-3 for a table,
    2e-3 for series and images."""
    weight_decay: Annotated[float, Bounds(at_least=0)] = 0.1
    """Weight decay of AdamW."""
    precision: PrecisionName = "32-true"
    """Arithmetic of the network's training: float32, or bfloat16 in matrix products. Predictions never use
    bfloat16."""
    time_limit: Positive | None = None
    """Seconds that a training of the network may take. The result then depends on the speed of the
    machine."""


@dataclass(kw_only=True)
class FitOptions(Optimizer):
    """The training, as far as the command line and the estimators share it."""

    epochs: Count | None = None
    """Passes over the training part. Default: chosen from its rows."""
    batch_size: Count | None = None
    """Samples in a step. Default: chosen from the rows of the training part."""
    early_stopping: bool | None = None
    """Keep the weights of the epoch with the lowest loss on rows that are held out, which also say how
    confident probabilities may be. Each member holds out rows of its own; where rows have times, all hold the
    latest out. Default: yes for tables and images of at least 100 rows that are no directory, else no."""
    validation: Annotated[float, Bounds(above=0, below=1)] = 0.1
    """Share of the training part that early stopping holds out."""
    patience: Count | None = None
    """Epochs without a lower loss on these rows before early stopping stops. Default: a quarter of the
    epochs."""
    # The products of a small network take less time than the hand-over to a second thread, far less on a busy
    # machine.
    threads: Threads = 1
    """Threads of torch; more of them help wide networks."""
    device: DeviceName = "auto"
    """Where the network is trained and predicts. auto: on a GPU (cuda, then mps) if there is one."""


@dataclass(kw_only=True)
class TrainingOptions(FitOptions, Checked):
    """The training; in place of these two fields, estimators have ``random_state`` and ``class_weight``."""

    seed: Seed = 0
    """Seed for the split, the initial weights and the order of samples."""
    balanced: bool = False
    """Let every class count the same, however many samples it has."""


def _checked(name: str, value: Any, hint: Any) -> Any:
    choices = get_args(hint) if NoneType in get_args(hint) else (hint,)
    if value is None and NoneType in choices:
        return None
    kind, (bounds, *_) = choices[0], getattr(choices[0], "__metadata__", (None,))
    if isinstance(bounds, Bounds):
        kind = get_args(kind)[0]
        number = isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
        if number and bounds.hold(value):
            return kind(value)
        expected = f"a {'whole ' if kind is int else ''}number {bounds}"
    elif get_origin(kind) is Literal:
        if value in get_args(kind):
            return value
        expected = "one of " + ", ".join(map(repr, get_args(kind)))
    elif kind is bool:
        if value in (True, False):
            return bool(value)
        expected = "True or False"
    else:
        return value
    raise InputError(f"{name} must be {expected}, got {value!r}")
