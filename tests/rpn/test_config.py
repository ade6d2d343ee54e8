"""Configurations of ``lphm.rpn``: JSON, and back to an equal function."""

import functools
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from lphm import rpn
from lphm.rpn.functions import name_of
from support.rpn_oracle import (
    CLASSES,
    LPHM,
    SIZES,
    Full,
    build,
    classes,
    halve_first_row,
    tensors,
)


@classes
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"name": "mine", "require_data": False, "require_parameters": False, "device": torch.device("cpu")},
        {"partial": True},
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
    allowed = [halve_first_row]
    for again in (cls.from_config(config, allowed), Full.from_config({**config, "device": "cpu"}, allowed)):
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
            "partial": False,
        },
    }
    bare = Full(4, 4).to_config()["function_parameters"]
    assert (bare["preprocess_functions"], bare["postprocess_functions"]) == (None, None)


def exp(x):
    """Not torch's."""
    return x + 1


def test_a_name_with_an_underscore_is_not_taken_where_there_is_one_without():
    assert torch.nn.functional._threshold is torch.nn.functional.threshold
    assert name_of(torch.nn.functional.threshold) == "torch.nn.functional.threshold"


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
    again = Full.from_config(f.to_config(), allowed=[exp])
    assert torch.equal(again.pre_process(x), f.pre_process(x))


class Scaled(LPHM):
    """A class of the user's own, at the top of a module."""


def test_config_of_a_derived_class(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_package", SimpleNamespace(Scaled=Scaled))
    monkeypatch.setattr(Scaled, "__module__", "my_package")
    f = build(Scaled, SIZES["p>q"])
    assert f.to_config()["function_class"] == "my_package.Scaled"
    assert type(Scaled.from_config(f.to_config())) is Scaled
    assert type(LPHM.from_config(f.to_config(), allowed=[Scaled])) is Scaled
    with pytest.raises(ValueError, match=r"got 'my_package\.Scaled'; pass a class of your own in allowed"):
        LPHM.from_config(f.to_config())


def test_functions_and_classes_of_ones_own_are_found_among_what_is_allowed(monkeypatch):
    monkeypatch.setattr(Scaled, "__module__", "of_no_module_that_is_imported")
    f = build(Scaled, SIZES["p>q"], preprocess_functions=exp, postprocess_functions=[exp, "relu", torch.tanh])
    config = f.to_config()
    again = LPHM.from_config(config, allowed=[exp, Scaled])
    assert type(again) is Scaled
    assert again.preprocess_functions is exp
    assert again.postprocess_functions == [exp, "torch.nn.functional.relu", "torch.tanh"]
    config["function_parameters"]["preprocess_functions"] = torch.tanh  # the function itself is left alone
    assert LPHM.from_config(config, allowed=[exp, Scaled]).preprocess_functions is torch.tanh


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
        ({}, ValueError, "function_class must name .* got None"),
        ({"function_class": "lphm.rpn.nothing"}, ValueError, "function_class must name"),
        ({"function_class": "lphm.rpn.from_tinybig"}, ValueError, "function_class must name"),
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


HOSTILE = [
    *(
        "os.system",
        "builtins.exec",
        "subprocess.run",
        "pickle.loads",
        "lphm.LPHM",
        "support.hostile.function",
    ),
    *("torch.load", "torch.save", "torch.hub.load", "torch.hub", "torch.compile", "torch.from_file"),
    *(
        "torch.ops.load_library",
        "torch.jit.load",
        "torch.os.system",
        "torch.sys.exit",
        "torch.classes.load_library",
    ),
    *(
        "torch.set_default_dtype",
        "torch.manual_seed",
        "torch.Tensor",
        "torch.nn.Softmax",
        "torch.nn.os.system",
    ),
    *(
        "torch.nn.functional.torch.load",
        "torch.nn.functional._pair",
        "torch.__import__",
        "torch.utils.os.system",
    ),
    *(
        "torch.nn.functional.Callable",
        "torch.nn.functional.importlib.import_module",
        "torch.Tensor.exp",
        "",
        ".",
    ),
    *("torch.special.torch.load", "importlib.import_module", "..exp", "load", "exec", "torch", "torch:tanh"),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("argument", ["preprocess_functions", "postprocess_functions"])
def test_a_name_leads_to_torchs_functions_of_tensors_alone(monkeypatch, name, argument):
    config = build(LPHM, SIZES["p>q"]).to_config()
    modules = set(sys.modules)
    for named in (name, [name], ["torch.tanh", name]):
        config["function_parameters"][argument] = named
        with pytest.raises(ValueError, match=f"^{argument} must name functions of tensors in torch, such as"):
            LPHM.from_config(config, allowed=[exp])
    with pytest.raises(ValueError, match="function_class must name"):
        LPHM.from_config({**config, "function_class": name})
    assert set(sys.modules) == modules


def test_a_name_imports_nothing(monkeypatch, tmp_path):
    """Importing would run what stands in the module."""
    (tmp_path / "hostile.py").write_text("from pathlib import Path; Path(__file__).with_name('ran').mkdir()")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("hostile", "hostile.run", "hostile:run"):
        with pytest.raises(ValueError, match="preprocess_functions must name"):
            Full(4, 4, preprocess_functions=name)
        with pytest.raises(ValueError, match="function_class must name"):
            Full.from_config({"function_class": name})
    assert not (tmp_path / "ran").exists()


COMMON = "relu gelu silu elu selu celu softplus softsign tanh sigmoid logsigmoid hardswish normalize"
SPELLED = "torch.tanh torch.exp torch.nn.functional.relu torch.special.expit torch.linalg.norm torch.fft.fft"


@pytest.mark.parametrize("name", [*COMMON.split(), *SPELLED.split()])
def test_names_of_common_functions(name):
    full = name if "." in name else f"torch.nn.functional.{name}"
    config = Full(4, 4, postprocess_functions=name).to_config()
    assert config["function_parameters"]["postprocess_functions"] == full
    assert Full.from_config(config).to_config() == config


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
