"""What a caller of ``lphm.rpn`` can get wrong: what must hold, what was got, what to do."""

import functools

import numpy as np
import pytest
import torch

import lphm
from support.rpn_oracle import (
    HM,
    LPHM,
    SIZES,
    DualLPHM,
    RandomMatrix,
    build,
    classes,
    kinds,
    table,
    tensors,
)


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
        (
            {"p": 5, "interdependence_type": "row"},
            r"^p must divide m, got p=5, m=8 \(divisors of 8: 1, 2, 4, 8\): the instance type, which is the "
            r"default, has a W of m x m; for interdependence_type='attribute' p and q must divide b$",
        ),
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


@classes
def test_arguments_that_do_not_exist(cls):
    sizes = dict.fromkeys(table(cls)[1], 1)
    for wrong, advice in [
        ("interdependance_type", r"; did you mean 'interdependence_type'\?"),
        ("partiall", r"; did you mean 'partial'\?"),
        ("rank", ""),
        ("unknow", ""),  # not the name of what collects them
    ]:
        message = rf"^{cls.__name__}\(\) has no argument '{wrong}'{advice}$"
        with pytest.raises(TypeError, match=message):
            cls(**sizes, b=4, m=4, **{wrong: "row"})
    with pytest.raises(TypeError, match=r"takes .* positional arguments but \d+ were given"):
        cls(*sizes.values(), "name", 4, 4, "row", True, None, None, True, None, 7)


ROWS_OF_12 = "x must be (12, m), b=12 rows, for the attribute type, got shape"
COLUMNS_OF_6 = "x must be (b, 6), m=6 columns, for the instance type, got shape"


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (
            "attribute",
            (17, 6),
            f"{ROWS_OF_12} (17, 6); W is tied to b=12 rows: pass at most that many at a time, "
            "or build a new function with b=17, whose w is another",
        ),
        (
            "attribute",
            (7, 6),
            f"{ROWS_OF_12} (7, 6); W is tied to b=12 rows: pass partial=True to the constructor for a "
            "shorter batch, or build a new function with b=7, whose w is another",
        ),
        ("attribute", (0, 6), f"{ROWS_OF_12} (0, 6); skip an empty batch"),
        ("attribute", (6, 12), f"{ROWS_OF_12} (6, 12); x looks transposed; pass x.mT"),
        (
            "instance",
            (12, 7),
            f"{COLUMNS_OF_6} (12, 7); W is tied to m=6 columns: pass those, "
            "or build a new function with m=7, whose w is another",
        ),
        (
            "instance",
            (6, 12),
            f"{COLUMNS_OF_6} (6, 12); x looks transposed; forward takes x as it is and transposes it itself",
        ),
        ("instance", (12, 0), f"{COLUMNS_OF_6} (12, 0); pass the 6 columns"),
        ("attribute", (12,), "x must be 2-D, (b, m), got shape (12,)"),
        ("instance", (2, 12, 6), "x must be 2-D, (b, m), got shape (2, 12, 6)"),
    ],
)
def test_wrong_x(kind, shape, message):
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type=kind)
    with pytest.raises(ValueError, match=r"^x must be") as caught:
        f(torch.randn(shape), torch.randn(1, f.calculate_l()))
    assert str(caught.value) == message


def test_a_short_batch_with_as_many_columns_as_W_has_rows_does_not_look_transposed():
    w = torch.randn(1, 25)
    for m, advice in [(12, "W is tied to b=12 rows"), (None, "x looks transposed")]:
        f = LPHM(r=2, p=3, b=12, m=m, interdependence_type="attribute")
        with pytest.raises(ValueError, match=advice):
            f(torch.randn(7, 12), w)


def test_the_attribute_type_takes_any_number_of_columns():
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="attribute")
    w = torch.randn(1, f.calculate_l())
    assert f(torch.randn(12, 9), w).shape == (12, 9)


@pytest.mark.parametrize("shape", [(17, 6), (0, 6)])
def test_partial_takes_neither_more_rows_nor_none(shape):
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="attribute", partial=True)
    with pytest.raises(ValueError, match=r"^x must be \(12, m\), b=12 rows"):
        f(torch.randn(shape), torch.randn(1, f.calculate_l()))


def test_partial_is_no_licence_for_the_instance_type():
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="instance", partial=True)
    with pytest.raises(ValueError, match=r"^x must be \(b, 6\), m=6 columns"):
        f(torch.randn(12, 5), torch.randn(1, f.calculate_l()))


