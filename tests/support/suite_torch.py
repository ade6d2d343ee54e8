"""What every structure owes to torch and Python. See ``test_structures.py``."""

import copy
import dataclasses
import json
import pickle
from typing import ClassVar

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, jacrev, stack_module_state, vmap
from torch.utils.flop_counter import FlopCounterMode

import lphm
from lphm import BilinearInterdependence, Structure
from lphm.structures import from_config
from support import reference
from support.registry import Row, draw, draw_two_sets

KINDS = ["attribute", "instance"]


class TorchSuite:
    """A frozen value that lives in torch's transforms."""

    row: ClassVar[Row]

    def layer(self, kind: str = "attribute", **arguments: object) -> BilinearInterdependence:
        """A layer of two channels, and below the input that fits it."""
        arguments = {"channels": 2, "dtype": torch.float64, **arguments}
        return BilinearInterdependence(self.row.typical, kind, **arguments)

    def inputs(self, kind: str = "attribute", dtype: torch.dtype = torch.float64) -> Tensor:
        """Three samples, of six columns (attribute) or six rows (instance)."""
        x = torch.randn(3, self.row.typical.n, 6, dtype=dtype)
        return x if kind == "attribute" else x.mT.contiguous()

    # A value.

    def test_unpack_gives_views(self, any_case: Structure) -> None:
        w = torch.randn(2, any_case.num_parameters)
        factors = any_case.unpack(w)
        shapes = list(any_case.factor_shapes.values())
        assert [factor.shape[1:] for factor in factors] == shapes
        for factor in factors:
            assert factor.untyped_storage().data_ptr() == w.untyped_storage().data_ptr()
        assert any_case.pack(*factors).equal(w)

    def test_unpack_is_row_major_in_order(self, any_case: Structure) -> None:
        w = torch.arange(any_case.num_parameters)
        assert torch.cat([factor.flatten() for factor in any_case.unpack(w)]).equal(w)

    def test_config_round_trip(self, any_case: Structure) -> None:
        config = json.loads(json.dumps(any_case.to_config()))
        assert from_config(config) == any_case

    def test_is_a_frozen_value(self, any_case: Structure) -> None:
        again = dataclasses.replace(any_case)
        assert again == any_case
        assert hash(again) == hash(any_case)
        assert again is not any_case
        with pytest.raises(dataclasses.FrozenInstanceError):
            any_case.n = 3
        for copied in (pickle.loads(pickle.dumps(any_case)), copy.deepcopy(any_case)):
            assert copied == any_case
        assert eval(repr(any_case), {type(any_case).__name__: type(any_case)}) == any_case

    @pytest.mark.parametrize("layout", ["rows", "columns"])
    def test_flops_are_counted(self, any_case: Structure, layout: str) -> None:
        w, *sets, _ = draw_two_sets(any_case, batch=(), channels=None, k=(5, 5), requires_grad=False)
        sets = sets if any_case.columns else sets[:1]
        x, *y = [t if layout == "rows" else t.mT.contiguous().mT for t in sets]
        with FlopCounterMode(display=False) as counter:
            any_case.project(w, x, *y)
        assert counter.get_total_flops() == any_case.projection_flops(5)

    # A layer.

    def test_layer_copies_and_state(self) -> None:
        layer, x = self.layer(), self.inputs()
        other = self.layer()
        assert not other(x).equal(layer(x))
        other.load_state_dict(layer.state_dict())
        for copied in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert copied(x).equal(layer(x))
        assert list(layer.state_dict()) == ["weight"]

    def test_meta_device(self) -> None:
        layer = self.layer(device="meta")
        assert layer(self.inputs().to("meta")).shape == (3, self.row.typical.n, 6)

    # Transforms.

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("in_dims", [(0, None), (None, 0), (0, 0), (None, 1)])
    def test_vmap(self, kind: str, in_dims: tuple[int | None, int | None]) -> None:
        structure = self.row.typical
        w, x, _ = draw(structure, kind, batch=(3, 2), channels=3, requires_grad=False)
        x = x if in_dims[1] != 1 else x.transpose(0, 1).contiguous()
        got = vmap(lambda w, x: lphm.interdependence_apply(structure, w, x, kind=kind), in_dims)(w, x)
        ws = [w] * 3 if in_dims[0] is None else list(w)
        xs = [x] * 3 if in_dims[1] is None else list(x.unbind(in_dims[1]))
        want = torch.stack(
            [reference.apply(structure, *pair, kind=kind) for pair in zip(ws, xs, strict=True)]
        )
        assert reference.error(got, want) < 1e-12

    def test_vmap_of_the_thin_pair(self) -> None:
        structure = self.row.typical
        w, x, _ = draw(structure, batch=(3,), channels=3, requires_grad=False)
        left, right = vmap(structure.project, (0, None))(w, x)
        want = torch.stack([reference.matrix(structure, row, x) for row in w])
        assert reference.error(left.mT @ right, want) < 1e-12

    @pytest.mark.parametrize("kind", KINDS)
    def test_gradients_of_each_sample(self, kind: str) -> None:
        layer, x = self.layer(kind), self.inputs(kind)
        parameters = {"weight": layer.weight.detach()}

        def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(layer, parameters, x).square().sum()

        each = vmap(grad(loss), (None, 0))(parameters, x)["weight"]
        for gradient, sample in zip(each, x, strict=True):
            leaf = parameters["weight"].clone().requires_grad_()
            out = reference.grouped(self.row.typical, leaf, sample, kind=kind)
            (want,) = torch.autograd.grad(out.square().sum(), leaf)
            assert reference.error(gradient, want) < 1e-11

    def test_ensemble(self) -> None:
        layers, x = [self.layer(), self.layer()], self.inputs()
        parameters, buffers = stack_module_state(layers)
        base = self.layer(device="meta")
        out = vmap(lambda p, b: functional_call(base, (p, b), x))(parameters, buffers)
        assert reference.error(out, torch.stack([layer(x) for layer in layers])) < 1e-12

    def test_jacobian_of_xi(self) -> None:
        structure = self.row.typical
        w, x, _ = draw(structure, batch=(), channels=None, requires_grad=False)
        got = jacrev(lambda w: lphm.interdependence_matrix(structure, w, x))(w)
        want = jacrev(lambda w: reference.matrix(structure, w, x))(w)
        assert reference.error(got, want) < 1e-12

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16])
    def test_autocast(self, kind: str, normalize: str | None, x_dtype: torch.dtype) -> None:
        layer = self.layer(kind, dtype=torch.float32, normalize=normalize)
        x = self.inputs(kind, x_dtype)
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        want = reference.grouped(self.row.typical, layer.weight, x, kind=kind, normalize=normalize)
        assert reference.error(out, want) < 5e-2
        out.float().square().sum().backward()
        assert layer.weight.grad.dtype == torch.float32
        (gradient,) = torch.autograd.grad(want.square().sum(), layer.weight)
        assert reference.error(layer.weight.grad, gradient) < 1e-1

    # Compilation.

    @pytest.mark.slow
    @pytest.mark.parametrize(("kind", "normalize"), [("attribute", "softmax"), ("instance", None)])
    def test_compiles_in_one_graph(self, kind: str, normalize: str | None) -> None:
        self.compare_compiled("aot_eager", kind, normalize)

    def compare_compiled(self, backend: str, kind: str, normalize: str | None) -> None:
        """Values and gradients of the compiled layer are those of the layer."""
        torch._dynamo.reset()
        layer, x = self.layer(kind, normalize=normalize), self.inputs(kind).requires_grad_()
        compiled = torch.compile(layer, fullgraph=True, backend=backend)
        for x_now in (
            x,
            x[:1].detach().repeat(5, *[1] * (x.dim() - 1)).requires_grad_(),
        ):  # sizes become symbols
            leaves = (layer.weight, x_now)
            got, want = compiled(x_now), layer(x_now)
            assert reference.error(got, want) < 1e-12
            for pair in zip(
                *(torch.autograd.grad(out.square().sum(), leaves) for out in (got, want)), strict=True
            ):
                assert reference.error(*pair) < 1e-12

    @pytest.mark.slow
    @pytest.mark.parametrize("k", [4, 60])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    def test_exports_for_any_number_of_samples(self, kind: str, normalize: str | None, k: int) -> None:
        layer = self.layer(kind, normalize=normalize).eval()
        _, x, _ = draw(self.row.typical, kind, batch=(3,), k=k, requires_grad=False)
        program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
        for samples in (1, 2, 100):
            _, x, _ = draw(self.row.typical, kind, batch=(samples,), k=k, requires_grad=False)
            with torch.no_grad():
                assert reference.error(program(x), layer(x)) < 1e-12
