"""``lphm.rpn`` against tinyBIG 0.2.1 itself, where it is installed: its head, its W, its weights."""

import functools
import importlib
import importlib.util
import json
import sys
from types import ModuleType

import pytest
import torch

import lphm
from lphm import rpn
from support.rpn_head import CHANNELS, B, M, N, close, expected, interdependences


class Stub(ModuleType):
    """Stands for a module whose names are imported and never used."""

    __path__: tuple[str, ...] = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@pytest.fixture(scope="module")
def tinybig():
    """tinyBIG 0.2.1 without its data loaders, which need Python 3.12 and retired packages."""
    if importlib.util.find_spec("tinybig") is None:
        pytest.skip("tinyBIG is not installed (pip install --no-deps tinybig==0.2.1 && pip install tqdm)")
    before = set(sys.modules)
    for name in ("tinybig.data", "tinybig.data.base_data", "requests"):
        sys.modules[name] = Stub(name)
    try:
        yield importlib.import_module("tinybig")
    except ModuleNotFoundError as missing:
        pytest.skip(f"tinyBIG needs {missing.name}, which is not installed")
    finally:
        for name in set(sys.modules) - before:
            if name.split(".")[0] in ("tinybig", "requests"):
                del sys.modules[name]


def tinybig_head(tinybig, attribute=None, instance=None, **more):
    class Square(tinybig.expansion.transformation):
        def calculate_D(self, m):
            return 2 * m

        def forward(self, x, **_):
            return torch.cat([x, x**2], dim=1)

    return tinybig.module.base_head.head(
        m=M,
        n=N,
        batch_num=B,
        channel_num=CHANNELS,
        data_transformation=Square(),
        parameter_fabrication=tinybig.reconciliation.identity_reconciliation(enable_bias=False),
        attribute_interdependence=attribute,
        instance_interdependence=instance,
        remainder=tinybig.remainder.zero_remainder(),
        **more,
    ).double()


def test_in_tinybigs_head(tinybig):
    head = tinybig_head(tinybig, *interdependences())
    x = torch.randn(B, M, dtype=torch.float64)
    out = head(x)
    close(out, expected(head, x))
    out.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())


def test_tinybigs_head_builds_them_from_their_configurations(tinybig):
    attribute, instance = (f.to_config() for f in interdependences())
    head = tinybig_head(
        tinybig, attribute_interdependence_configs=attribute, instance_interdependence_configs=instance
    )
    assert isinstance(head.attribute_interdependence, rpn.lphm_parameterized_bilinear_interdependence)
    x = torch.randn(B, M, dtype=torch.float64)
    close(head(x), expected(head, x))
    config = json.loads(json.dumps(head.to_config()["head_parameters"]["attribute_interdependence_configs"]))
    assert rpn.parameterized_bilinear_interdependence.from_config(config).calculate_l() == 20


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_a_converted_head_gives_what_it_gave(tinybig, kind):
    """As docs/migrating.md does it: another function and its parameters in the same head."""
    softmax = functools.partial(torch.softmax, dim=0)
    n = B if kind == "attribute" else M
    p, q = 2, n // 2  # where tinyBIG's W is another
    old = tinybig.interdependence.lphm_parameterized_bilinear_interdependence(
        r=2,
        p=p,
        q=q,
        b=B,
        m=M,
        interdependence_type=kind,
        preprocess_functions=torch.tanh,
        postprocess_functions=[softmax],
    )
    head = tinybig_head(tinybig, **{kind: old})
    x = torch.randn(B, M, dtype=torch.float64)
    want, checkpoint = head(x), {key: value.clone() for key, value in head.state_dict().items()}
    functions = {
        "preprocess_functions": old.preprocess_functions,
        "postprocess_functions": old.postprocess_functions,
    }
    sizes = {"b": B, "m": M, "interdependence_type": kind, **functions}
    ours = rpn.lphm_parameterized_bilinear_interdependence(r=2, p=p, q=q, **sizes)
    setattr(head, f"{kind}_interdependence", ours)
    head.load_state_dict(checkpoint)  # nothing warns
    assert not torch.allclose(head(x), want, rtol=1e-3, atol=1e-3 * want.abs().max().item())
    structure, w = rpn.from_tinybig(ours.structure, checkpoint[f"w_{kind}_interdependence"])
    assert structure == lphm.Full(n=n)
    setattr(head, f"{kind}_interdependence", rpn.parameterized_bilinear_interdependence(**sizes))
    setattr(head, f"w_{kind}_interdependence", torch.nn.Parameter(w))
    torch.testing.assert_close(head(x), want)
    with pytest.raises(RuntimeError, match="size mismatch"):
        head.load_state_dict(checkpoint)


# Its W, and the weights trained for it.

SIZES = [(8, 4, 2), (12, 3, 3), (12, 2, 6), (12, 4, 1), (6, 6, 2), (6, 1, 1)]


def pairs(n, p, q, r):
    """Names, their own sizes, and the structure that says the same."""
    yield "", {}, lphm.Full(n=n)
    yield "lowrank_", {"r": r}, lphm.LowRank(n=n, r=r)
    yield "hm_", {"p": p, "q": q}, lphm.HM(n=n, p=p, q=q)
    yield "lphm_", {"p": p, "q": q, "r": r}, lphm.LPHM(n=n, p=p, q=q, r=r)
    yield "dual_lphm_", {"p": p, "q": q, "r": r}, lphm.DualLPHM(n=n, p=p, q=q, r=r)
    yield "random_matrix_adaption_", {"r": r}, lphm.RandomMatrixAdaptation(n=n, r=r)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("compact", [False, True])
