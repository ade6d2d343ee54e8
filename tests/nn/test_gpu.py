"""The layer and the network on a GPU, compared with float64 on the CPU."""

import copy

import pytest
import torch

from lphm import LPHM, BilinearInterdependence
from support import reference
from support.registry import TYPICAL
from support.runs import FRAME, make_run

pytestmark = pytest.mark.cuda
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2}


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("kind", ["attribute", "instance"])
@pytest.mark.parametrize("normalize", [None, "softmax"])
@pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
def test_values_and_gradients_of_the_layer(
    structure: object, kind: str, normalize: str | None, dtype: torch.dtype
) -> None:
    layer = BilinearInterdependence(structure, kind, 2, normalize, device="cuda", dtype=dtype)
    n = layer.structure.n
    x = torch.randn(3, n, 6) if kind == "attribute" else torch.randn(3, 6, n)
    x = x.to("cuda", dtype).requires_grad_()
    y = layer(x)
    assert (y.device.type, y.dtype) == ("cuda", dtype)
    upstream = torch.randn_like(y)
    gradients = torch.autograd.grad(y, [x, layer.weight], upstream)
    exact = [tensor.detach().double().cpu().requires_grad_() for tensor in (x, layer.weight)]
    want = reference.grouped(layer.structure, exact[1], exact[0], None, kind, normalize)
    wanted = torch.autograd.grad(want, exact, upstream.double().cpu())
    assert reference.error(y.cpu(), want) < TOLERANCE[dtype]
    for gradient, expected in zip(gradients, wanted, strict=True):
        assert reference.error(gradient.cpu(), expected) < 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("kind", ["attribute", "instance"])
def test_autocast(kind: str) -> None:
    layer = BilinearInterdependence(LPHM(n=64, p=8, r=2), kind, 4, device="cuda")
    x = torch.randn(3, 64, 64, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        y = layer(x)
    want = reference.grouped(layer.structure, layer.weight.cpu(), x.cpu(), None, kind)
    assert reference.error(y.cpu(), want) < TOLERANCE[torch.bfloat16]
    y.float().square().sum().backward()
    assert torch.isfinite(layer.weight.grad).all()


def test_the_network() -> None:
    run = make_run()
    for parameter in run.network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = run.config.input.encode(FRAME)
    on_gpu = copy.deepcopy(run.network).cuda().eval()
    assert reference.error(on_gpu(x.cuda()).cpu(), run.network.eval()(x)) < 1e-4
