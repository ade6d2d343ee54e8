"""The state of LoKr of peft and LyCORIS, read and written; against the packages where they are installed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lphm import HM, LPHM, DualLPHM, LowRank, Structure
from lphm.errors import InputError
from lphm.nn import StructuredLinear
from support import reference
from support.messages import whole
from support.optional import optional

#: Columns and rows of a weight, and what both packages make of them: the sizes of w1 and w2, the rank.
IN, OUT = 24, 36
STRUCTURES = {
    "w2 a product": LPHM(n=36, columns=24, p=4, q=4, r=2),
    "both products": DualLPHM(n=90, columns=120, p=9, q=10, r=2),
    "both matrices": HM(n=36, columns=24, p=4, q=4),
    "a rank that takes a matrix": LPHM(n=36, columns=24, p=4, q=4, r=5),
}
every_structure = pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)


def layer_of(structure: Structure) -> StructuredLinear:
    n, columns = structure.shape
    return StructuredLinear(columns, n, structure, bias=False)


def delta(state: dict[str, Tensor], scale: float) -> Tensor:
    """``W`` by the definition, in float64."""
    state = {name: tensor.double() for name, tensor in state.items()}
    w1, w2 = (
        state[name] if name in state else state[f"{name}_a"] @ state[f"{name}_b"]
        for name in ("lokr_w1", "lokr_w2")
    )
    return scale * torch.kron(w1, w2)


@every_structure
@pytest.mark.parametrize("form", ["lycoris", "peft"])
def test_what_is_written_is_w_by_the_definition_and_is_read_again(structure: Structure, form: str) -> None:
    layer = layer_of(structure)
    state = layer.to_lokr(form, "model.fc.")
    assert all(name.startswith("model.fc.") for name in state)
    own = {name.removeprefix("model.fc."): tensor for name, tensor in state.items()}
    want = reference.dense(structure, layer.weight.detach())
    assert reference.error(delta(own, 1.0), want) < 1e-6
    assert ("alpha" in own) is (form == "lycoris")
    more = {} if form == "lycoris" else {"alpha": 3.0, "r": 3}
    again = StructuredLinear.from_lokr({**state, "other.lokr_w1": torch.ones(1, 1)}, "model.fc.", **more)
    assert reference.error(again.to_linear().weight, want) < 1e-6
    assert again.bias is None


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        (LPHM(n=36, columns=24, p=4, q=4, r=4), "w1 w2_a w2_b"),  # blocks of 9 x 6, and 4 is below 9 / 2
        (LPHM(n=32, columns=24, p=4, q=4, r=4), "w1 w2"),  # blocks of 8 x 6
        (DualLPHM(n=90, columns=120, p=9, q=10, r=4), "w1_a w1_b w2_a w2_b"),
        (DualLPHM(n=90, columns=80, p=9, q=8, r=4), "w1_a w1_b w2_a w2_b"),
        (DualLPHM(n=80, columns=120, p=8, q=8, r=4), "w1 w2_a w2_b"),
        (DualLPHM(n=72, columns=60, p=9, q=10, r=4), "w1 w2"),  # blocks of 8 x 6
        (HM(n=36, columns=24, p=4, q=4), "w1 w2"),
    ],
    ids=str,
)
def test_products_are_written_where_the_packages_would_have_products(
    structure: Structure, names: str
) -> None:
    layer = layer_of(structure)
    state = layer.to_lokr("peft")
    assert sorted(state) == [f"lokr_{name}" for name in names.split()]
    assert reference.error(delta(state, 1.0), reference.dense(structure, layer.weight.detach())) < 1e-6


def test_what_is_written_shares_no_memory_with_the_layer() -> None:
    layer = layer_of(STRUCTURES["w2 a product"])
    state = layer.to_lokr()
    state["lokr_w1"].zero_()
    assert layer.weight.detach()[:16].abs().min() > 0


@pytest.mark.parametrize("form", ["lycoris", "peft"])
def test_the_scale_is_alpha_by_the_rank(form: str) -> None:
    state = {"lokr_w1": torch.randn(4, 3), "lokr_w2_a": torch.randn(9, 2), "lokr_w2_b": torch.randn(2, 8)}
    if form == "lycoris":
        layer = StructuredLinear.from_lokr({**state, "alpha": torch.tensor(3.0)})
    else:
        layer = StructuredLinear.from_lokr(state, alpha=3)
        assert StructuredLinear.from_lokr(state, alpha=3, r=2).weight.equal(layer.weight)
    assert layer.structure == LPHM(n=36, columns=24, p=4, q=3, r=2)
    assert reference.error(layer.to_linear().weight, delta(state, 1.5)) < 1e-6


def test_matrices_are_scaled_by_peft_alone() -> None:
    state = {"lokr_w1": torch.randn(4, 3), "lokr_w2": torch.randn(9, 8)}
    layer = StructuredLinear.from_lokr({**state, "alpha": torch.tensor(5.0)})
    assert layer.structure == HM(n=36, columns=24, p=4, q=3)
    assert reference.error(layer.to_linear().weight, delta(state, 1.0)) < 1e-6
    layer = StructuredLinear.from_lokr(state, alpha=5, r=2)
    assert reference.error(layer.to_linear().weight, delta(state, 2.5)) < 1e-6


@pytest.mark.parametrize(("ranks", "cls"), [((2, 2), DualLPHM), ((3, 2), LPHM), ((2, None), HM)], ids=str)
def test_a_product_for_w1(ranks: tuple[int, int | None], cls: type[Structure]) -> None:
    first, second = ranks
    state = {"lokr_w1_a": torch.randn(4, first), "lokr_w1_b": torch.randn(first, 3)}
    if second is None:
        state["lokr_w2"] = torch.randn(9, 8)
    else:
        state |= {"lokr_w2_a": torch.randn(9, second), "lokr_w2_b": torch.randn(second, 8)}
    layer = StructuredLinear.from_lokr(state, alpha=4, r=2)
    assert type(layer.structure) is cls
    assert reference.error(layer.to_linear().weight, delta(state, 2.0)) < 1e-6


def test_the_rank_of_the_scale_is_that_of_w1_where_only_this_is_a_product() -> None:
    state = {
        "lokr_w1_a": torch.randn(4, 2),
        "lokr_w1_b": torch.randn(2, 3),
        "lokr_w2": torch.randn(9, 8),
    }
    layer = StructuredLinear.from_lokr({**state, "alpha": torch.tensor(5.0)})
    assert reference.error(layer.to_linear().weight, delta(state, 2.5)) < 1e-6


def test_only_the_tensors_of_the_prefix_are_read() -> None:
    state = {"lokr_w1": torch.randn(4, 3), "lokr_w2": torch.randn(9, 8)}
    others = {"dora_scale": torch.ones(1), "alpha": torch.tensor(7.0), "other.lokr_t2": torch.ones(1)}
    layer = StructuredLinear.from_lokr(
        {f"fc.{name}": tensor for name, tensor in state.items()} | others, "fc.", alpha=2, r=1
    )
    assert reference.error(layer.to_linear().weight, delta(state, 2.0)) < 1e-6


@pytest.mark.parametrize("name", ["lokr_t1", "lokr_t2", "dora_scale"])
def test_what_no_linear_layer_has_is_refused(name: str) -> None:
    state = {"lokr_w1": torch.randn(4, 3), "lokr_w2": torch.randn(9, 8), name: torch.ones(1)}
    with pytest.raises(InputError, match=f"without weight decomposition, got {name}; merge this layer"):
        StructuredLinear.from_lokr(state, alpha=1, r=1)


@pytest.mark.parametrize(("device", "dtype"), [("meta", torch.float32), ("cpu", torch.float64)])
def test_a_layer_has_the_device_and_the_type_of_the_state(device: str, dtype: torch.dtype) -> None:
    state = {"lokr_w1": (4, 3), "lokr_w2": (9, 8)}
    tensors = {name: torch.ones(shape, device=device, dtype=dtype) for name, shape in state.items()}
    layer = StructuredLinear.from_lokr(tensors, alpha=1, r=1)
    assert (layer.weight.device.type, layer.weight.dtype) == (device, dtype)


def test_two_matrices_are_written_with_a_scale_of_one() -> None:
    state = layer_of(STRUCTURES["both matrices"]).to_lokr("lycoris")
    assert state["alpha"] == 1


@pytest.mark.parametrize(("device", "dtype"), [("meta", torch.float32), ("cpu", torch.float64)])
def test_all_that_is_written_is_of_one_device_and_type(device: str, dtype: torch.dtype) -> None:
    state = layer_of(STRUCTURES["both products"]).to(device, dtype).to_lokr("lycoris")
    assert {(tensor.device.type, tensor.dtype) for tensor in state.values()} == {(device, dtype)}


def test_a_product_with_one_factor_of_a_convolution_is_refused() -> None:
    state = {
        "lokr_w1": torch.randn(4, 3),
        "lokr_w2_a": torch.randn(9, 2),
        "lokr_w2_b": torch.randn(2, 8, 3, 3),
    }
    message = r"with matrices, got lokr_w2 of \(9, 2\), \(2, 8, 3, 3\)$"
    with pytest.raises(InputError, match=message):
        StructuredLinear.from_lokr(state, alpha=1)


def test_mistakes() -> None:
    whole_state = {"lokr_w1": torch.randn(4, 3), "lokr_w2": torch.randn(9, 8)}
    cases: list[tuple[dict, dict, str]] = [
        (
            {"lokr_w2": torch.randn(9, 8)},
            {"alpha": 1, "r": 1},
            "state must hold lokr_w1, or lokr_w1_a and lokr_w1_b, got no lokr_w1_a and no lokr_w1_b; "
            "prefix is what the names of one layer begin with",
        ),
        (
            {"fc.lokr_w1": torch.randn(4, 3), "fc.lokr_w2_a": torch.randn(9, 2)},
            {"alpha": 1, "prefix": "fc."},
            "state must hold fc.lokr_w2, or fc.lokr_w2_a and fc.lokr_w2_b, got no fc.lokr_w2_b; "
            "prefix is what the names of one layer begin with",
        ),
        (
            {**whole_state, "lokr_w2": torch.randn(9, 8, 3, 3)},
            {"alpha": 1},
            "state must be that of a linear layer, with matrices, got lokr_w2 of (9, 8, 3, 3)",
        ),
        (
            {**whole_state, "dora_scale": torch.ones(36, 1)},
            {},
            "state must be LoKr of a linear layer without weight decomposition, got dora_scale; "
            "merge this layer with the package that trained it",
        ),
        (
            whole_state,
            {},
            "alpha must be given where the state has none, got None; pass alpha and r of adapter_config.json",
        ),
        (
            whole_state,
            {"alpha": 2},
            "r must be given where no factor has a rank, got alpha alone; pass that of LoKrConfig",
        ),
    ]
    for state, arguments, text in cases:
        with pytest.raises(InputError, match=whole(text)):
            StructuredLinear.from_lokr(state, **arguments)
    layer = layer_of(LowRank(n=4, columns=3, r=1))
    text = (
        "structure must be LPHM, DualLPHM or HM to be LoKr, got LowRank(n=4, columns=3, r=1); "
        "lphm.nearest finds such a W that is near to another one"
    )
    with pytest.raises(TypeError, match=whole(text)):
        layer.to_lokr()
    with pytest.raises(ValueError, match=r"^form must be 'lycoris' or 'peft', got 'lora'$"):
        layer_of(STRUCTURES["both matrices"]).to_lokr("lora")


# The packages themselves.


class Net(nn.Module):
    """A network of one linear layer."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.fc = nn.Linear(columns, rows)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


