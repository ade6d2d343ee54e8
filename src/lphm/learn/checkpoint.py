"""A checkpoint: what a training needs to go on, as numbers and text alone.

A line with the SHA-256 of the rest, a line of JSON, and tensors in the format of safetensors. ``torch.save``
would write a pickle. Reading one can run code, which ``weights_only=True`` did not prevent before torch 2.10.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lphm._io import write_atomically
from lphm.errors import InputError

CHECKPOINT = "checkpoint.ckpt"


def save_checkpoint(file: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write tensors by their names, and a state that JSON can hold; whole or not at all."""
    numbers = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    content = json.dumps(state).encode() + b"\n" + numbers
    with write_atomically(file) as temporary:
        temporary.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read_checkpoint(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state.

    Raises:
        InputError: the file is damaged, or no checkpoint.
    """
    try:
        digest, _, content = file.read_bytes().partition(b"\n")
        if digest.decode() != hashlib.sha256(content).hexdigest():
            raise damaged(file)
        state, _, numbers = content.partition(b"\n")
        return load(numbers), dict(json.loads(state))
    except (OSError, ValueError, TypeError, RecursionError, SafetensorError) as error:
        raise damaged(file) from error


def damaged(file: Path) -> InputError:
    """The error for a file that no training can go on from."""
    return InputError(
        f"{file} must be a whole checkpoint of this training, got one that is damaged or of another; "
        "delete it to start again"
    )
