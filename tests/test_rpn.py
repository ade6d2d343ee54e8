"""``lphm.rpn`` against numpy.kron in float64, and every word of its signatures.

The oracle shares no line with the package: ``W`` is built with ``numpy.kron``, the gradients of the
data are written out by hand, and the gradient of ``w`` uses that ``W`` is affine in each single
parameter, so that a central difference with step 1 is exact.
"""

import copy
import functools
import json
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import lphm
from lphm import rpn
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
    A, B = (M.numpy() for M in fixed_matrices(n, r, 3, torch.float64, torch.device("cpu")))
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


def oracle_gradients(kind, make_W, w, X, D, G):
    """Gradients of ``sum(G * forward)`` for ``w``, ``X`` (as what xi is made of) and ``D``."""
    W = make_W(w)
    xi = oracle_matrix(kind, W, X)
    if kind == "attribute":
        g_xi, g_D = D.T @ G, G @ xi.T
        g_W, g_X = X @ g_xi @ X.T, W @ X @ g_xi.T + W.T @ X @ g_xi
    else:
        g_xi, g_D = D @ G.T, xi @ G
        g_W, g_X = X.T @ g_xi @ X, g_xi @ X @ W.T + g_xi.T @ X @ W
    if np.shares_memory(W, w):  # W = reshape(w)
        return g_W.ravel(), g_X, g_D
    steps = np.eye(len(w))
    g_w = np.array([np.sum(g_W * (make_W(w + e) - make_W(w - e))) / 2 for e in steps])
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


sizes = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
kinds = pytest.mark.parametrize("kind", KINDS)
classes = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__.split("_param")[0])


# Values and gradients.


@classes
@kinds
@sizes
def test_calculate_A_equals_kron(cls, kind, size):
    f = build(cls, size, kind)
    w, x, _ = tensors(f)
    W = make_W(f, size)(numpy(w)[0])
    A = f.calculate_A(x.T if kind == "instance" else x, w, "cpu")
    close(A, oracle_matrix(kind, W, numpy(x)))


@classes
@kinds
@sizes
@pytest.mark.parametrize("columns", [None, 4])
def test_forward_and_gradients_equal_kron(cls, kind, size, columns):
    f = build(cls, size, kind)
    w, x, kappa = tensors(f, columns=columns)
    out = f(x=x, w=w, kappa_x=kappa, device="cpu")
    D = numpy(x if kappa is None else kappa)
    make = make_W(f, size)
    close(out, oracle_forward(kind, make(numpy(w)[0]), numpy(x), D))
    G = torch.randn_like(out)
    out.backward(G)
    g_w, g_X, g_D = oracle_gradients(kind, make, numpy(w)[0], numpy(x), D, numpy(G))
    close(w.grad[0], g_w)
    close(x.grad, g_X + g_D if kappa is None else g_X)
    if kappa is not None:
        close(kappa.grad, g_D)


@classes
@pytest.mark.parametrize("word", INSTANCE + ATTRIBUTE)
def test_all_eight_words(cls, word):
    size = SIZES["p>q"]
    f = build(cls, size, word)
    assert f.interdependence_type == word
    kind = "instance" if word in INSTANCE else "attribute"
    w, x, kappa = tensors(f, columns=4)
    W = make_W(f, size)(numpy(w)[0])
    close(f(x, w, kappa), oracle_forward(kind, W, numpy(x), numpy(kappa)))
    close(f.calculate_A(x.T if kind == "instance" else x, w), oracle_matrix(kind, W, numpy(x)))


@classes
@kinds
def test_one_row_of_data(cls, kind):
    """b = 1: the instance type has a 1 x 1 matrix, the attribute type a 1 x 1 W."""
    size = (1, 1, 1, 2, 6) if kind == "attribute" else (6, 3, 2, 2, 1)
    f = build(cls, size, kind)
    assert f.get_b() == 1
    w, x, _ = tensors(f)
    close(f(x, w), oracle_forward(kind, make_W(f, size)(numpy(w)[0]), numpy(x), numpy(x)))


