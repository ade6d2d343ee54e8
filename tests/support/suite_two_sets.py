"""What every structure owes to the oracle for two sets of data, ``Xᵀ W Y``, and rectangular ``W``."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import vmap
from torch.nn import functional as F

import lphm
from lphm import BilinearInterdependence, Structure
from lphm.ops import cost
from lphm.ops.functional import interdependence_grouped
from support import reference
from support.registry import Row, draw_two_sets
from support.suite_algebra import KINDS, LAYOUTS, TORCH_JIT, check, drawn_alike, tanh_of_mean

NORMALIZE = [None, "scale", "softmax", tanh_of_mean]
both_kinds = pytest.mark.parametrize("kind", KINDS)
every_normalize = pytest.mark.parametrize("normalize", NORMALIZE)


def mask_of(form: str, batch: tuple[int, ...], inputs: int, outputs: int) -> Tensor:
    """Nothing symmetric about it; with an input that nothing looks at and an output that looks at nothing."""
    mask = torch.rand(*batch, outputs, inputs, generator=torch.Generator().manual_seed(1)) < 0.6
    mask[..., 2, :], mask[..., :, 0], mask[..., 3, 1] = False, False, True
    return mask if form == "pairs" else mask.any(-2)


class TwoSetsSuite:
    """``x`` and ``y`` are different sets, of different widths; ``W`` is square or rectangular."""

    row: ClassVar[Row]

    @pytest.fixture(params=["as chosen", "thin pair"])
    def either_path(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the package chooses, where small cases form W; or never W where n > k."""
        if request.param == "thin pair":
            monkeypatch.setattr(cost, "TINY", 0)

    def test_a_square_structure_shows_no_columns(self) -> None:
        square = self.row.typical
        assert "columns" not in square.to_config()
        assert "columns" not in repr(square)
        assert replace(square, columns=square.n) == square
        assert replace(square, columns=square.n).columns is None
        assert square.shape == (square.n, square.n)

    @pytest.mark.usefixtures("either_path")
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @both_kinds
    def test_matrix_of_two_sets(self, two_sets: Structure, kind: str, normalize: object) -> None:
        w, x, y, _ = draw_two_sets(two_sets, kind)
        got = lphm.interdependence_matrix(two_sets, w, x, kind, normalize, y=y)
        assert got.shape == (2, 3, 5, 7)
        check(got, reference.matrix(two_sets, w, x, kind, normalize, y=y), (w, x, y))

    @pytest.mark.parametrize("batch", [(), (2, 3)])
    @pytest.mark.parametrize("channels", [None, 3])
    @both_kinds
    def test_batches_and_channels_of_two_sets(
        self, two_sets: Structure, kind: str, channels: int | None, batch: tuple[int, ...]
    ) -> None:
        w, x, y, data = draw_two_sets(two_sets, kind, batch, channels)
        for D in (data, None):
            got = lphm.interdependence_apply(two_sets, w, x, D, kind, y=y)
            leaves = (w, x, y) if D is None else (w, x, y, data)
            check(got, reference.apply(two_sets, w, x, D, kind, y=y), leaves)

    @pytest.mark.usefixtures("either_path")
    @pytest.mark.parametrize(("k", "d"), [((5, 7), 4), ((7, 5), 6), ((3, 80), 100), ((80, 3), 100)])
    @every_normalize
    @both_kinds
    def test_apply_two_sets(self, kind: str, normalize: object, k: tuple[int, int], d: int) -> None:
        for structure in self.row.two_sets.values():
            w, x, y, data = draw_two_sets(structure, kind, k=k, d=d)
            got = lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y)
            check(got, reference.apply(structure, w, x, data, kind, normalize, y=y), (w, x, y, data))

    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @both_kinds
    def test_groups_of_two_sets(self, two_sets: Structure, kind: str, normalize: object) -> None:
        w, x, y, data = draw_two_sets(two_sets, kind, d=6)
        got = interdependence_grouped(two_sets, w, x, data, kind, normalize, y=y)
        check(got, reference.grouped(two_sets, w, x, data, kind, normalize, y=y), (w, x, y, data))
        layer = BilinearInterdependence(two_sets, kind, channels=3, normalize=normalize, dtype=torch.float64)
        leaves = (layer.weight, x, y, data)
        want = reference.grouped(two_sets, layer.weight, x, data, kind, normalize, y=y)
        check(layer(x, data, y=y), want, leaves)
        want = reference.matrix(two_sets, layer.weight, x, kind, normalize, y=y)
        check(layer.matrix(x, y=y), want, leaves[:3])

    @pytest.mark.usefixtures("either_path")
    @both_kinds
    def test_partial_two_sets(self, two_sets: Structure, kind: str) -> None:
        n, columns = two_sets.shape
        for rows in {
            (n, 1),
            (1, columns),
            (-(-n // 2), -(-columns // 3)),
            (max(n - 1, 1), max(columns - 1, 1)),
        }:
            w, x, y, data = draw_two_sets(two_sets, kind, rows=rows)
            got = lphm.interdependence_apply(two_sets, w, x, data, kind, "scale", y=y, partial=True)
            check(got, reference.apply(two_sets, w, x, data, kind, "scale", y=y), (w, x, y, data))

    @pytest.mark.usefixtures("either_path")
    @pytest.mark.parametrize("d", [4, 9], ids=["attention", "xi formed"])
    @pytest.mark.parametrize("form", ["inputs", "pairs", "none"])
    @pytest.mark.parametrize("k", [(5, 7), (7, 5)])
    @both_kinds
    def test_masks_of_two_sets(self, kind: str, k: tuple[int, int], form: str, d: int) -> None:
        for structure in self.row.two_sets.values():
            for causal in {False, kind == "instance"}:
                mask = None if form == "none" else mask_of(form, (2,), *k)
                w, x, y, data = draw_two_sets(structure, kind, k=k, d=d)
                choices = {"mask": mask, "causal": causal, "y": y}
                got = lphm.interdependence_apply(structure, w, x, data, kind, "softmax", **choices)
                check(
                    got, reference.apply(structure, w, x, data, kind, "softmax", **choices), (w, x, y, data)
                )
                got = lphm.interdependence_matrix(structure, w, x, kind, "softmax", **choices)
                check(got, reference.matrix(structure, w, x, kind, "softmax", **choices), (w, x, y))

    @pytest.mark.parametrize("d", [4, 9], ids=["attention", "xi formed"])
    @both_kinds
    def test_what_a_mask_hides_of_two_sets_may_hold_nan(self, kind: str, d: int) -> None:
        structure, mask = self.row.typical, mask_of("pairs", (2,), 5, 7)
        w, x, y, data = draw_two_sets(structure, kind, d=d, requires_grad=False)
        results = []
        for hidden in (0.0, torch.nan):
            leaves = [t.clone() for t in (w, x, y, data)]
            for t, index in zip(leaves[1:], (0, 2, 0), strict=True):
                t.select(-1 if kind == "attribute" else -2, index).fill_(hidden)
            for t in leaves:
                t.requires_grad_()
            w_, x_, y_, data_ = leaves
            out = lphm.interdependence_apply(structure, w_, x_, data_, kind, "softmax", y=y_, mask=mask)
            results.append([out, *torch.autograd.grad(out.square().sum(), leaves)])
        for with_zeros, with_nan in zip(*results, strict=True):
            assert with_zeros.isfinite().all()
            assert with_nan.equal(with_zeros)

    @pytest.mark.usefixtures("either_path")
    @pytest.mark.parametrize("layout", LAYOUTS)
    @both_kinds
    def test_layouts_of_two_sets(self, kind: str, layout: str) -> None:
        structure = next(iter(self.row.rectangular.values()), self.row.typical)
        w, x, y, data = draw_two_sets(structure, kind, batch=(3,), k=(5, 40))
        x, y, data = (LAYOUTS[layout](t.detach()).requires_grad_() for t in (x, y, data))
        for normalize in (None, "softmax"):
            got = lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y)
            check(got, reference.apply(structure, w, x, data, kind, normalize, y=y), (w, x, y, data))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
    @both_kinds
    def test_precision_of_two_sets(self, kind: str, normalize: str | None, dtype: torch.dtype) -> None:
        for structure in list(self.row.two_sets.values())[:3]:
            w, x, y, data = draw_two_sets(structure, kind, dtype=dtype)
            got = lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y)
            check(got, reference.apply(structure, w, x, data, kind, normalize, y=y), (w, x, y, data))

    @pytest.mark.usefixtures("either_path")
    @TORCH_JIT
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @both_kinds
    def test_gradcheck_of_two_sets(self, kind: str, normalize: str | None) -> None:
        for structure in list(self.row.two_sets.values())[:3]:
            leaves = draw_two_sets(structure, kind, channels=2, k=(3, 2), d=4)  # d > k: xi is formed

            def apply(
                w: Tensor, x: Tensor, y: Tensor, data: Tensor, structure: Structure = structure
            ) -> Tensor:
                return lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y)

            assert gradcheck(apply, leaves, check_forward_ad=normalize is None, fast_mode=True)
            assert gradgradcheck(apply, leaves, fast_mode=True)

    def test_thin_pair_of_two_sets(self, two_sets: Structure) -> None:
        w, x, y, _ = draw_two_sets(two_sets, batch=(2, 3))
        left, right = two_sets.project(w, x, y)
        K = self.row.middle(two_sets)
        assert left.shape == (2, 3, 3, K, 5)
        assert right.shape == (2, 3, 3, K, 7)
        check(left.mT @ right, reference.matrix(two_sets, w, x, y=y), (w, x, y))
        left, right = two_sets.maps(w)
        assert left.shape == (3, K, two_sets.n)
        assert reference.error(left.mT @ right, reference.dense(two_sets, w)) < 1e-12

    @both_kinds
    def test_transpose_of_two_sets(self, two_sets: Structure, kind: str) -> None:
        w, x, y, _ = draw_two_sets(two_sets, kind)
        other, transposed = self.row.transposed(two_sets, w)
        assert reference.error(other.to_dense(transposed), two_sets.to_dense(w).mT) < 1e-14
        xi = lphm.interdependence_matrix(two_sets, w, x, kind, y=y)
        got = lphm.interdependence_matrix(other, transposed, y, kind, y=x)
        assert reference.error(got, xi.mT) < 1e-12

    def test_one_set_given_twice_is_one_set(self) -> None:
        structure = self.row.typical
        w, x, _, data = draw_two_sets(structure)
        one = lphm.interdependence_apply(structure, w, x, data)
        assert reference.error(lphm.interdependence_apply(structure, w, x, data, y=x), one) < 1e-13
        assert reference.error(lphm.interdependence_apply(structure, w, x, data, y=x.clone()), one) < 1e-13

    def test_missing_rows_of_both_sets_are_zeros(self, two_sets: Structure) -> None:
        n, columns = two_sets.shape
        rows = max(n - 1, 1), max(columns - 2, 1)
        w, x, y, data = draw_two_sets(two_sets, rows=rows)
        padded = F.pad(x, (0, 0, 0, n - rows[0])), F.pad(y, (0, 0, 0, columns - rows[1]))
        got = lphm.interdependence_apply(two_sets, w, x, data, y=y, partial=True)
        want = lphm.interdependence_apply(two_sets, w, padded[0], data, y=padded[1])
        check(got, want, (w, x, y, data))

    @both_kinds
    def test_vmap_of_two_sets(self, kind: str) -> None:
        structure = next(iter(self.row.rectangular.values()), self.row.typical)
        w, x, y, _ = draw_two_sets(structure, kind, batch=(3, 2), requires_grad=False)
        got = vmap(lambda x, y: lphm.interdependence_apply(structure, w, x, kind=kind, y=y))(x, y)
        assert reference.error(got, reference.apply(structure, w, x, kind=kind, y=y)) < 1e-12

    @both_kinds
    def test_empty_batch_of_two_sets(self, two_sets: Structure, kind: str) -> None:
        w, x, y, data = draw_two_sets(two_sets, kind, batch=(0,))
        out = lphm.interdependence_apply(two_sets, w, x, data, kind, y=y)
        assert out.shape == (0, 3, *((4, 7) if kind == "attribute" else (7, 4)))
        (gradient,) = torch.autograd.grad(out.sum(), w)
        assert gradient.eq(0).all()

    @drawn_alike
    @given(drawing=st.data())
    def test_drawn_shapes_of_two_sets(self, drawing: st.DataObject) -> None:
        drawn = self.row.drawn_rectangular
        structure = drawing.draw(self.row.drawn if drawn is None else drawn)
        batch = drawing.draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
        channels = drawing.draw(st.sampled_from([None, 1, 2]))
        k, d = (
            (drawing.draw(st.integers(1, 30)), drawing.draw(st.integers(1, 30))),
            drawing.draw(st.integers(1, 30)),
        )
        kind = drawing.draw(st.sampled_from(KINDS))
        rows = tuple(drawing.draw(st.integers(1, size)) for size in structure.shape)
        normalize = drawing.draw(st.sampled_from([None, "scale", "softmax"]))
        w, x, y, data = draw_two_sets(structure, kind, batch, channels, k, d, rows=rows)
        got = lphm.interdependence_apply(structure, w, x, data, kind, normalize, y=y, partial=True)
        want = reference.apply(structure, w, x, data, kind, normalize, y=y)
        assert reference.error(got, want) < 1e-12
