"""One exported program serves every number of samples, rows and columns, and gives what the oracle gives."""

import io
from collections.abc import Callable
from functools import partial as with_arguments

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

import lphm
from lphm import LPHM, BilinearInterdependence, Structure, Toeplitz
from support import reference
from support.registry import TYPICAL, draw

pytestmark = pytest.mark.slow
STRUCTURES = {
    **TYPICAL,
    "lphm whose W is not formed": LPHM(n=72, p=9, q=8, r=2),
    "toeplitz in blocks": Toeplitz(n=72, lags=5),
}
both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])

Choices = dict[str, tuple[object, str | None, bool]]
#: Normalisation, mask and causal.
CHOICES: Choices = {
    "raw": (None, None, False),
    "scale": ("scale", None, False),
    "callable": (torch.tanh, None, False),
    "softmax": ("softmax", None, False),
    "mask of rows": ("softmax", "rows", False),
    "mask of pairs": ("softmax", "pairs", False),
}
CAUSAL: Choices = {
    "causal": ("softmax", None, True),
    "causal, mask of rows": ("softmax", "rows", True),
    "causal, mask of pairs": ("softmax", "pairs", True),
}
#: What takes a structure a different way; all choices are tried with LPHM.
FEW = ("raw", "softmax", "mask of pairs")
#: Samples, ``k``, and what there is of ``n`` and of data of its own; that of the export is first.
SIZES = [(3, 7, 9, 6), (1, 1, 1, 1), (2, 3, 12, 5), (1, 64, 5, 100), (100, 1, 4, 2), (3, 300, 12, 3)]


