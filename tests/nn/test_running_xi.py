"""The running average of xi: what training leaves behind, and what eval mode makes of it."""

import copy
import io
import pickle
import re

import pytest
import torch
from torch import Tensor, nn

from lphm import LPHM, BilinearInterdependence, Structure
from support import reference
from support.registry import TYPICAL

STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
K = 5
both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])


def build(kind: str = "attribute", channels: int = 1, **arguments: object) -> BilinearInterdependence:
    arguments = {"structure": STRUCTURE, "running_size": K, "dtype": torch.float64, **arguments}
    return BilinearInterdependence(kind=kind, channels=channels, **arguments)


def batch(kind: str = "attribute", *sizes: int, n: int = 12, dtype: torch.dtype = torch.float64) -> Tensor:
    x = torch.randn(*sizes, n, K, dtype=dtype)
    return x if kind == "attribute" else x.mT.contiguous()


def trained(kind: str = "attribute", channels: int = 1, **arguments: object) -> BilinearInterdependence:
    layer = build(kind, channels, **arguments)
    for _ in range(3):
        layer(batch(kind, 2, dtype=layer.weight.dtype))
    return layer.eval()


# The average.


@pytest.mark.parametrize("structure", TYPICAL.values(), ids=TYPICAL)
@both_kinds
@pytest.mark.parametrize("normalize", [None, "scale", "softmax", torch.tanh])
def test_the_average_is_the_one_written_by_hand(structure: Structure, kind: str, normalize: object) -> None:
    layer = build(kind, channels=3, normalize=normalize, structure=structure, momentum=0.3)
    average = torch.zeros(3, K, K, dtype=torch.float64)
    for number, sizes in enumerate([(4,), (), (2, 3), (1,), (5,), (4,), (4,)], start=1):
        x = batch(kind, *sizes)
        layer(x, torch.cat([x] * 3, dim=-2 if kind == "attribute" else -1))
        xi = reference.matrix(structure, layer.weight, x, kind, normalize).detach()
        xi = xi.reshape(-1, 3, K, K).mean(dim=0)
        share = max(0.3, 1 / number)
        average = (1 - share) * average + share * xi
        assert layer.num_batches_tracked == number
        assert reference.error(layer.running_xi, average) < 1e-12


def test_without_momentum_every_batch_counts_alike() -> None:
    layer, matrices = build(momentum=None), []
    for _ in range(20):
        x = batch("attribute", 2)
        layer(x)
        matrices.append(layer.matrix(x).detach().mean(dim=0))
    assert reference.error(layer.running_xi, torch.stack(matrices).mean(dim=0)) < 1e-12


def test_the_first_batch_is_the_average() -> None:
    layer, x = build(), batch()
    layer(x)
    assert reference.error(layer.running_xi, layer.matrix(x)) < 1e-15


def test_one_batch_averages_like_its_samples() -> None:
    """The mean over the batch dimensions, however they are arranged."""
    x = batch("attribute", 2, 3)
    layers = [build(channels=2) for _ in range(3)]
    for layer, shape in zip(layers, [(2, 3), (6,), (3, 1, 2)], strict=True):
        layer.load_state_dict(layers[0].state_dict())
        layer(x.reshape(*shape, 12, K))
        assert reference.error(layer.running_xi, layers[0].running_xi) < 1e-14


@both_kinds
@pytest.mark.parametrize("normalize", [None, "softmax"])
def test_training_mode_mixes_by_xi_itself(kind: str, normalize: object) -> None:
    layer = build(kind, channels=3, normalize=normalize)
    x = batch(kind, 2)
    data = torch.cat([x] * 3, dim=-2 if kind == "attribute" else -1).requires_grad_()
    x.requires_grad_()
    got, want = layer(x, data), reference.grouped(STRUCTURE, layer.weight, x, data, kind, normalize)
    assert reference.error(got, want) < 1e-12
    leaves, cotangent = (layer.weight, x, data), torch.randn_like(got)
    for pair in zip(
        torch.autograd.grad(got, leaves, cotangent), torch.autograd.grad(want, leaves, cotangent), strict=True
    ):
        assert reference.error(*pair) < 1e-11


