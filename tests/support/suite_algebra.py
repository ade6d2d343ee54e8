"""What every structure owes to the oracle: values, gradients, shapes. See ``test_structures.py``."""

import math
from typing import ClassVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.nn import functional as F

import lphm
from lphm import LPHM, BilinearInterdependence, Structure
from lphm.ops import cost, dispatch
from support import reference
from support.registry import Row, draw

KINDS = ["attribute", "instance"]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 4e-2}
#: Forward-mode differentiation makes torch load its own scripted decompositions, and warn about them.
TORCH_JIT = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "transposed": lambda x: x.mT.contiguous().mT,
    "every other column": lambda x: torch.stack([x, x], dim=-1).flatten(-2)[..., ::2],
    "every other row": lambda x: torch.stack([x, x], dim=-2).flatten(-3, -2)[..., ::2, :],
    "batch last": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "one sample expanded": lambda x: x[:1].expand_as(x),
}
#: Of shapes that are drawn, the same in every run.
drawn_alike = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],  # one test, inherited by every structure
)


def tanh_of_mean(xi: Tensor) -> Tensor:
    """A user's own post-processing."""
    return torch.tanh(xi - xi.mean(dim=-1, keepdim=True))


def check(got: Tensor, want: Tensor, leaves: tuple[Tensor, ...]) -> None:
    """Value and gradients, to the precision of ``got``."""
    bound = TOLERANCE[leaves[0].dtype]
    assert got.dtype == leaves[0].dtype
    assert reference.error(got, want) < bound
    cotangent = torch.randn_like(got)
    gradients = torch.autograd.grad(got, leaves, cotangent, materialize_grads=True)
    wanted = torch.autograd.grad(want, leaves, cotangent.to(want.dtype), materialize_grads=True)
    for gradient, own in zip(gradients, wanted, strict=True):
        assert gradient.dtype == own.dtype
        assert reference.error(gradient, own) < 10 * bound


