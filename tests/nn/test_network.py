"""The network: its members are networks of their own, no row of a table sees another, and its encodings."""

import copy
import shutil

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lphm import LPHM, DivisibilityError, Full
from lphm.nn import network as module
from lphm.nn.blocks import FeedForward, InterdependenceBlock
from lphm.nn.embeddings import FeatureEmbedding, RowEmbedding
from lphm.nn.members import MemberInterdependence
from lphm.nn.network import (
    InterdependenceNetwork,
    InterdependenceReadout,
    full_parameters,
    interdependence_parameters,
)
from support import reference

EDGES = [[-1.0, 0.0, 2.0], [0.0, 1.0], []]


def table_network(
    width: int = 16, members: int = 1, dropout: float = 0.0, blocks: int = 1
) -> InterdependenceNetwork:
    """Three numbers and three categories: two learned rows fill up."""
    embedding = FeatureEmbedding(EDGES, categorical=3, vocabulary=9, width=width, members=members)
    attribute, instance = LPHM(n=8, p=2, q=4, r=2), LPHM(n=width, p=4, q=2, r=2)
    return InterdependenceNetwork(embedding, width, 4, attribute, instance, blocks, 2, 4, dropout)


def series_network(members: int = 1) -> InterdependenceNetwork:
    """Six steps of five columns: two rows of the position fill up."""
    return InterdependenceNetwork(
        RowEmbedding(6, 9, 12, members), 12, 3, LPHM(n=8, p=2, q=4, r=1), LPHM(n=12, p=3, r=2), blocks=2
    )


def table_rows(rows: int) -> Tensor:
    codes = [torch.randint(low, low + 3, (rows,)) for low in (0, 3, 6)]
    numbers = torch.randn(rows, 3)
    numbers[::3, 1] = torch.nan
    return torch.cat([numbers, torch.stack(codes, dim=1)], dim=1)