#: Columns, rows, rank, decompose_both, factor, and the structure that comes of it.
SHAPES = {
    "w2 a product": (24, 36, 2, False, 4, LPHM),
    "both products": (120, 90, 2, True, 10, DualLPHM),
    "both matrices": (24, 36, 5, False, 4, HM),
}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def peft_network(shape: tuple, alpha: float) -> tuple[nn.Module, Callable[[], Tensor]]:
    peft = optional("peft")
    columns, rows, r, both, factor, _ = shape
    config = peft.LoKrConfig(
        r=r,
        alpha=alpha,
        target_modules=["fc"],
        decompose_both=both,
        decompose_factor=factor,
        init_weights=False,
    )
    network = peft.get_peft_model(Net(columns, rows), config)
    return network, lambda: network.base_model.model.fc.get_delta_weight("default").detach()


@every_shape
def test_peft_is_read(shape: tuple) -> None:
    peft = optional("peft")
    network, weight = peft_network(shape, alpha=3)
    state = peft.get_peft_model_state_dict(network)
    layer = StructuredLinear.from_lokr(state, "base_model.model.fc.", alpha=3, r=shape[2])
    assert type(layer.structure) is shape[5]
    assert reference.error(layer.to_linear().weight, weight()) < 1e-6
    x = torch.randn(5, shape[0])
    with network.disable_adapter():
        base = network(x)
    assert reference.error(layer(x), network(x) - base) < 1e-4  # a difference of outputs in float32