@classes
@kinds
def test_no_data_at_all(cls, kind):
    f = build(cls, (6, 3, 2, 2, 3), kind)
    x = torch.randn(0, 6) if kind == "instance" else torch.randn(6, 0)
    assert f(x, torch.randn(1, f.calculate_l())).shape == x.shape


@classes
@kinds
def test_gradcheck_and_gradgradcheck(cls, kind):
    f = build(cls, (4, 2, 4, 2, 3), kind)
    w, x, kappa = tensors(f, columns=2)
    assert torch.autograd.gradcheck(f, (x, w, kappa))
    assert torch.autograd.gradgradcheck(f, (x, w, kappa))
    assert torch.autograd.gradcheck(f.calculate_A, (x.detach().T if kind == "instance" else x, w))


@kinds
def test_non_contiguous_and_expanded_input(kind):
    size = SIZES["p>q"]
    f = build(LPHM, size, kind)
    w, x, _ = tensors(f, grad=False)
    want = f(x, w)
    strided = torch.stack([x, -x], dim=-1)[..., 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(f(strided, w), want)
    torch.testing.assert_close(f(x.T.contiguous().T, w.expand(3, -1)[2:3]), want)


def test_instance_type_takes_any_number_of_rows():
    """The batch that comes last is smaller; W is m x m and does not care."""
    f = LPHM(b=32, m=6, r=2, p=3, interdependence_type="instance")
    w = torch.randn(1, f.calculate_l(), dtype=torch.float64)
    for rows in (32, 5, 1):
        x = torch.randn(rows, 6, dtype=torch.float64)
        W = lphm_W(numpy(w)[0], 6, 3, 3, 2)
        close(f(x, w), oracle_forward("instance", W, numpy(x), numpy(x)))


class Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that an operator makes."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        made = [t for t in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(t, torch.Tensor)]
        self.size = max([self.size, *(t.numel() for t in made if t._base is None)])
        return out


@kinds
def test_forward_forms_neither_a_large_W_nor_a_large_xi(kind):
    b, m = 512, 16
    f = LPHM(b=b, m=m, r=2, p=4, interdependence_type=kind)
    w, x, _ = tensors(f, dtype=torch.float32)
    with Largest() as seen:
        f(x, w).sum().backward()
    assert 0 < seen.size < b * b


# Lengths and names.


@pytest.mark.parametrize(("kind", "l"), [("attribute", 8 + 2 * (3 + 6)), ("instance", 8 + 2 * (2 + 4))])
def test_calculate_l(kind, l):
    f = LPHM(b=12, m=8, r=2, p=4, q=2, interdependence_type=kind)
    assert f.calculate_l() == l
    assert Full(b=12, m=8, interdependence_type=kind).calculate_l() == (144 if kind == "attribute" else 64)


@classes
@kinds
def test_b_prime_and_m_prime_keep_the_size(cls, kind):
    f = build(cls, SIZES["p>q"], kind)
    assert f.calculate_b_prime() == f.calculate_b_prime(b=None) == f.b
    assert f.calculate_m_prime() == f.calculate_m_prime(m=None) == f.m
    assert f.calculate_b_prime(b=77) == f.calculate_m_prime(m=77) == 77


def test_signature_of_the_specification():
    f = LPHM(2, 4, None, "my name", 8, 6, "column")
    assert (f.r, f.p, f.q, f.name, f.b, f.m, f.interdependence_type) == (2, 4, 4, "my name", 8, 6, "column")
    assert (f.get_name(), f.get_b(), f.get_m(), f.get_A(), f.A) == ("my name", 8, 6, None, None)
    parent = Full(8, 6, "right", "other", False, True, None, None, "cpu")
    assert (parent.require_data, parent.require_parameters, parent.device) == (False, True, "cpu")
    for cls in CLASSES:
        assert issubclass(cls, Full)
        assert issubclass(cls, torch.nn.Module)


@pytest.mark.parametrize(
    ("f", "sizes"),
    [
        (LowRank(3, "my name", 8, 6, "column"), {"r": 3}),
        (HM(2, 4, "my name", 8, 6, "column"), {"p": 2, "q": 4}),
        (DualLPHM(3, 2, 4, "my name", 8, 6, "column"), {"r": 3, "p": 2, "q": 4}),
        (RandomMatrix(3, "my name", 8, 6, "column", seed=5), {"r": 3, "seed": 5}),
        (LowRank(b=8, m=6, interdependence_type="column", name="my name"), {"r": 2}),
        (HM(b=8, m=6, interdependence_type="column", name="my name", p=2), {"p": 2, "q": 2}),
        (
            DualLPHM(b=8, m=6, interdependence_type="column", name="my name", p=2, r=1),
            {"r": 1, "p": 2, "q": 2},
        ),
        (RandomMatrix(b=8, m=6, interdependence_type="column", name="my name"), {"r": 2, "seed": 0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_signatures_of_the_others(f, sizes):
    assert (f.name, f.b, f.m, f.interdependence_type) == ("my name", 8, 6, "column")
    assert {key: getattr(f, key) for key in f.sizes} == sizes


@classes
def test_defaults(cls):
    f = cls(b=4, m=2, **{key: value for key, value in (("p", 2), ("r", 1)) if key in table(cls)[1]})
    assert f.interdependence_type == "instance"
    assert f.name == cls.__name__
    assert (f.require_data, f.require_parameters, f.device) == (True, True, "cpu")
    assert (f.preprocess_functions, f.postprocess_functions) == (None, None)
    assert getattr(f, "q", 2) == 2


def test_a_size_that_the_type_does_not_need_may_be_none():
    x = torch.randn(5, 8)
    f = LPHM(b=None, m=8, r=2, p=4, interdependence_type="instance")
    assert f(x, torch.randn(1, f.calculate_l())).shape == (5, 8)
    f = LPHM(b=5, m=None, r=2, p=1, interdependence_type="attribute")
    assert f(x, torch.randn(1, f.calculate_l())).shape == (5, 8)


def test_a_size_that_the_type_needs_may_come_later():
    f = LPHM(b=None, m=8, r=2, p=4, interdependence_type="attribute")
    with pytest.raises(ValueError, match=r"b must be known .* W is b x b, got b=None; pass b="):
        f.calculate_l()
    f.b = 12
    assert f.calculate_l() == 16 + 2 * (3 + 3)
    f.b = 10
    with pytest.raises(AssertionError, match=r"p must divide b, got p=4, b=10"):
        f.calculate_l()


def test_repr_tells_the_sizes():
    text = repr(LPHM(r=2, p=4, q=2, b=6, m=8, interdependence_type="row"))
    assert "r=2, p=4, q=2, b=6, m=8, interdependence_type='row'" in text


# Errors: what must hold, what was got, what to do.


@classes
@pytest.mark.parametrize("word", ["rows", "", None, 3, [], "Instance"])
def test_an_unknown_type_is_an_error_when_built_and_when_assigned(cls, word):
    with pytest.raises(ValueError, match=r"interdependence_type must be one of 'row', .*, got "):
        cls(b=12, m=12, interdependence_type=word, **dict.fromkeys(table(cls)[1], 2))
    f = build(cls, SIZES["p>q"])
    with pytest.raises(ValueError, match=r"interdependence_type must be one of 'row'"):
        f.interdependence_type = word
    assert f.interdependence_type == "attribute"


@pytest.mark.parametrize("error", [ValueError, AssertionError, lphm.DivisibilityError])
@pytest.mark.parametrize("cls", [LPHM, HM, DualLPHM])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"p": 5}, r"p must divide b, got p=5, b=12 \(divisors of 12: 1, 2, 3, 4, 6, 12\)"),
        ({"p": 4, "q": 5}, r"q must divide b, got q=5, b=12"),
        ({"p": 24}, r"p must divide b, got p=24"),
        ({"p": 5, "interdependence_type": "row"}, r"p must divide m, got p=5, m=8"),
    ],
)
def test_indivisible_sizes(error, cls, sizes, message):
    rank = {} if cls is HM else {"r": 2}
    with pytest.raises(error, match=message):
        cls(**{**rank, "b": 12, "m": 8, "interdependence_type": "column", **sizes})


@classes
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_below_one_in_every_class(cls, value):
    own = dict.fromkeys(table(cls)[1], 1)
    for b in (4, None):  # at once, also while the n of W is still to come
        for key in own:
            with pytest.raises(ValueError, match=f"{key} must be at least 1, got {key}={value}"):
                cls(**{**own, "b": b, "m": 4, "interdependence_type": "right", key: value})
    f = cls(b=4, m=4, **own)
    for key in own:
        setattr(f, key, value)
        with pytest.raises(ValueError, match=f"{key} must be at least 1, got {key}={value}"):
            f.calculate_l()
        setattr(f, key, 1)


def test_seed_of_random_matrix_adaptation():
    f, g, h = (RandomMatrix(r=2, b=6, m=4, seed=seed) for seed in (0, 0, 1))
    w, x, _ = tensors(f, grad=False)
    assert torch.equal(f(x, w), g(x, w))
    assert not torch.allclose(f(x, w), h(x, w))
    with pytest.raises(ValueError, match="seed must be at least 0, got seed=-1"):
        RandomMatrix(r=2, b=6, m=4, seed=-1)


@pytest.mark.parametrize("size", ["r", "p", "q", "b", "m"])
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_below_one(size, value):
    with pytest.raises(ValueError, match=f"{size} must be at least 1, got {size}={value}"):
        LPHM(**{"r": 1, "p": 1, "b": 4, "m": 4, size: value})


@pytest.mark.parametrize("size", ["r", "p", "q", "b", "m"])
@pytest.mark.parametrize("value", [2.0, "2", True])
def test_sizes_that_are_not_ints(size, value):
    with pytest.raises(TypeError, match=f"{size} must be an int, got {value!r}"):
        LPHM(**{"r": 1, "p": 1, "b": 4, "m": 4, size: value})


def test_arguments_that_do_not_exist():
    with pytest.raises(TypeError, match="arguments it does not know: interdependance_type"):
        LPHM(r=1, p=1, b=4, m=4, interdependance_type="row")
    with pytest.raises(TypeError, match="arguments it does not know: 7"):
        Full(4, 4, "row", "name", True, True, None, None, "cpu", 7)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("attribute", (17, 6), r"x must be \(12, m\), b=12 rows, .* got shape \(17, 6\); .*set b=17"),
        ("attribute", (6, 12), r"x must be \(12, m\), b=12 rows"),
        ("instance", (12, 7), r"x must be \(b, 6\), m=6 columns, .* got shape \(12, 7\)"),
        ("attribute", (12,), r"x must be 2-D, \(b, m\), got shape \(12,\)"),
        ("instance", (2, 12, 6), r"x must be 2-D, \(b, m\), got shape \(2, 12, 6\)"),
    ],
)
def test_wrong_x(kind, shape, message):
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type=kind)
    with pytest.raises(ValueError, match=message):
        f(torch.randn(shape), torch.randn(1, f.calculate_l()))


