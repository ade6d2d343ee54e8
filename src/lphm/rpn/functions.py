"""The functions that RPN applies to the data and to ``A``: as callables, and by their names.

A name in a configuration must not be able to run just anything. So a name leads to torch's functions of
tensors, and nothing is imported for one; what else there is to call is passed as a callable.
"""

import inspect
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import get_overridable_functions

Function = Callable[[Tensor], Tensor]
#: What RPN takes for ``preprocess_functions``: nothing, one function, or several in order.
Functions = Function | str | Sequence[Function | str] | None
#: Where torch has functions of tensors.
NAMESPACES = {space.__name__: space for space in (torch, F, torch.linalg, torch.fft, torch.special)}
#: Without ``dim``, those of ``torch.nn.functional`` would normalise the rows of ``A``, the wrong axis.
NEEDS_DIM = {
    getattr(space, name): name
    for space in (torch, F, torch.special)
    for name in ("softmax", "log_softmax", "softmin")
    if hasattr(space, name)
}


def as_callables(functions: Functions, argument: str = "functions") -> list[Function]:
    """The functions themselves, in order; ``argument`` is what a message calls them."""
    if functions is None:
        return []
    if isinstance(functions, str) or callable(functions):
        functions = [functions]
    called = [torch_function(item, argument) if isinstance(item, str) else item for item in functions]
    for item in called:
        if not callable(item):
            raise TypeError(
                f"{argument} must be a callable, a name such as 'torch.tanh', or a list of them, got {item!r}"
            )
        if isinstance(item, Hashable) and item in NEEDS_DIM:
            raise ValueError(
                f"{argument} must be functions of one tensor, got {NEEDS_DIM[item]}, which needs dim; pass "
                f"functools.partial(torch.nn.functional.{NEEDS_DIM[item]}, dim=0): "
                "dimension 0 of A is the one that forward sums over"
            )
    return called


def apply_functions(x: Tensor, functions: Functions, argument: str) -> Tensor:
    """``x`` through every function in turn."""
    for function in as_callables(functions, argument):
        x = function(x)
    return x


def names_of(functions: Functions) -> str | list[str] | None:
    """The same functions by their importable names: None, one name, or a list of them."""
    if functions is None:
        return None
    names = [name_of(function) for function in as_callables(functions)]
    return names[0] if isinstance(functions, str) or callable(functions) else names


def name_of(function: Callable[..., Any]) -> str:
    """The name by which a configuration knows a function.

    Raises:
        ValueError: it cannot be imported by one.
    """
    # First, for torch.tanh and gelu name the private module that implements them.
    for module, space in NAMESPACES.items():
        for name, value in vars(space).items():
            if value is function and not name.startswith("_"):
                return f"{module}.{name}"
    name, module = getattr(function, "__name__", ""), getattr(function, "__module__", None) or "__main__"
    if module != "__main__" and getattr(sys.modules.get(module), name, None) is function:
        return f"{module}.{name}"
    raise ValueError(
        "a function must be importable by its name to be written to a configuration, "
        f"got {function!r}; define it with def in a module and pass that"
    )


def replace_names(functions: Functions, known: Mapping[str, Callable[..., Any]]) -> Functions:
    """The same, with known functions in place of their names."""
    if functions is None or isinstance(functions, str) or callable(functions):
        return known.get(functions, functions) if isinstance(functions, str) else functions
    return [known.get(item, item) if isinstance(item, str) else item for item in functions]


@lru_cache
def torch_function(name: str, argument: str) -> Function:
    """The function of torch of that name; ``'relu'`` means ``'torch.nn.functional.relu'``.

    ``torch`` also has functions that read files, such as ``torch.load``; those that can be overridden for
    types like a tensor are the ones that compute.
    """
    module, _, attribute = name.rpartition(".")
    space = NAMESPACES.get(module or "torch.nn.functional")
    value = None if space is None or attribute.startswith("_") else getattr(space, attribute, None)
    if inspect.isroutine(value) and (space is F or value in get_overridable_functions()[space]):
        return value
    raise ValueError(
        f"{argument} must name functions of tensors in torch, such as 'torch.tanh' or 'relu', got {name!r}; "
        "pass any other function itself, or list it in from_config(..., allowed=[...])"
    )
