"""What a caller of the public functions can get wrong, with the whole message."""

import pytest
import torch

from lphm import LPHM, interdependence_apply, interdependence_matrix
from lphm.ops.functional import interdependence_grouped
from support.messages import whole

STRUCTURE = LPHM(n=12, p=2, q=3, r=2)
w, x = torch.randn(26), torch.randn(3, 12, 5)


@pytest.mark.parametrize("function", [interdependence_matrix, interdependence_apply, interdependence_grouped])
@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (
            {"w": torch.randn(1, 24)},
            ValueError,
            "w must hold 26 parameters (A 6 + S 12 + T 8) in its last dimension, got shape (1, 24)",
        ),
        (
            {"w": torch.randn(())},
            ValueError,
            "w must hold 26 parameters (A 6 + S 12 + T 8) in its last dimension, got shape ()",
        ),
        (
            {"w": torch.randn(2, 3, 26)},
            ValueError,
            "w must be (l,) or (channels, l), got shape (2, 3, 26); use torch.func.vmap",
        ),
        (
            {"w": torch.randn(0, 26)},
            ValueError,
            "w must have at least one channel, got shape (0, 26)",
        ),
        (
            {"x": torch.randn(3, 11, 5)},
            ValueError,
            "x must have 12 rows, got shape (3, 11, 5); pass partial=True to treat the missing rows as zeros",
        ),
        (
            {"x": torch.randn(3, 13, 5), "kind": "instance"},
            ValueError,
            "x must have 12 columns, got shape (3, 13, 5); "
            "pass partial=True to treat the missing columns as zeros",
        ),
        (
            {"x": torch.randn(3, 5, 12)},
            ValueError,
            "x must be (*batch, rows, columns) with 12 rows for the attribute kind, got shape (3, 5, 12), "
            "whose last dimension is 12; pass x.mT, or choose kind='instance'",
        ),
        (
            {"x": torch.randn(3, 15, 12), "partial": True},
            ValueError,
            "x must be (*batch, rows, columns) with 12 rows for the attribute kind, got shape (3, 15, 12), "
            "whose last dimension is 12; pass x.mT, or choose kind='instance'",
        ),
        (
            {"x": torch.randn(3, 12, 5), "kind": "instance"},
            ValueError,
            "x must be (*batch, rows, columns) with 12 columns for the instance kind, got shape "
            "(3, 12, 5), whose last but one dimension is 12; pass x.mT, or choose kind='attribute'",
        ),
        (
            {"x": torch.randn(3, 0, 5), "partial": True},
            ValueError,
            "x must have at least one of its 12 rows, got shape (3, 0, 5)",
        ),
        (
            {"x": torch.randn(3, 13, 5), "partial": True},
            ValueError,
            "x must have 12 rows for the attribute kind, got shape (3, 13, 5); "
            "build the structure with n=13, or check which kind you want",
        ),
        (
            {"x": torch.randn(3, 11, 15), "kind": "instance"},
            ValueError,
            "x must have 12 columns for the instance kind, got shape (3, 11, 15); "
            "build the structure with n=15, or check which kind you want",
        ),
        ({"x": torch.randn(12)}, ValueError, "x must be (*batch, b, m), got shape (12,)"),
        (
            {"x": torch.ones(12, 5, dtype=torch.int64)},
            TypeError,
            "x must be floating point, got torch.int64; use x.to(torch.float32)",
        ),
        (
            {"w": torch.ones(26, dtype=torch.int64)},
            TypeError,
            "w must be floating point, got torch.int64; use w.to(torch.float32)",
        ),
        ({"x": [[1.0]]}, TypeError, "x must be a torch.Tensor, got list; use torch.as_tensor"),
        (
            {"x": [torch.randn(12, 5), torch.randn(7, 5)]},
            TypeError,
            "x must be a torch.Tensor, got list; use torch.nn.utils.rnn.pad_sequence for several tensors",
        ),
        ({"w": None}, TypeError, "w must be a torch.Tensor, got NoneType; use torch.as_tensor"),
        (
            {"x": torch.randn(12, 5, dtype=torch.float64)},
            TypeError,
            "x must have the type and device of w, "
            "got torch.float64 on cpu and torch.float32 on cpu; use x.to(w), or for a layer, "
            "whose weight is w, layer.to(x) or torch.autocast",
        ),
        (
            {"x": torch.randn(12, 5, device="meta")},
            TypeError,
            "x must have the type and device of w, "
            "got torch.float32 on meta and torch.float32 on cpu; use x.to(w), or for a layer, "
            "whose weight is w, layer.to(x) or torch.autocast",
        ),
        ({"kind": "row"}, ValueError, "kind must be 'attribute' or 'instance', got 'row'"),
        ({"kind": ["row"]}, ValueError, "kind must be 'attribute' or 'instance', got ['row']"),
        (
            {"w": torch.ones(26, dtype=torch.int64), "x": torch.ones(12, 5, dtype=torch.int64)},
            TypeError,
            "w must be floating point, got torch.int64; use w.to(torch.float32)",
        ),
        (
            {"normalize": "mean"},
            ValueError,
            "normalize must be None, 'scale', 'softmax' or a callable, got 'mean'",
        ),
    ],
)
def test_arguments(function: object, arguments: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=whole(text)):
        function(STRUCTURE, **{"w": w, "x": x, **arguments})


@pytest.mark.parametrize("function", [interdependence_apply, interdependence_grouped])
@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (
            {"data": torch.randn(3, 7, 4)},
            ValueError,
            "data must be (3, b', 5) to match x, got shape (3, 7, 4)",
        ),
        ({"data": torch.randn(7, 5)}, ValueError, "data must be (3, b', 5) to match x, got shape (7, 5)"),
        ({"data": torch.randn(5)}, ValueError, "data must be (3, b', 5) to match x, got shape (5,)"),
        (
            {"data": torch.randn(3, 7, 4), "x": torch.randn(3, 5, 12), "kind": "instance"},
            ValueError,
            "data must be (3, 5, m') to match x, got shape (3, 7, 4)",
        ),
        (
            {"data": torch.randn(3, 7, 5).half()},
            TypeError,
            "data must have the type and device of w, "
            "got torch.float16 on cpu and torch.float32 on cpu; use data.to(w), or for a layer, "
            "whose weight is w, layer.to(data) or torch.autocast",
        ),
        (
            {"data": torch.ones(3, 7, 5, dtype=torch.int64)},
            TypeError,
            "data must be floating point, got torch.int64; use data.to(torch.float32)",
        ),
        (
            {"data": torch.ones(3, 7, 5, dtype=torch.bool)},
            TypeError,
            "data must be floating point, got torch.bool; pass a mask as mask=...",
        ),
    ],
)
def test_data(function: object, arguments: dict[str, object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=whole(text)):
        function(STRUCTURE, **{"w": w, "x": x, **arguments})