def test_calculate_A_of_the_instance_type_says_that_x_is_transposed():
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="instance")
    w = torch.randn(1, f.calculate_l())
    with pytest.raises(ValueError, match=r"x must be \(6, b\), m=6 rows.*got shape \(12, 6\).*x\.mT"):
        f.calculate_A(torch.randn(12, 6), w)
    with pytest.raises(ValueError, match=r"x must be 2-D, \(m, b\), transposed"):
        f.calculate_A(torch.randn(6), w)
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="attribute")
    with pytest.raises(ValueError, match=r"x must be 2-D, \(b, m\), got"):
        f.calculate_A(torch.randn(12), w)


@kinds
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 16), r"w must hold 17 parameters \(A 9 \+ S 4 \+ T 4\).*got shape \(1, 16\)"),
        ((17,), r"w must be 2-D, \(1, 17\), got shape \(17,\)"),
        ((2, 17), r"w must be one row, \(1, 17\), got shape \(2, 17\); call once for each channel"),
        ((17, 1), r"w must hold 17 parameters"),
        ((1, 1, 17), r"w must be 2-D, \(1, 17\)"),
    ],
)
def test_wrong_w(kind, shape, message):
    f = LPHM(r=1, p=3, b=12, m=12, interdependence_type=kind)
    x = torch.randn(12, 12)
    with pytest.raises(ValueError, match=message):
        f(x, torch.randn(shape))
    with pytest.raises(ValueError, match=message):
        f.calculate_A(x, torch.randn(shape))


