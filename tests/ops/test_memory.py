"""W is never formed for n > k, nor xi where softmax runs as attention: forward and backward."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import lphm
from lphm import LPHM, Full, Structure
from lphm.ops.functional import interdependence_grouped
from support.memory import Limit
from support.registry import LARGE, draw

#: W is thinner than n² only if its parameters are.
THIN = {name: structure for name, structure in LARGE.items() if structure.num_parameters < structure.n**2}
thin_structures = pytest.mark.parametrize("structure", THIN.values(), ids=THIN)
every_normalize = pytest.mark.parametrize("normalize", [None, "scale", "softmax"])
both_kinds = pytest.mark.parametrize("kind", ["attribute", "instance"])


@thin_structures
@every_normalize
@both_kinds
@pytest.mark.parametrize("d", [3, 512])
def test_w_is_never_formed(structure: Structure, kind: str, normalize: str | None, d: int) -> None:
    w, x, data = draw(structure, kind, batch=(2,), channels=3, k=8, d=d, dtype=torch.float32)
    with Limit(structure.n**2):
        lphm.interdependence_apply(structure, w, x, data, kind, normalize).square().sum().backward()
        lphm.interdependence_apply(structure, w, x, None, kind, normalize).square().sum().backward()
        lphm.interdependence_matrix(structure, w, x, kind, normalize).square().sum().backward()


@thin_structures
@every_normalize
@both_kinds
def test_w_is_never_formed_for_groups(structure: Structure, kind: str, normalize: str | None) -> None:
    w, x, _ = draw(structure, kind, batch=(2,), channels=4, k=8, dtype=torch.float32)
    with Limit(structure.n**2):
        interdependence_grouped(structure, w, x, None, kind, normalize).square().sum().backward()


@pytest.mark.parametrize("kind", ["attribute", "instance"])
@pytest.mark.parametrize("name", [name for name, s in THIN.items() if s.middle < s.n])
def test_memory_is_linear_in_n(name: str, kind: str) -> None:
    """No intermediate has more than a few times the entries of the data, of the thin pair or of w."""
    structure = THIN[name]
    w, x, _ = draw(structure, kind, batch=(2,), channels=3, k=8, dtype=torch.float32)
    sizes = [x.numel() * 3, 2 * 3 * (structure.n + structure.middle) * 8, w.numel() * 2]
    limit = Limit(2 * max(sizes) + 1)
    with limit:
        lphm.interdependence_apply(structure, w, x, None, kind).square().sum().backward()
    assert limit.largest >= x.numel()


@pytest.mark.parametrize(
    "structure",
    [
        Full(n=16),  # K = m
        LPHM(n=16, p=4, q=2, r=2),  # K < m
        LPHM(n=96, p=16, q=16, r=8),  # K > m
        LPHM(n=96, p=8, q=6, r=16),  # K = m
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [None, 2])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_softmax_never_forms_xi(structure: Structure, batch: tuple[int, ...], channels: int | None) -> None:
    b = 1024
    w, x, _ = draw(structure, "instance", batch=batch, channels=channels, k=b, dtype=torch.float32)
    with Limit(b * b):
        lphm.interdependence_apply(structure, w, x, None, "instance", "softmax").sum().backward()
        interdependence_grouped(structure, w, x, None, "instance", "softmax").sum().backward()


class NoCopy(TorchDispatchMode):
    """Fails on any operator that makes a new tensor of half the size of ``x``, which is not a view of it."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        self.numel, self.storage = x.numel() // 2, x.untyped_storage().data_ptr()

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() != self.storage:
                assert tensor.numel() < self.numel, f"{func} made {tuple(tensor.shape)}"
        return out


@pytest.mark.parametrize("structure", [s for s in THIN.values() if s.middle < s.n], ids=str)
@pytest.mark.parametrize("rows", [500, 448, 512])
@pytest.mark.parametrize("batch", [(), (2,)])
@both_kinds
def test_a_partial_x_is_neither_padded_nor_copied(
    structure: Structure, kind: str, batch: tuple[int, ...], rows: int
) -> None:
    w, x, _ = draw(structure, kind, batch=batch, channels=2, k=96, dtype=torch.float32, rows=rows)
    with NoCopy(x):
        lphm.interdependence_matrix(structure, w, x, kind, partial=True)


def test_no_copy_bites() -> None:
    x = torch.randn(3, 4)
    with NoCopy(x):
        x[1:].mT.unflatten(1, (2, 1))
    for copy in (lambda: torch.nn.functional.pad(x, (0, 0, 0, 1)), x.mT.contiguous, x.clone):
        with pytest.raises(AssertionError, match="made"), NoCopy(x):
            copy()


@thin_structures
def test_the_limit_bites(structure: Structure) -> None:
    w, _, _ = draw(structure, batch=(), channels=None, k=8, dtype=torch.float32)
    with pytest.raises(AssertionError, match="made"), Limit(structure.n**2):
        structure.to_dense(w)


def test_the_limit_bites_where_xi_is_formed() -> None:
    w, x, _ = draw(LPHM(n=16, p=4, q=2, r=2), "instance", batch=(), channels=None, k=512, dtype=torch.float32)
    with (
        sdpa_kernel(SDPBackend.MATH),  # attention that is not fused
        pytest.raises(AssertionError, match=r"made \(.*512, 512\)"),
        Limit(512 * 512),
    ):
        lphm.interdependence_apply(LPHM(n=16, p=4, q=2, r=2), w, x, None, "instance", "softmax")


def test_the_limit_bites_in_the_backward() -> None:
    x = torch.randn(8, requires_grad=True)
    y = x.sum()
    with pytest.raises(AssertionError, match=r"made \(8,\)"), Limit(8):
        y.backward()