def disturbed(network: InterdependenceNetwork) -> InterdependenceNetwork:
    """In float64, with what starts at zero random as well: it would hide the rest."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.double()


NETWORKS = {
    "table": (table_network, lambda: table_rows(7).double()),
    "series": (series_network, lambda: torch.randn(7, 6, 9, dtype=torch.float64)),
}
both_inputs = pytest.mark.parametrize("layout", NETWORKS)


def members_dim(name: str) -> int:
    """Which dimension of a parameter is that of the members."""
    return {"embedding.numbers": 2, "embedding.pieces": 2, "embedding.category": 1}.get(name, 0)


def test_a_block_is_by_default_of_one_member_and_one_channel_without_dropout() -> None:
    block = InterdependenceBlock(9, LPHM(n=9, p=3, r=1), LPHM(n=9, p=3, r=1))
    *mixing, feed_forward = block.branches
    assert [branch.mix.weight.shape[:2] for branch in mixing] == [(1, 1), (1, 1)]
    assert len(feed_forward.up.weight) == 1
    assert block.dropout.share == feed_forward.dropout.share == 0
    assert all(branch.scale.eq(0.1).all() for branch in mixing)


def test_the_attribute_interdependence_of_a_block_starts_smaller_by_the_root_of_the_width() -> None:
    attribute = LPHM(n=9, p=3, r=1)
    torch.manual_seed(3)
    block = InterdependenceBlock(16, attribute)
    torch.manual_seed(3)
    layer = MemberInterdependence(attribute, "attribute", 1, 1)
    A, *others = attribute.unpack(layer.weight)
    torch.testing.assert_close(block.branches[0].mix.weight, attribute.pack(A / 4, *others))


def test_a_block_has_a_feed_forward_network_of_twice_the_width_where_it_is_asked_for() -> None:
    assert InterdependenceBlock(9).branches[0].up.weight.shape == (1, 9, 18)
    assert len(InterdependenceBlock(9, feed_forward=False).branches) == 0


def test_a_network_is_by_default_of_one_block_and_one_channel_without_dropout() -> None:
    structure = LPHM(n=9, p=3, r=1)
    network = InterdependenceNetwork(
        FeatureEmbedding([[]] * 9, 0, 0, 9, multiple=9), 9, 2, structure, structure
    )
    (block,) = network.blocks
    assert [branch.mix.weight.shape[1] for branch in block.branches] == [1, 1]
    assert block.dropout.share == network.head.dropout.share == 0
    assert network.head.down.weight.eq(0).all()


@both_inputs
def test_gradients_reach_every_parameter(layout: str) -> None:
    build, draw = NETWORKS[layout]
    network = disturbed(build(members=3))
    out = network(draw())
    assert out.shape == (7, 3, network.linear.weight.shape[-1])
    out.square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@both_inputs
def test_members_are_networks_that_have_their_slices_as_parameters(layout: str) -> None:
    build, draw = NETWORKS[layout]
    network, x = disturbed(build(members=3)), draw()
    together = network(x)
    assert together.std(dim=1).min() > 1e-3  # no two members say the same
    for member in range(3):
        alone = build().double()
        slices = {
            name: parameter.narrow(members_dim(name), member, 1)
            for name, parameter in network.state_dict().items()
        }
        alone.load_state_dict(slices)
        torch.testing.assert_close(alone(x)[:, 0], together[:, member], rtol=1e-10, atol=1e-12)


@both_inputs
def test_a_network_is_the_sum_of_its_parts(layout: str) -> None:
    """Head after the blocks, linear part and readout, with W formed by torch.kron."""
    build, draw = NETWORKS[layout]
    network, x = disturbed(build(members=3)), draw()
    embedded, got = network.embedding(x), network(x)

    def hidden_layer(part: FeedForward, x: Tensor, m: int) -> Tensor:
        hidden = F.layer_norm(x, x.shape[-1:]) @ part.up.weight[m] + part.up.bias[m]
        return hidden.clamp(min=0) @ part.down.weight[m] + part.down.bias[m]

    for m in range(3):
        rows = embedded[m]
        for block in network.blocks:
            mixing, others = block.branches[:2], block.branches[2:]
            assert [branch.mix.kind for branch in mixing] == ["attribute", "instance"]
            for branch in mixing:
                mix = branch.mix
                z = F.layer_norm(rows, rows.shape[-1:])
                mixed = reference.grouped(mix.structure, mix.weight[m], z, None, mix.kind, mix.normalize)
                rows = rows + mixed * branch.scale[m]
            assert len(others) == (layout == "series")
            for branch in others:
                rows = rows + hidden_layer(branch, rows, m)
        if layout == "table":
            want = hidden_layer(network.head, rows.flatten(1), m)
        else:
            mean, linear = rows.mean(dim=1), network.head.linear
            want = F.layer_norm(mean, mean.shape[-1:]) @ linear.weight[m] + linear.bias[m]
        flat = (x if layout == "series" else embedded[m]).flatten(1)
        want = want + flat @ network.linear.weight[m]
        want = want + network.readout(network.embedding.pooled(x, embedded))[m]
        torch.testing.assert_close(got[:, m], want, rtol=1e-9, atol=1e-10)


@both_inputs
def test_the_loss_of_a_member_does_not_touch_the_parameters_of_another(layout: str) -> None:
    build, draw = NETWORKS[layout]
    network = disturbed(build(members=3))
    network(draw())[:, 1].square().sum().backward()
    for name, parameter in network.named_parameters():
        sizes = parameter.grad.abs().movedim(members_dim(name), 0).flatten(1).sum(dim=1)
        assert sizes[1] > 0, name
        assert sizes[[0, 2]].tolist() == [0, 0], name


@both_inputs
def test_members_start_from_different_weights_and_the_same_answer(layout: str) -> None:
    build, draw = NETWORKS[layout]
    network = build(members=2)
    for name, parameter in network.named_parameters():
        first, second = parameter.unbind(members_dim(name))
        constant = parameter.unique().numel() == 1  # zeros, and the scales of the branches
        assert constant or not torch.equal(first, second), name
    assert not network(draw().float()).any()


def test_dropout_differs_between_members_and_is_none_in_eval_mode() -> None:
    network, one = table_network(members=2, dropout=0.5), table_network(dropout=0.5)
    disturbed(network)
    disturbed(one)
    for name, parameter in network.named_parameters():  # two members with the same weights
        slices = one.get_parameter(name).detach()
        parameter.data = torch.cat([slices, slices], dim=members_dim(name)).clone()
    x = table_rows(5).double()
    trained, said = network.train()(x), network.eval()(x)
    assert not torch.allclose(trained[:, 0], trained[:, 1])
    torch.testing.assert_close(said[:, 0], said[:, 1])
    assert torch.equal(network(x), said)


@both_inputs
def test_a_prediction_never_depends_on_other_rows(layout: str) -> None:
    build, draw = NETWORKS[layout]
    network, x = disturbed(build(members=2)).eval(), draw()
    together = network(x)
    alone = torch.cat([network(row) for row in torch.split(x, 1)])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_rows_of_one_kind_meet_in_the_mixing_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the last norm they meet in a mean only: without mixing, no second derivative between two."""

    def cross(network: InterdependenceNetwork) -> float:
        torch.nn.init.ones_(network.head.linear.weight)
        at = torch.randn(2, dtype=torch.float64)
        hessian = torch.autograd.functional.hessian(lambda v: network(v.view(1, 2, 1))[0, 0, 0], at)
        return float(hessian[0, 1].abs())

    monkeypatch.setattr(module, "normalised", lambda x: x)  # that of the head
    embedding = RowEmbedding(2, 1, 8)
    mixed = InterdependenceNetwork(embedding, 8, 1, LPHM(n=4, p=2, r=1), None, channels=2, blocks=1)
    plain = InterdependenceNetwork(embedding, 8, 1, None, None, blocks=1)
    torch.nn.init.ones_(mixed.blocks[0].branches[0].scale)
    assert cross(plain.double().eval()) == 0
    assert cross(mixed.double().eval()) > 1e-6