@kinds
def test_missing_x_or_w_or_what_is_no_tensor(kind):
    f = LPHM(r=1, p=3, b=12, m=12, interdependence_type=kind)
    x, w = torch.randn(12, 12), torch.randn(1, f.calculate_l())
    for call in (f, f.calculate_A):
        with pytest.raises(ValueError, match=r"x must be a tensor .*got None"):
            call(None, w)
        with pytest.raises(ValueError, match=r"w must be a tensor \(1, 17\), got None"):
            call(x, None)
        with pytest.raises(TypeError, match=r"x must be a tensor"):
            call(x.numpy(), w)
        with pytest.raises(TypeError, match=r"w must be a tensor"):
            call(x, w.tolist())
        with pytest.raises(TypeError, match=r"x must be dense, got layout torch.sparse_coo; use x.to_dense"):
            call(x.to_sparse(), w)
        with pytest.raises(TypeError, match=r"x must have the type and device of w"):
            call(x.double(), w)
    with pytest.raises(ValueError, match=r"x must be a tensor .*got None"):
        f(None, w, kappa_x=x)


@pytest.mark.parametrize("post", [None, torch.tanh])
@pytest.mark.parametrize(("kind", "shape"), [("attribute", (12, 7)), ("instance", (7, 6))])
def test_wrong_kappa_x(kind, shape, post):
    f = LPHM(r=1, p=3, b=12, m=6, interdependence_type=kind, postprocess_functions=post)
    x, w = torch.randn(12, 6), torch.randn(1, f.calculate_l())
    what = "6 columns" if kind == "attribute" else "12 rows"
    with pytest.raises(ValueError, match=rf"kappa_x must have {what}.*got shape"):
        f(x, w, kappa_x=torch.randn(shape))
    with pytest.raises(ValueError, match=r"kappa_x must be 2-D"):
        f(x, w, kappa_x=torch.randn(12))