def test_converted_weights_give_what_tinybig_gives(tinybig, sizes, compact):
    n, p, q = sizes
    for prefix, own, structure in pairs(n, p, q, r=2):
        name = f"{prefix}parameterized_bilinear_interdependence"
        for kind, b, m in (("attribute", n, 5), ("instance", 5, n)):
            theirs = getattr(tinybig.interdependence, name)(b=b, m=m, interdependence_type=kind, **own)
            assert theirs.calculate_l() == structure.num_parameters
            x, kappa = torch.randn(b, m), torch.randn(b, m)
            w = torch.randn(1, structure.num_parameters)
            want = theirs(x=x, w=w, kappa_x=kappa)
            gaussians = None
            if prefix.startswith("random"):
                gaussians = (theirs.parameter_fabrication.A, theirs.parameter_fabrication.B)
            found, vector = rpn.from_tinybig(structure, w, compact, gaussians)
            got = lphm.interdependence_apply(found, vector[0], x, kappa, kind)
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * want.abs().max().item())


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_same_vector_means_another_W_unless_they_agree(tinybig, sizes):
    n, p, q = sizes
    theirs = tinybig.interdependence.hm_parameterized_bilinear_interdependence
    ours = rpn.hm_parameterized_bilinear_interdependence
    arguments = {"b": n, "m": 5, "p": p, "q": q, "interdependence_type": "attribute"}
    x, w = torch.randn(n, 5), torch.randn(1, ours(**arguments).calculate_l())
    same = torch.allclose(theirs(**arguments)(x, w), ours(**arguments)(x, w), rtol=1e-4, atol=1e-4)
    assert same == (q == 1 or p == n)


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_functions_before_and_after_see_the_same(tinybig, kind):
    """The orientation that preprocessing sees, and which data are preprocessed."""
    arguments = {
        "b": 6,
        "m": 4,
        "interdependence_type": kind,
        "preprocess_functions": lambda x: torch.cat([x[:1] / 2, x[1:]]),
        "postprocess_functions": [torch.tanh, lambda A: A.softmax(dim=0)],
    }
    theirs = tinybig.interdependence.parameterized_bilinear_interdependence(**arguments)
    ours = rpn.parameterized_bilinear_interdependence(**arguments)
    x, kappa, w = torch.randn(6, 4), torch.randn(6, 4), torch.randn(1, ours.calculate_l())
    for data in (None, kappa):
        torch.testing.assert_close(ours(x, w, data), theirs(x, w, data))
    turned = x if kind == "attribute" else x.T
    torch.testing.assert_close(ours.calculate_A(turned, w), theirs.calculate_A(turned, w))
    for method in ("get_name", "get_b", "get_m", "calculate_l", "calculate_b_prime", "calculate_m_prime"):
        assert getattr(ours, method)() == getattr(theirs, method)()


def test_what_docs_rpn_md_says_of_tinybig(tinybig):
    LPHM = tinybig.interdependence.lphm_parameterized_bilinear_interdependence
    Parent = tinybig.interdependence.parameterized_bilinear_interdependence
    sizes = {"r": 2, "p": 2, "b": 8, "m": 8, "interdependence_type": "attribute"}
    for word in ("row", "column"):
        with pytest.raises(ValueError, match="Invalid value"):
            Parent(b=4, m=4, interdependence_type=word)
    with pytest.raises(AssertionError, match=r"^$"):
        LPHM(**{**sizes, "p": 3})
    with pytest.raises(ZeroDivisionError):
        LPHM(**{**sizes, "p": 0})
    assert LPHM(**{**sizes, "r": -1}).calculate_l() < 0
    Parent(b=4, m=4, interdependance_type="attribute")  # a misspelt argument is dropped
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        LPHM(**sizes)(torch.randn(7, 8), torch.randn(1, 20))
    with pytest.raises(TypeError, match="unsupported operand"):
        LPHM(**{**sizes, "b": None})
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(LPHM(**sizes).to_config())
    moved = Parent(b=4, m=4)
    moved.to("meta")
    assert moved.device == "cpu"
    with pytest.warns(UserWarning, match="The A matrix is None"):
        assert moved.get_A() is None
    constant = Parent(b=4, m=4, require_data=False, require_parameters=False)
    x, w = torch.randn(4, 4), torch.randn(1, 16, requires_grad=True)
    constant(x, w).sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        constant(x, w).sum().backward()
    with pytest.raises(AttributeError, match="transpose"):
        constant(None, None, kappa_x=x)  # although A is there
    without = Parent(b=4, m=4).calculate_A(x, w)
    with pytest.warns(UserWarning, match="not recognized"):
        assert torch.equal(Parent(b=4, m=4, postprocess_functions="softmax").calculate_A(x, w), without)
    with pytest.warns(UserWarning, match="Implicit dimension choice"):
        A = Parent(b=4, m=4, postprocess_functions=torch.nn.functional.softmax).calculate_A(x, w)
    torch.testing.assert_close(A.sum(dim=1), torch.ones(4))
    random = tinybig.interdependence.random_matrix_adaption_parameterized_bilinear_interdependence(b=4, m=4)
    random(x, torch.randn(1, 6))
    assert random.state_dict() == {}
