"""Rows that come in blocks: the same as all of them at once, however they are cut."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

import lphm
from lphm import HM, LPHM, DualLPHM, Full, LowRank, RandomMatrixAdaptation, Toeplitz
from lphm.streamed import Reduction, interdependence_apply, interdependence_matrix
from support import reference

N = 48
STRUCTURES = [
    LPHM(n=N, p=8, q=4, r=3),
    LPHM(n=N, p=4, q=8, r=2),
    LPHM(n=N, p=8, q=8, r=2),
    DualLPHM(n=N, p=8, q=4, r=2),
    LowRank(n=N, r=3),
    RandomMatrixAdaptation(n=N, r=3, seed=1),
    Toeplitz(n=N, lags=9),
    Toeplitz(n=N, lags=1),
    Toeplitz(n=N, lags=2 * N - 1),
]
CUTS = {"one": [48], "rows": [1] * 48, "odd": [5, 0, 13, 7, 11, 12], "blocks": [12, 24, 12]}
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=str)
every_cut = pytest.mark.parametrize("sizes", CUTS.values(), ids=CUTS)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cut(x: Tensor, sizes: list[int]) -> list[Tensor]:
    return list(x.split(sizes))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


@every_structure
@every_cut
@pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
@pytest.mark.parametrize("m", [5, 40])
def test_attribute_is_that_of_all_rows(
    structure: lphm.Structure, sizes: list[int], normalize: str | None, m: int
) -> None:
    w, x = drawn(structure.num_parameters, seed=1) / 10, drawn(N, m, seed=2)
    blocks = cut(x, sizes)
    close(
        interdependence_matrix(structure, w, blocks, normalize),
        reference.matrix(structure, w, x, normalize=normalize),
    )
    out = list(interdependence_apply(structure, w, lambda: blocks, normalize=normalize))
    assert [len(part) for part in out] == sizes
    close(torch.cat(out), reference.apply(structure, w, x, normalize=normalize))


@every_structure
def test_missing_rows_count_as_zeros(structure: lphm.Structure) -> None:
    w, x = drawn(structure.num_parameters, seed=1), drawn(41, 5, seed=2)
    out = torch.cat(list(interdependence_apply(structure, w, lambda: x.split(7), partial=True)))
    close(out, reference.apply(structure, w, x))
    with pytest.raises(ValueError, match=r"must be n=48 rows, got 41; pass partial=True"):
        interdependence_matrix(structure, w, x.split(7))


@pytest.mark.parametrize(
    "structure",
    [LPHM(n=6, p=3, q=2, r=2), LowRank(n=6, r=2), HM(n=6, p=3, q=2), Full(n=6), Toeplitz(n=6, lags=5)],
    ids=str,
)
@pytest.mark.parametrize("normalize", [None, "scale"])
@every_cut
def test_instance_is_that_of_all_rows(
    structure: lphm.Structure, normalize: str | None, sizes: list[int]
) -> None:
    w, x = drawn(structure.num_parameters, seed=1), drawn(N, 6, seed=2)
    blocks = cut(x, sizes)
    out = torch.cat(list(interdependence_apply(structure, w, lambda: blocks, "instance", normalize)))
    close(out, reference.apply(structure, w, x, None, "instance", normalize))


@pytest.mark.parametrize(
    ("kind", "structure"),
    [
        ("attribute", LPHM(n=N, p=8, q=4, r=3)),
        ("attribute", Toeplitz(n=N, lags=9)),
        ("instance", LPHM(n=6, p=3, q=2, r=2)),
    ],
    ids=str,
)
def test_a_pass_goes_on_from_its_sums_bit_for_bit(kind: str, structure: lphm.Structure) -> None:
    w, x = drawn(structure.num_parameters, seed=1), drawn(N, 6, seed=2)
    whole = Reduction(structure, w, 6, kind)
    for block in cut(x, CUTS["odd"]):
        whole.add(block)
    halves = [Reduction(structure, w, 6, kind), Reduction(structure, w, 6, kind)]
    for block in cut(x, CUTS["odd"])[:3]:
        halves[0].add(block)
    halves[1].rows, halves[1].sums = halves[0].rows, [t.clone() for t in halves[0].sums]
    for block in cut(x, CUTS["odd"])[3:]:
        halves[1].add(block)
    assert halves[1].rows == whole.rows == N
    assert all(torch.equal(a, b) for a, b in zip(halves[1].sums, whole.sums, strict=True))


def test_it_computes_in_the_type_of_w() -> None:
    structure, x = STRUCTURES[0], drawn(N, 5, seed=2).float()
    w = drawn(structure.num_parameters, seed=1)
    out = torch.cat(list(interdependence_apply(structure, w, lambda: x.split(9))))
    assert out.dtype == torch.float64
    close(out, reference.apply(structure, w, x.double()))


@pytest.mark.parametrize("build", [lambda n: LPHM(n=n, p=8, r=2), lambda n: Toeplitz(n=n, lags=9)])
def test_the_sums_do_not_grow_with_the_rows(build) -> None:
    sizes = []
    for n in (48, 480, 4800):
        structure = build(n)
        reduction = Reduction(structure, drawn(structure.num_parameters, seed=1), 5)
        reduction.add(drawn(n, 5, seed=2))
        sizes.append([tuple(t.shape) for t in reduction.sums])
    assert all(a == b for a, b in pairwise(sizes))


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (lambda: Reduction(Full(n=4), drawn(16, seed=1), 3), TypeError, "must reduce blocks of rows"),
        (lambda: Reduction(LPHM(n=4, p=2, r=1), drawn(7, seed=1), 3), ValueError, "w must hold 8 parameters"),
        (lambda: Reduction(LPHM(n=4, p=2, r=1), drawn(2, 8, seed=1), 3), ValueError, r"w must be \(l,\)"),
        (lambda: Reduction(LowRank(n=4, r=1), drawn(8, seed=1), 3, "instance"), ValueError, "must have n=3"),
        (
            lambda: interdependence_matrix(LowRank(n=4, r=1), drawn(8, seed=1), [torch.ones(5, 2)]),
            ValueError,
            "no more than n=4 rows, got 5",
        ),
        (
            lambda: interdependence_matrix(
                LowRank(n=4, r=1), drawn(8, seed=1), [torch.ones(2, 2), torch.ones(2, 3)]
            ),
            ValueError,
            r"a block must be \(rows, 2\)",
        ),
        (
            lambda: interdependence_matrix(LowRank(n=4, r=1), drawn(8, seed=1), []),
            ValueError,
            "at least one block",
        ),
        (
            lambda: list(
                interdependence_apply(
                    LowRank(n=2, r=1), drawn(4, seed=1), lambda: [torch.ones(2, 2)], "instance", "softmax"
                )
            ),
            ValueError,
            "must be None or 'scale' for the instance kind",
        ),
    ],
)
def test_what_does_not_fit_is_refused(attempt, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        attempt()
