"""Every structure passes one suite: against the oracle, and as a citizen of torch."""

import shutil
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import grad, vmap

import lphm
from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure, Toeplitz
from lphm.structures import STRUCTURES
from lphm.structures.random_matrix import fixed_matrices
from support import reference
from support.registry import ROWS, draw
from support.suite_algebra import check
from support.suite_structure import StructureSuite


class TestFull(StructureSuite):
    row = ROWS["full"]

    def test_w_is_its_own_vector(self) -> None:
        w = torch.randn(144)
        assert self.row.typical.to_dense(w).flatten().equal(w)


class TestLowRank(StructureSuite):
    row = ROWS["low_rank"]

    def test_is_lphm_of_one_block(self) -> None:
        w = torch.randn(self.row.typical.num_parameters)
        one_block = LPHM(n=12, p=1, r=3)
        assert one_block.to_dense(torch.cat([torch.ones(1), w])).equal(self.row.typical.to_dense(w))


class TestHM(StructureSuite):
    row = ROWS["hm"]


class TestDualLPHM(StructureSuite):
    row = ROWS["dual_lphm"]

    def test_is_lphm_with_a_of_low_rank(self) -> None:
        structure = self.row.typical
        w = torch.randn(structure.num_parameters, dtype=torch.float64)
        P, Q, S, T = structure.unpack(w)
        other = LPHM(n=12, p=2, q=3, r=2)
        torch.testing.assert_close(other.to_dense(other.pack(P @ Q.mT, S, T)), structure.to_dense(w))


class TestRandomMatrixAdaptation(StructureSuite):
    row = ROWS["random_matrix"]

    def test_the_seed_decides(self) -> None:
        w = torch.randn(15, dtype=torch.float64)
        state = torch.random.get_rng_state()
        W = [RandomMatrixAdaptation(n=12, r=3, seed=seed).to_dense(w) for seed in (0, 0, 1)]
        assert W[0].equal(W[1])
        assert not W[0].equal(W[2])
        assert torch.random.get_rng_state().equal(state)
        torch.testing.assert_close(self.row.typical.to_dense(w.float()), W[0].float())

    def test_columns_have_one_length(self) -> None:
        A, B = fixed_matrices((12, 12), 3, 5, torch.float64, torch.device("cpu"))
        for matrix in (A, B):
            torch.testing.assert_close(matrix.norm(dim=0), torch.full((3,), 12**0.5, dtype=torch.float64))

    def test_matrices_are_drawn_once(self) -> None:
        fixed_matrices.__wrapped__.cache_clear()
        layer = self.layer()
        for _ in range(3):
            layer(self.inputs()).sum().backward()
        assert fixed_matrices.__wrapped__.cache_info().misses == 1

    @pytest.mark.parametrize(
        "mode",
        [torch.inference_mode(), torch.device("meta"), FakeTensorMode(allow_non_fake_inputs=True), None],
        ids=["inference", "meta", "fake", "vmap and grad"],
    )
    def test_matrices_first_drawn_in_a_mode_serve_after_it(self, mode: AbstractContextManager | None) -> None:
        fixed_matrices.__wrapped__.cache_clear()
        structure = self.row.typical
        w, x, _ = draw(structure, batch=(2,), channels=2)
        if mode is None:
            loss = grad(lambda w, x: lphm.interdependence_matrix(structure, w, x).square().sum())
            vmap(loss, (None, 0))(w.detach(), x.detach())
        else:
            with mode:
                structure.to_dense(w.detach())
        assert fixed_matrices.__wrapped__.cache_info().misses == 1
        check(lphm.interdependence_matrix(structure, w, x), reference.matrix(structure, w, x), (w, x))
        assert fixed_matrices.__wrapped__.cache_info().misses == 1


class TestLPHM(StructureSuite):
    row = ROWS["lphm"]

    def test_block_is_a_times_s_t(self) -> None:
        structure = self.row.typical  # n=12, p=2, q=3: blocks of 6 x 4
        w = torch.randn(structure.num_parameters, dtype=torch.float64)
        A, S, T = w[:6].view(2, 3), w[6:18].view(6, 2), w[18:].view(4, 2)
        W = structure.to_dense(w)
        for i in range(2):
            for j in range(3):
                block = W[6 * i : 6 * i + 6, 4 * j : 4 * j + 4]
                torch.testing.assert_close(block, A[i, j] * (S @ T.T))

    @pytest.mark.parametrize("name", ["typical", "p>q", "p=q", "p=n", "q=n", "n prime, p=1, q=n"])
    def test_numpy_agrees(self, name: str) -> None:
        structure = self.row.cases[name]
        w = torch.randn(structure.num_parameters, dtype=torch.float64)
        A, S, T = (factor.numpy() for factor in structure.unpack(w))
        np.testing.assert_allclose(structure.to_dense(w).numpy(), np.kron(A, S @ T.T), rtol=1e-14)
        np.testing.assert_allclose(reference.dense(structure, w).numpy(), np.kron(A, S @ T.T), rtol=1e-14)

    def test_rank(self) -> None:
        structure = LPHM(n=8, p=4, q=2, r=2)  # rank A times rank S Tᵀ
        w = torch.randn(structure.num_parameters, dtype=torch.float64)
        assert torch.linalg.matrix_rank(structure.to_dense(w)) == 4

    def test_q_is_p_if_not_given(self) -> None:
        assert LPHM(n=12, p=4, r=2) == LPHM(n=12, p=4, q=4, r=2)

    @pytest.mark.slow
    @pytest.mark.skipif(not shutil.which("c++"), reason="inductor needs a C++ compiler")
    @pytest.mark.filterwarnings(
        "ignore:`torch.jit:DeprecationWarning"
    )  # inductor imports its own old modules
    @pytest.mark.parametrize(("kind", "normalize"), [("attribute", None), ("instance", "softmax")])
    def test_compiles_with_inductor(self, kind: str, normalize: str | None) -> None:
        self.compare_compiled("inductor", kind, normalize)


