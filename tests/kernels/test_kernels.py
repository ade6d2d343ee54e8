"""Known estimators: W is what its definition says, entry by entry, and xi what a loop over pairs gives."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import lphm
from lphm import kernels
from lphm.structures import Structure
from support import reference

Kernel = tuple[Structure, Tensor]
UNEQUAL = ["b", "a", "c", "b", "a", "b", "b"]


def data(rows: int, columns: int = 3) -> Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def written(n: int, weight: Callable[[int, int], float]) -> np.ndarray:
    """W entry by entry."""
    return np.array([[float(weight(i, j)) for j in range(n)] for i in range(n)])


def summed(x: Tensor, weight: Callable[[int, int], float]) -> np.ndarray:
    """xi by a loop over pairs of rows."""
    rows = x.numpy()
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(rows))]
    return sum(weight(i, j) * np.outer(rows[i], rows[j]) for i, j in pairs)


def triangle(apart: int, lags: int) -> float:
    return max(0.0, 1 - abs(apart) / (lags + 1))


SERIES = {
    "identity": (kernels.identity(7), lambda i, j: i == j),
    "identity of one row": (kernels.identity(1), lambda *_: 1),
    "lag 0": (kernels.lag(7, 0), lambda i, j: i == j),
    "lag 2": (kernels.lag(7, 2), lambda i, j: j == i + 2),
    "lag -2": (kernels.lag(7, -2), lambda i, j: j == i - 2),
    "the largest lag": (kernels.lag(7, 6), lambda i, j: (i, j) == (0, 6)),
    "bartlett": (kernels.bartlett(7, 3), lambda i, j: triangle(j - i, 3)),
    "bartlett of no lag": (kernels.bartlett(7, 0), lambda i, j: i == j),
    "bartlett of every lag": (kernels.bartlett(7, 6), lambda i, j: triangle(j - i, 6)),
    "bartlett in blocks": (kernels.bartlett(80, 40), lambda i, j: triangle(j - i, 40)),
    "clusters": (kernels.clusters([2, 2, 5, 5, 9, 9]), lambda i, j: i // 2 == j // 2),
    "one cluster": (kernels.clusters("aaa"), lambda *_: 1),
    "clusters of one row": (kernels.clusters(range(4)), lambda i, j: i == j),
    "panel": (
        kernels.driscoll_kraay([1, 1, 1, 2, 2, 2, 3, 3, 3], 1),
        lambda i, j: triangle(j // 3 - i // 3, 1),
    ),
}
LATTICES = [(3, 4), (4, 3), (1, 5), (5, 1), (1, 1), (2, 2)]


@pytest.mark.parametrize("name", SERIES)
def test_w_and_xi_are_what_they_are_defined_as(name: str) -> None:
    (structure, w), weight = SERIES[name]
    assert w.dtype == torch.float64
    np.testing.assert_allclose(reference.dense(structure, w), written(structure.n, weight), atol=1e-15)
    x = data(structure.n)
    xi = lphm.interdependence_matrix(structure, w, x)
    np.testing.assert_allclose(xi, summed(x, weight), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), LATTICES)
@pytest.mark.parametrize("queen", [False, True])
def test_contiguity_is_that_of_a_lattice(rows: int, columns: int, queen: bool) -> None:
    def weight(i: int, j: int) -> float:
        apart = sorted((abs(i // columns - j // columns), abs(i % columns - j % columns)))
        return apart == [0, 1] or (queen and apart == [1, 1])

    structure, w = kernels.contiguity(rows, columns, queen)
    assert w.shape == (2, rows**2 + columns**2)
    W = reference.dense(structure, w).sum(0)
    np.testing.assert_allclose(W, written(rows * columns, weight), atol=1e-15)
    x = data(rows * columns)
    xi = lphm.interdependence_matrix(structure, w, x).sum(0)
    np.testing.assert_allclose(xi, summed(x, weight), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "labels", [list, np.array, lambda names: torch.tensor([ord(name) for name in names])]
)
def test_unequal_clusters_in_any_order_are_filled_with_zeros(labels: Callable) -> None:
    groups = labels(UNEQUAL)
    x = data(7)
    structure, w = kernels.clusters(groups)
    filled = kernels.by_group(x, groups)
    assert filled.shape == (structure.n, 3) == (12, 3)
    assert filled[[0, 1, 4, 5, 6, 7, 8]].equal(x[[1, 4, 0, 3, 5, 6, 2]])
    assert filled[[2, 3, 9, 10, 11]].eq(0).all()
    xi = lphm.interdependence_matrix(structure, w, filled)
    np.testing.assert_allclose(xi, summed(x, lambda i, j: UNEQUAL[i] == UNEQUAL[j]), rtol=1e-12, atol=1e-12)


def test_an_unbalanced_panel() -> None:
    periods = [1990, 1992, 1991, 1990, 1992, 1992, 1993]
    x = data(7)
    xi = lphm.interdependence_matrix(*kernels.driscoll_kraay(periods, 2), kernels.by_group(x, periods))
    want = summed(x, lambda i, j: triangle(periods[i] - periods[j], 2))
    np.testing.assert_allclose(xi, want, rtol=1e-12, atol=1e-12)


def test_rows_in_order_stay_as_they_are_and_gradients_and_batches_pass() -> None:
    x = data(6).requires_grad_()
    assert kernels.by_group(x, [1, 1, 2, 2, 3, 3]).equal(x)
    batch = torch.stack([x, 2 * x])
    filled = kernels.by_group(batch, UNEQUAL[:6])
    assert filled[1].equal(kernels.by_group(2 * x, UNEQUAL[:6]))
    filled.sum().backward()
    assert x.grad.eq(3).all()


def test_every_public_name_has_a_row_in_the_docs() -> None:
    assert lphm.kernels is kernels
    page = (Path(__file__).parents[2] / "docs" / "kernels.md").read_text()
    table = set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE))
    assert set(kernels.__all__) == {*table, "by_group"}
    for name in kernels.__all__:
        assert f"{name}(" in "".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: kernels.identity(0), ValueError, "n must be at least 1, got n=0"),
        (lambda: kernels.lag(3, 3), ValueError, "k must be below n, the number of rows, got k=3, n=3"),
        (lambda: kernels.lag(3, -3), ValueError, "k must be at least -2, got k=-3"),
        (lambda: kernels.lag(3, 1.0), TypeError, "k must be an int, got 1.0 of type float"),
        (lambda: kernels.bartlett(3, -1), ValueError, "lags must be at least 0, got lags=-1"),
        (
            lambda: kernels.bartlett(3, 3),
            ValueError,
            "lags must be below n, the number of rows, got lags=3, n=3",
        ),
        (lambda: kernels.clusters([]), ValueError, "labels must be there for at least one row, got none"),
        (
            lambda: kernels.clusters([1, None]),
            ValueError,
            "labels must be there for all rows, got None in row 1",
        ),
        (
            lambda: kernels.clusters(np.array([np.nan, 1.0])),
            ValueError,
            "labels must be there for all rows, got nan in row 0",
        ),
        (
            lambda: kernels.clusters([1, "a"]),
            TypeError,
            "labels must be of one type that can be sorted, got: "
            "'<' not supported between instances of 'str' and 'int'",
        ),
        (
            lambda: kernels.driscoll_kraay([1, 1, 2], 2),
            ValueError,
            "lags must be below the number of periods, 2, got lags=2",
        ),
        (
            lambda: kernels.by_group(data(3), [1, 2]),
            ValueError,
            "x must be (*, 2, k), a row for each label, got shape (3, 3)",
        ),
        (lambda: kernels.contiguity(0, 3), ValueError, "rows must be at least 1, got rows=0"),
    ],
)
def test_errors(call: Callable, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        call()