def test_the_average_has_no_graph_and_matrix_leaves_it_alone() -> None:
    layer, x = build(), batch()
    layer(x).sum().backward()
    before = layer.running_xi.clone()
    assert not before.requires_grad
    layer.matrix(x)
    layer.eval()(x)
    layer.matrix(x)
    assert layer.running_xi.equal(before)
    assert layer.num_batches_tracked == 1


def test_an_empty_batch_changes_nothing() -> None:
    layer = build()
    assert layer(batch("attribute", 0)).shape == (0, 12, K)
    assert layer.num_batches_tracked == 0
    layer(batch())
    before = layer.running_xi.clone()
    layer(batch("attribute", 0))
    assert layer.running_xi.equal(before)


def test_a_shorter_last_batch() -> None:
    layer = build(partial=True)
    x = batch()[:7]
    layer(x)
    want = reference.matrix(STRUCTURE, layer.weight, x)
    assert reference.error(layer.running_xi, want) < 1e-12


# Eval mode.


@pytest.mark.parametrize("normalize", [None, "scale", "softmax", torch.tanh])
def test_a_row_alone_gives_what_it_gives_in_any_batch(normalize: object) -> None:
    layer = trained(normalize=normalize)
    x = torch.randn(40, K, dtype=torch.float64)
    together = layer(x)
    for rows in (1, 2, 7, 12, 40):
        assert reference.error(layer(x[:rows]), together[:rows]) < 1e-14
    assert reference.error(layer(x[17:18]), together[17:18]) < 1e-14
    assert reference.error(layer(x.view(2, 20, K)), together.view(2, 20, K)) < 1e-14
    others = torch.randn(11, K, dtype=torch.float64)
    assert reference.error(layer(torch.cat([x[:1], others]))[:1], together[:1]) < 1e-14


def test_without_the_average_it_does_not() -> None:
    layer = build(running_size=None).eval()
    x, other = batch(), batch()
    assert reference.error(layer(torch.cat([x[:1], other[1:]]))[:1], layer(x)[:1]) > 1e-3


@both_kinds
def test_eval_mode_is_the_average_applied_by_groups(kind: str) -> None:
    layer = trained(kind, channels=3)
    x = batch(kind, 2)
    data = torch.cat([x] * 3, dim=-2 if kind == "attribute" else -1)
    dim = -2 if kind == "attribute" else -1
    want = torch.cat(
        [
            part @ xi if kind == "attribute" else xi.mT @ part
            for part, xi in zip(data.chunk(3, dim=dim), layer.running_xi, strict=True)
        ],
        dim=dim,
    )
    assert reference.error(layer(x, data), want) < 1e-14
    assert reference.error(layer(data), want) < 1e-14  # x is only the default of data
    assert layer.matrix(x).shape == (2, 3, K, K)
    assert layer.matrix(x)[1].equal(layer.running_xi)


def test_back_to_training_goes_on() -> None:
    layer, x = trained(), batch()
    layer.train()
    want = reference.grouped(STRUCTURE, layer.weight, x)
    assert reference.error(layer(x), want) < 1e-12
    assert layer.num_batches_tracked == 4


def test_gradients_flow_through_data_in_eval_mode() -> None:
    layer = trained()
    x = torch.randn(1, K, dtype=torch.float64, requires_grad=True)
    layer(x).sum().backward()
    assert reference.error(x.grad, layer.running_xi[0].sum(dim=1)[None]) < 1e-14
    assert layer.weight.grad is None


# Its state.