@pytest.mark.parametrize(("features", "units"), [(4, 64), (2048, 64), (4096, 32), (100_000, 8)])
def test_the_hidden_layer_of_very_wide_tables_has_fewer_units(features: int, units: int) -> None:
    with torch.device("meta"):
        embedding = FeatureEmbedding([[]] * features, 0, 0, 32)
        head = InterdependenceNetwork(embedding, 32, 1, None, None).head
    assert head.up.weight.shape == (1, 32 * features, units)
    assert head.down.weight.shape == (1, units, 1)


def test_features_meet_in_the_head_too() -> None:
    plain = disturbed(InterdependenceNetwork(FeatureEmbedding([[], []], 0, 0, 8), 8, 1, None, None)).eval()
    at = torch.randn(2, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda v: plain(v.unsqueeze(0))[0, 0, 0], at)
    assert float(hessian[0, 1].abs()) > 1e-6


def test_dropout_of_hidden_units_leaves_their_mean() -> None:
    part, x = FeedForward(1, 6, 40, 3, dropout=0.5).double(), torch.randn(1, 1, 6, dtype=torch.float64)
    trained = torch.cat([part.train()(x) for _ in range(4000)])
    assert len(trained.unique(dim=0)) > 1000
    torch.testing.assert_close(trained.mean(dim=0, keepdim=True), part.eval()(x), rtol=0, atol=0.03)


# Embeddings.


def embedded(embedding: FeatureEmbedding, *numbers: float) -> Tensor:
    """The rows of a table with a single number, ``(values, members, width)``."""
    return embedding(torch.tensor(numbers, dtype=embedding.numbers.dtype).unsqueeze(1))[:, :, 0].transpose(
        0, 1
    )


def test_pieces_rise_from_0_to_1_between_their_edges_and_are_constant_outside() -> None:
    embedding = FeatureEmbedding([[-1.0, 0.0, 4.0]], 0, 0, width=3, members=2).double()
    torch.nn.init.zeros_(embedding.numbers)
    first, second = torch.randn(2, 2, 3, dtype=torch.float64)  # (members, width) each
    embedding.pieces.data = torch.stack([first, second]).unsqueeze(0)
    got = embedded(embedding, -9.0, -1.0, -0.25, 0.0, 1.0, 4.0, 1000.0)
    shares = [(0, 0), (0, 0), (0.75, 0), (1, 0), (1, 0.25), (1, 1), (1, 1)]
    want = torch.stack([a * first + b * second for a, b in shares])
    torch.testing.assert_close(got, want)


