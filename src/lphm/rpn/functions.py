"""The functions that RPN applies to the data and to ``A``: as callables, and by their importable names."""

import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

Function = Callable[[Tensor], Tensor]
#: What RPN takes for ``preprocess_functions``: nothing, one function, or several in order.
Functions = Function | str | Sequence[Function | str] | None


def as_callables(functions: Functions) -> list[Function]:
    """The functions themselves, in order."""
    if functions is None:
        return []
    if isinstance(functions, str) or callable(functions):
        functions = [functions]
    called = [import_callable(item) if isinstance(item, str) else item for item in functions]
    for item in called:
        if not callable(item):
            raise TypeError(f"a function must be a callable or a name such as 'torch.tanh', got {item!r}")
    return called


def apply_functions(x: Tensor, functions: Functions) -> Tensor:
    """``x`` through every function in turn."""
    for function in as_callables(functions):
        x = function(x)
    return x


def names_of(functions: Functions) -> str | list[str] | None:
    """The same functions by their importable names: None, one name, or a list of them."""
    if functions is None:
        return None
    names = [_name_of(function) for function in as_callables(functions)]
    return names[0] if isinstance(functions, str) or callable(functions) else names


def _name_of(function: Function) -> str:
    name = getattr(function, "__name__", "")
    defined_in = getattr(function, "__module__", None)
    # torch's public modules first: torch.tanh and gelu name the private module that implements them.
    for module in ("torch", "torch.nn.functional", defined_in):
        if module and module != "__main__" and getattr(sys.modules.get(module), name, None) is function:
            return f"{module}.{name}"
    raise ValueError(
        "a function must be importable by its name to be written to a configuration, "
        f"got {function!r}; define it with def in a module and pass that"
    )


def import_callable(name: str) -> Callable[..., Any]:
    """The callable of that name: ``'torch.tanh'``, or ``'relu'`` for ``'torch.nn.functional.relu'``."""
    try:
        value = pkgutil.resolve_name(name if "." in name else f"torch.nn.functional.{name}")
    except (ImportError, AttributeError, ValueError) as reason:
        raise ValueError(
            f"a name must be importable, got {name!r} ({reason}); "
            "write it as 'torch.tanh' or 'package.function'"
        ) from None
    if not callable(value):
        raise ValueError(f"a name must lead to a callable, got {name!r}, which is {value!r}")
    return value  # type: ignore[no-any-return]