def through_a_file(layer: BilinearInterdependence) -> BilinearInterdependence:
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    other = build("attribute", 2).eval()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer)), through_a_file],
    ids=["deepcopy", "pickle", "state_dict"],
)
def test_it_travels_with_the_layer(copied: object) -> None:
    layer = trained("attribute", 2)
    assert list(layer.state_dict()) == ["weight", "running_xi", "num_batches_tracked"]
    x = torch.randn(2, K, dtype=torch.float64)
    assert copied(layer)(x).equal(layer(x))
    assert copied(layer).num_batches_tracked == 3


def test_loading_the_state_of_an_untrained_layer_forgets() -> None:
    layer = trained()
    layer.load_state_dict(build().state_dict())
    with pytest.raises(ValueError, match="at least one batch"):
        layer(batch())


def test_buffers_copied_by_hand_count_too() -> None:
    """As ``torch.optim.swa_utils.AveragedModel(use_buffers=True)`` copies them."""
    layer, other = trained(), build().eval()
    for own, buffer in zip(other.buffers(), layer.buffers(), strict=True):
        own.copy_(buffer)
    x = torch.randn(1, K, dtype=torch.float64)
    torch.testing.assert_close(other(x), x @ layer.running_xi[0])


def test_state_without_an_average_does_not_pass_for_one() -> None:
    with pytest.raises(RuntimeError, match=r"Missing key.*running_xi"):
        build().load_state_dict(build(running_size=None).state_dict())


@pytest.mark.parametrize("reset", ["reset_running_xi", "reset_parameters"])
def test_reset(reset: str) -> None:
    layer = trained()
    weight = layer.weight.detach().clone()
    getattr(layer, reset)()
    assert layer.weight.equal(weight) == (reset == "reset_running_xi")
    assert layer.running_xi.eq(0).all()
    assert layer.num_batches_tracked == 0
    with pytest.raises(ValueError, match="at least one batch"):
        layer(batch())
    build(running_size=None).reset_running_xi()


def test_meta_device_and_dtype() -> None:
    layer = build(channels=2, device="meta", dtype=torch.bfloat16)
    assert layer.running_xi.shape == (2, K, K)
    assert layer.running_xi.dtype == torch.bfloat16
    assert layer.running_xi.is_meta
    assert layer(batch().to("meta", torch.bfloat16)).shape == (12, K)
    assert layer.eval()(batch().to("meta", torch.bfloat16)).shape == (12, K)
    assert build(device="meta").eval()(batch().to("meta")).shape == (12, K)
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(trained(channels=2).state_dict())
    assert layer(batch(dtype=torch.bfloat16)).shape == (12, K)


def test_repr() -> None:
    assert repr(build(partial=True)).endswith("partial=True, running_size=5, momentum=0.1)")


# Torch.


@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16])
def test_autocast(x_dtype: torch.dtype) -> None:
    layer = build(dtype=torch.float32, channels=2)
    x = batch("attribute", 3, dtype=x_dtype)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).float().square().sum().backward()
        out = layer.eval()(x)
    assert layer.running_xi.dtype == layer.weight.grad.dtype == torch.float32
    want = reference.matrix(STRUCTURE, layer.weight, x).mean(dim=0)
    assert reference.error(layer.running_xi, want) < 5e-2
    first, second = x.double().chunk(2, dim=-2)
    assert reference.error(out, torch.cat([first @ want[0], second @ want[1]], dim=-2)) < 5e-2


@pytest.mark.slow
def test_compiles_in_both_modes() -> None:
    torch._dynamo.reset()
    layer = build(channels=2, normalize="softmax")
    other = copy.deepcopy(layer)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for _ in range(3):
        x = batch("attribute", 4)
        assert reference.error(compiled(x), other(x)) < 1e-12
    assert reference.error(layer.running_xi, other.running_xi) < 1e-12
    assert layer.num_batches_tracked == 3
    layer.eval()
    other.eval()
    x = torch.randn(2, K, dtype=torch.float64)
    assert reference.error(compiled(x), other(x)) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("loaded", [False, True])
