"""``lphm.rpn`` as modules: functions before and after, the constant A, types, devices, copies."""

import copy
import pickle

import numpy as np
import pytest
import torch

from support.rpn_oracle import (
    LPHM,
    Full,
    build,
    close,
    column_softmax,
    halve_first_row,
    kinds,
    make_W,
    numpy,
    oracle_matrix,
    tensors,
)

# Functions before and after.


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
        with pytest.raises(ValueError, match=rf"^{argument} must name .* got '{name}'; pass"):
            Full(4, 4, **{argument: [torch.tanh, name]})
    with pytest.raises(TypeError, match=f"^{argument} must be a callable, a name"):
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
    with pytest.raises(ValueError, match=r"^x must be a tensor .* got None"):
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
    with pytest.raises(ValueError, match=r"A must be \(b, b\).*got shape \(6, 6\), b=12"):
        f.check_A_shape_validity(torch.zeros(6, 6))


def test_a_function_that_is_no_longer_constant_leaves_its_A():
    f = build(LPHM, (6, 3, 2, 2, 4), require_data=False, require_parameters=False)
    w, x, _ = tensors(f, grad=False)
    first = f(x, w)
    assert not f.state_dict()
    f.require_data = True
    torch.testing.assert_close(f(2 * x, w), 8 * first)


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


@pytest.mark.cuda
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
