"""What a user may choose about the network and its training; None leaves a choice to the data."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from lphm.errors import divisors
from lphm.structures import HM, LPHM, DualLPHM, Full, LowRank, Structure

StructureName = Literal["lphm", "full", "low-rank", "hm", "dual-lphm"]
KindName = Literal["attribute", "instance", "both", "none"]

STRUCTURES: dict[str, type[Structure]] = {
    "lphm": LPHM,
    "full": Full,
    "low-rank": LowRank,
    "hm": HM,
    "dual-lphm": DualLPHM,
}


@dataclass(frozen=True)
class NetworkOptions:
    """The network.

    Args:
        structure: what ``W`` is.
        kind: which interdependences there are: of columns, of rows, of both or of none.
        p: row blocks of ``W``; the divisor nearest to its square root if not given.
        q: column blocks of ``W``; ``p`` if not given.
        r: rank of the factors of LPHM, DualLPHM and LowRank; 2 if not given.
        budget: parameters of one ``W``, in place of the sizes: a number, or a share of those of ``Full``.
        width: columns inside the network; 32 if not given.
        blocks: number of blocks.
        channels: interdependences side by side.
        dropout: share of every branch's output that is dropped; 0.4 for fewer than 1000 samples, else 0.2.
        members: networks that are trained side by side and averaged.
    """

    structure: StructureName = "lphm"
    kind: KindName = "both"
    p: int | None = None
    q: int | None = None
    r: int | None = None
    budget: float | None = None
    width: int | None = None
    blocks: int = 1
    channels: int = 4
    dropout: float | None = None
    members: int = 4


@dataclass(frozen=True)
class TrainingOptions:
    """The training.

    One thread is the default: the products of a small network are shorter than the hand-over to a
    second thread, which on a busy machine takes many times as long as the product.

    Args:
        seed: of weights, order and dropout, and of any split.
        epochs: passes over the data; at most, with ``early_stopping``. Chosen from the rows if not given.
        batch_size: samples in a step; chosen from the rows if not given.
        learning_rate: the largest; it rises at first and falls to zero at the end.
        weight_decay: of AdamW.
        early_stopping: hold a part of the training data out, keep the epoch with the lowest loss there, and
            stop when that has not fallen for ``patience`` epochs.
        validation: the share that is held out.
        patience: half the epochs if not given: the learning rate falls to the end, and so does the loss.
        balanced: let every class count the same, however many samples it has.
        threads: threads of torch.
        device: "auto", "cpu", "cuda" or "mps".
    """

    seed: int = 0
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    early_stopping: bool = False
    validation: float = 0.15
    patience: int | None = None
    balanced: bool = False
    threads: int = 1
    device: str = "cpu"


def structure_for(options: NetworkOptions, n: int) -> Structure:
    """The ``n x n`` structure that the options ask for.

    Raises:
        ValueError: there is no structure of that name, a size does not divide ``n``, it takes no such size,
            or the budget is too small.
    """
    if options.structure not in STRUCTURES:
        raise ValueError(f"structure must be one of {', '.join(STRUCTURES)}, got {options.structure!r}")
    cls = STRUCTURES[options.structure]
    given = {name: getattr(options, name) for name in ("p", "q", "r") if getattr(options, name) is not None}
    if options.budget is not None:
        if given or not hasattr(cls, "suggest"):
            what = (
                f"{', '.join(given)} as well" if given else f"structure {options.structure!r}, which has none"
            )
            raise ValueError(f"budget chooses the sizes of a structure, got {what}; leave one out")
        budget = options.budget
        suggested: Structure = cls.suggest(n, int(budget) if budget > 1 else budget)
        return suggested
    sizes: dict[str, Any] = {}
    takes = cls.__dataclass_fields__
    if "p" in takes:
        sizes["p"] = min(divisors(n), key=lambda d: abs(d - math.sqrt(n)))
    if "r" in takes:
        sizes["r"] = 2
    unknown = [name for name in given if name not in takes]
    if unknown:
        raise ValueError(
            f"structure {options.structure!r} must be given sizes that it has, got {', '.join(unknown)}"
        )
    return cls(n=n, **(sizes | given))


def structure_for_rows(options: NetworkOptions, rows: int) -> Structure:
    """The structure for so many rows: its ``n`` is the least that holds them and that the sizes divide.

    Sizes left open are those with the fewest parameters: ``p³ = r n`` for LPHM, ``p² = n`` for DualLPHM.

    Raises:
        ValueError: as ``structure_for``.
    """
    if options.budget is not None or options.structure not in ("lphm", "dual-lphm"):
        if options.budget is not None and options.structure in ("lphm", "dual-lphm", "low-rank"):
            cls: Any = STRUCTURES[options.structure]
            if options.p or options.q or options.r:
                return structure_for(options, rows)  # which says what is wrong
            chosen: Structure = cls.suggest(rows, int(options.budget), partial=True)
            return chosen
        return structure_for(options, rows)
    r = options.r or 2
    best = (r * rows) ** (1 / 3) if options.structure == "lphm" else rows**0.5
    p = options.p or max(1, min(rows, round(best)))
    q = options.q or p
    step = math.lcm(p, q)
    return structure_for(replace(options, p=p, q=q, r=r), -(-rows // step) * step)
