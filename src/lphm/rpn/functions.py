"""Functions on a tensor, given as callables or by name, and the names of callables."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

Function = Callable[[Tensor], Tensor]
#: What RPN takes for ``preprocess_functions``: nothing, one function, or several in order.
Functions = Function | str | Sequence[Function | str] | None


def as_callables(functions: Functions) -> tuple[Function, ...]:
    """The functions themselves, in order.

    Raises:
        ValueError: a name that leads to no function.
        TypeError: neither a callable nor a name.
    """
    if functions is None:
        return ()
    if isinstance(functions, str) or callable(functions):
        functions = [functions]
    return tuple(_as_callable(function) for function in functions)


def apply_functions(x: Tensor, functions: Functions) -> Tensor:
    """``x`` through every function in turn."""
    for function in as_callables(functions):
        x = function(x)
    return x


def _as_callable(function: Function | str) -> Function:
    if isinstance(function, str):
        return find(function)
    if not callable(function):
        raise TypeError(f"a function must be a callable or a name such as 'torch.tanh', got {function!r}")
    return function


def names_of(functions: Functions) -> str | list[str] | None:
    """The same functions by their importable names: None, one name, or a list of them.

    Raises:
        ValueError: a function that cannot be imported by name, such as a lambda or a partial.
    """
    if functions is None:
        return None
    names = [_name_of(function) for function in as_callables(functions)]
    return names[0] if isinstance(functions, str) or callable(functions) else names


def _name_of(function: Function) -> str:
    own, name = getattr(function, "__module__", None), getattr(function, "__name__", "")
    for module in ("torch", "torch.nn.functional", own):  # torch's own say where they are implemented
        if module and module != "__main__" and getattr(sys.modules.get(module), name, None) is function:
            return f"{module}.{name}"
    raise ValueError(
        "a function must be importable by its name to be written to a configuration, "
        f"got {function!r}; define it with def in a module and pass that"
    )


def find(name: str) -> Callable[..., Any]:
    """``'torch.tanh'``, or ``'relu'`` for ``'torch.nn.functional.relu'``."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module or "torch.nn.functional"), attribute)
    except (ImportError, AttributeError) as reason:
        raise ValueError(
            f"a name must be importable, got {name!r} ({reason}); "
            "write it as 'torch.tanh' or 'package.function'"
        ) from None
    if not callable(found):
        raise ValueError(f"a name must lead to a callable, got {name!r}, which is {found!r}")
    return found  # type: ignore[no-any-return]
