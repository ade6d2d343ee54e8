"""What the tests of ``lphm.rpn`` share: the oracle by numpy.kron in float64, the sizes, the six classes.

The oracle shares no line with the package: ``W`` is built with ``numpy.kron``, the gradients of the
data are written out by hand, and the gradient of ``w`` uses that ``W`` is affine in each single
parameter, so that a central difference with step 1 is exact.
"""

import numpy as np
import pytest
import torch

from lphm.rpn import dual_lphm_parameterized_bilinear_interdependence as DualLPHM
from lphm.rpn import hm_parameterized_bilinear_interdependence as HM
from lphm.rpn import lowrank_parameterized_bilinear_interdependence as LowRank
from lphm.rpn import lphm_parameterized_bilinear_interdependence as LPHM
from lphm.rpn import parameterized_bilinear_interdependence as Full
from lphm.rpn import random_matrix_adaption_parameterized_bilinear_interdependence as RandomMatrix
from lphm.structures.random_matrix import fixed_matrices

INSTANCE = ("row", "left", "instance", "instance_interdependence")
ATTRIBUTE = ("column", "right", "attribute", "attribute_interdependence")
KINDS = ("attribute", "instance")

# n, p, q, r and the number k of what interdepends. The non-degenerate first: 1 < p < n, p != q, r > 1.
SIZES = {
    "p>q": (12, 4, 2, 2, 5),
    "p<q": (12, 2, 6, 3, 7),
    "p=q": (12, 3, 3, 2, 4),
    "q not given": (12, 3, None, 2, 4),
    "many blocks": (36, 9, 4, 2, 3),
    "large n, p>q": (96, 8, 6, 2, 3),
    "large n, p<q": (96, 6, 8, 2, 3),
    "large n, p=q": (96, 8, 8, 2, 3),
    "p=1": (8, 1, 4, 2, 3),
    "q=1": (8, 4, 1, 2, 3),
    "p=q=1": (6, 1, 1, 2, 3),
    "p=n": (6, 6, 2, 2, 3),
    "q=n": (6, 2, 6, 2, 3),
    "p=q=n": (6, 6, 6, 1, 3),
    "n prime": (7, 7, 1, 2, 3),
    "r above n/p": (6, 3, 2, 5, 3),
    "one column": (12, 4, 2, 2, 1),
    "n=1": (1, 1, 1, 1, 4),
}


# The oracle.


