"""The network: shapes, gradients, and that no row of a table sees another."""

import pytest
import torch

from lphm import LPHM, BilinearInterdependence, DivisibilityError, Full
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.network import (
    InterdependenceBlock,
    InterdependenceNetwork,
    interdependence_parameters,
)


def table_network(width: int = 16) -> InterdependenceNetwork:
    embedding = FeatureEmbedding(numeric=3, categorical=2, vocabulary=7, width=width)
    return InterdependenceNetwork(embedding, width, 4, LPHM(n=8, p=2, r=2), LPHM(n=width, p=4, r=2))


def table_rows(rows: int) -> torch.Tensor:
    codes = torch.stack([torch.randint(0, 3, (rows,)), torch.randint(3, 7, (rows,))], dim=1)
    return torch.cat([torch.randn(rows, 3), codes], dim=1)


def test_grid_shapes_and_gradients_reach_every_parameter() -> None:
    network = InterdependenceNetwork(
        RowEmbedding(6, 5, 12), 12, 3, LPHM(n=8, p=2, r=1), LPHM(n=12, p=3, r=2), channels=4
    )
    for zero in (network.head, network.readout.head):  # what starts at zero hides the rest
        torch.nn.init.normal_(zero.weight)
    out = network(torch.randn(7, 6, 5))
    assert out.shape == (7, 3)
    out.square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_a_prediction_never_depends_on_other_rows() -> None:
    network, x = table_network().eval(), table_rows(9)
    together = network(x)
    alone = torch.cat([network(row) for row in torch.split(x, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_row_of_x_reaches_the_output_through_the_mixing_alone() -> None:
    """Before the last norm rows meet in a mean only: without mixing, no second derivative between two."""

    def cross(network: InterdependenceNetwork) -> float:
        network.norm = torch.nn.Identity()
        torch.nn.init.ones_(network.head.weight)
        at = torch.randn(2, dtype=torch.float64)
        hessian = torch.autograd.functional.hessian(lambda v: network(v.unsqueeze(0))[0, 0], at)
        return float(hessian[0, 1].abs())

    embedding = FeatureEmbedding(2, 0, 0, 8)
    mixed = InterdependenceNetwork(embedding, 8, 1, LPHM(n=8, p=2, r=1), None, channels=2, blocks=1)
    plain = InterdependenceNetwork(embedding, 8, 1, None, None, blocks=1)
    torch.nn.init.ones_(mixed.blocks[0].branches[0][2].scale)
    assert cross(plain.double().eval()) == 0
    assert cross(mixed.double().eval()) > 1e-6


def test_missing_number_counts_as_the_mean_until_learned() -> None:
    embedding = FeatureEmbedding(2, 0, 0, 8)
    missing, mean = torch.tensor([[float("nan"), 1.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(embedding(missing), embedding(mean))
    torch.nn.init.ones_(embedding.missing)
    torch.testing.assert_close(embedding(missing)[0, 0], embedding(mean)[0, 0] + 1)
    torch.testing.assert_close(embedding(missing)[0, 1:], embedding(mean)[0, 1:])


def test_embedding_fills_up_to_a_multiple() -> None:
    embedding = FeatureEmbedding(numeric=9, categorical=2, vocabulary=5, width=4)
    assert embedding.rows == 16
    assert embedding(torch.zeros(3, 11)).shape == (3, 16, 4)


def test_channels_must_divide_rows_and_width() -> None:
    with pytest.raises(DivisibilityError, match=r"channels must divide rows, got channels=4, rows=6"):
        InterdependenceBlock(8, Full(n=6), None, channels=4)
    with pytest.raises(DivisibilityError, match=r"channels must divide width, got channels=3, width=8"):
        InterdependenceBlock(8, None, Full(n=8), channels=3)


def test_interdependence_parameters_count_w_and_nothing_else() -> None:
    network = table_network(16)  # 4 channels x (block and readout of 8: p=q=2, r=2; block of 16: p=q=4, r=2)
    assert interdependence_parameters(network) == 4 * (2 * (4 + 2 * 8) + (16 + 2 * 8))


@pytest.mark.parametrize(("kind", "k"), [("attribute", 16), ("instance", 8)])
def test_interdependence_is_the_last_layers_matrix(kind: str, k: int) -> None:
    network, x = table_network(16).eval(), table_rows(5)
    seen = []
    layers = [m for m in network.modules() if isinstance(m, BilinearInterdependence) and m.kind == kind]
    if kind == "attribute":  # of all columns, by the W of the readout, which itself pools fewer
        xi = network.interdependence(x, kind)
        assert xi.shape == (5, 4, k, k)
        torch.testing.assert_close(xi, network.readout.pool.matrix(network.embedding(x)))
        return
    last = layers[-1]
    handle = last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    xi = network.interdependence(x, kind)
    handle.remove()
    assert xi.shape == (5, 4, k, k)
    torch.testing.assert_close(xi, last.matrix(seen[-1]))