class AlgebraSuite:
    """The formulas of the structure, against the oracle."""

    row: ClassVar[Row]

    @pytest.fixture
    def path(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        """As the package chooses (small cases form W); never W where n > k; never by autograd; compiled."""
        request.getfixturevalue("fresh_choices")
        if request.param == "thin pair":
            monkeypatch.setattr(cost, "TINY", 0)
        if request.param == "by hand":
            monkeypatch.setattr(dispatch, "FEWEST_NUMBERS", 0)
        if request.param == "in C++":
            request.getfixturevalue("native")
        return request.param

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test that asks for a ``case`` gets all square cases of the row, for ``any_case`` all of them, for
        ``two_sets`` those that take two sets, and for a ``path`` all ways to a result.
        """
        choices = {
            "case": self.row.cases,
            "any_case": self.row.cases | self.row.rectangular,
            "two_sets": self.row.two_sets,
        }
        for name in choices.keys() & set(metafunc.fixturenames):
            metafunc.parametrize(name, list(choices[name].values()), ids=list(choices[name]))
        if "path" in metafunc.fixturenames:
            compiled = ["in C++"] if isinstance(self.row.typical, LPHM) else []
            metafunc.parametrize("path", ["as chosen", "thin pair", "by hand", *compiled], indirect=True)

    def test_counts(self, any_case: Structure) -> None:
        assert any_case.num_parameters == self.row.num_parameters(any_case)
        assert any_case.num_parameters == sum(math.prod(shape) for shape in any_case.factor_shapes.values())
        assert any_case.middle == self.row.middle(any_case)

    @pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
    def test_dense(self, any_case: Structure, batch: tuple[int, ...]) -> None:
        w = torch.randn(*batch, any_case.num_parameters, dtype=torch.float64)
        W = any_case.to_dense(w)
        assert W.shape == (*batch, *any_case.shape)
        if 0 not in batch:
            assert reference.error(W, reference.dense(any_case, w)) < 1e-14

    @pytest.mark.parametrize("channels", [None, 3])
    @pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
    def test_thin_pair(self, case: Structure, batch: tuple[int, ...], channels: int | None) -> None:
        w, x, _ = draw(case, batch=batch, channels=channels)
        left, right = case.project(w, x)
        shape = (*batch, *([] if channels is None else [channels]), self.row.middle(case), 5)
        assert left.shape == right.shape == shape
        check(left.mT @ right, reference.matrix(case, w, x), (w, x))

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_matrix(self, case: Structure, kind: str, normalize: object) -> None:
        w, x, _ = draw(case, kind)
        got = lphm.interdependence_matrix(case, w, x, kind, normalize)
        check(got, reference.matrix(case, w, x, kind, normalize), (w, x))

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_apply(self, case: Structure, kind: str, normalize: object) -> None:
        w, x, data = draw(case, kind)
        got = lphm.interdependence_apply(case, w, x, data, kind, normalize)
        check(got, reference.apply(case, w, x, data, kind, normalize), (w, x, data))

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("normalize", ["scale", tanh_of_mean])
    @pytest.mark.parametrize("kind", KINDS)
    def test_other_normalizations(self, kind: str, normalize: object) -> None:
        w, x, data = draw(self.row.typical, kind)
        got = lphm.interdependence_matrix(self.row.typical, w, x, kind, normalize)
        check(got, reference.matrix(self.row.typical, w, x, kind, normalize), (w, x))
        got = lphm.interdependence_apply(self.row.typical, w, x, data, kind, normalize)
        check(got, reference.apply(self.row.typical, w, x, data, kind, normalize), (w, x, data))

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("kind", KINDS)
    def test_apply_to_itself(self, case: Structure, kind: str) -> None:
        w, x, _ = draw(case, kind, channels=None)
        got = lphm.interdependence_apply(case, w, x, kind=kind)
        check(got, reference.apply(case, w, x, kind=kind), (w, x))

    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_one_column(self, case: Structure, kind: str, normalize: str | None) -> None:
        w, x, data = draw(case, kind, k=1)
        got = lphm.interdependence_apply(case, w, x, data, kind, normalize)
        want = reference.apply(case, w, x, data, kind, normalize)
        check(got, want + 0 * (w.sum() + x.sum()), (w, x, data))

    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_empty_batch(self, case: Structure, kind: str, normalize: str | None) -> None:
        w, x, data = draw(case, kind, batch=(0,))
        out = lphm.interdependence_apply(case, w, x, data, kind, normalize)
        assert out.shape == (0, 3, *data.shape[-2:])
        assert lphm.interdependence_matrix(case, w, x, kind, normalize).shape == (0, 3, 5, 5)
        assert all(side.shape[0] == 0 for side in case.project(w, x if kind == "attribute" else x.mT))
        (gradient,) = torch.autograd.grad(out.sum(), w)
        assert gradient.eq(0).all()

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("k", [5, 40])
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_layouts(self, kind: str, layout: str, k: int) -> None:
        w, x, data = draw(self.row.typical, kind, batch=(3,), k=k)
        x, data = (LAYOUTS[layout](t.detach()).requires_grad_() for t in (x, data))
        for normalize in (None, "softmax"):
            got = lphm.interdependence_apply(self.row.typical, w, x, data, kind, normalize)
            check(got, reference.apply(self.row.typical, w, x, data, kind, normalize), (w, x, data))

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_precision(self, kind: str, normalize: str | None, dtype: torch.dtype) -> None:
        w, x, data = draw(self.row.typical, kind, dtype=dtype)
        got = lphm.interdependence_apply(self.row.typical, w, x, data, kind, normalize)
        check(got, reference.apply(self.row.typical, w, x, data, kind, normalize), (w, x, data))

    @pytest.mark.usefixtures("path")
    @pytest.mark.parametrize("batch", [(), (2,)])
    @pytest.mark.parametrize("kind", KINDS)
    def test_partial(self, case: Structure, kind: str, batch: tuple[int, ...]) -> None:
        for rows in {1, case.n // 2, case.n - 1} & set(range(1, case.n)):
            w, x, data = draw(case, kind, batch=batch, rows=rows)
            got = lphm.interdependence_apply(case, w, x, data, kind, "scale", partial=True)
            check(got, reference.apply(case, w, x, data, kind, "scale"), (w, x, data))

    @pytest.mark.parametrize("kind", KINDS)
    def test_missing_rows_are_zeros(self, kind: str) -> None:
        n = self.row.typical.n
        w, x, data = draw(self.row.typical, kind, rows=n - 1)
        padded = F.pad(x, (0, 0, 0, 1) if kind == "attribute" else (0, 1))
        got = lphm.interdependence_apply(self.row.typical, w, x, data, kind, partial=True)
        want = lphm.interdependence_apply(self.row.typical, w, padded, data, kind)
        check(got, want, (w, x, data))
        layer = BilinearInterdependence(self.row.typical, kind, dtype=torch.float64, partial=True)
        want = reference.grouped(self.row.typical, layer.weight, x, kind=kind)
        check(layer(x), want, (layer.weight, x))
        check(layer.matrix(x), reference.matrix(self.row.typical, layer.weight, x, kind), (layer.weight, x))

    @pytest.mark.parametrize("kind", KINDS)
    def test_transpose(self, case: Structure, kind: str) -> None:
        w, x, _ = draw(case, kind)
        other, transposed = self.row.transposed(case, w)
        assert reference.error(other.to_dense(transposed), case.to_dense(w).mT) < 1e-14
        xi = lphm.interdependence_matrix(case, w, x, kind)
        assert reference.error(lphm.interdependence_matrix(other, transposed, x, kind), xi.mT) < 1e-12

    @pytest.mark.usefixtures("path")
    @TORCH_JIT
    @pytest.mark.parametrize("normalize", [None, "softmax"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_gradcheck(self, kind: str, normalize: str | None) -> None:
        w, x, data = draw(self.row.typical, kind, batch=(2,), channels=2, k=3, d=4)  # d > k: xi is formed

        def apply(*leaves: Tensor) -> Tensor:
            return lphm.interdependence_apply(self.row.typical, *leaves, kind, normalize)

        assert gradcheck(apply, (w, x, data), check_forward_ad=normalize is None, fast_mode=True)
        assert gradgradcheck(apply, (w, x, data), fast_mode=True)

    @TORCH_JIT
    def test_forward_mode(self) -> None:
        w, x, _ = draw(self.row.typical, requires_grad=False)
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(x, x)
            xi = lphm.interdependence_matrix(self.row.typical, w, dual)
            primal, tangent = forward_ad.unpack_dual(xi)
        assert reference.error(tangent, 2 * primal) < 1e-12  # xi is a quadratic form in x

    @drawn_alike
    @given(drawing=st.data())
    def test_drawn_shapes(self, drawing: st.DataObject) -> None:
        structure = drawing.draw(self.row.drawn)
        batch = drawing.draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
        channels = drawing.draw(st.sampled_from([None, 1, 2]))
        k, d = drawing.draw(st.integers(1, 30)), drawing.draw(st.integers(1, 30))
        kind = drawing.draw(st.sampled_from(KINDS))
        rows = drawing.draw(st.integers(1, structure.n))
        normalize = drawing.draw(st.sampled_from([None, "scale", "softmax"]))
        w, x, data = draw(structure, kind, batch, channels, k, d, rows=rows)
        got = lphm.interdependence_apply(structure, w, x, data, kind, normalize, partial=True)
        want = reference.apply(structure, w, x, data, kind, normalize)
        assert reference.error(got, want) < 1e-12
