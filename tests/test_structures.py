"""Every structure passes one suite: against the oracle, and as a citizen of torch."""

import shutil

import numpy as np
import pytest
import torch

import reference
from lphm import LPHM
from lphm.structures import STRUCTURES
from registry import ROWS
from suite_algebra import AlgebraSuite
from suite_torch import TorchSuite


class StructureSuite(AlgebraSuite, TorchSuite):
    """The whole of what a structure must pass; it gives ``row``."""


class TestFull(StructureSuite):
    row = ROWS["full"]

    def test_w_is_its_own_vector(self) -> None:
        w = torch.randn(144)
        assert self.row.typical.to_dense(w).flatten().equal(w)


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
    def test_compiles_with_inductor(self) -> None:
        self.compare_compiled("inductor", "attribute", None)


def test_every_structure_has_a_row_and_a_dense_equal() -> None:
    assert set(ROWS) == set(STRUCTURES)
    assert set(reference.DENSE) == {cls.__name__ for cls in STRUCTURES.values()}
    for name, row in ROWS.items():
        assert {type(case) for case in (*row.cases.values(), row.large)} == {STRUCTURES[name]}