def compute(
    matrix: Callable[..., Tensor],
    apply: Callable[..., Tensor],
    structure: Structure,
    kind: str,
    w: Tensor,
    inputs: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Everything that the two functions are for."""
    results, x, is_typical = {}, inputs["x"], structure == TYPICAL["lphm"]
    for name, (normalize, mask, causal) in {**CHOICES, **(CAUSAL if kind == "instance" else {})}.items():
        if not is_typical and name not in FEW:
            continue
        choices = {"kind": kind, "normalize": normalize, "mask": inputs.get(mask), "causal": causal}
        results[f"xi, {name}"] = matrix(structure, w, x, **choices)
        results[f"x mixed, {name}"] = apply(structure, w, x, **choices)
        results[f"data mixed, {name}"] = apply(structure, w, x, inputs["data"], **choices)
    return results


class Everything(nn.Module):
    def __init__(self, structure: Structure, kind: str, w: Tensor, partial: bool) -> None:
        super().__init__()
        self.structure, self.kind, self.w = structure, kind, nn.Parameter(w)
        self.functions = [
            with_arguments(function, partial=partial)
            for function in (lphm.interdependence_matrix, lphm.interdependence_apply)
        ]

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return compute(*self.functions, self.structure, self.kind, self.w, inputs)


def inputs_of(
    structure: Structure, kind: str, sizes: tuple[int, int, int, int], partial: bool
) -> dict[str, Tensor]:
    samples, k, rows, d = sizes
    present = min(rows, structure.n) if partial else None
    _, x, data = draw(structure, kind, (samples,), None, k, d, requires_grad=False, rows=present)
    rows, pairs = torch.rand(samples, k) > 0.3, torch.rand(samples, k, k) > 0.3
    return {"x": x, "data": data, "rows": rows, "pairs": pairs}


def symbols_of(structure: Structure, kind: str, partial: bool) -> dict[str, dict[int, Dim]]:
    samples, k, d, present = Dim("samples"), Dim("k"), Dim("d"), Dim("present", max=structure.n)
    mixed, other = (2, 1) if kind == "attribute" else (1, 2)
    return {
        "x": {0: samples, mixed: k, **({other: present} if partial else {})},
        "data": {0: samples, mixed: k, other: d},
        "rows": {0: samples, 1: k},
        "pairs": {0: samples, 1: k, 2: k},
    }


@both_kinds
@pytest.mark.parametrize(
    ("structure", "partial"),
    [(TYPICAL["lphm"], False), *((structure, True) for structure in STRUCTURES.values())],
    ids=str,
)
def test_one_program_serves_every_size(structure: Structure, kind: str, partial: bool) -> None:
    w, *_ = draw(structure, channels=None, requires_grad=False)
    module = Everything(structure, kind, w, partial).eval()
    example = inputs_of(structure, kind, SIZES[0], partial)
    program = export(module, (example,), dynamic_shapes=(symbols_of(structure, kind, partial),)).module()
    for sizes in SIZES:
        inputs = inputs_of(structure, kind, sizes, partial)
        with torch.no_grad():
            got, eager = program(inputs), module(inputs)
        want = compute(reference.matrix, reference.apply, structure, kind, w, inputs)
        for name, result in want.items():
            assert reference.error(got[name], result) < 1e-11, f"{name}, {sizes}"
            assert reference.error(got[name], eager[name]) < 1e-11, f"{name}, {sizes}"


@both_kinds
@pytest.mark.parametrize("strict", [False, True])
def test_a_saved_program_of_a_layer_with_channels(kind: str, strict: bool) -> None:
    layer = BilinearInterdependence(TYPICAL["lphm"], kind, 2, "softmax", dtype=torch.float64).eval()
    _, x, _ = draw(layer.structure, kind, (3,), k=7, requires_grad=False)
    symbols = {0: Dim("samples"), 2 if kind == "attribute" else 1: Dim("k")}
    file = io.BytesIO()
    torch.export.save(export(layer, (x,), dynamic_shapes=(symbols,), strict=strict), file)
    file.seek(0)
    program = torch.export.load(file).module()
    for samples, k, *_ in SIZES:
        _, x, _ = draw(layer.structure, kind, (samples,), k=k, requires_grad=False)
        want = reference.grouped(layer.structure, layer.weight, x, kind=kind, normalize="softmax")
        assert reference.error(program(x), want) < 1e-11


def test_more_rows_than_a_partial_layer_has_are_refused() -> None:
    layer = BilinearInterdependence(TYPICAL["lphm"], partial=True).eval()
    program = export(layer, (torch.randn(9, 5),), dynamic_shapes=({0: Dim("rows", max=12)},)).module()
    assert program(torch.randn(12, 5)).shape == (12, 5)
    with pytest.raises(AssertionError, match="12"):
        program(torch.randn(13, 5))


class Layers(nn.Module):
    """A layer for each choice of LPHM (few of the attribute kind), and one for each other structure."""

    def __init__(self, kind: str, partial: bool) -> None:
        super().__init__()
        few = {name: CHOICES[name] for name in FEW}
        self.kind, choices = kind, {**CHOICES, **CAUSAL} if kind == "instance" else few
        self.layers = nn.ModuleList()
        self.masks: list[str | None] = []
        for name, structure in TYPICAL.items():
            for normalize, mask, causal in choices.values() if name == "lphm" else [choices["softmax"]]:
                layer = BilinearInterdependence(
                    structure, kind, normalize=normalize, partial=partial, causal=causal
                )
                self.layers.append(layer)
                self.masks.append(mask)

    def forward(self, x: Tensor, data: Tensor, rows: Tensor, pairs: Tensor) -> list[Tensor]:
        masks = {"rows": rows, "pairs": pairs}
        return [
            layer(x, data, mask=masks.get(mask)) for layer, mask in zip(self.layers, self.masks, strict=True)
        ]

    def reference(self, x: Tensor, data: Tensor, rows: Tensor, pairs: Tensor) -> list[Tensor]:
        masks = {"rows": rows, "pairs": pairs}
        return [
            reference.grouped(
                layer.structure,
                layer.weight.detach(),
                x,
                data,
                self.kind,
                layer.normalize,
                masks.get(mask),
                layer.causal,
            )
            for layer, mask in zip(self.layers, self.masks, strict=True)
        ]


@pytest.mark.filterwarnings("ignore")  # of the exporter, about its own modules and the names of symbols
@both_kinds
def test_onnx_serves_every_size(kind: str) -> None:
    structure, partial = TYPICAL["lphm"], True
    module = Layers(kind, partial).eval()

    def floats(sizes: tuple[int, int, int, int]) -> list[Tensor]:
        inputs = inputs_of(structure, kind, sizes, partial).values()
        return [tensor.float() if tensor.is_floating_point() else tensor for tensor in inputs]

    program = torch.onnx.export(
        module,
        tuple(floats(SIZES[0])),
        dynamic_shapes=symbols_of(structure, kind, partial),
        dynamo=True,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    names = [each.name for each in session.get_inputs()]
    for sizes in SIZES:
        inputs = floats(sizes)
        got = session.run(None, dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True)))
        with torch.no_grad():
            eager = module(*inputs)
        for layer, *results in zip(module.layers, got, eager, module.reference(*inputs), strict=True):
            first, *others = map(torch.as_tensor, results)
            assert all(reference.error(first, other) < 1e-5 for other in others), f"{layer}, {sizes}"
