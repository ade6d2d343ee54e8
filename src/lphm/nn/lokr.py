"""The state of LoKr, as peft and LyCORIS save it, to a structure and its parameters, and back.

    W = scale · w1 ⊗ w2        w1, or w1_a w1_b;  w2, or w2_a w2_b

    LPHM      A = w1,                    S = w2_a, T = w2_bᵀ
    DualLPHM  P = w1_a, Q = w1_bᵀ,       S = w2_a, T = w2_bᵀ
    HM        A = w1,                    B = w2

The scale is ``alpha / r``. LyCORIS keeps ``alpha`` with the factors, and scales nothing where both are whole
matrices; peft keeps ``alpha`` and ``r`` in its configuration, and always scales.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from lphm.errors import InputError
from lphm.structures.base import Structure
from lphm.structures.dual_lphm import DualLPHM
from lphm.structures.hm import HM
from lphm.structures.lphm import LPHM

LoKrFormat = Literal["lycoris", "peft"]


def read_lokr(
    state: Mapping[str, Tensor], prefix: str, alpha: float | None, r: int | None
) -> tuple[Structure, Tensor]:
    """The structure and ``w`` of the change of weight; see ``StructuredLinear.from_lokr``."""
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    for name in ("lokr_t1", "lokr_t2", "dora_scale"):
        if name in own:
            raise InputError(
                f"state must be LoKr of a linear layer without weight decomposition, got {prefix}{name}; "
                "merge this layer with the package that trained it"
            )
    first, second = _factors(own, "lokr_w1", prefix), _factors(own, "lokr_w2", prefix)
    scale = _scale(own.get("alpha"), alpha, r, [*first[1:], *second[1:]])
    if len(first) == 2 and (len(second) == 1 or first[1].shape[0] != second[1].shape[0]):
        first = [first[0] @ first[1]]
    (p, q), (s, t) = ((sides[0].shape[0], sides[-1].shape[1]) for sides in (first, second))
    sizes = {"n": p * s, "columns": q * t, "p": p, "q": q}
    factors = [first[0] * scale, *(factor.mT for factor in first[1:])]
    factors += [second[0], *(factor.mT for factor in second[1:])]
    structure: Structure
    if len(second) == 1:
        structure = HM(**sizes)
    else:
        structure = (LPHM if len(first) == 1 else DualLPHM)(**sizes, r=second[1].shape[0])
    return structure, structure.pack(*factors)


def write_lokr(structure: Structure, w: Tensor, form: str, prefix: str) -> dict[str, Tensor]:
    """The state of LoKr with the ``W`` of ``w``; see ``StructuredLinear.to_lokr``."""
    if form not in get_args(LoKrFormat):
        raise ValueError(f"form must be 'lycoris' or 'peft', got {form!r}")
    if type(structure) is HM:
        rank, state = 1, dict(zip(("lokr_w1", "lokr_w2"), structure.unpack(w), strict=True))
    elif type(structure) is LPHM or type(structure) is DualLPHM:
        rank, state = structure.r, _products(structure, w)
    else:
        raise TypeError(
            f"structure must be LPHM, DualLPHM or HM to be LoKr, got {structure}; "
            "lphm.nearest finds such a W that is near to another one"
        )
    if form == "lycoris":
        state["alpha"] = torch.tensor(float(rank), dtype=w.dtype, device=w.device)
    return {prefix + name: tensor.clone().contiguous() for name, tensor in state.items()}


def _products(structure: LPHM | DualLPHM, w: Tensor) -> dict[str, Tensor]:
    """The factors as products, where the packages would have made products of that rank."""
    *first, S, T = structure.unpack(w)
    state = {"lokr_w2_a": S, "lokr_w2_b": T.mT}
    if whole := 2 * structure.r >= max(structure.block):
        state = {"lokr_w2": S @ T.mT}
    if len(first) == 1:
        return state | {"lokr_w1": first[0]}
    P, Q = first
    if whole or 2 * structure.r >= max(structure.p, structure.q):
        return state | {"lokr_w1": P @ Q.mT}
    return state | {"lokr_w1_a": P, "lokr_w1_b": Q.mT}


def _factors(own: Mapping[str, Tensor], name: str, prefix: str) -> list[Tensor]:
    """``w1`` or ``w2`` as one matrix, or as the two whose product it is."""
    names = [name] if name in own else [f"{name}_a", f"{name}_b"]
    missing = [f"{prefix}{each}" for each in names if each not in own]
    if missing:
        raise InputError(
            f"state must hold {prefix}{name}, or {prefix}{name}_a and {prefix}{name}_b, got no "
            f"{' and no '.join(missing)}; prefix is what the names of one layer begin with"
        )
    factors = [own[each] for each in names]
    if any(factor.dim() != 2 for factor in factors):
        shapes = ", ".join(str(tuple(factor.shape)) for factor in factors)
        raise InputError(
            f"state must be that of a linear layer, with matrices, got {prefix}{name} of {shapes}"
        )
    return factors


def _scale(saved: Tensor | None, alpha: float | None, r: int | None, inner: list[Tensor]) -> float:
    """``alpha / r``; ``inner`` are the second factors of products, ``(rank, columns)``."""
    if alpha is not None:
        if r is None and not inner:
            raise InputError(
                "r must be given where no factor has a rank, got alpha alone; pass that of LoKrConfig"
            )
        return alpha / (inner[0].shape[0] if r is None else r)
    if saved is None:
        raise InputError(
            "alpha must be given where the state has none, got None; pass alpha and r of adapter_config.json"
        )
    return float(saved) / inner[0].shape[0] if inner else 1.0
