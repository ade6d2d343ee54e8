"""One compiled graph of the layer serves every number of samples, rows and columns."""

from collections.abc import Callable

import pytest
import torch

from lphm import BilinearInterdependence, Structure
from support import reference
from support.registry import TYPICAL, draw


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["attribute", "instance"])
@pytest.mark.parametrize("normalize", [None, "softmax"])
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("structure", [TYPICAL["lphm"], TYPICAL["toeplitz"]], ids=str)
def test_one_graph_serves_every_size(
    structure: Structure, kind: str, normalize: str | None, partial: bool
) -> None:
    torch._dynamo.reset()
    layer = BilinearInterdependence(
        structure, kind, normalize=normalize, dtype=torch.float64, partial=partial
    )
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=backend)
    for samples, k, rows in ((3, 7, 9), (2, 3, 12), (5, 64, 5), (100, 2, 4), (4, 300, 12), (7, 80, 3)):
        present = rows if partial else None
        _, x, _ = draw(structure, kind, (samples,), k=k, rows=present, requires_grad=False)
        want = reference.grouped(structure, layer.weight, x, kind=kind, normalize=normalize)
        assert reference.error(compiled(x), want) < 1e-12
    assert len(graphs) == 1