# Functions before and after.


def halve_first_row(x):
    """Looks different from either orientation."""
    return torch.cat([x[:1] / 2, x[1:]])


def column_softmax(A):
    assert A.dim() == 2
    return A.softmax(dim=0)


@kinds
@pytest.mark.parametrize("post", [None, column_softmax])
def test_preprocess_functions_see_the_orientation_of_calculate_A(kind, post):
    size = (6, 3, 2, 2, 4)
    f = build(LPHM, size, kind, preprocess_functions=halve_first_row, postprocess_functions=post)
    w, x, kappa = tensors(f, columns=3)
    X = numpy(x).copy()
    X[(0, slice(None)) if kind == "attribute" else (slice(None), 0)] /= 2
    W = make_W(f, size)(numpy(w)[0])
    xi = oracle_matrix(kind, W, X)
    if post:
        xi = np.exp(xi - xi.max(0)) / np.exp(xi - xi.max(0)).sum(0)
    close(f.calculate_A(x.T if kind == "instance" else x, w), xi)
    for data in (kappa, None):
        D = numpy(x if data is None else data)  # what xi is applied to is not preprocessed
        close(f(x, w, data), D @ xi if kind == "attribute" else xi.T @ D)


@kinds
def test_postprocess_may_change_the_columns_of_A(kind):
    f = build(LPHM, (6, 3, 2, 2, 4), kind, postprocess_functions=first_two_columns)
    w, x, _ = tensors(f, grad=False)
    A = f.calculate_A(x.T if kind == "instance" else x, w)
    assert A.shape == (4, 2)
    torch.testing.assert_close(f(x, w), x @ A if kind == "attribute" else A.T @ x)


def first_two_columns(A):
    return A[:, :2]