def test_calculate_A_of_the_instance_type_says_that_x_is_transposed():
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="instance")
    w = torch.randn(1, f.calculate_l())
    with pytest.raises(
        ValueError, match=r"^x must be \(6, b\), m=6 rows.*got shape \(12, 6\); calculate_A takes x\.mT"
    ):
        f.calculate_A(torch.randn(12, 6), w)
    with pytest.raises(ValueError, match=r"^x must be 2-D, \(m, b\), transposed"):
        f.calculate_A(torch.randn(6), w)
    f = LPHM(r=2, p=3, b=12, m=6, interdependence_type="attribute")
    with pytest.raises(ValueError, match=r"^x must be 2-D, \(b, m\), got"):
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
        with pytest.raises(ValueError, match=r"^x must be a tensor .*got None"):
            call(None, w)
        with pytest.raises(ValueError, match=r"^w must be a tensor \(1, 17\), got None"):
            call(x, None)
        with pytest.raises(TypeError, match=r"^x must be a tensor"):
            call(x.numpy(), w)
        with pytest.raises(TypeError, match=r"^w must be a tensor"):
            call(x, w.tolist())
        with pytest.raises(TypeError, match=r"^x must be dense, got layout torch.sparse_coo; use x.to_dense"):
            call(x.to_sparse(), w)
        with pytest.raises(TypeError, match=r"^x must have the type and device of w"):
            call(x.double(), w)
    with pytest.raises(ValueError, match=r"^x must be a tensor .*got None"):
        f(None, w, kappa_x=x)


@pytest.mark.parametrize("post", [None, torch.tanh])
@pytest.mark.parametrize(("kind", "shape"), [("attribute", (12, 7)), ("instance", (7, 6))])
def test_wrong_kappa_x(kind, shape, post):
    f = LPHM(r=1, p=3, b=12, m=6, interdependence_type=kind, postprocess_functions=post)
    x, w = torch.randn(12, 6), torch.randn(1, f.calculate_l())
    what = "6 columns" if kind == "attribute" else "12 rows"
    with pytest.raises(ValueError, match=rf"^kappa_x must have {what}.*got shape"):
        f(x, w, kappa_x=torch.randn(shape))
    with pytest.raises(ValueError, match=r"^kappa_x must be 2-D"):
        f(x, w, kappa_x=torch.randn(12))


FUNCTIONS = torch.nn.functional, torch, torch.special


@pytest.mark.parametrize("argument", ["preprocess_functions", "postprocess_functions"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_functions_that_need_dim_by_name_and_themselves(argument, name):
    message = (
        f"{argument} must be functions of one tensor, got {name}, which needs dim; "
        f"pass functools.partial(torch.nn.functional.{name}, dim=0): "
        "dimension 0 of A is the one that forward sums over"
    )
    for space in FUNCTIONS:
        if not hasattr(space, name):
            continue
        for function in (f"{space.__name__}.{name}", getattr(space, name)):
            for given in (function, ["torch.tanh", function]):
                with pytest.raises(ValueError, match="which needs dim") as caught:
                    LPHM(r=2, p=3, b=12, m=6, **{argument: given})
                assert str(caught.value) == message


@kinds
def test_softmax_with_the_dim_that_the_message_names_is_lphms(kind):
    f = LPHM(
        r=2,
        p=3,
        b=12,
        m=12,
        interdependence_type=kind,
        postprocess_functions=functools.partial(torch.nn.functional.softmax, dim=0),
    )
    w, x, _ = tensors(f, grad=False)
    want = lphm.interdependence_apply(f.structure, w[0], x, kind=f.kind, normalize="softmax")
    torch.testing.assert_close(f(x, w), want)


@pytest.mark.parametrize("argument", ["preprocess_functions", "postprocess_functions"])
def test_functions_that_are_none_of_torchs(argument):
    for given, error, message in [
        (
            "sofmax",
            ValueError,
            f"{argument} must name functions of tensors in torch, such as 'torch.tanh' or 'relu', "
            "got 'sofmax'; pass any other function itself, or list it in from_config(..., allowed=[...])",
        ),
        (
            [3],
            TypeError,
            f"{argument} must be a callable, a name such as 'torch.tanh', or a list of them, got 3",
        ),
    ]:
        with pytest.raises(error) as caught:
            LPHM(r=2, p=3, b=12, m=6, **{argument: given})
        assert str(caught.value) == message


def test_a_size_is_an_int_whatever_integer_it_was():
    f = LPHM(r=np.int64(2), p=np.int32(3), b=12, m=6)
    assert [type(size) for size in (f.r, f.p, f.q)] == [int, int, int]
