"""``lphm.rpn`` against numpy.kron in float64: values, gradients, shapes, names."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from support.rpn_oracle import (
    ATTRIBUTE,
    CLASSES,
    HM,
    INSTANCE,
    LPHM,
    SIZES,
    DualLPHM,
    Full,
    LowRank,
    RandomMatrix,
    build,
    classes,
    classes_and_sizes,
    close,
    derivatives,
    kinds,
    lphm_W,
    make_W,
    numpy,
    oracle_forward,
    oracle_gradients,
    oracle_matrix,
    table,
    tensors,
)

# Values and gradients.


@classes_and_sizes
@kinds
def test_calculate_A_equals_kron(cls, size, kind):
    f = build(cls, size, kind)
    w, x, _ = tensors(f)
    W = make_W(f, size)(numpy(w)[0])
    A = f.calculate_A(x.T if kind == "instance" else x, w, "cpu")
    close(A, oracle_matrix(kind, W, numpy(x)))


@classes_and_sizes
@kinds
def test_forward_and_gradients_equal_kron(cls, size, kind):
    f = build(cls, size, kind)
    w, x, kappa = tensors(f, columns=4)
    make = make_W(f, size)
    W, dW = make(numpy(w)[0]), derivatives(make, numpy(w)[0])
    for data in (None, kappa):
        w.grad = x.grad = None
        out = f(x=x, w=w, kappa_x=data, device="cpu")
        D = numpy(x if data is None else data)
        close(out, oracle_forward(kind, W, numpy(x), D))
        G = torch.randn_like(out)
        out.backward(G)
        g_w, g_X, g_D = oracle_gradients(kind, W, dW, numpy(x), D, numpy(G))
        close(w.grad[0], g_w)
        close(x.grad, g_X + g_D if data is None else g_X)
        if data is not None:
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


@classes_and_sizes
@pytest.mark.parametrize("functions", [None, torch.tanh])
def test_a_shorter_last_batch_meets_the_leading_part_of_W(cls, size, functions):
    f = build(cls, size, "attribute", partial=True, postprocess_functions=functions)
    w, x, _ = tensors(f)
    W = make_W(f, size)(numpy(w)[0])
    for rows in {1, size[0] // 2, size[0] - 1, size[0]} - {0}:
        X = x[:rows].detach()
        A = oracle_matrix("attribute", W[:rows, :rows], numpy(X))
        A = A if functions is None else np.tanh(A)
        close(f.calculate_A(X, w), A)
        close(f(X, w), numpy(X) @ A)
        kappa = torch.randn(3, size[-1], dtype=torch.float64)
        close(f(X, w, kappa), numpy(kappa) @ A)


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


def test_default_sizes():
    assert LowRank(b=4, m=2).r == RandomMatrix(b=4, m=2).r == 2
    assert RandomMatrix(b=4, m=2).seed == 0


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
