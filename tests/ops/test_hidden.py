"""What a mask hides from every output has no effect, whatever numbers it holds: values and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor

import lphm
from lphm import BilinearInterdependence, Structure
from lphm.ops.functional import interdependence_grouped
from support import reference
from support.masks import STRUCTURE, K, both_kinds, both_paths, every_structure, options
from support.registry import draw

SPOILED = {"nan": torch.nan, "inf": torch.inf, "-inf": -torch.inf, "overflow": 1e300}
every_spoiled = pytest.mark.parametrize("value", SPOILED.values(), ids=SPOILED)
HIDDEN = torch.tensor([j in (2, 6) for j in range(K)])
VISIBLE = (~HIDDEN).expand(2, K)
both_forms = pytest.mark.parametrize(
    "mask", [VISIBLE, VISIBLE.unsqueeze(-2) & VISIBLE.unsqueeze(-1)], ids=["rows", "pairs"]
)


def filled(x: Tensor, kind: str, hidden: Tensor, value: float) -> Tensor:
    """``x`` with ``value`` in what is hidden: columns for the attribute kind, rows for the instance kind."""
    where = hidden if kind == "attribute" else hidden[:, None]
    return torch.where(where, value, x).detach().requires_grad_()


def everything(
    structure: Structure, w: Tensor, x: Tensor, data: Tensor, kind: str, choices: dict[str, Any]
) -> tuple[list[Tensor], list[Tensor]]:
    """Results of all functions; and their gradients of ``w``, ``x`` and ``data``, one after another."""
    choices = {"kind": kind, "normalize": "softmax", **choices}
    results = [
        lphm.interdependence_apply(structure, w, x, data, **choices),
        lphm.interdependence_apply(structure, w[0], x, **choices),
        interdependence_grouped(structure, w, x, **choices),
        lphm.interdependence_matrix(structure, w, x, **choices),
    ]
    sums = [result.square().sum() for result in results]
    kept = {"retain_graph": True, "materialize_grads": True}
    return results, [g for one in sums for g in torch.autograd.grad(one, (w, x, data), **kept)]


@every_structure
@both_kinds
@both_paths
@both_forms
@every_spoiled
def test_hidden_numbers_have_no_effect(
    structure: Structure, kind: str, d: int, mask: Tensor, value: float
) -> None:
    """All is as with zeros in their place, bit for bit, and their own gradients are zero."""
    for causal in options(kind):
        w, x, data = draw(structure, kind, k=K, d=d)
        choices = {"mask": mask, "causal": causal}
        clean = (filled(t, kind, HIDDEN, 0.0) for t in (x, data))
        want, want_gradients = everything(structure, w, *clean, kind, choices)
        spoiled = (filled(t, kind, HIDDEN, value) for t in (x, data))
        got, gradients = everything(structure, w, *spoiled, kind, choices)
        for ours, theirs in zip(got + gradients, want + want_gradients, strict=True):
            assert ours.isfinite().all()
            assert ours.equal(theirs)
        for gradient in gradients[1::3] + gradients[2:3]:  # of x, and of data
            hidden = gradient[..., HIDDEN] if kind == "attribute" else gradient[..., HIDDEN, :]
            assert hidden.eq(0).all()
            assert gradient.ne(0).any()


@both_kinds
@both_forms
@every_spoiled
def test_the_layer_with_missing_rows(kind: str, mask: Tensor, value: float) -> None:
    layer = BilinearInterdependence(STRUCTURE, kind, 3, "softmax", dtype=torch.float64, partial=True)
    _, x, _ = draw(STRUCTURE, kind, k=K, rows=9)
    results = []
    for number in (0.0, value):
        leaf = filled(x, kind, HIDDEN, number)
        out = layer(leaf, mask=mask)
        results.append([out, *torch.autograd.grad(out.square().sum(), (layer.weight, leaf))])
    assert all(one.equal(other) for one, other in zip(*results, strict=True))


@both_kinds
@both_paths
@pytest.mark.parametrize("shape", [(2, K), (2, K, K), (2, 1, K)])
@every_spoiled
def test_where_all_is_hidden_all_is_zero(kind: str, d: int, shape: tuple[int, ...], value: float) -> None:
    mask = torch.zeros(shape, dtype=torch.bool)
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, k=K, d=d)
        x, data = (torch.full_like(t, value).requires_grad_() for t in (x, data))
        results, gradients = everything(STRUCTURE, w, x, data, kind, {"mask": mask, "causal": causal})
        assert all(one.eq(0).all() for one in results + gradients)


@both_kinds
@both_paths
def test_a_query_that_is_nan_spoils_its_own_output_alone(kind: str, d: int) -> None:
    """With a mask of pairs no output looks at row 2, but the output of row 2 looks at others."""
    mask = torch.ones(2, K, K, dtype=torch.bool)
    mask[..., 2] = False
    only = torch.arange(K) == 2
    for causal in options(kind):
        w, x, data = draw(STRUCTURE, kind, k=K, d=d, requires_grad=False)
        choices = {"kind": kind, "normalize": "softmax", "mask": mask, "causal": causal}
        want = reference.apply(STRUCTURE, w, x, data, **choices)
        x, data = (filled(t, kind, only, torch.nan).detach() for t in (x, data))
        got = lphm.interdependence_apply(STRUCTURE, w, x, data, **choices)
        got, want = (out if kind == "attribute" else out.mT for out in (got, want))
        assert reference.error(got[..., ~only], want[..., ~only]) < 1e-12
        assert got[..., only].isnan().all()
