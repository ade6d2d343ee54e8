"""The layer: its parameter, forward, matrix."""

import pytest
import torch
from torch import nn

from lphm import LPHM, BilinearInterdependence, Full, Structure, initialize_
from lphm.ops.functional import interdependence_grouped, interdependence_matrix
from support import reference
from support.registry import TYPICAL, draw

every_structure = pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])


@every_structure
@both_kinds
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("normalize", [None, "scale", "softmax", torch.tanh])
def test_forward_and_matrix(structure: Structure, kind: str, channels: int, normalize: object) -> None:
    layer = BilinearInterdependence(structure, kind, channels, normalize, dtype=torch.float64)
    _, x, data = draw(structure, kind, d=6, requires_grad=False)
    want = reference.grouped(structure, layer.weight, x, data, kind, normalize)
    assert reference.error(layer(x, data), want) < 1e-12
    want = reference.matrix(structure, layer.weight, x, kind, normalize)
    assert layer.matrix(x).shape == (2, channels, 5, 5)
    assert reference.error(layer.matrix(x), want) < 1e-12


@both_kinds
def test_forward_mixes_its_input_if_no_data_is_given(kind: str) -> None:
    layer = BilinearInterdependence(LPHM(n=12, p=2, q=3, r=2), kind, channels=2)
    x = torch.randn(3, 12, 6) if kind == "attribute" else torch.randn(3, 6, 12)
    assert layer(x).shape == x.shape
    assert layer(x).equal(layer(x, x))


def test_it_is_the_functional_form_with_its_own_weight() -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    layer = BilinearInterdependence(structure, "instance", channels=2, normalize="softmax")
    x, data = torch.randn(3, 7, 12), torch.randn(3, 7, 4)
    want = interdependence_grouped(structure, layer.weight, x, data, "instance", "softmax")
    assert layer(x, data).equal(want)
    want = interdependence_matrix(structure, layer.weight, x, "instance", "softmax")
    assert layer.matrix(x).equal(want)


@every_structure
def test_one_parameter(structure: Structure) -> None:
    layer = BilinearInterdependence(structure, channels=4)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert not list(layer.buffers())
    assert layer.weight.shape == (4, structure.num_parameters)
    assert layer.weight.dtype == torch.float32


def test_device_and_dtype_are_of_the_parameters() -> None:
    layer = BilinearInterdependence(Full(n=4), device="meta", dtype=torch.bfloat16)
    assert (layer.weight.device.type, layer.weight.dtype) == ("meta", torch.bfloat16)
    layer = layer.to_empty(device="cpu").double()
    layer.reset_parameters()
    assert layer(torch.randn(4, 2, dtype=torch.float64)).dtype == torch.float64


def test_reset_draws_anew() -> None:
    layer = BilinearInterdependence(LPHM(n=12, p=2, q=3, r=2), channels=2)
    before = layer.weight.detach().clone()
    layer.reset_parameters()
    assert not layer.weight.equal(before)
    initialize_(layer.structure, layer.weight, gain=0.0)
    assert layer(torch.randn(12, 5)).eq(0).all()


def test_repr() -> None:
    layer = BilinearInterdependence(LPHM(n=12, p=2, q=3, r=2), "instance", 2, "softmax")
    assert repr(layer) == (
        "BilinearInterdependence(LPHM(n=12, p=2, q=3, r=2), kind='instance', channels=2, normalize='softmax')"
    )


def test_partial_is_said_in_the_repr() -> None:
    assert repr(BilinearInterdependence(Full(n=4), partial=True)).endswith("normalize=None, partial=True)")


def test_it_learns_the_structure_that_made_the_data() -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    truth = BilinearInterdependence(structure)
    layer = BilinearInterdependence(structure)
    x = torch.randn(64, 12, 3)
    xi = truth.matrix(x).detach()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(300):
        loss = nn.functional.mse_loss(layer.matrix(x), xi)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 * losses[0]