def cut(w, *shapes):
    """Matrices that lie row-major, one after another, in ``w``."""
    parts = np.split(w, np.cumsum([rows * columns for rows, columns in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def full_W(w, n, p, q, r):
    return w.reshape(n, n)


def lowrank_W(w, n, p, q, r):
    P, Q = cut(w, (n, r), (n, r))
    return P @ Q.T


def hm_W(w, n, p, q, r):
    A, B = cut(w, (p, q), (n // p, n // q))
    return np.kron(A, B)


def lphm_W(w, n, p, q, r):
    A, S, T = cut(w, (p, q), (n // p, r), (n // q, r))
    return np.kron(A, S @ T.T)


def dual_lphm_W(w, n, p, q, r):
    P, Q, S, T = cut(w, (p, r), (q, r), (n // p, r), (n // q, r))
    return np.kron(P @ Q.T, S @ T.T)


def random_matrix_W(w, n, p, q, r):
    A, B = (M.numpy() for M in fixed_matrices((n, n), r, 3, torch.float64, torch.device("cpu")))
    return np.diag(w[:n]) @ A @ np.diag(w[n:]) @ B.T


#: For each class: its W, and which of the sizes its constructor takes.
CLASSES = {
    Full: (full_W, ""),
    LowRank: (lowrank_W, "r"),
    HM: (hm_W, "pq"),
    LPHM: (lphm_W, "rpq"),
    DualLPHM: (dual_lphm_W, "rpq"),
    RandomMatrix: (random_matrix_W, "r"),
}


def oracle_matrix(kind, W, X):
    return X.T @ W @ X if kind == "attribute" else X @ W @ X.T


def oracle_forward(kind, W, X, D):
    xi = oracle_matrix(kind, W, X)
    return D @ xi if kind == "attribute" else xi.T @ D


def derivatives(make_W, w):
    """The derivative of ``W`` by each entry of ``w``, ``(l, n, n)``; None where ``W`` is ``w`` reshaped."""
    if np.shares_memory(make_W(w), w):
        return None
    return np.array([(make_W(w + e) - make_W(w - e)) / 2 for e in np.eye(len(w))])


def oracle_gradients(kind, W, dW, X, D, G):
    """Gradients of ``sum(G * forward)`` for ``w``, ``X`` (as what xi is made of) and ``D``."""
    xi = oracle_matrix(kind, W, X)
    if kind == "attribute":
        g_xi, g_D = D.T @ G, G @ xi.T
        g_W, g_X = X @ g_xi @ X.T, W @ X @ g_xi.T + W.T @ X @ g_xi
    else:
        g_xi, g_D = D @ G.T, xi @ G
        g_W, g_X = X.T @ g_xi @ X, g_xi @ X @ W.T + g_xi.T @ X @ W
    g_w = g_W.ravel() if dW is None else np.tensordot(dW, g_W, axes=2)
    return g_w, g_X, g_D


# What the tests build.


def build(cls, size, word="attribute", **more):
    n, p, q, r, k = size
    kind = "instance" if word in INSTANCE else "attribute"
    b, m = (k, n) if kind == "instance" else (n, k)
    own = {key: value for key, value in zip("pqr", (p, q, r), strict=True) if key in table(cls)[1]}
    own |= {"seed": 3} if cls is RandomMatrix else {}
    return cls(b=b, m=m, interdependence_type=word, **own, **more)


def table(cls):
    return next(row for known, row in reversed(CLASSES.items()) if issubclass(cls, known))


def tensors(f, *, columns=None, dtype=torch.float64, grad=True):
    """``w``, ``x`` and, where ``columns`` says how wide the other side is, ``kappa_x``."""
    kappa = None
    if columns is not None:
        shape = (columns, f.m) if f.kind == "attribute" else (f.b, columns)
        kappa = torch.randn(shape, dtype=dtype, requires_grad=grad)
    w = torch.randn(1, f.calculate_l(), dtype=dtype, requires_grad=grad)
    return w, torch.randn(f.b, f.m, dtype=dtype, requires_grad=grad), kappa


def make_W(f, size):
    n, p, q, r, _ = size
    return lambda w: table(type(f))[0](w, n, p, p if q is None else q, r)


def close(got, want):
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else got
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= 1e-12 * max(1, np.abs(want).max(initial=0))


def numpy(t):
    return t.detach().numpy().astype(np.float64)


def short_name(cls):
    return cls.__name__.split("_param")[0]


def different_cases():
    """Every class with every size that is a case of its own: most classes have no ``p`` and ``q``."""
    cases = {}
    for cls, (_, letters) in CLASSES.items():
        for name, size in SIZES.items():
            n, p, q, r, k = size
            own = tuple(value for key, value in zip("pqr", (p, q, r), strict=True) if key in letters)
            cases.setdefault((cls, n, k, own), pytest.param(cls, size, id=f"{short_name(cls)}-{name}"))
    return cases.values()


kinds = pytest.mark.parametrize("kind", KINDS)
classes = pytest.mark.parametrize("cls", CLASSES, ids=short_name)
classes_and_sizes = pytest.mark.parametrize(("cls", "size"), different_cases())


def halve_first_row(x):
    """Looks different from either orientation."""
    return torch.cat([x[:1] / 2, x[1:]])


def column_softmax(A):
    assert A.dim() == 2
    return A.softmax(dim=0)