def test_exports_for_any_number_of_rows(loaded: bool) -> None:
    layer = trained()
    if loaded:
        state, layer = layer.state_dict(), build().eval()
        layer.load_state_dict(state)
    rows = torch.export.Dim.DYNAMIC
    x = torch.randn(4, K, dtype=torch.float64)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: rows},)).module()
    for number in (1, 2, 50):
        x = torch.randn(number, K, dtype=torch.float64)
        assert reference.error(program(x), layer(x)) < 1e-14


def test_inside_a_network() -> None:
    """Rows of a batch predicted alone as they are predicted together, after training on batches."""
    mix = BilinearInterdependence(STRUCTURE, running_size=K)
    model = nn.Sequential(nn.Linear(3, K), mix, nn.Linear(K, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(12, 3)).square().mean().backward()
        optimizer.step()
    model.eval()
    x = torch.randn(30, 3)
    alone = torch.cat([model(row[None]) for row in x])
    torch.testing.assert_close(alone, model(x))


# What a caller can get wrong.


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"running_size": 0}, ValueError, "running_size must be at least 1, got running_size=0"),
        ({"running_size": True}, TypeError, "running_size must be an int, got True of type bool"),
        ({"momentum": 0.0}, ValueError, "momentum must be above 0 and up to 1, or None, got 0.0"),
        ({"momentum": 1.5}, ValueError, "momentum must be above 0 and up to 1, or None, got 1.5"),
    ],
)
def test_arguments(arguments: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        build(**arguments)


def test_eval_mode_before_any_batch() -> None:
    text = (
        "running_xi must hold an average of at least one batch for eval mode, got none; "
        "call the layer in training mode first, or load the state of one that was trained"
    )
    layer = build().eval()
    for call in (layer, layer.matrix):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            call(batch())


@pytest.mark.parametrize(
    ("kind", "shape", "text"),
    [
        (
            "attribute",
            (12, 4),
            "must have 5 columns, as many as running_size says, got shape (12, 4)",
        ),
        ("instance", (4, 12), "must have 5 rows, as many as running_size says, got shape (4, 12)"),
    ],
)
def test_another_size_than_the_average_has(kind: str, shape: tuple[int, ...], text: str) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"^{re.escape(f'x {text}')}$"):
        build(kind)(x)
    with pytest.raises(ValueError, match=f"^{re.escape(f'data {text}')}$"):
        trained(kind)(x)
    with pytest.raises(ValueError, match=f"^{re.escape(f'x {text}')}$"):
        trained(kind).matrix(x)


@pytest.mark.parametrize("training", [True, False])
def test_what_is_wrong_in_either_mode(training: bool) -> None:
    layer = build(channels=5)
    layer(batch(), torch.randn(10, K, dtype=torch.float64))
    layer.train(training)
    with pytest.raises(ValueError, match=r"^channels must divide the rows of data, got channels=5, rows=12$"):
        layer(batch())
    assert layer.num_batches_tracked == 1
    with pytest.raises(TypeError, match=r"^(x|data) must have the type and device of w, got torch.float32"):
        layer(batch(dtype=torch.float32))
    assert layer.num_batches_tracked == 1


def test_one_batch_is_enough_for_a_state_that_is_loaded() -> None:
    structure, x = LPHM(n=12, p=2, q=3, r=2), torch.randn(4, 12, 5)
    layer = BilinearInterdependence(structure, running_size=5, momentum=1)
    layer(x)
    assert (layer.num_batches_tracked.dtype, int(layer.num_batches_tracked)) == (torch.int64, 1)
    again = BilinearInterdependence(structure, running_size=5).eval()
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer.eval()(x))
    without = BilinearInterdependence(structure)
    without.load_state_dict(BilinearInterdependence(structure).state_dict())
    with pytest.raises(ValueError, match=r"^data must be \(4, b', 5\) to match x"):
        layer.train()(x, torch.randn(3, 12, 5))
    for training in (True, False):
        with pytest.raises(ValueError, match=r"^mask must be None for a layer with running_size"):
            layer.train(training)(x, mask=torch.ones(4, 5, dtype=torch.bool))