def test_an_outlier_counts_at_most_as_three_standard_deviations() -> None:
    embedding = FeatureEmbedding([[]], 0, 0, width=4, members=2).double()
    weight, bias, _ = embedding.numbers[0]
    for x, clipped in ((0.0, 0.0), (3.0, 3 / 2**0.5), (-4.0, -2.4), (1e6, 3.0), (-1e6, -3.0)):
        torch.testing.assert_close(embedded(embedding, x)[0], clipped * weight + bias, rtol=1e-8, atol=1e-8)


def test_columns_with_few_edges_and_without_any_have_only_their_own_pieces() -> None:
    edges = [[0.0, 1.0, 2.0, 3.0], [5.0, 6.0], [7.0], []]
    embedding = FeatureEmbedding(edges, 0, 0, width=2).double()
    assert embedding.pieces.shape == (4, 3, 1, 2)
    x = torch.tensor([[0.5, 5.5, 7.0, 1.0], [9.0, 9.0, 9.0, 9.0]], dtype=torch.float64)
    before = embedding(x)
    torch.nn.init.ones_(embedding.pieces)
    added = (embedding(x) - before)[0, :, :, 0]
    torch.testing.assert_close(added, torch.tensor([[0.5, 0.5, 0, 0], [3, 1, 0, 0]], dtype=torch.float64))
    without = FeatureEmbedding([[], []], 0, 0, width=2)
    assert without.pieces.numel() == 0
    assert without(torch.randn(3, 2)).isfinite().all()


@pytest.mark.parametrize("close", [[0.0, 0.0], [1.0, 1.0 + 2**-52], [0.0, 1e-40], [-1e-46, 0.0]])
def test_edges_that_float32_cannot_tell_apart_make_a_step(close: list[float]) -> None:
    embedding = FeatureEmbedding([[-2.0, *close, 3.0]], 0, 0, width=2)
    torch.nn.init.ones_(embedding.pieces)
    at = [close[0] - 1, close[0], close[1] + 1]
    torch.nn.init.zeros_(embedding.numbers)
    got = embedded(embedding, *at)[:, 0, 0].tolist()
    shares = [(at[0] + 2) / (close[0] + 2), 1, 2 + (at[2] - close[1]) / (3 - close[1])]
    assert got == pytest.approx(shares, abs=1e-5)


