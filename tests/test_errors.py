"""Every mistake that a caller can make, with the whole message."""

import re

import pytest
import torch

from lphm import (
    LPHM,
    BilinearInterdependence,
    DivisibilityError,
    Full,
    RandomMatrixAdaptation,
    interdependence_apply,
    interdependence_matrix,
)
from lphm.errors import InputError, divisors
from lphm.ops.functional import interdependence_grouped
from lphm.structures import from_config

STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
w, x = torch.randn(26), torch.randn(3, 12, 5)


def message(text: str) -> str:
    """A pattern for the whole message."""
    return f"^{re.escape(text)}$"


@pytest.mark.parametrize(
    ("sizes", "kind", "text"),
    [
        (
            {"p": 5, "r": 1},
            DivisibilityError,
            "p must divide n, got p=5, n=12 (divisors of 12: 1, 2, 3, 4, 6, 12)",
        ),
        (
            {"p": 2, "q": 8, "r": 1},
            DivisibilityError,
            "q must divide n, got q=8, n=12 (divisors of 12: 1, 2, 3, 4, 6, 12)",
        ),
        (
            {"p": 24, "r": 1},
            DivisibilityError,
            "p must divide n, got p=24, n=12 (divisors of 12: 1, 2, 3, 4, 6, 12)",
        ),
        ({"p": 2, "r": 0}, ValueError, "r must be at least 1, got r=0"),
        ({"p": 2, "r": -1}, ValueError, "r must be at least 1, got r=-1"),
        ({"p": 0, "r": 1}, ValueError, "p must be at least 1, got p=0"),
        ({"p": 2, "q": 0, "r": 1}, ValueError, "q must be at least 1, got q=0"),
        ({"n": 0, "p": 1, "r": 1}, ValueError, "n must be at least 1, got n=0"),
        ({"p": 2.0, "r": 1}, TypeError, "p must be an int, got 2.0 of type float"),
        ({"p": 2, "r": True}, TypeError, "r must be an int, got True of type bool"),
        ({"p": "2", "r": 1}, TypeError, "p must be an int, got '2' of type str"),
        ({"p": None, "r": 1}, TypeError, "p must be an int, got None of type NoneType"),
    ],
)
def test_sizes(sizes: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=message(text)) as caught:
        LPHM(**{"n": 12, **sizes})
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("seed", "kind", "text"),
    [
        (-1, ValueError, "seed must be at least 0, got seed=-1"),
        (1.5, TypeError, "seed must be an int, got 1.5 of type float"),
    ],
)
def test_seed(seed: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=message(text)):
        RandomMatrixAdaptation(n=12, r=2, seed=seed)


def test_divisibility_is_both_kinds_of_error() -> None:
    assert issubclass(DivisibilityError, ValueError)
    assert issubclass(DivisibilityError, AssertionError)
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("n", [1, 2, 7, 12, 36, 97, 720])
def test_divisors(n: int) -> None:
    assert divisors(n) == [d for d in range(1, n + 1) if n % d == 0]


@pytest.mark.parametrize("function", [interdependence_matrix, interdependence_apply, interdependence_grouped])
@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (
            {"w": torch.randn(1, 24)},
            ValueError,
            "w must hold 26 parameters (A 6 + S 12 + T 8) in its last dimension, got shape (1, 24)",
        ),
        (
            {"w": torch.randn(())},
            ValueError,
            "w must hold 26 parameters (A 6 + S 12 + T 8) in its last dimension, got shape ()",
        ),
        (
            {"w": torch.randn(2, 3, 26)},
            ValueError,
            "w must be (l,) or (channels, l), got shape (2, 3, 26); use torch.func.vmap",
        ),
        (
            {"x": torch.randn(3, 11, 12)},
            ValueError,
            "x must have 12 rows, got shape (3, 11, 12); "
            "pass partial=True to treat the missing rows as zeros",
        ),
        (
            {"x": torch.randn(3, 12, 5), "kind": "instance"},
            ValueError,
            "x must have 12 columns, got shape (3, 12, 5); "
            "pass partial=True to treat the missing columns as zeros",
        ),
        (
            {"x": torch.randn(3, 0, 5), "partial": True},
            ValueError,
            "x must have at least one of its 12 rows, got shape (3, 0, 5)",
        ),
        (
            {"x": torch.randn(3, 13, 5), "partial": True},
            ValueError,
            "x must have 12 rows for the attribute kind, got shape (3, 13, 5); "
            "build the structure with n=13, or check which kind you want",
        ),
        (
            {"x": torch.randn(3, 12, 15), "kind": "instance"},
            ValueError,
            "x must have 12 columns for the instance kind, got shape (3, 12, 15); "
            "build the structure with n=15, or check which kind you want",
        ),
        ({"x": torch.randn(12)}, ValueError, "x must be (*batch, b, m), got shape (12,)"),
        (
            {"x": torch.ones(12, 5, dtype=torch.int64)},
            TypeError,
            "x must be floating point, got torch.int64; use x.to(torch.float32)",
        ),
        (
            {"w": torch.ones(26, dtype=torch.int64)},
            TypeError,
            "w must be floating point, got torch.int64; use w.to(torch.float32)",
        ),
        ({"x": [[1.0]]}, TypeError, "x must be a torch.Tensor, got list; use torch.as_tensor"),
        ({"w": None}, TypeError, "w must be a torch.Tensor, got NoneType; use torch.as_tensor"),
        (
            {"x": torch.randn(12, 5, dtype=torch.float64)},
            TypeError,
            "x must have the type and device of w, "
            "got torch.float64 on cpu and torch.float32 on cpu; use x.to(w)",
        ),
        (
            {"x": torch.randn(12, 5, device="meta")},
            TypeError,
            "x must have the type and device of w, "
            "got torch.float32 on meta and torch.float32 on cpu; use x.to(w)",
        ),
        ({"kind": "row"}, ValueError, "kind must be 'attribute' or 'instance', got 'row'"),
        ({"kind": ["row"]}, ValueError, "kind must be 'attribute' or 'instance', got ['row']"),
        (
            {"w": torch.ones(26, dtype=torch.int64), "x": torch.ones(12, 5, dtype=torch.int64)},
            TypeError,
            "w must be floating point, got torch.int64; use w.to(torch.float32)",
        ),
        (
            {"normalize": "mean"},
            ValueError,
            "normalize must be None, 'scale', 'softmax' or a callable, got 'mean'",
        ),
    ],
)
def test_arguments(function: object, arguments: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=message(text)):
        function(STRUCTURE, **{"w": w, "x": x, **arguments})


