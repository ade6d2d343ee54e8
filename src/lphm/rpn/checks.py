"""What a caller can get wrong, said in RPN's words: ``b``, ``m``, and the orientation of ``x``."""

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.structures import Structure


def check_matrix(name: str, tensor: Tensor | None, must: str = "(b, m)") -> Tensor:
    """``tensor`` if it is a dense matrix."""
    if not isinstance(tensor, Tensor):
        kind = ValueError if tensor is None else TypeError
        raise kind(f"{name} must be a tensor {must}, got {tensor!r:.60}")
    if tensor.dim() != 2:
        raise ValueError(f"{name} must be 2-D, {must}, got shape {tuple(tensor.shape)}")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got layout {tensor.layout}; use {name}.to_dense()")
    return tensor


def check_data(x: Tensor | None, n: int, kind: Kind, turned: bool, partial: bool) -> Tensor:
    """``x`` if it fits ``W`` ``(n, n)``: as ``(b, m)`` or, ``turned``, as ``calculate_A`` has it.

    ``partial`` lets the attribute type have fewer rows; the instance type has any number without it.
    """
    x = check_matrix("x", x, "(m, b), transposed" if turned and kind == "instance" else "(b, m)")
    if kind == "attribute":
        dim, must = 0, f"({n}, m), b={n} rows"
        todo = f"set b={x.shape[0]}" if len(x) else "skip an empty batch"
        if 0 < x.shape[0] < n:
            if partial:
                return x
            todo += ", or pass partial=True to the constructor for a shorter last batch"
    elif turned:
        dim, must, todo = 0, f"({n}, b), m={n} rows", "calculate_A takes x.mT; forward takes x and transposes"
    else:
        dim, must, todo = 1, f"(b, {n}), m={n} columns", "forward takes x as it is and transposes it itself"
    if x.shape[dim] != n:
        raise ValueError(f"x must be {must}, for the {kind} type, got shape {tuple(x.shape)}; {todo}")
    return x


def check_row(w: Tensor | None, structure: Structure) -> Tensor:
    """``w`` ``(1, l)`` as a vector ``(l,)``."""
    must = f"(1, {structure.num_parameters})"
    w = check_matrix("w", w, must)
    structure.check_parameters(w)
    if w.shape[0] != 1:
        raise ValueError(
            f"w must be one row, {must}, got shape {tuple(w.shape)}; call once for each channel, w[c:c + 1]"
        )
    return w[0]


def check_target(data: Tensor, k: int, kind: Kind) -> None:
    """Raise ``ValueError`` unless ``A`` ``(k, k)`` can be applied to ``data``."""
    dim, what = (1, "columns") if kind == "attribute" else (0, "rows")
    if data.shape[dim] != k:
        raise ValueError(
            f"kappa_x must have {k} {what}, as many as the x that A is computed from, "
            f"got shape {tuple(data.shape)}"
        )