@every_shape
def test_peft_reads_what_is_written(shape: tuple) -> None:
    peft = optional("peft")
    network, weight = peft_network(shape, alpha=shape[2])
    state = peft.get_peft_model_state_dict(network)
    layer = StructuredLinear.from_lokr(state, "base_model.model.fc.", alpha=1, r=1)
    nn.init.normal_(layer.weight)
    result = peft.set_peft_model_state_dict(network, layer.to_lokr("peft", "base_model.model.fc."))
    assert not result.unexpected_keys
    assert reference.error(weight(), layer.to_linear().weight.detach()) < 1e-6


def lycoris_module(shape: tuple) -> tuple[nn.Module, nn.Linear]:
    lokr = optional("lycoris.modules.lokr")
    columns, rows, r, both, factor, _ = shape
    linear = nn.Linear(columns, rows, bias=False)
    module = lokr.LokrModule("lycoris_fc", linear, lora_dim=r, alpha=3, decompose_both=both, factor=factor)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module, linear


def lycoris_change(module: nn.Module, linear: nn.Linear) -> Tensor:
    """The change of the weight in the forward pass of the module, of which it takes the scale once."""
    return module.get_weight(linear.weight.shape).detach()


@every_shape
def test_lycoris_is_read(shape: tuple) -> None:
    module, linear = lycoris_module(shape)
    state = {f"lycoris_fc.{name}": tensor for name, tensor in module.state_dict().items()}
    layer = StructuredLinear.from_lokr(state, "lycoris_fc.")
    assert type(layer.structure) is shape[5]
    assert reference.error(layer.to_linear().weight, lycoris_change(module, linear)) < 1e-6
    x = torch.randn(5, shape[0])
    assert reference.error(layer(x), module(x) - linear(x)) < 1e-4  # a difference of outputs in float32


@every_shape
def test_lycoris_reads_what_is_written(shape: tuple) -> None:
    lokr = optional("lycoris.modules.lokr")
    module, linear = lycoris_module(shape)
    layer = StructuredLinear.from_lokr(module.state_dict())
    nn.init.normal_(layer.weight)
    state = layer.to_lokr("lycoris")
    names = lokr.LokrModule.weight_list
    tensors = [state.get(name) for name in names]
    with torch.no_grad():
        again = lokr.LokrModule.make_module_from_state_dict("lycoris_fc", linear, *tensors)
    assert reference.error(lycoris_change(again, linear), layer.to_linear().weight.detach()) < 1e-6