class TestToeplitz(StructureSuite):
    row = ROWS["toeplitz"]

    def test_coefficients_lie_from_the_most_negative_lag_on(self) -> None:
        W = Toeplitz(n=4, lags=5).to_dense(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
        assert W.tolist() == [[3, 4, 5, 0], [2, 3, 4, 5], [1, 2, 3, 4], [0, 1, 2, 3]]

    @pytest.mark.parametrize("rows", [20, 100])  # with W formed, and by blocks
    def test_xi_is_a_sum_of_lagged_covariances(self, rows: int) -> None:
        structure = Toeplitz(n=rows, lags=7)
        t, x = torch.randn(7, dtype=torch.float64), torch.randn(rows, 3, dtype=torch.float64)
        want = torch.zeros(3, 3, dtype=torch.float64)
        for lag in range(-3, 4):
            for i in range(rows):
                if 0 <= i + lag < rows:
                    want += t[lag + 3] * torch.outer(x[i], x[i + lag])
        assert reference.error(lphm.interdependence_matrix(structure, t, x), want) < 1e-12

    def test_one_entry_tells_which_column_leads(self) -> None:
        """Column 1 repeats column 0 two rows later; coefficients of opposite sign make that a sign."""
        structure = Toeplitz(n=200, lags=5)
        t = torch.tensor([-1.0, 0, 0, 0, 1.0], dtype=torch.float64)
        first = torch.randn(200, dtype=torch.float64)
        x = torch.stack([first, torch.cat([torch.zeros(2, dtype=torch.float64), first[:-2]])], dim=1)
        xi = lphm.interdependence_matrix(structure, t, x, normalize="scale")
        assert xi[0, 1] > 0.5
        assert xi[1, 0] < -0.5
        torch.testing.assert_close(xi, -xi.mT)

    def test_w_is_not_formed_where_there_are_several_blocks(self) -> None:
        structure = Toeplitz(n=2**20, lags=3)  # W has 2**40 entries
        w, x, _ = draw(structure, batch=(), channels=None, k=2)
        xi = lphm.interdependence_matrix(structure, w, x)
        t0, t1, t2 = w
        before = x[:-1].mT @ x[1:]
        check(xi, t0 * before.mT + t1 * (x.mT @ x) + t2 * before, (w, x))

    @pytest.mark.parametrize("lags", [1, 7, 23])
    @pytest.mark.parametrize("parts", [[12], [5, 7], [1] * 12, [3, 0, 9]], ids=str)
    def test_pairs_of_new_rows_add_up(self, lags: int, parts: list[int]) -> None:
        structure = Toeplitz(n=12, lags=lags)
        w, x, _ = draw(structure)
        padded = torch.cat([x.new_zeros(2, structure.halo, 5), x], dim=1)
        total, start = torch.zeros(2, 3, 5, 5, dtype=torch.float64), 0
        for rows in parts:
            recent = padded[:, start : start + structure.halo]
            left, right = structure.pair_of_new_rows(structure.unpack(w), recent, x[:, start : start + rows])
            assert left.shape[2] == right.shape[2] == structure.halo + rows
            total, start = total + left.mT @ right, start + rows
        check(total, reference.matrix(structure, w, x), (w, x))


def test_every_structure_has_a_row_and_a_dense_equal() -> None:
    own = {name: cls for name, cls in STRUCTURES.items() if cls.__module__.startswith("lphm.")}
    assert set(ROWS) == set(own)
    assert set(reference.DENSE) >= {cls.__name__ for cls in own.values()}
    for name, row in ROWS.items():
        assert {type(case) for case in (*row.cases.values(), row.large)} == {STRUCTURES[name]}


@pytest.mark.parametrize(
    ("structure", "letters"),
    [
        (Full(n=4), "W"),
        (LowRank(n=4, r=1), "P Q"),
        (HM(n=4, p=2), "A B"),
        (LPHM(n=4, p=2, r=1), "A S T"),
        (DualLPHM(n=4, p=2, r=1), "P Q S T"),
        (RandomMatrixAdaptation(n=4, r=1), "λ₁ λ₂"),
        (Toeplitz(n=4, lags=3), "t"),
    ],
    ids=str,
)
def test_the_factors_have_the_letters_of_the_formula(structure: Structure, letters: str) -> None:
    assert list(structure.factor_shapes) == letters.split()
