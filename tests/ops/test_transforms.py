"""What else torch does with a layer: tracing, fake tensors, tensors that are not plain, results in place."""

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import lphm
from lphm import LPHM, BilinearInterdependence, Structure
from lphm.ops.functional import interdependence_grouped
from support import reference
from support.masks import every_structure
from support.messages import whole

both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])
every_normalize = pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
every_function = pytest.mark.parametrize(
    "function", [lphm.interdependence_matrix, lphm.interdependence_apply, interdependence_grouped]
)


def samples(structure: Structure, kind: str, number: int = 3) -> Tensor:
    x = torch.randn(number, structure.n, 5)
    return x if kind == "attribute" else x.mT.contiguous()


@every_structure
@both_kinds
@pytest.mark.parametrize("normalize", [None, "scale"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_a_matrix_can_be_changed_in_place(
    structure: Structure, kind: str, normalize: str | None, channels: int, batch: tuple[int, ...]
) -> None:
    layer = BilinearInterdependence(structure, kind, channels, normalize, dtype=torch.float64)
    x = samples(structure, kind)[0].double().expand(*batch, -1, -1).clone().requires_grad_()
    leaves = (layer.weight, x)
    want = torch.autograd.grad((layer.matrix(x) + 1).relu().square().sum(), leaves)
    xi = layer.matrix(x)
    xi += 1
    nn.functional.relu(xi, inplace=True)
    got = torch.autograd.grad(xi.square().sum(), leaves)
    assert all(reference.error(*pair) < 1e-12 for pair in zip(got, want, strict=True))


@pytest.mark.filterwarnings("ignore:.*might cause the trace:torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:.*`torch.jit:DeprecationWarning")
@every_structure
@both_kinds
@every_normalize
def test_a_traced_layer_is_saved_and_takes_any_number_of_samples(
    structure: Structure, kind: str, normalize: str | None
) -> None:
    layer = BilinearInterdependence(structure, kind, normalize=normalize)
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(layer, samples(structure, kind)), file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for number in (3, 7):
        x = samples(structure, kind, number)
        assert reference.error(loaded(x), layer(x)) < 1e-5


@every_structure
@both_kinds
@every_normalize
def test_fake_tensors(structure: Structure, kind: str, normalize: str | None) -> None:
    """Shapes and types without memory, forward and backward."""
    BilinearInterdependence(structure, kind)(samples(structure, kind))  # what is kept of a real call is real
    with FakeTensorMode():
        layer = BilinearInterdependence(structure, kind, 2, normalize)
        x = samples(structure, kind).requires_grad_()
        out = layer(x)
        out.sum().backward()
    assert out.shape == x.shape == x.grad.shape
    assert layer.weight.grad.shape == layer.weight.shape


NOT_PLAIN = {
    "sparse": (lambda x: x.to_sparse(), "layout torch.sparse_coo"),
    "compressed": (lambda x: x.to_sparse_csr(), "layout torch.sparse_csr"),
    "mkldnn": (lambda x: x.to_mkldnn(), "layout torch._mkldnn"),
    "nested": (lambda x: torch.nested.nested_tensor([x, x[:4]]), "a nested tensor"),
    "jagged": (
        lambda x: torch.nested.nested_tensor([x, x[:4]], layout=torch.jagged),
        "a nested tensor",
    ),
}


@pytest.mark.filterwarnings("ignore:.*(Sparse CSR|nested tensors):UserWarning")
@every_function
@pytest.mark.parametrize(("change", "got"), NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_no_dense_tensor_is_refused(
    function: Callable[..., Tensor], change: Callable[[Tensor], Tensor], got: str
) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    w, x = torch.randn(structure.num_parameters), torch.randn(12, 5)
    hint = "use {}.to_dense(), or pad nested samples with torch.nested.to_padded_tensor"
    text = f"x must be a dense tensor of one shape, got {got}; " + hint.format("x")
    for normalize in (None, "softmax"):
        with pytest.raises(TypeError, match=whole(text)):
            function(structure, w, change(x), normalize=normalize)
    if got == "layout torch.sparse_coo":
        text = f"w must be a dense tensor of one shape, got {got}; " + hint.format("w")
        with pytest.raises(TypeError, match=whole(text)):
            function(structure, w.to_sparse(), x)


@every_function
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("changed", ["w", "x", "both"])
def test_what_is_not_floating_point_is_refused(
    function: Callable[..., Tensor], dtype: torch.dtype, changed: str
) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    w, x = torch.ones(structure.num_parameters), torch.ones(12, 5)
    w, x = (w if changed == "x" else w.to(dtype)), (x if changed == "w" else x.to(dtype))
    name = "x" if changed == "x" else "w"
    text = f"{name} must be floating point, got {dtype}; use {name}.to(torch.float32)"
    with pytest.raises(TypeError, match=whole(text)):
        function(structure, w, x)


@every_function
def test_no_channels_are_refused(function: Callable[..., Tensor]) -> None:
    structure = LPHM(n=12, p=2, q=3, r=2)
    with pytest.raises(ValueError, match=whole("w must have at least one channel, got shape (0, 26)")):
        function(structure, torch.randn(0, 26), torch.randn(12, 5))
