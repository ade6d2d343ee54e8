"""Sizes that are NumPy's integers, as a search over ``np.arange`` gives them, become Python's own."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from lphm import LPHM, BilinearInterdependence, LowRank, RandomMatrixAdaptation, Structure, rpn
from lphm.errors import require_at_least, require_positive
from lphm.structures import from_config
from lphm.structures.named import NAMED, structure_for
from support.masks import every_structure
from support.messages import whole

every_integer = pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8, np.intp])


@every_structure
@every_integer
def test_a_structure_is_the_one_of_python_integers(structure: Structure, integer: type) -> None:
    sizes = {name: size for name, size in structure.to_config().items() if name != "name"}
    got = type(structure)(**{name: integer(size) for name, size in sizes.items()})
    assert got == structure
    assert hash(got) == hash(structure)
    assert repr(got) == repr(structure)
    assert all(type(getattr(got, name)) is int for name in sizes)
    assert from_config(json.loads(json.dumps(got.to_config()))) == structure
    for copied in (copy.deepcopy(got), pickle.loads(pickle.dumps(got))):
        assert copied == structure


@every_integer
def test_sizes_by_name_and_for_a_budget(integer: type) -> None:
    for name in NAMED:
        assert repr(structure_for(name, integer(12))) == repr(structure_for(name, 12))
    assert repr(structure_for("lphm", integer(12), integer(3), r=integer(2))) == repr(LPHM(n=12, p=3, r=2))
    got = LPHM.suggest(integer(96), budget=integer(160))
    assert repr(got) == repr(LPHM.suggest(96, budget=160))
    assert repr(LPHM.suggest(96, budget=np.float32(0.25))) == repr(LPHM.suggest(96, budget=0.25))
    assert got.explain(rows=integer(90)) == got.explain(rows=90)


@every_integer
def test_a_layer(integer: type) -> None:
    layer = BilinearInterdependence(LowRank(n=12, r=2), channels=integer(2), running_size=integer(5))
    assert type(layer.channels) is type(layer.running_size) is int
    assert layer(torch.randn(3, 12, 5)).shape == (3, 12, 5)


@every_integer
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("lphm_parameterized_bilinear_interdependence", {"r": 2, "p": 4, "q": 2}),
        ("dual_lphm_parameterized_bilinear_interdependence", {"r": 2, "p": 4}),
        ("hm_parameterized_bilinear_interdependence", {"p": 4}),
        ("lowrank_parameterized_bilinear_interdependence", {"r": 2}),
        ("random_matrix_adaption_parameterized_bilinear_interdependence", {"r": 2, "seed": 3}),
        ("parameterized_bilinear_interdependence", {}),
    ],
)
def test_rpn(name: str, sizes: dict[str, int], integer: type) -> None:
    sizes = {**sizes, "b": 8, "m": 4}
    want = getattr(rpn, name)(**sizes).to_config()
    got = getattr(rpn, name)(**{key: integer(size) for key, size in sizes.items()})
    assert json.loads(json.dumps(got.to_config())) == want


@pytest.mark.parametrize(
    "value", [True, np.True_, 2.0, np.float64(2), np.array([2]), torch.tensor(2), "2", None]
)
def test_what_is_no_integer_is_refused(value: object) -> None:
    text = f"p must be an int, got {value!r} of type {type(value).__name__}"
    for make in (
        lambda: require_positive(p=value),
        lambda: require_at_least(0, p=value),
        lambda: LPHM(n=12, p=value, r=1),
        lambda: rpn.hm_parameterized_bilinear_interdependence(p=value, b=8, m=4),
    ):
        with pytest.raises(TypeError, match=whole(text)):
            make()


def test_an_integer_below_the_least() -> None:
    with pytest.raises(ValueError, match=whole("r must be at least 1, got r=0")):
        LPHM(n=12, p=2, r=np.int64(0))
    with pytest.raises(ValueError, match=whole("seed must be at least 0, got seed=-1")):
        RandomMatrixAdaptation(n=12, r=2, seed=np.int8(-1))
    with pytest.raises(ValueError, match=whole("running_size must be at least 1, got running_size=0")):
        BilinearInterdependence(LowRank(n=12, r=2), running_size=np.int64(0))
