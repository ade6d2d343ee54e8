"""Files of one matrix, and of the parameters of ``W`` with the structure that they belong to."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from lphm._io import write_atomically
from lphm._memory import require_memory
from lphm.errors import EDITED, InputError
from lphm.nn.init import initialize_
from lphm.structures import Structure, from_config

#: Of the metadata of a .safetensors file.
STRUCTURE = "structure"
#: Names of tensors that a message lists, and copies of a matrix that a search holds in float64.
MOST_NAMES, COPIES = 8, 5


@contextmanager
def _reading(what: str, file: Path, option: str | None = None) -> Iterator[None]:
    try:
        yield
    # The header of an array is Python, of which two errors come.
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, TokenError, SafetensorError) as error:
        if isinstance(error, InputError):
            raise
        message = f"{what} must be a readable .npy or .safetensors file, got {file}: {error}"
        raise InputError(message, option=option) from error


def read_weights(file: Path | None, structure: Structure, seed: int) -> Tensor:
    """``w`` ``(l,)`` in float64: the only tensor of a file; drawn without a file."""
    size = structure.num_parameters
    if file is None:
        w = torch.empty(size, dtype=torch.float64)
        return initialize_(structure, w, generator=torch.Generator().manual_seed(seed))
    with _reading("weights", file, "weights"):
        tensors = [torch.from_numpy(np.load(file))] if file.suffix == ".npy" else [*load_file(file).values()]
    real = len(tensors) == 1 and not tensors[0].is_complex()
    w = tensors[0].double().reshape(-1) if real else torch.empty(0)
    if w.numel() != size or not bool(w.isfinite().all()):
        got = ", ".join(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in tensors) or "none"
        wanted = f"one tensor of l={size} finite real numbers for {structure}"
        raise InputError(f"weights must hold {wanted}, got {got} in {file}", option="weights")
    return w


def write_weights(file: Path, structure: Structure, w: Tensor) -> None:
    """Write ``w`` ``(l,)`` to a .safetensors file whose metadata have the structure."""
    content = save({"w": w.contiguous()}, {STRUCTURE: json.dumps(structure.to_config())})
    with write_atomically(file) as temporary:
        temporary.write_bytes(content)


def structure_of_weights(file: Path) -> Structure | None:
    """The structure that ``write_weights`` has written; None if the file says nothing about it."""
    if file.suffix == ".npy":
        return None
    with _reading("weights", file, "weights"), safe_open(file, "pt") as saved:
        written = (saved.metadata() or {}).get(STRUCTURE)
    if written is None:
        return None
    try:
        return from_config(json.loads(written))
    except (*EDITED, RecursionError) as error:
        message = f"weights must have metadata of a structure, got {written!r} in {file}: {error}"
        raise InputError(message, option="weights") from error


def read_matrix(file: Path, name: str | None = None) -> Tensor:
    """The matrix in a .npy file, or of that name in a .safetensors file; bfloat16 and such as float32.

    Raises:
        InputError: the file cannot be read, it holds several tensors and ``name`` is None, or the tensor
            is not a matrix of floating-point numbers that fits into memory.
    """
    with _reading("the matrix", file):
        if file.suffix.lower() == ".npy":
            if name is not None:
                raise InputError("a .npy file must be read without the name of a tensor", option="tensor")
            array = np.load(file, mmap_mode="r")
            _require_matrix(file, list(array.shape), array.dtype.name, array.dtype.kind == "f")
            W = torch.from_numpy(array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32))
        else:
            with safe_open(file, "pt") as saved:
                names = list(saved.keys())
                matrices = [each for each in names if len(saved.get_slice(each).get_shape()) == 2]
                name = _chosen(file, name, names, matrices)
                about = saved.get_slice(name)
                kind = about.get_dtype()
                _require_matrix(file, about.get_shape(), kind, kind.startswith(("F", "BF")))
                W = saved.get_tensor(name)
    return W if W.dtype == torch.float64 else W.float()


def _chosen(file: Path, name: str | None, names: list[str], matrices: list[str]) -> str:
    if name in names or (name is None and len(names) == 1):
        return name or names[0]
    shown = sorted(matrices or names)
    listed = ", ".join(shown[:MOST_NAMES]) + (", ..." if len(shown) > MOST_NAMES else "")
    got = "none" if name is None else repr(name)
    raise InputError(f"{file} must be read with the name of a matrix in it ({listed}), got {got}", "tensor")


def _require_matrix(file: Path, shape: list[int], kind: str, floating: bool) -> None:
    entries = math.prod(shape)
    if len(shape) != 2 or not entries or not floating:
        raise InputError(
            f"{file} must hold a matrix (n, columns) of floating-point numbers, got {tuple(shape)} {kind}; "
            + ("choose or make one" if floating else "convert it to float32 or float64")
        )
    require_memory(f"the search for {file}", 8 * COPIES * entries, "take a part of the matrix")
