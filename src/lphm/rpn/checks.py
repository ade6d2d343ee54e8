"""Checks of the tensors that a caller passes, with messages in RPN's words: ``b``, ``m``, ``kappa_x``."""

import torch
from torch import Tensor

from lphm.ops.checks import Kind
from lphm.structures import Structure


def check_matrix(name: str, tensor: Tensor | None, shape: str = "(b, m)") -> Tensor:
    """``tensor`` if it is a dense matrix; ``shape`` is what the message asks for."""
    if not isinstance(tensor, Tensor):
        error = ValueError if tensor is None else TypeError
        raise error(f"{name} must be a tensor {shape}, got {tensor!r:.60}")
    if tensor.dim() != 2:
        raise ValueError(f"{name} must be 2-D, {shape}, got shape {tuple(tensor.shape)}")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got layout {tensor.layout}; use {name}.to_dense()")
    return tensor


def check_data(
    x: Tensor | None, n: int, kind: Kind, transposed: bool, partial: bool, m: int | None
) -> Tensor:
    """``x`` if it fits ``W`` ``(n, n)``: ``(b, m)``, or as ``calculate_A`` takes it if ``transposed``.

    With ``partial`` the attribute type may have fewer rows. The instance type takes any number anyway. The
    columns ``m`` of the attribute type are not checked; they only tell whether ``x`` looks transposed.
    """
    x = check_matrix("x", x, "(m, b), transposed" if transposed and kind == "instance" else "(b, m)")
    if kind == "attribute":
        size, other, shape, letter = x.shape[0], x.shape[1], f"({n}, m), b={n} rows", "b"
        turned = "x looks transposed; pass x.mT"
        if partial and 0 < size < n:
            return x
    elif transposed:
        size, other, shape, letter = x.shape[0], x.shape[1], f"({n}, b), m={n} rows", "m"
        turned = "calculate_A takes x.mT; forward takes x and transposes"
    else:
        size, other, shape, letter = x.shape[1], x.shape[0], f"(b, {n}), m={n} columns", "m"
        turned = "x looks transposed; forward takes x as it is and transposes it itself"
    if size != n:
        looks_transposed = other == n and (kind == "instance" or m != n)
        advice = turned if looks_transposed else _advice_on_size(size, n, letter)
        raise ValueError(f"x must be {shape}, for the {kind} type, got shape {tuple(x.shape)}; {advice}")
    return x


def _advice_on_size(size: int, n: int, letter: str) -> str:
    """What to do about data with ``size`` rows (``b``) or columns (``m``) where ``W`` is ``(n, n)``."""
    if size == 0:
        return "skip an empty batch" if letter == "b" else f"pass the {n} columns"
    another = f"build a new function with {letter}={size}, whose w is another"
    if letter == "m":
        return f"W is tied to m={n} columns: pass those, or {another}"
    if size > n:
        return f"W is tied to b={n} rows: pass at most that many at a time, or {another}"
    return f"W is tied to b={n} rows: pass partial=True to the constructor for a shorter batch, or {another}"


def check_row(w: Tensor | None, structure: Structure) -> Tensor:
    """``w`` ``(1, l)`` as a vector ``(l,)``."""
    shape = f"(1, {structure.num_parameters})"
    w = check_matrix("w", w, shape)
    structure.check_parameters(w)
    if w.shape[0] != 1:
        raise ValueError(
            f"w must be one row, {shape}, got shape {tuple(w.shape)}; call once for each channel, w[c:c + 1]"
        )
    return w[0]


def check_target(data: Tensor, k: int, kind: Kind) -> None:
    """Raise ``ValueError`` unless ``A`` ``(k, k)`` can be applied to ``data``."""
    dim, counted = (1, "columns") if kind == "attribute" else (0, "rows")
    if data.shape[dim] != k:
        raise ValueError(
            f"kappa_x must have {k} {counted}, as many as the x that A is computed from, "
            f"got shape {tuple(data.shape)}"
        )