def test_pieces_start_at_zero_and_edges_are_not_saved() -> None:
    network = table_network()
    assert not network.embedding.pieces.any()
    assert {name for name in network.state_dict() if "embedding" in name} == {
        f"embedding.{name}" for name in ("numbers", "pieces", "category", "filler")
    }


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_edges_are_told_apart_in_float64_whatever_torch_has_by_default(default: torch.dtype) -> None:
    torch.set_default_dtype(default)
    try:
        embedding = FeatureEmbedding([[1000.0, 1000.0001]], 0, 0, 4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert embedding.lower.dtype == embedding.slope.dtype == torch.float32
    assert embedding.slope.item() == pytest.approx(1e4, rel=1e-6)


def test_vectors_of_an_embedding_have_a_length_of_about_1() -> None:
    width = 400
    features = FeatureEmbedding([[]] * 3, categorical=1, vocabulary=40, width=width, members=5, multiple=8)
    steps = RowEmbedding(6, 3, width, members=5)
    for vectors in (features.numbers[:, :2], features.category, features.filler, steps.position):
        assert vectors.std().item() == pytest.approx(width**-0.5, rel=0.05)
        assert vectors.mean().item() == pytest.approx(0, abs=width**-0.5 / 10)


def test_an_embedding_has_by_default_one_member() -> None:
    assert RowEmbedding(6, 3, 4).members == FeatureEmbedding([[]], 0, 0, 4).members == 1
    assert RowEmbedding(6, 3, 4)(torch.randn(5, 6, 3)).shape == (1, 5, 8, 4)


def test_without_categories_there_are_no_vectors_for_them() -> None:
    assert FeatureEmbedding([[], []], categorical=0, vocabulary=0, width=4).category is None


def test_parts_of_the_samples_are_embedded_one_after_another() -> None:
    embedding = disturbed(table_network(members=2)).embedding
    parts = [table_rows(7).double() for _ in range(3)]
    want = torch.cat([embedding(part) for part in parts])
    torch.testing.assert_close(embedding(torch.cat(parts), copies=3), want)


def test_edges_are_there_where_a_network_is_built_without_memory() -> None:
    with torch.device("meta"):
        network = table_network()
    network.load_state_dict(table_network().state_dict(), assign=True)
    assert torch.equal(network.embedding.slope, table_network().embedding.slope)
    assert network(table_rows(3)).isfinite().all()


def test_missing_number_counts_as_the_mean_until_learned() -> None:
    embedding = FeatureEmbedding([[-1.0, 1.0], [0.0, 2.0]], 0, 0, 8, members=2)
    torch.nn.init.normal_(embedding.pieces)
    missing, mean = torch.tensor([[float("nan"), 1.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(embedding(missing), embedding(mean))
    torch.nn.init.ones_(embedding.numbers[:, 2])
    torch.testing.assert_close(embedding(missing)[:, 0, 0], embedding(mean)[:, 0, 0] + 1)
    torch.testing.assert_close(embedding(missing)[:, 0, 1:], embedding(mean)[:, 0, 1:])


def test_every_category_has_its_own_vector_in_each_member() -> None:
    embedding = FeatureEmbedding([[]], categorical=2, vocabulary=5, width=3, members=2)
    out = embedding(torch.tensor([[0.0, 1.0, 4.0], [0.0, 0.0, 2.0]]))
    for row, codes in enumerate([(1, 4), (0, 2)]):
        for place, code in enumerate(codes, start=1):
            torch.testing.assert_close(out[:, row, place], embedding.category[code])


@pytest.mark.parametrize(
    ("numeric", "categorical", "multiple", "rows"),
    [(9, 2, 4, 12), (4, 0, 4, 4), (1, 0, 4, 4), (0, 3, 4, 4), (9, 2, 12, 12), (2, 2, 1, 4), (13, 0, 8, 16)],
)
def test_features_fill_up_to_a_multiple(numeric: int, categorical: int, multiple: int, rows: int) -> None:
    embedding = FeatureEmbedding([[0.0, 1.0]] * numeric, categorical, 3, 4, members=2, multiple=multiple)
    assert (embedding.rows, embedding.linear_inputs) == (rows, 4 * rows)
    out = embedding(torch.zeros(5, numeric + categorical))
    assert out.shape == (2, 5, rows, 4)
    learned = out[:, :, numeric + categorical :]
    filled_up = rows > numeric + categorical
    assert (embedding.filler is not None) == filled_up
    assert not filled_up or torch.equal(learned, embedding.filler.expand_as(learned))


@pytest.mark.parametrize(("steps", "multiple", "rows"), [(6, 4, 8), (8, 4, 8), (5, 12, 12)])
def test_steps_fill_up_to_a_multiple(steps: int, multiple: int, rows: int) -> None:
    embedding = RowEmbedding(steps, 3, 4, members=2, multiple=multiple)
    x = torch.randn(5, steps, 3)
    out = embedding(x)
    assert out.shape == (2, 5, rows, 4)
    linear = embedding.linear
    want = x @ linear.weight.unsqueeze(1) + linear.bias.unsqueeze(1) + embedding.position[:, :, :steps]
    torch.testing.assert_close(out[:, :, :steps], want)
    learned = out[:, :, steps:]
    assert torch.equal(learned, embedding.position[:, :, steps:].expand_as(learned))
    pooled = embedding.pooled(x, out)
    assert torch.equal(pooled[:, :, :steps], x.expand(2, -1, -1, -1))
    assert not pooled[:, :, steps:].any()


# Parts.


def test_channels_must_divide_rows_and_width() -> None:
    with pytest.raises(DivisibilityError, match=r"channels must divide rows, got channels=4, rows=6"):
        InterdependenceBlock(8, Full(n=6), None, channels=4)
    with pytest.raises(
        DivisibilityError, match=r"instance_channels must divide width, got instance_channels=3, width=8"
    ):
        InterdependenceBlock(8, None, Full(n=8), instance_channels=3)


def test_the_readout_is_a_linear_map_of_normalised_entries_of_xi() -> None:
    structure = LPHM(n=8, p=2, q=4, r=2)
    readout = InterdependenceReadout(structure, 10, 3, channels=2, members=2, most=4).double()
    for parameter in readout.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 5, 8, 10, dtype=torch.float64)
    got = readout(x)
    for member in range(2):
        Z = x[member] @ readout.project.weight[member]  # (N, 8, 4)
        W = structure.to_dense(readout.pool.weight[member])  # (channels, 8, 8)
        entries = (Z.mT.unsqueeze(1) @ W @ Z.unsqueeze(1)).flatten(1)  # (N, channels · 4 · 4)
        spread = (entries.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt()
        entries = (entries - entries.mean(dim=1, keepdim=True)) / spread
        entries = entries * readout.norm.weight[member] + readout.norm.bias[member]
        want = entries @ readout.head.weight[member] + readout.head.bias[member]
        torch.testing.assert_close(got[member], want)


def test_columns_of_xi_are_not_projected_where_they_are_few() -> None:
    structure = LPHM(n=8, p=2, r=1)
    assert isinstance(InterdependenceReadout(structure, 8, 3, channels=2).project, nn.Identity)
    assert InterdependenceReadout(structure, 9, 3, channels=2).project.weight.shape == (1, 9, 8)


def test_interdependence_parameters_count_w_and_nothing_else() -> None:
    # Of 8: pq = 8 and 2 (4 + 2), in block and readout with 2 channels; of 16: 8 and 2 (4 + 8), 4 channels.
    for members in (1, 3):
        network = table_network(16, members)
        assert interdependence_parameters(network) == members * (2 * 2 * (8 + 12) + 4 * (8 + 24))


def test_full_parameters_are_what_the_same_matrices_would_take_without_structure() -> None:
    # 3 members: of 8 rows, in block and readout with 2 channels; of 16 columns with 4 channels.
    assert full_parameters(table_network(16, members=3)) == 3 * (2 * 2 * 8**2 + 4 * 16**2)


@both_inputs
@pytest.mark.parametrize("readout", [True, False])
def test_scaled_outputs_are_those_times_a_factor(layout: str, readout: bool) -> None:
    make, data = NETWORKS[layout]
    network, x = disturbed(make(members=2)).eval(), data()
    if not readout:
        network.readout = None
    before = network(x)
    network.scale_outputs(0.3)
    torch.testing.assert_close(network(x), 0.3 * before)


@pytest.mark.parametrize(("kind", "k"), [("attribute", 16), ("instance", 8)])
def test_interdependence_is_the_last_layers_matrix_in_the_first_member(kind: str, k: int) -> None:
    network, x = disturbed(table_network(16, members=2, blocks=2)).eval(), table_rows(5).double()
    channels = {"attribute": 2, "instance": 4}[kind]
    xi = network.interdependence(x, kind)
    assert xi.shape == (5, channels, k, k)
    if kind == "attribute":  # of all columns, by the W of the readout, which itself pools fewer
        torch.testing.assert_close(xi, network.readout.pool.matrix(network.embedding(x))[0])
        return
    seen = []
    layers = [m for m in network.modules() if isinstance(m, MemberInterdependence) and m.kind == kind]
    handle = layers[-1].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    network(x)
    handle.remove()
    torch.testing.assert_close(xi, layers[-1].matrix(seen[-1])[0])


def test_asking_for_an_interdependence_leaves_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    network = InterdependenceNetwork(RowEmbedding(6, 9, 12), 12, 3, instance=LPHM(n=12, p=3, r=2))
    x = torch.randn(2, 6, 9)
    network.interdependence(x, "instance")
    monkeypatch.setattr(MemberInterdependence, "matrix", lambda *_: pytest.fail("a hook is left"))
    assert network(x).shape == (2, 1, 3)


@both_inputs
def test_copies_of_the_members_predict_parts_as_the_members_do(layout: str) -> None:
    build, rows = NETWORKS[layout]
    network, parts = disturbed(build(members=2)).eval(), [rows() for _ in range(3)]
    assert network.side_by_side(1) is network
    copies = network.side_by_side(3)
    assert (copies.copies, network.copies) == (3, 1)
    assert copies.side_by_side(3) is copies
    torch.testing.assert_close(copies(torch.cat(parts)), torch.cat([network(part) for part in parts]))


@pytest.mark.parametrize("copies", [1, 3])
def test_steps_after_the_end_of_a_series_change_nothing(copies: int) -> None:
    embedding = RowEmbedding(6, 9, 12, members=2, ragged=True)
    attribute, instance = LPHM(n=8, p=2, q=4, r=1), LPHM(n=12, p=3, r=2)
    network = disturbed(InterdependenceNetwork(embedding, 12, 3, attribute, instance, blocks=2)).eval()
    x = torch.randn(9, 6, 9, dtype=torch.float64)
    x[1, 4:] = x[4, 1:] = x[5] = torch.nan
    x[2, 5, :8] = torch.nan  # single channels
    whole = network(x)
    out = network.side_by_side(copies)(x)
    torch.testing.assert_close(out, whole)
    assert out.isfinite().all()
    with torch.no_grad():
        embedding.position[:, :, 4:6] += torch.randn(12)
    changed = network(x)
    torch.testing.assert_close(changed[[1, 4, 5]], out[[1, 4, 5]])
    assert not torch.isclose(changed[[0, 2, 3]], out[[0, 2, 3]]).any()
    with torch.no_grad():
        embedding.position[:, :, 6:] += torch.randn(12)  # rows that fill up are learned for all
    assert not torch.isclose(network(x)[1], out[1]).any()


def test_where_no_series_is_ragged_none_ends() -> None:
    embedding = RowEmbedding(6, 9, 12)
    x = torch.randn(3, 6, 9)
    x[1, 4:] = torch.nan
    assert embedding.present(x, 1) is None
    torch.testing.assert_close(embedding(x), embedding(x.nan_to_num()))


def test_a_copy_predicts_the_same() -> None:
    network, x = disturbed(table_network(members=2)).eval(), table_rows(5).double()
    assert torch.equal(copy.deepcopy(network)(x), network(x))


@pytest.mark.parametrize("size", ["width", "outputs", "blocks", "channels", "instance_channels"])
def test_sizes_of_a_network_are_at_least_1(size: str) -> None:
    sizes = {"width": 16, "outputs": 4, "blocks": 1, "channels": 1, "instance_channels": 1, size: 0}
    with pytest.raises(ValueError, match=rf"^{size} must be at least 1"):
        InterdependenceNetwork(RowEmbedding(8, 3, 16), **sizes)


inductor = pytest.param(
    "table",
    "inductor",
    marks=[
        pytest.mark.skipif(not shutil.which("c++"), reason="inductor needs a C++ compiler"),
        pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # of its own old modules
    ],
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backend"), [("table", "aot_eager"), ("series", "aot_eager"), inductor])
def test_compiles_in_one_graph(name: str, backend: str) -> None:
    torch._dynamo.reset()
    build, draw_rows = NETWORKS[name]
    network, rows = disturbed(build(members=2)), draw_rows()
    # With buffers that are reused in place, torch 2.13 computes a wrong gradient of the last W.
    options = {"inplace_buffers": False} if backend == "inductor" else None
    compiled = torch.compile(network, fullgraph=True, backend=backend, options=options)
    parameters = list(network.parameters())
    for batch in (rows, rows[:3])[: 1 if backend == "inductor" else 2]:  # the number becomes a symbol
        got, want = compiled(batch), network(batch)
        assert reference.error(got, want) < 1e-12
        grads = (torch.autograd.grad(out.square().sum(), parameters) for out in (got, want))
        assert all(reference.error(*pair) < 1e-10 for pair in zip(*grads, strict=True))


@pytest.mark.slow
def test_dropout_compiles_in_one_graph() -> None:
    torch._dynamo.reset()
    network = table_network(dropout=0.5)
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    rows = table_rows(7)
    disturbed(network).float()
    first, second = compiled(rows), compiled(rows)
    assert first.isfinite().all()
    assert not first.equal(second)
