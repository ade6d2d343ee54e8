"""What a caller of a structure can get wrong, with the whole message."""

import pytest
import torch

from lphm import LPHM, DivisibilityError, Full, RandomMatrixAdaptation, Toeplitz
from lphm.structures import from_config
from support.messages import whole

STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
w, x = torch.randn(26), torch.randn(3, 12, 5)


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
            {"columns": 20, "p": 2, "q": 6, "r": 1},
            DivisibilityError,
            "q must divide columns, got q=6, columns=20 (divisors of 20: 1, 2, 4, 5, 10, 20)",
        ),
        (
            {"columns": 20, "p": 5, "q": 4, "r": 1},
            DivisibilityError,
            "p must divide n, got p=5, n=12 (divisors of 12: 1, 2, 3, 4, 6, 12)",
        ),
        ({"columns": 0, "p": 2, "r": 1}, ValueError, "columns must be at least 1, got columns=0"),
        ({"columns": 2.0, "p": 2, "r": 1}, TypeError, "columns must be an int, got 2.0 of type float"),
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
    with pytest.raises(kind, match=whole(text)) as caught:
        LPHM(**{"n": 12, **sizes})
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("lags", "kind", "text"),
    [
        (
            4,
            ValueError,
            "lags must be odd, as many backwards as forwards and 0, and at most 2 n - 1 = 11, "
            "got lags=4, n=6; use lags=3",
        ),
        (
            13,
            ValueError,
            "lags must be odd, as many backwards as forwards and 0, and at most 2 n - 1 = 11, "
            "got lags=13, n=6; use lags=11",
        ),
        (0, ValueError, "lags must be at least 1, got lags=0"),
        (3.0, TypeError, "lags must be an int, got 3.0 of type float"),
    ],
)
def test_lags(lags: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=whole(text)):
        Toeplitz(n=6, lags=lags)


@pytest.mark.parametrize(("n", "columns", "size"), [(6, 20, "n"), (20, 6, "columns")])
def test_lags_of_the_shorter_side(n: int, columns: int, size: str) -> None:
    text = (
        f"lags must be odd, as many backwards as forwards and 0, and at most 2 {size} - 1 = 11, "
        f"got lags=13, {size}=6; use lags=11"
    )
    with pytest.raises(ValueError, match=whole(text)):
        Toeplitz(n=n, columns=columns, lags=13)
    assert Toeplitz(n=n, columns=columns, lags=11).num_parameters == 11


@pytest.mark.parametrize(
    ("seed", "kind", "text"),
    [
        (-1, ValueError, "seed must be at least 0, got seed=-1"),
        (1.5, TypeError, "seed must be an int, got 1.5 of type float"),
    ],
)
def test_seed(seed: object, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=whole(text)):
        RandomMatrixAdaptation(n=12, r=2, seed=seed)


def test_project() -> None:
    text = "x must be (*batch, 12, k), n=12 rows, got shape (3, 5, 12)"
    with pytest.raises(ValueError, match=whole(text)):
        STRUCTURE.project(w, x.mT)
    text = "w must be (l,) or (channels, l), got (2, 3, 26); use torch.func.vmap"
    with pytest.raises(ValueError, match=whole(text)):
        STRUCTURE.project(torch.randn(2, 3, 26), x)
    with pytest.raises(ValueError, match=r"^w must hold 26 parameters"):
        STRUCTURE.project(torch.randn(52), x)
    wide = LPHM(n=12, columns=15, p=2, q=3, r=2)
    v = torch.randn(wide.num_parameters)
    text = "y must be (3, 15, k), columns=15 rows in the batch of x, got none for a W of 12 x 15"
    with pytest.raises(ValueError, match=whole(text)):
        wide.project(v, x)
    for shape in [(3, 12, 5), (15, 5), (2, 15, 5), (15,)]:
        text = f"y must be (3, 15, k), columns=15 rows in the batch of x, got shape {shape}"
        with pytest.raises(ValueError, match=whole(text)):
            wide.project(v, x, torch.randn(shape))


def test_pack() -> None:
    text = "factors must be A (*, 2, 3), S (*, 6, 2), T (*, 4, 2), got shapes (2, 3), (6, 2), (2, 4)"
    with pytest.raises(ValueError, match=whole(text)):
        STRUCTURE.pack(torch.zeros(2, 3), torch.zeros(6, 2), torch.zeros(2, 4))
    text = "factors must be A (*, 2, 3), S (*, 6, 2), T (*, 4, 2), got shapes none"
    with pytest.raises(ValueError, match=whole(text)):
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


@pytest.mark.parametrize("size", ["n", "r"])
def test_sizes_of_random_matrix_adaptation(size: str) -> None:
    with pytest.raises(ValueError, match=rf"^{size} must be at least 1"):
        RandomMatrixAdaptation(**{"n": 4, "r": 2, size: 0})