def softsign_tanh_exp(A):
    return torch.tanh(torch.exp(A)) / (1 + torch.tanh(torch.exp(A)).abs())


@kinds
def test_functions_by_name_in_a_list_and_in_order(kind):
    by_name = build(LPHM, (6, 3, 2, 2, 4), kind, postprocess_functions=["torch.exp", torch.tanh, "softsign"])
    direct = build(LPHM, (6, 3, 2, 2, 4), kind, postprocess_functions=softsign_tanh_exp)
    w, x, _ = tensors(by_name, grad=False)
    torch.testing.assert_close(by_name(x, w), direct(x, w))
    empty = build(LPHM, (6, 3, 2, 2, 4), kind, preprocess_functions=[], postprocess_functions=())
    torch.testing.assert_close(empty(x, w), build(LPHM, (6, 3, 2, 2, 4), kind)(x, w))


@pytest.mark.parametrize("argument", ["preprocess_functions", "postprocess_functions"])
def test_functions_that_are_none(argument):
    for name in ("torch.no_such_function", "no_such_package.function", "no_such_activation", "torch.float32"):
        with pytest.raises(ValueError, match=f"a name must .* got '{name}'"):
            Full(4, 4, **{argument: [torch.tanh, name]})
    with pytest.raises(TypeError, match="a function must be a callable or a name"):
        Full(4, 4, **{argument: [3]})


# The constant A.


@kinds
@pytest.mark.parametrize("post", [None, column_softmax])
def test_a_constant_A_is_calculated_once(kind, post):
    f = build(
        LPHM, (6, 3, 2, 2, 4), kind, require_data=False, require_parameters=False, postprocess_functions=post
    )
    w, x, kappa = tensors(f, columns=3)
    assert f.get_A() is None
    first = f(x, w)
    A = f.get_A()
    f.check_A_shape_validity(A)
    torch.testing.assert_close(first, x @ A if kind == "attribute" else A.T @ x)
    other_w, other_x, _ = tensors(f)
    assert f.calculate_A(other_x, other_w) is A
    assert f.calculate_A() is A
    want = kappa @ A if kind == "attribute" else A.T @ kappa
    torch.testing.assert_close(f(None, None, kappa_x=kappa), want)
    torch.testing.assert_close(f(other_x, other_w, kappa), want)
    with pytest.raises(ValueError, match=r"x must be a tensor .* got None"):
        f()
    with pytest.raises(ValueError, match="kappa_x must have 4"):
        f(kappa_x=torch.randn(5, 5, dtype=torch.float64))


@kinds
def test_a_constant_A_has_no_gradient_and_survives_two_backwards(kind):
    f = build(LPHM, (6, 3, 2, 2, 4), kind, require_data=False, require_parameters=False)
    w, x, _ = tensors(f)
    for _ in range(2):
        f(x, w).sum().backward()
    assert w.grad is None
    assert not f.A.requires_grad
    torch.testing.assert_close(
        x.grad,
        2
        * (
            torch.ones(f.b, f.m).double() @ f.A.T
            if kind == "attribute"
            else f.A @ torch.ones(f.b, f.m).double()
        ),
    )


@pytest.mark.parametrize("flags", [(True, True), (True, False), (False, True)])
def test_otherwise_A_is_calculated_each_time(flags):
    f = build(LPHM, (6, 3, 2, 2, 4), require_data=flags[0], require_parameters=flags[1])
    w, x, _ = tensors(f, grad=False)
    first = f(x, w)
    assert f.A is None
    torch.testing.assert_close(f(2 * x, w), 8 * first)


def test_check_A_shape_validity():
    f = LPHM(r=1, p=3, b=12, m=6, interdependence_type="attribute")
    f.check_A_shape_validity(torch.zeros(6, 6))
    with pytest.raises(ValueError, match=r"A must be \(m, m\).*got shape \(12, 12\), m=6"):
        f.check_A_shape_validity(torch.zeros(12, 12))
    with pytest.raises(ValueError, match=r"A must be \(m, m\).*got shape None"):
        f.check_A_shape_validity(None)
    f.interdependence_type = "left"
    f.check_A_shape_validity(torch.zeros(12, 12))


