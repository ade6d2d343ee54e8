"""The arguments that the public functions share: their types, and what a caller can get wrong."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from lphm.structures.base import Structure
from lphm.structures.row_blocks import has_thin_pair
from lphm.structures.toeplitz import is_stationary

Kind = Literal["attribute", "instance"]
Normalize = Literal["scale", "softmax"] | Callable[[Tensor], Tensor] | None


def check_choices(kind: str, normalize: object, causal: bool = False, masked: bool = False) -> None:
    """Raise ``ValueError`` for choices that do not exist, or do not go together."""
    if kind not in ("attribute", "instance"):
        raise ValueError(f"kind must be 'attribute' or 'instance', got {kind!r}")
    if normalize not in (None, "scale", "softmax") and not callable(normalize):
        raise ValueError(f"normalize must be None, 'scale', 'softmax' or a callable, got {normalize!r}")
    if (causal or masked) and normalize != "softmax":
        raise ValueError(
            f"normalize must be 'softmax' where a mask or causal=True is given, got {normalize!r}; "
            "a callable can hide entries of xi by itself"
        )
    if causal and kind != "instance":
        raise ValueError(
            f"kind must be 'instance' for causal=True, because columns do not follow one another as rows do, "
            f"got {kind!r}; pass a mask of (*batch, m, m) to hide columns from columns"
        )


def check_split_rows(structure: Structure, kind: str, normalize: object) -> None:
    """Raise ``TypeError`` or ``ValueError`` if one process must have all rows of ``X`` for this."""
    if structure.columns is not None:
        raise ValueError(
            f"structure must have a square W where no process has all rows, got {structure}; "
            "use lphm.interdependence_apply on all rows for two sets of data"
        )
    if kind == "attribute" and not (has_thin_pair(structure) or is_stationary(structure)):
        raise TypeError(
            f"structure must reduce blocks of rows where no process has all of them, got {structure!r}; use "
            "LPHM, DualLPHM, LowRank, RandomMatrixAdaptation, Toeplitz, or a subclass that overrides "
            "row_factors and combine"
        )
    if kind == "instance" and normalize not in (None, "scale"):
        raise ValueError(
            "normalize must be None or 'scale' for the instance kind where no process has all rows, got "
            f"{normalize!r}, which needs all of xi, b x b; use lphm.interdependence_apply on all rows"
        )


def check_arguments(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    kind: str,
    normalize: object,
    data: Tensor | None = None,
    partial: bool = False,
    mask: Tensor | None = None,
    causal: bool = False,
    y: Tensor | None = None,
) -> None:
    """Everything that a caller can get wrong, said in the caller's words."""
    check_choices(kind, normalize, causal, masked=mask is not None)
    second = {name: tensor for name, tensor in {"y": y, "data": data}.items() if tensor is not None}
    for name, tensor in {"w": w, "x": x, **second}.items():
        check_tensor(name, tensor, w)
    structure.check_parameters(w)
    if w.shape[0] == 0:
        raise ValueError(f"w must have at least one channel, got shape {tuple(w.shape)}")
    if w.dim() > 2:
        raise ValueError(f"w must be (l,) or (channels, l), got shape {tuple(w.shape)}; use torch.func.vmap")
    if x.dim() < 2:
        raise ValueError(f"x must be (*batch, b, m), got shape {tuple(x.shape)}")
    _check_size("x", "n", structure.n, x, kind, partial)
    if y is not None:
        if y.dim() != x.dim() or y.shape[:-2] != x.shape[:-2]:
            sizes = ", ".join([*map(str, x.shape[:-2]), "b'", "m'"])
            raise ValueError(f"y must be ({sizes}) to match the batch of x, got shape {tuple(y.shape)}")
        size = "n" if structure.columns is None else "columns"
        _check_size("y", size, structure.shape[1], y, kind, partial)
    elif structure.columns is not None:
        raise ValueError(
            "y must be given for a rectangular W, whose columns are for another set of data, "
            f"got none for {structure}; pass y, or leave columns out of the structure"
        )
    if mask is not None:
        _check_mask(mask, x, x if y is None else y, kind)
    if data is None or data is x:
        return
    mixed = -1 if kind == "attribute" else -2
    if data.dim() < 2 or data.shape[:-2] != x.shape[:-2] or data.shape[mixed] != x.shape[mixed]:
        must = ["b'", str(x.shape[-1])] if kind == "attribute" else [str(x.shape[-2]), "m'"]
        must = [*map(str, x.shape[:-2]), *must]
        raise ValueError(f"data must be ({', '.join(must)}) to match x, got shape {tuple(data.shape)}")


