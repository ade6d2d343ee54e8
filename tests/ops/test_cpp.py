"""The C++ operator computes what ``fused.py`` computes, and is built, found and left alone as it says."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from functorch.compile import aot_function, make_boxed_func

import lphm.ops.cpp
from lphm import LPHM, BilinearInterdependence, Full, LowRank, interdependence_apply
from lphm.ops import dispatch
from lphm.ops.cost import Order
from lphm.ops.cpp import ORDERS
from lphm.ops.functional import interdependence_grouped
from lphm.ops.fused import PARTS, TALL
from support import reference
from support.gradients import Names, both_kinds, check, every_order, inputs
from support.memory import Limit

pytestmark = pytest.mark.slow
STRUCTURES = [LPHM(n=12, p=3, q=3, r=2), LPHM(n=12, p=2, q=6, r=2), LPHM(n=12, p=6, q=2, r=1)]
every_structure = pytest.mark.parametrize("structure", STRUCTURES, ids=str)


def compiled(structure: LPHM, order: Order, kind: str, w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    n, p, q, r = structure.n, structure.p, structure.q, structure.r
    return lphm.ops.cpp.operator()(n, p, q, r, ORDERS[order.name], kind == "instance", w, x)


@pytest.mark.usefixtures("native")
@every_order
@every_structure
@both_kinds
@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("batch", [(), (1,), (2,), (2, 2)])
def test_gradients(order: Order, structure: LPHM, kind: str, channels: int | None, batch: tuple) -> None:
    w, x = inputs(structure, kind, channels, batch)
    got = compiled(structure, order, kind, w, x)
    check(got, reference.grouped(structure, w, x, kind=kind), (w, x))
    with torch.no_grad():
        assert compiled(structure, order, kind, w, x).equal(got)


@pytest.mark.usefixtures("native")
@every_order
@both_kinds
def test_strides_and_offsets_of_views(order: Order, kind: str) -> None:
    structure = STRUCTURES[1]
    w, x = inputs(structure, kind, 3, (2,))
    rows = torch.cat([torch.randn_like(w[:2]), w.detach()]).requires_grad_()
    spread = w.detach().repeat_interleave(2, dim=1).requires_grad_()
    for leaf, view in ((rows, rows[2:]), (spread, spread[:, ::2])):
        for data in (x, x.detach().mT.contiguous().mT.requires_grad_(), x[:1].expand(2, -1, -1)):
            out = compiled(structure, order, kind, view, data).sum()  # its gradient is one number, expanded
            want = reference.grouped(structure, view, data, kind=kind).sum()
            grads, wanted = (torch.autograd.grad(o, (leaf, data), retain_graph=True) for o in (out, want))
            assert all(reference.error(*pair) < 1e-11 for pair in zip(grads, wanted, strict=True))


@pytest.mark.usefixtures("native")
@every_order
@both_kinds
@pytest.mark.parametrize("wanted", ["w", "x"])
def test_derivatives_of_one_alone_and_second_ones(order: Order, kind: str, wanted: str) -> None:
    structure = STRUCTURES[2]
    w, x = inputs(structure, kind, 2, (2,))
    assert torch.autograd.gradgradcheck(lambda *leaves: compiled(structure, order, kind, *leaves), (w, x))
    (w if wanted == "x" else x).requires_grad_(False)
    leaf = w if wanted == "w" else x
    outs = compiled(structure, order, kind, w, x), reference.grouped(structure, w, x, kind=kind)
    pairs = []
    for out in outs:
        (first,) = torch.autograd.grad(out.square().sum(), leaf, create_graph=True)
        pairs.append((first.detach(), *torch.autograd.grad(first.square().sum(), leaf)))
    assert all(reference.error(got, want) < 1e-10 for got, want in zip(*pairs, strict=True))


@pytest.mark.usefixtures("native")
def test_the_gradient_of_data_that_needs_none_costs_nothing() -> None:
    products = {}
    for needs in (False, True):
        w, x = inputs(STRUCTURES[0], "attribute")
        out = compiled(STRUCTURES[0], Order.MATRIX, "attribute", w, x.requires_grad_(needs))
        with Names() as names:
            out.sum().backward()
        products[needs] = [name for name in names.found if "bmm" in name]
    assert len(products[False]) == len(products[True]) - 2


@pytest.mark.usefixtures("native")
@both_kinds
@pytest.mark.parametrize("batch", [(), (2,)])
def test_w_is_never_formed(kind: str, batch: tuple[int, ...]) -> None:
    structure = LPHM(n=512, p=16, q=16, r=2)
    w = torch.randn(4, structure.num_parameters, requires_grad=True)
    x = torch.randn(*batch, *((512, 8) if kind == "attribute" else (8, 512)), requires_grad=True)
    for order in (Order.MATRIX, Order.FACTORED):
        with Limit(512**2):
            compiled(structure, order, kind, w, x).square().sum().backward()


@pytest.mark.usefixtures("native")
@both_kinds
def test_sums_over_many_rows(kind: str) -> None:
    """In parts and whole: the same."""
    for rows in (3 * TALL, 3 * TALL + 1):
        structure = LPHM(n=rows if kind == "attribute" else 3, p=1, q=1, r=1)
        w = torch.randn(structure.num_parameters).double().requires_grad_()
        x = torch.randn(rows, 3).double().requires_grad_()
        order = Order.MATRIX if kind == "attribute" else Order.DENSE_FACTORED
        check(compiled(structure, order, kind, w, x), reference.apply(structure, w, x, kind=kind), (w, x))
    source = lphm.ops.cpp.HEADER.read_text()
    assert f"TALL = {TALL}, PARTS = {PARTS};" in source


@pytest.mark.usefixtures("native")
@every_order
@both_kinds
@pytest.mark.parametrize("channels", [None, 3])
def test_tracers_take_it_and_its_gradient_as_one_operator_each(
    order: Order, kind: str, channels: int | None
) -> None:
    structure = STRUCTURES[1]
    w, x = inputs(structure, kind, channels, (2,))
    sizes = structure.n, structure.p, structure.q, structure.r, ORDERS[order.name], kind == "instance"
    torch.library.opcheck(lphm.ops.cpp.operator(), (*sizes, w, x))
    gradient = torch.randn_like(x)
    operator = torch.ops.lphm.apply_to_itself_backward.default
    torch.library.opcheck(operator, (*sizes, w.detach(), x.detach(), gradient))
    graphs: list[list[str]] = []
    traced = aot_function(lambda w, x: lphm.ops.cpp.operator()(*sizes, w, x), keep(graphs), keep(graphs))
    check(traced(w, x), reference.grouped(structure, w, x, kind=kind), (w, x))
    assert graphs == [["lphm.apply_to_itself.default"], ["lphm.apply_to_itself_backward.default"]]


def keep(graphs: list[list[str]]) -> Callable[..., Callable[..., object]]:
    """A compiler that notes the operators of a graph and runs it as it is."""

    def compiler(module: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        calls = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
        graphs.append([name for name in calls if "getitem" not in name])
        return make_boxed_func(module.forward)

    return compiler


@pytest.mark.usefixtures("native")
def test_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    operator = lphm.ops.cpp.operator()
    monkeypatch.setattr(dispatch, "operator", lambda: lambda *a: calls.append(a[4]) or operator(*a))
    dispatch.plan.cache_clear()
    structure = LPHM(n=64, p=8, q=8, r=4)
    w, x = torch.randn(2, structure.num_parameters), torch.randn(64, 16)
    interdependence_apply(structure, w[0], x)  # in Python W would be formed, in fewer operators
    interdependence_grouped(structure, w, torch.randn(3, 64, 128))
    BilinearInterdependence(structure, channels=4)(torch.randn(3, 64, 128))
    interdependence_apply(structure, w[0], torch.randn(4096, 64), kind="instance", normalize="scale")
    assert calls == [ORDERS[name] for name in ("MATRIX", *["DENSE_FACTORED"] * 3)]
    calls.clear()
    interdependence_apply(structure, w, x)  # every channel on all of x
    interdependence_apply(structure, w[0], x, torch.randn(3, 16))
    interdependence_apply(structure, w[0], x, normalize="softmax")
    for other in (Full(n=64), LowRank(n=64, r=2)):
        interdependence_apply(other, torch.randn(other.num_parameters), x)
    torch.func.vmap(lambda v: interdependence_apply(structure, v, x))(w)
    assert not calls


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


USED = "import lphm.ops.cpp; print(lphm.ops.cpp.operator() is not None)"


def test_it_is_found_where_it_was_built_and_can_be_switched_off(cache: Path, tmp_path: Path) -> None:
    (library,) = cache.iterdir()  # nothing else is left of building
    again = run("-m", "lphm.ops.cpp", LPHM_CACHE=str(cache))
    assert (again.returncode, again.stdout.strip()) == (0, str(library))
    for folder, switch, used in ((cache, "1", True), (cache, "0", False), (tmp_path, "1", False)):
        assert run("-c", USED, LPHM_CACHE=str(folder), LPHM_NATIVE=switch).stdout.strip() == str(used)


def test_what_is_no_library_is_left_alone(tmp_path: Path) -> None:
    name = lphm.ops.cpp.library_name(hashlib.sha256(b"not a library").hexdigest())
    (tmp_path / name).write_bytes(b"not a library")
    (tmp_path / name).chmod(0o755)
    result = run("-W", "default", "-c", USED, LPHM_CACHE=str(tmp_path), LPHM_NATIVE="1")
    assert result.stdout.strip() == "False"
    assert result.stderr.count("Warning: a compiled operator must be") == 1
    assert "Could not load this library" in result.stderr


def test_no_compiler_is_one_line(tmp_path: Path) -> None:
    result = run("-m", "lphm.ops.cpp", LPHM_CACHE=str(tmp_path), CXX="no-such-compiler")
    assert result.returncode == 2
    assert result.stderr.startswith("error: a C++ compiler must be installed")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