@pytest.mark.parametrize("function", [interdependence_apply, interdependence_grouped])
@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (
            {"data": torch.randn(3, 7, 4)},
            ValueError,
            "data must be (3, b', 5) to match x, got shape (3, 7, 4)",
        ),
        ({"data": torch.randn(7, 5)}, ValueError, "data must be (3, b', 5) to match x, got shape (7, 5)"),
        ({"data": torch.randn(5)}, ValueError, "data must be (3, b', 5) to match x, got shape (5,)"),
        (
            {"data": torch.randn(3, 7, 4), "x": torch.randn(3, 5, 12), "kind": "instance"},
            ValueError,
            "data must be (3, 5, m') to match x, got shape (3, 7, 4)",
        ),
        (
            {"data": torch.randn(3, 7, 5).half()},
            TypeError,
            "data must have the type and device of w, "
            "got torch.float16 on cpu and torch.float32 on cpu; use data.to(w)",
        ),
        (
            {"data": torch.ones(3, 7, 5, dtype=torch.bool)},
            TypeError,
            "data must be floating point, got torch.bool; use data.to(torch.float32)",
        ),
    ],
)
def test_data(function: object, arguments: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=message(text)):
        function(STRUCTURE, **{"w": w, "x": x, **arguments})


def test_channels_must_divide() -> None:
    layer = BilinearInterdependence(STRUCTURE, channels=5)
    with pytest.raises(
        ValueError, match=message("channels must divide the rows of data, got channels=5, rows=12")
    ):
        layer(x)
    layer = BilinearInterdependence(STRUCTURE, "instance", channels=5)
    with pytest.raises(
        ValueError, match=message("channels must divide the columns of data, got channels=5, columns=12")
    ):
        layer(x.mT)


def test_layer() -> None:
    text = "x must have 12 rows, got shape (7, 5); pass partial=True to treat the missing rows as zeros"
    with pytest.raises(ValueError, match=message(text)):
        BilinearInterdependence(STRUCTURE)(torch.randn(7, 5))
    with pytest.raises(
        TypeError, match=message("structure must be a lphm.Structure such as lphm.LPHM(...), got 12")
    ):
        BilinearInterdependence(12)
    with pytest.raises(ValueError, match=message("channels must be at least 1, got channels=0")):
        BilinearInterdependence(STRUCTURE, channels=0)
    with pytest.raises(ValueError, match=message("kind must be 'attribute' or 'instance', got 'column'")):
        BilinearInterdependence(STRUCTURE, "column")


def test_project() -> None:
    text = "x must be (*batch, 12, k), n=12 rows, got shape (3, 5, 12)"
    with pytest.raises(ValueError, match=message(text)):
        STRUCTURE.project(w, x.mT)
    text = "w must be (l,) or (channels, l), got (2, 3, 26); use torch.func.vmap"
    with pytest.raises(ValueError, match=message(text)):
        STRUCTURE.project(torch.randn(2, 3, 26), x)


def test_pack() -> None:
    text = "factors must be A (*, 2, 3), S (*, 6, 2), T (*, 4, 2), got shapes (2, 3), (6, 2), (2, 4)"
    with pytest.raises(ValueError, match=message(text)):
        STRUCTURE.pack(torch.zeros(2, 3), torch.zeros(6, 2), torch.zeros(2, 4))
    text = "factors must be A (*, 2, 3), S (*, 6, 2), T (*, 4, 2), got shapes none"
    with pytest.raises(ValueError, match=message(text)):
        STRUCTURE.pack()
    for function in (STRUCTURE.unpack, STRUCTURE.to_dense):
        with pytest.raises(ValueError, match=r"^w must hold 26 parameters"):
            function(torch.randn(27))


def test_config() -> None:
    with pytest.raises(ValueError, match=r"^structure name must be one of full, .*lphm.*, got 'lpmh'$"):
        from_config({"name": "lpmh", "n": 12})
    with pytest.raises(TypeError, match="unexpected keyword argument 'p'"):
        from_config({"name": "full", "n": 12, "p": 2})
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'n'"):
        from_config({"name": "full"})
    with pytest.raises(ValueError, match=r"^n must be at least 1"):
        Full(n=-3)
