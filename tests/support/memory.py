"""A mode that fails on operators whose output is too large."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Limit(TorchDispatchMode):
    """Fails on any operator whose output has ``numel`` entries or more, a view or not."""

    def __init__(self, numel: int) -> None:
        super().__init__()
        self.numel = numel
        self.largest = 0

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
                assert tensor.numel() < self.numel, f"{func} made {tuple(tensor.shape)}"
        return out
