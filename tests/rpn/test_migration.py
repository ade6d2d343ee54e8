"""Weights trained with tinyBIG 0.2.1 mean the same ``W`` here.

``tinybig_W`` states again, from the description of tinyBIG and with numpy, what it makes of its vector.
"""

import numpy as np
import pytest
import torch

from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Structure
from lphm.rpn import from_tinybig, lphm_parameterized_bilinear_interdependence

#: n, p, q: not a Kronecker product in tinyBIG (first), and where it is one.
TANGLED = [
    (8, 4, 2),
    (12, 2, 6),
    (12, 3, 3),
    (12, 2, 2),
    (36, 6, 4),
    (6, 1, 2),
    (6, 2, 6),
    (7, 1, 7),
    (12, 1, 12),
]
EQUAL = [(8, 4, 1), (12, 6, 1), (8, 8, 2), (6, 6, 6), (6, 6, 3), (6, 1, 1), (7, 7, 1), (1, 1, 1)]
RANKS = [1, 2, 3]


def cut(w, *shapes):
    parts = np.split(w, np.cumsum([rows * columns for rows, columns in shapes])[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def tinybig_W(structure, w):
    """B = S Tᵀ with Tᵀ as stored; W: every entry of A times every entry of B, in order, in rows of n."""
    n = structure.n
    if isinstance(structure, Full):
        return w.reshape(n, n)
    if isinstance(structure, LowRank):
        A, B = cut(w, (n, structure.r), (structure.r, n))
        return A @ B
    p, q, s, t = structure.p, structure.q, n // structure.p, n // structure.q
    if isinstance(structure, HM):
        A, B = cut(w, (p, q), (s, t))
    elif isinstance(structure, LPHM):
        A, S, Tt = cut(w, (p, q), (s, structure.r), (structure.r, t))
        B = S @ Tt
    else:
        P, Qt, S, Tt = cut(w, (p, structure.r), (structure.r, q), (s, structure.r), (structure.r, t))
        A, B = P @ Qt, S @ Tt
    return np.outer(A.ravel(), B.ravel()).reshape(n, n)


def structures(sizes):
    found = []
    for n, p, q in sizes:
        found.append(HM(n=n, p=p, q=q))
        found += [cls(n=n, p=p, q=q, r=r) for cls in (LPHM, DualLPHM) for r in RANKS]
    return found


def check(structure, w, found):
    want = np.stack([tinybig_W(structure, row.numpy()) for row in w])
    got = found[0].to_dense(found[1]).numpy()
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1e-13 * np.abs(want).max()


def draw(structure, channels=3):
    return torch.randn(channels, structure.num_parameters, dtype=torch.float64)


@pytest.mark.parametrize("structure", structures(TANGLED), ids=str)
def test_where_the_two_differ_the_same_W_is_a_full_one(structure):
    w = draw(structure)
    found = from_tinybig(structure, w)
    assert found[0] == Full(n=structure.n)
    check(structure, w, found)
    ours = structure.to_dense(w).numpy()
    theirs = np.stack([tinybig_W(structure, row.numpy()) for row in w])
    assert np.abs(ours - theirs).max() > 0.1  # read as ours the vector would be another W


@pytest.mark.parametrize("structure", structures(EQUAL), ids=str)
def test_where_the_two_agree_the_structure_stays(structure):
    w = draw(structure)
    for compact in (False, True):
        found = from_tinybig(structure, w, compact=compact)
        assert found[0] == structure
        check(structure, w, found)
    if isinstance(structure, HM):
        assert torch.equal(found[1], w)


@pytest.mark.parametrize("n", [1, 4, 6, 8, 12, 16])
def test_they_agree_exactly_where_the_converter_says(n):
    """Over all divisors: tinyBIG's W of random factors is numpy's kron if and only if q = 1 or p = n."""
    divisors = [d for d in range(1, n + 1) if n % d == 0]
    for p in divisors:
        for q in divisors:
            structure = HM(n=n, p=p, q=q)
            w = draw(structure, 1)
            A, B = cut(w[0].numpy(), (p, q), (n // p, n // q))
            equal = np.allclose(np.kron(A, B), tinybig_W(structure, w[0].numpy()))
            assert equal == (q == 1 or p == n)
            assert equal == (from_tinybig(structure, w)[0] == structure)


@pytest.mark.parametrize(
    "structure", [Full(n=5), LowRank(n=6, r=2), LowRank(n=5, r=7), LowRank(n=1, r=1)], ids=str
)
def test_full_and_low_rank(structure):
    w = draw(structure)
    found = from_tinybig(structure, w)
    assert found[0] == structure
    check(structure, w, found)


@pytest.mark.parametrize(
    ("sizes", "compact"),
    [
        ((36, 2, 3), HM(n=36, p=6, q=1)),
        ((12, 2, 2), HM(n=12, p=4, q=1)),
        ((16, 4, 4), HM(n=16, p=16, q=1)),
        ((12, 6, 4), HM(n=12, p=12, q=2)),
        ((6, 2, 6), HM(n=6, p=6, q=2)),
        ((7, 1, 7), HM(n=7, p=7, q=1)),
        ((36, 9, 6), Full(n=36)),
        ((12, 4, 2), Full(n=12)),
    ],
)
def test_compact_is_a_hierarchical_mapping_where_there_is_one(sizes, compact):
    for structure in structures([sizes]):
        w = draw(structure)
        found = from_tinybig(structure, w, compact=True)
        assert found[0] == compact
        check(structure, w, found)
        if isinstance(structure, HM) and compact != Full(n=structure.n):
            assert torch.equal(found[1], w)


@pytest.mark.parametrize("sizes", [(6, 2), (5, 7), (1, 1)])
def test_random_matrix_adaptation_becomes_low_rank(sizes):
    n, r = sizes
    structure = RandomMatrixAdaptation(n=n, r=r)
    w, (A, B) = draw(structure), torch.randn(2, n, r)
    target, found = from_tinybig(structure, w, gaussians=(A, B))
    assert target == LowRank(n=n, r=r)
    for row, vector in zip(w.numpy(), found, strict=True):
        want = np.diag(row[:n]) @ A.double().numpy() @ np.diag(row[n:]) @ B.double().numpy().T
        assert np.abs(target.to_dense(vector).numpy() - want).max() <= 1e-13 * np.abs(want).max()


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_any_leading_dimensions_and_types(shape):
    structure = LPHM(n=8, p=4, q=2, r=2)
    w = torch.randn(*shape, structure.num_parameters, requires_grad=True)
    full, found = from_tinybig(structure, w)
    assert (found.shape, found.dtype) == ((*shape, 64), torch.float32)
    flat = found.reshape(-1, 64)
    for row, vector in zip(w.reshape(-1, structure.num_parameters), flat, strict=True):
        want = torch.from_numpy(tinybig_W(structure, row.detach().numpy()))
        torch.testing.assert_close(full.to_dense(vector).detach(), want)


def test_wrong_sizes_of_w_and_of_the_gaussians():
    with pytest.raises(ValueError, match=r"w must hold 20 parameters .* got shape \(3, 21\)"):
        from_tinybig(LPHM(n=8, p=4, q=2, r=2), torch.randn(3, 21))
    for gaussians, got in [(None, "None"), (torch.randn(2, 6, 3), r"\[\(6, 3\), \(6, 3\)\]")]:
        with pytest.raises(
            ValueError, match=rf"gaussians must be tinyBIG's A and B, \(6, 2\) each, got {got}"
        ):
            from_tinybig(RandomMatrixAdaptation(n=6, r=2), torch.randn(8), gaussians=gaussians)


class Doubled(LPHM):
    """A subclass of a structure that tinyBIG has, which means another ``W``."""

    def to_dense(self, w):
        return 2 * super().to_dense(w)


class Unknown(Structure):
    """A structure that tinyBIG does not have."""


Unknown.__abstractmethods__ = frozenset()  # it is refused before anything is asked of it


SIX = (
    "structure must be one of lphm.Full, lphm.LowRank, lphm.HM, lphm.LPHM, lphm.DualLPHM, "
    "lphm.RandomMatrixAdaptation and no subclass of them, whose W may be another, got "
)


@pytest.mark.parametrize(
    ("structure", "w", "error", "message"),
    [
        (
            LPHM(n=8, p=4, q=2, r=2),
            {"w_instance_interdependence": torch.randn(1, 20)},
            TypeError,
            "w must be a tensor (*, l), got dict; "
            "pass one entry, such as checkpoint['w_instance_interdependence']",
        ),
        (
            LPHM(n=8, p=4, q=2, r=2),
            [0.0] * 20,
            TypeError,
            "w must be a tensor (*, l), got list; use torch.as_tensor",
        ),
        (
            lphm_parameterized_bilinear_interdependence(r=2, p=4, q=2, m=8),
            torch.randn(1, 20),
            TypeError,
            f"{SIX}lphm_parameterized_bilinear_interdependence; pass its structure, xi.structure",
        ),
        (
            torch.randn(1, 20),
            LPHM(n=8, p=4, q=2, r=2),
            TypeError,
            f"{SIX}a tensor of shape (1, 20); the structure comes first, then w",
        ),
        (
            None,
            torch.randn(1, 20),
            TypeError,
            f"{SIX}NoneType; pass the one with the sizes that tinyBIG was given",
        ),
        (
            LPHM(n=8, columns=6, p=4, q=2, r=2),
            torch.randn(1, 8 + 2 * (2 + 3)),
            ValueError,
            "structure must have a square W, as all bilinear functions of tinyBIG have, "
            "got LPHM(n=8, columns=6, p=4, q=2, r=2); leave columns out",
        ),
    ],
)
def test_arguments_of_another_sort(structure, w, error, message):
    with pytest.raises(error) as caught:
        from_tinybig(structure, w)
    assert str(caught.value) == message


@pytest.mark.parametrize("structure", [Doubled(n=8, p=4, q=2, r=2), Unknown(n=8)], ids=str)
def test_a_structure_is_accepted_by_its_exact_type_alone(structure):
    message = r"structure must be one of lphm.Full, .* no subclass of them, .* got \w+\(n=8.*\); pass the one"
    with pytest.raises(TypeError, match=message):
        from_tinybig(structure, torch.randn(20))