def _check_size(name: str, size_name: str, n: int, x: Tensor, kind: str, partial: bool) -> None:
    size, other, what = x.shape[-2], x.shape[-1], "rows"
    if kind == "instance":
        size, other, what = other, size, "columns"
    if (size > n or (not partial and size < n)) and other == n:  # last: it may be open, in a program
        dim, choice = ("last", "'instance'") if kind == "attribute" else ("last but one", "'attribute'")
        kinds = f", or choose kind={choice}" if name == "x" else ""
        raise ValueError(
            f"{name} must be (*batch, rows, columns) with {n} {what} for the {kind} kind, "
            f"got shape {tuple(x.shape)}, whose {dim} dimension is {n}; pass {name}.mT{kinds}"
        )
    if size > n:
        raise ValueError(
            f"{name} must have {n} {what} for the {kind} kind, got shape {tuple(x.shape)}; "
            f"build the structure with {size_name}={size}, or check which kind you want"
        )
    if not partial and size < n:
        raise ValueError(
            f"{name} must have {n} {what}, got shape {tuple(x.shape)}; "
            f"pass partial=True to treat the missing {what} as zeros"
        )
    if size == 0:
        raise ValueError(f"{name} must have at least one of its {n} {what}, got shape {tuple(x.shape)}")


def _check_mask(mask: Tensor, x: Tensor, y: Tensor, kind: str) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(
            f"mask must be a boolean tensor, True where something may be looked at, got {got}; "
            "use mask.bool() for zeros and ones, mask == 0 for what is added to xi"
        )
    if mask.device != x.device:
        raise TypeError(
            f"mask must be on the device of x, got {mask.device} and {x.device}; use mask.to(x.device)"
        )
    batch, mixed = x.shape[:-2], -1 if kind == "attribute" else -2
    k, outputs = x.shape[mixed], y.shape[mixed]
    sizes = (*batch, k) if mask.dim() == len(batch) + 1 else (*batch, outputs, k)
    fits = mask.dim() == len(sizes) and mask.shape[-1] == k
    if not fits or any(got not in (1, size) for got, size in zip(mask.shape, sizes, strict=True)):
        raise ValueError(
            f"mask must be {(*batch, k)} or {(*batch, outputs, k)} to match {'x' if x is y else 'x and y'}, "
            f"got shape {tuple(mask.shape)}; all dimensions but the last may be 1"
        )


def check_tensor(name: str, tensor: Tensor, w: Tensor) -> None:
    """Raise ``TypeError`` unless ``tensor`` is floating point, of the type and on the device of ``w``."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}; use {_maker(tensor)}")
    if tensor.layout is not torch.strided or tensor.is_nested:
        got = "a nested tensor" if tensor.is_nested else f"layout {tensor.layout}"
        raise TypeError(
            f"{name} must be a dense tensor of one shape, got {got}; use {name}.to_dense(), or pad nested "
            "samples with torch.nested.to_padded_tensor"
        )
    if not tensor.is_floating_point():
        masks = name == "data" and tensor.dtype == torch.bool
        use = "pass a mask as mask=..." if masks else f"use {name}.to(torch.float32)"
        raise TypeError(f"{name} must be floating point, got {tensor.dtype}; {use}")
    if tensor.device != w.device or (tensor.dtype != w.dtype and not autocasts(w.device.type)):
        raise TypeError(
            f"{name} must have the type and device of w, got {tensor.dtype} on {tensor.device} "
            f"and {w.dtype} on {w.device}; use {name}.to(w), or for a layer, whose weight is w, "
            f"layer.to({name}) or torch.autocast"
        )


def _maker(given: object) -> str:
    """What makes one tensor of ``given``."""
    several = isinstance(given, list | tuple) and any(isinstance(each, Tensor) for each in given)
    return "torch.nn.utils.rnn.pad_sequence for several tensors" if several else "torch.as_tensor"


def autocasts(device_type: str) -> bool:
    """Whether mixed types are torch's to resolve; the meta device, for one, has no autocast to ask about."""
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)