# Types, devices, copies.


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes(kind, dtype):
    f = build(LPHM, (12, 4, 2, 2, 5), kind)
    w, x, _ = tensors(f, grad=False)
    out = f(x.to(dtype), w.to(dtype))
    assert out.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.2
    exact = f(x.to(dtype).double(), w.to(dtype).double())
    assert (out.double() - exact).norm() <= tolerance * exact.norm()


def test_computes_where_the_tensors_are_and_not_where_device_says():
    f = build(LPHM, (12, 4, 2, 2, 5), device="meta")
    w, x, kappa = tensors(f, columns=3)
    for device in (None, "cpu", "meta", torch.device("meta")):
        assert f(x, w, kappa, device).device.type == "cpu"
        assert f.calculate_A(x, w, device).device.type == "cpu"


def test_on_the_meta_device():
    f = build(LPHM, (12, 4, 2, 2, 5))
    x, w = torch.randn(12, 5, device="meta"), torch.randn(1, f.calculate_l(), device="meta")
    assert f(x, w, device="cpu").device.type == "meta"
    assert f.calculate_A(x, w, "cpu").shape == (5, 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@kinds
def test_on_a_gpu(kind):
    f = build(LPHM, (12, 4, 2, 2, 5), kind)
    w, x, _ = tensors(f, grad=False)
    torch.testing.assert_close(f(x.cuda(), w.cuda(), device="cuda").cpu(), f(x, w))


def test_device_follows_to():
    f = LPHM(r=1, p=3, b=12, m=6, device="cpu", require_data=False, require_parameters=False)
    f(torch.randn(12, 6), torch.randn(1, f.calculate_l()))
    assert f.to(torch.float64).device == "cpu"
    assert f.A.dtype == torch.float64
    assert f.to("meta") is f
    assert (f.device, f.A.device.type) == ("meta", "meta")
    assert f.to(device=torch.device("meta")).device == torch.device("meta")
    assert Full(4, 4).to(torch.zeros(1, device="meta")).device == torch.device("meta")
    assert Full(4, 4).to(None, torch.float64).device == "cpu"


@kinds
@pytest.mark.parametrize("post", [None, column_softmax])
def test_compiles_in_one_graph(kind, post):
    f = build(LPHM, (12, 4, 2, 2, 5), kind, postprocess_functions=post)
    w, x, kappa = tensors(f, columns=3, grad=False)
    torch.compiler.reset()
    compiled = torch.compile(f, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, w, kappa), f(x, w, kappa))


@kinds
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_copies(kind, constant, copied):
    f = build(
        LPHM,
        (6, 3, 2, 2, 4),
        kind,
        require_data=not constant,
        require_parameters=not constant,
        preprocess_functions=halve_first_row,
        postprocess_functions="torch.tanh",
    )
    w, x, _ = tensors(f)
    want = f(x, w)
    torch.testing.assert_close(copied(f)(x, w), want)
    assert repr(copied(f)) == repr(f)
    assert f.state_dict() == {}


# Configurations.


@classes
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"name": "mine", "require_data": False, "require_parameters": False, "device": torch.device("cpu")},
        {"preprocess_functions": halve_first_row, "postprocess_functions": [torch.tanh, "softsign"]},
        {"preprocess_functions": "torch.exp", "postprocess_functions": (torch.nn.functional.gelu,)},
    ],
)
def test_config_round_trip_through_json(cls, more):
    f = build(cls, SIZES["p>q"], "left", **more)
    w, x, _ = tensors(f, grad=False)
    config = json.loads(json.dumps(f.to_config()))
    assert config == f.to_config()
    assert config["function_class"] == f"lphm.rpn.{cls.__name__}"
    for again in (cls.from_config(config), Full.from_config({**config, "device": "cpu"})):
        assert type(again) is cls
        assert again.to_config() == f.to_config()
        assert repr(again) == repr(f)
        assert torch.equal(again(x, w), f(x, w))


