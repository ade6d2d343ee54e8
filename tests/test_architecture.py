"""The house: who may import whom, what `import lphm` costs, how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src"

#: From the ground up: a module imports only from lines above its own.
LAYERS = [
    ["lphm.errors"],
    ["lphm.structures.base", "lphm.structures.blocks"],
    ["lphm.structures.sized", "lphm.structures.thin"],
    ["lphm.structures.kronecker"],
    ["lphm.structures.*"],
    ["lphm.structures"],
    ["lphm.arguments", "lphm.collectives", "lphm.progress", "lphm.ranks"],
    ["lphm.orders", "lphm.attention", "lphm.shards"],
    ["lphm.fused", "lphm.native"],
    ["lphm.dispatch", "lphm.native.build"],
    ["lphm.contraction", "lphm.initialization"],
    ["lphm.rpn.checks", "lphm.rpn.functions"],
    ["lphm.rpn.base", "lphm.rpn.migration"],
    ["lphm.rpn.bilinear"],
    ["lphm.rpn.structured"],
    ["lphm.interdependence", "lphm.nearest", "lphm.rpn", "lphm.sharded", "lphm.streamed"],
    ["lphm.embedding", "lphm.columns", "lphm.options", "lphm.batches"],
    ["lphm.network", "lphm.targets"],
    ["lphm.schema", "lphm.objective"],
    ["lphm.data", "lphm.runs"],
    ["lphm.files", "lphm.row_files", "lphm.summary", "lphm.stream"],
    ["lphm.loop", "lphm.stream_fit"],
    ["lphm.apply_file", "lphm.evaluation", "lphm.configuration", "lphm.stream_batches"],
    ["lphm.training"],
    ["lphm.report.colors", "lphm.report.quality", "lphm.report.sources"],
    ["lphm.report.charts", "lphm.report.heatmaps", "lphm.report.tables"],
    ["lphm.report.pictures", "lphm.estimation", "lphm.streaming"],
    ["lphm.report.page"],
    ["lphm.report", "lphm.estimators", "lphm.comparison", "lphm.bench", "lphm.run_folder"],
    ["lphm.printing"],
    ["lphm.cli.arguments"],
    ["lphm.cli.apply", "lphm.cli.train", "lphm.cli.runs", "lphm.cli.layers"],
    ["lphm.cli"],
    ["lphm", "lphm.__main__", "lphm.native.__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
every_module = pytest.mark.parametrize("name", SOURCES)


def level(name: str) -> int:
    """The line of a module; a new structure takes its place without being named."""
    package = name.rpartition(".")[0]
    assert name in LEVEL or f"{package}.*" in LEVEL, f"{name} has no place in LAYERS"
    return LEVEL.get(name, LEVEL.get(f"{package}.*", -1))


def imported(tree: ast.Module) -> set[str]:
    """Every module of the package that a source imports, by its full name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & set(SOURCES)
            names |= submodules or {node.module}
    return {name for name in names if name.split(".")[0] == "lphm"}


@every_module
def test_imports_go_one_way(name: str) -> None:
    for other in imported(ast.parse(SOURCES[name].read_text())):
        assert other in SOURCES, f"{name} imports {other}, which does not exist"
        assert level(other) < level(name), f"{name} imports {other}, which is not below it"


@every_module
def test_nothing_is_imported_inside_a_function(name: str) -> None:
    for function in ast.walk(ast.parse(SOURCES[name].read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            hidden = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            assert not hidden, f"{name}, line {hidden[0].lineno}"


@every_module
def test_files_are_short(name: str) -> None:
    assert len(SOURCES[name].read_text().splitlines()) <= 300


@every_module
def test_public_names_are_written_out(name: str) -> None:
    tree = ast.parse(SOURCES[name].read_text())
    exported = [node for node in tree.body if isinstance(node, ast.Assign) and "__all__" in ast.unparse(node)]
    assert len(exported) == 1 or name.endswith("__main__")


def test_the_table_catches_what_it_should() -> None:
    assert imported(ast.parse("from lphm import errors\nimport lphm.structures.base, torch")) == {
        "lphm.errors",
        "lphm.structures.base",
    }
    assert level("lphm.structures.toeplitz") == level("lphm.structures.full")
    with pytest.raises(AssertionError, match="has no place"):
        level("lphm.utils")


def test_import_gives_the_adapters_too() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import lphm; print(lphm.rpn.__name__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "lphm.rpn"


def test_import_brings_torch_and_nothing_else() -> None:
    code = (
        "import sys, torch; before = set(sys.modules); import lphm; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    path = str(ROOT)
    out = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split() in (["lphm"], ["lphm", "torch"])  # torch loads more of itself
