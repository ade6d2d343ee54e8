"""The exception types and the checks of ``lphm.errors``."""

import pytest

from lphm.errors import DivisibilityError, InputError, divisors


def test_a_divisibility_error_is_a_value_error_and_an_assertion_error() -> None:
    assert issubclass(DivisibilityError, ValueError)
    assert issubclass(DivisibilityError, AssertionError)


def test_an_input_error_names_the_option_that_mends_it() -> None:
    error = InputError("column x must be known", option="drop", value="x")
    assert isinstance(error, ValueError)
    assert (str(error), error.option, error.value) == ("column x must be known", "drop", "x")
    assert InputError("no option mends this").option is None


@pytest.mark.parametrize("n", [1, 2, 7, 12, 36, 97, 720])
def test_divisors(n: int) -> None:
    assert divisors(n) == [d for d in range(1, n + 1) if n % d == 0]
