"""Functions on a tensor, given as callables or by name."""

import importlib
from collections.abc import Callable, Sequence

from torch import Tensor

__all__ = ["Functions", "apply_functions", "as_callables"]

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
        return _find(function)
    if not callable(function):
        raise TypeError(f"a function must be a callable or a name such as 'torch.tanh', got {function!r}")
    return function


def _find(name: str) -> Function:
    """``'torch.tanh'``, or ``'relu'`` for ``'torch.nn.functional.relu'``."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module or "torch.nn.functional"), attribute)
    except (ImportError, AttributeError) as reason:
        raise ValueError(
            f"a function's name must be importable, got {name!r} ({reason}); "
            "write 'torch.tanh' or 'my_package.my_function'"
        ) from None
    if not callable(found):
        raise ValueError(f"a function's name must lead to a callable, got {name!r}, which is {found!r}")
    return found  # type: ignore[no-any-return]
