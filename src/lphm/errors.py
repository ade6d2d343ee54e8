"""The exception types of the package, and the one form that their messages have.

Every message says what must hold, what was got, and what to do about it, on one line:
``p must divide n, got p=5, n=12 (divisors of 12: 1, 2, 3, 4, 6, 12)``.
"""

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import NamedTuple

#: Characters that a terminal obeys, and those by which Python marks bytes that are no text.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

#: What reading content raises that somebody has edited: JSON without a name, or with another sort of value.
EDITED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)


class DivisibilityError(ValueError, AssertionError):
    """A partition count does not divide the size it partitions.

    A ``ValueError``, as Python has it, and an ``AssertionError``, as the specification of
    ``lphm_parameterized_bilinear_interdependence`` asks for.

    Example:
        >>> lphm.LPHM(n=12, p=5, r=1)
        Traceback (most recent call last):
        lphm.errors.DivisibilityError: p must divide n, got p=5, n=12 (divisors of 12: 1, 2, 3, 4, 6, 12)
    """


class InputError(ValueError):
    """A file, a table, an option or a saved run that cannot be used as it is; the message says why.

    The message names arguments and columns. The command line prints it as one line, adds the flag of
    ``option``, and exits with code 2.

    Args:
        message: what must hold, what was got, what to do.
        option: the argument that mends it, such as ``"drop"``; the command line writes it as ``--drop``.
        value: what to give that argument.
        fixes: all arguments that mend it, where there are several; the command line writes the whole command.
    """

    def __init__(
        self, message: str, option: str | None = None, value: object = None, fixes: "Sequence[Fix]" = ()
    ) -> None:
        super().__init__(message)
        self.option = option
        self.value = value
        self.fixes = tuple(fixes)


class Fix(NamedTuple):
    """An argument that mends an error: one to add, or the right value in place of a wrong one."""

    value: str
    option: str = ""
    instead_of: str | None = None


class ReadError(InputError):
    """A file that cannot be read, or no more; what was written before is kept."""


class WriteError(InputError):
    """A file that cannot be written; what was written before is whole, and is kept."""


class RankLostError(RuntimeError):
    """Another process of the group was lost or did not answer in time."""


def divisors(n: int) -> list[int]:
    """All divisors of ``n`` in increasing order."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return small + [n // d for d in reversed(small) if d * d != n]


def require_positive(**sizes: object) -> dict[str, int]:
    """``require_at_least`` for 1."""
    return require_at_least(1, **sizes)


def require_at_least(least: int, /, **values: object) -> dict[str, int]:
    """The values as Python's own ints, which NumPy's integers are not.

    Raises:
        TypeError: a value is not an integer; a bool is none.
        ValueError: a value is below ``least``.
    """
    checked: dict[str, int] = {}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | Integral):  # int is found faster
            raise TypeError(f"{name} must be an int, got {value!r} of type {type(value).__name__}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {name}={value}")
        checked[name] = int(value)
    return checked


def require_divisor(n_name: str, n: int, **parts: int) -> None:
    """Raise ``DivisibilityError`` unless every part divides ``n``."""
    for name, value in parts.items():
        if n % value:
            known = ", ".join(map(str, divisors(n)))
            raise DivisibilityError(
                f"{name} must divide {n_name}, got {name}={value}, {n_name}={n} (divisors of {n}: {known})"
            )


def did_you_mean(name: str, known: Collection[str]) -> str | None:
    """The known name that is most like this one, in upper or lower case; None if none is."""
    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[close[0]] if close else None


def one_line(text: str) -> str:
    """Text that may hold names from files, as one line that is safe to print: the rest as escapes."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], " ".join(text.split()))