def test_config_holds_what_it_should():
    f = LPHM(r=2, p=4, b=None, m=8, preprocess_functions=[torch.tanh], postprocess_functions=torch.relu)
    assert f.to_config() == {
        "function_class": "lphm.rpn.lphm_parameterized_bilinear_interdependence",
        "function_parameters": {
            "r": 2,
            "p": 4,
            "q": 4,
            "b": None,
            "m": 8,
            "interdependence_type": "instance",
            "name": "lphm_parameterized_bilinear_interdependence",
            "require_data": True,
            "require_parameters": True,
            "preprocess_functions": ["torch.tanh"],
            "postprocess_functions": "torch.relu",
            "device": "cpu",
        },
    }


def exp(x):
    """Not torch's."""
    return x + 1


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.tanh, "torch.tanh"),
        (torch.nn.functional.relu, "torch.nn.functional.relu"),
        (torch.nn.functional.gelu, "torch.nn.functional.gelu"),  # says that it is of torch._C._nn
        ("softsign", "torch.nn.functional.softsign"),
        (exp, f"{exp.__module__}.exp"),
    ],
)
def test_functions_are_written_by_their_public_name(function, name):
    f = Full(4, 4, preprocess_functions=function)
    assert f.to_config()["function_parameters"]["preprocess_functions"] == name
    x = torch.randn(3, 4)
    again = Full.from_config(f.to_config())
    assert torch.equal(again.pre_process(x), f.pre_process(x))


class Scaled(LPHM):
    """A class of the user's own, at the top of a module."""


def test_config_of_a_derived_class(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_package", SimpleNamespace(Scaled=Scaled))
    monkeypatch.setattr(Scaled, "__module__", "my_package")
    f = build(Scaled, SIZES["p>q"])
    assert f.to_config()["function_class"] == "my_package.Scaled"
    assert type(LPHM.from_config(f.to_config())) is Scaled


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        functools.partial(torch.softmax, dim=0),
        torch.nn.Softmax(dim=0),
        Scaled.to_config,
    ],
)
def test_a_function_without_an_importable_name_has_no_config(function):
    f = Full(4, 4, postprocess_functions=[torch.tanh, function])
    with pytest.raises(ValueError, match=r"a function must be importable by its name .* got .*; define it"):
        f.to_config()


def test_a_function_of_a_script_has_no_config(monkeypatch):
    monkeypatch.setattr(halve_first_row, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "halve_first_row", halve_first_row, raising=False)
    with pytest.raises(ValueError, match="importable by its name"):
        Full(4, 4, preprocess_functions=halve_first_row).to_config()


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({}, ValueError, "a name must be importable, got 'None'"),
        ({"function_class": "lphm.rpn.nothing"}, ValueError, "a name must be importable"),
        (
            {"function_class": "torch.tanh"},
            ValueError,
            "function_class must name lphm_para.* got 'torch.tanh'",
        ),
        ({"function_class": "torch.nn.Linear"}, ValueError, "function_class must name"),
        ({"function_class": "lphm.rpn.parameterized_bilinear_interdependence"}, ValueError, "must name"),
        ({"function_class": f"lphm.rpn.{LPHM.__name__}"}, TypeError, "missing"),
    ],
)
def test_configs_that_do_not_fit(config, error, message):
    with pytest.raises(error, match=message):
        LPHM.from_config(config)


def test_equality_stays_identity():
    """nn.Module keeps its children in sets; two functions of one configuration are still two."""
    f, g = build(LPHM, SIZES["p>q"]), build(LPHM, SIZES["p>q"])
    assert f.to_config() == g.to_config()
    assert f != g
    assert len(list(torch.nn.ModuleList([f, g]).modules())) == 3


def test_holds_no_parameters():
    assert list(build(LPHM, SIZES["p>q"]).parameters()) == []


def test_public_names():
    assert {name for name in rpn.__all__ if isinstance(getattr(rpn, name), type)} == {
        cls.__name__ for cls in CLASSES
    }
    for name in rpn.__all__:
        assert getattr(rpn, name).__name__ == name
        assert getattr(rpn, name).__doc__.count(">>>") >= 2
