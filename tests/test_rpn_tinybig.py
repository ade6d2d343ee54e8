"""``lphm.rpn`` against tinyBIG 0.2.1 itself, where it is installed: its head, its W, its weights."""

import importlib
import importlib.util
import json
import sys
from types import ModuleType

import pytest
import torch

from lphm import rpn
from test_rpn_head import CHANNELS, B, M, N, close, expected, interdependences


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
        pytest.skip("tinyBIG is not installed (pip install --no-deps tinybig==0.2.1)")
    before = set(sys.modules)
    for name in ("tinybig.data", "tinybig.data.base_data", "requests"):
        sys.modules[name] = Stub(name)
    try:
        yield importlib.import_module("tinybig")
    except ImportError as reason:
        pytest.skip(f"tinyBIG does not import here: {reason}")
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
