"""The house: which package may import which, how long a file and a call may be, and what stays private."""

import ast
import subprocess
import sys

import pytest

from support.sources import ROOT, SOURCES

#: Packages and single modules from the ground up: a line imports only from lines above it, or from itself.
HOUSE = [
    ["lphm.errors"],
    ["lphm._io", "lphm._memory"],
    ["lphm.distributed"],
    ["lphm.structures"],
    ["lphm.ops", "lphm.kernels"],
    ["lphm.nn", "lphm.sharded", "lphm.rpn"],
    ["lphm.data"],
    ["lphm.learn", "lphm.streamed"],
    ["lphm.export"],
    ["lphm.estimators", "lphm.report"],
    ["lphm.cli"],
    ["lphm"],
    ["lphm.__main__"],
]
FLOOR = {room: floor for floor, rooms in enumerate(HOUSE) for room in rooms}
#: Longest file, most modules beside the packages, most arguments of a function.
MOST_LINES, MOST_MODULES, MOST_ARGUMENTS = 300, 6, 10

every_module = pytest.mark.parametrize("name", SOURCES)
FILES = [
    path
    for path in sorted((ROOT / "lphm").rglob("*"))
    if path.suffix in {".py", ".cpp", ".h", ".html", ".css", ".js"}
]


def tree(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text())


def room(name: str) -> str:
    """The package or single module that a module belongs to."""
    parts = name.split(".")
    found = ".".join(parts[:2])
    assert found in FLOOR, f"{name} has no place in HOUSE"
    return found


def imported(source: ast.Module) -> set[str]:
    """Every module of the package that a source imports, by its full name; not for type checkers alone."""
    names = set()
    typing_only = {
        node
        for block in ast.walk(source)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in set(ast.walk(source)) - typing_only:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & set(SOURCES)
            names |= submodules or {node.module}
    return {name for name in names if name.split(".")[0] == "lphm"}


@every_module
def test_imports_go_up_the_house(name: str) -> None:
    for other in imported(tree(name)):
        assert other in SOURCES, f"{name} imports {other}, which does not exist"
        if room(other) != room(name):
            assert FLOOR[room(other)] < FLOOR[room(name)], f"{name} imports {other}, which is not below it"


def test_no_circle_within_a_package() -> None:
    """A package's ``__init__``, which collects names, is looked through."""
    arrows = {
        name: {other for other in imported(tree(name)) if room(other) == room(name) != other}
        for name in SOURCES
        if SOURCES[name].name != "__init__.py"
    }
    done: set[str] = set()
    while arrows.keys() - done:
        free = {name for name in arrows.keys() - done if not (arrows[name] & arrows.keys()) - done}
        assert free, f"a circle among {sorted(arrows.keys() - done)}"
        done |= free


@every_module
def test_nothing_is_imported_inside_a_function(name: str) -> None:
    """Commands of the command line import what they run when they run: ``lphm --help`` imports no torch.

    The packages of ONNX, which are an extra, are imported when such a file is written.
    """
    if name.startswith("lphm.cli.") or name == "lphm.export.files":
        return
    for function in ast.walk(tree(name)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            hidden = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            assert not hidden, f"{name}, line {hidden[0].lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_few_modules_stand_beside_the_packages() -> None:
    assert len(list((ROOT / "lphm").glob("*.py"))) <= MOST_MODULES


@every_module
def test_public_names_are_written_out_in_packages_alone(name: str) -> None:
    exported = [
        node for node in tree(name).body if isinstance(node, ast.Assign) and "__all__" in ast.unparse(node)
    ]
    if SOURCES[name].name != "__init__.py":
        assert not exported


def constructs_an_estimator(cls: ast.ClassDef | None) -> bool:
    return cls is not None and any("Estimator" in ast.unparse(base) for base in cls.bases)


@every_module
def test_functions_take_few_arguments(name: str) -> None:
    """Outside of dataclasses and scikit-learn's constructors, whose signature is their list of choices."""
    owners = {
        id(item): cls for cls in ast.walk(tree(name)) if isinstance(cls, ast.ClassDef) for item in cls.body
    }
    source = tree(name)
    owners = {id(item): cls for cls in ast.walk(source) if isinstance(cls, ast.ClassDef) for item in cls.body}
    for function in ast.walk(source):
        if not isinstance(function, ast.FunctionDef):
            continue
        owner = owners.get(id(function))
        if function.name == "__init__" and constructs_an_estimator(owner):
            continue
        arguments = [
            a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        ]
        own = [a for a in arguments if a not in {"self", "cls"}]
        assert len(own) <= MOST_ARGUMENTS, f"{name}.{function.name} takes {len(own)}: {own}"


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@every_module
def test_private_names_stay_in_their_module(name: str) -> None:
    """Names with one underscore are used where they are defined; those of torch and ``os._exit`` excepted."""
    source = tree(name)
    defined = {node.name for node in ast.walk(source) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(source):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                defined |= {part.attr for part in ast.walk(target) if isinstance(part, ast.Attribute)}
                defined |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    for node in ast.walk(source):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("torch"):
            hidden = [alias.name for alias in node.names if private(alias.name) and node.module != "lphm"]
            assert not hidden, f"{name}, line {node.lineno}: {hidden}"
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in defined:
            owner = ast.unparse(node.value)
            assert owner in {"self", "cls", "os"} or owner.startswith("torch") or owner == "super()", (
                f"{name}, line {node.lineno}: {owner}.{node.attr}"
            )


def test_the_tests_import_no_test() -> None:
    tests = ROOT.parent / "tests"
    for path in tests.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").split(".")[-1].startswith(("test_", "conftest")), path
                named = [alias.name for alias in node.names if private(alias.name)]
                assert not (named and (node.module or "").startswith("lphm")), f"{path}: {named}"


def test_the_tests_catch_what_they_should() -> None:
    source = ast.parse("from lphm import errors\nimport lphm.structures.base, torch")
    assert imported(source) == {"lphm.errors", "lphm.structures.base"}
    with pytest.raises(AssertionError, match="has no place"):
        room("lphm.utils.text")


def fresh(code: str) -> list[str]:
    """What a new interpreter prints."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return out.stdout.split()


def test_import_brings_nothing_that_is_not_asked_for() -> None:
    new = (
        "print(*sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - before))"
    )
    before = "before = {name.split('.')[0] for name in sys.modules}"
    assert fresh(f"{before}; import lphm; {new}") == ["lphm"]
    assert fresh(f"import torch; {before}; import lphm; lphm.LPHM, lphm.BilinearInterdependence; {new}") == [
        "lphm"
    ]


def test_every_public_name_is_there() -> None:
    assert fresh("import lphm; print(all(hasattr(lphm, name) for name in lphm.__all__))") == ["True"]
    assert fresh("import lphm; print(lphm.rpn.__name__, 'sharded' in dir(lphm))") == ["lphm.rpn", "True"]
