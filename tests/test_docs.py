"""The code in the documentation runs, and the structure that it adds passes the suite of the others."""

import doctest
import re
import subprocess
import sys
import types
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import lphm
from lphm import Structure, streamed
from lphm.structures import STRUCTURES
from support import reference
from support.norms import assert_norm_of_w_is_gain as norm_of_w_is_gain
from support.registry import ROWS, TYPICAL
from support.suite_structure import StructureSuite

PAGES = {path.name: path.read_text() for path in (Path(__file__).parents[1] / "docs").glob("*.md")}
PAGE = PAGES["structures.md"]


def blocks_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def run(page: str, name: str) -> types.ModuleType:
    """The python blocks of a page, one after another, as a module that can be pickled from."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    for block in blocks_of(page):
        exec(compile(block, name, "exec"), vars(module))
    return module


worked = run(PAGE, "docs_structures")


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")  # of torch's exporter to ONNX
@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_blocks_of_a_page_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block goes on where the last one ended; what is shown below a ``>>>`` is what is printed."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    report: list[str] = []
    runner, parser = doctest.DocTestRunner(), doctest.DocTestParser()
    for number, block in enumerate(blocks_of(PAGES[name])):
        if ">>>" in block:
            example = parser.get_doctest(block, names, f"block {number}", name, 0)
            runner.run(example, out=report.append, clear_globs=False)
            names = example.globs
        elif name != "structures.md" and not name.startswith("start_"):  # run above and below
            exec(compile(block, name, "exec"), names)
    assert not report, "".join(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name in PAGES if name.startswith("start_")))
def test_a_first_page_works_from_an_empty_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its blocks and commands, one after another, print what is shown, but for rounding and time."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": name}
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGES[name], re.DOTALL | re.MULTILINE)
    for (kind, block), (following, shown) in pairwise([*blocks, ("", "")]):
        if kind == "python" and ">>>" not in block:
            with redirect_stdout(StringIO()) as printed:
                exec(compile(block, name, "exec"), names)
            assert_alike(printed.getvalue(), shown if following == "text" else "")
        elif kind == "console":
            command, _, output = block.removeprefix("$ ").partition("\n")
            if not command.startswith("pip "):
                assert_alike(output_of(command.split()), output)


def output_of(command: list[str]) -> str:
    """What a command prints."""
    module = {"lphm": "lphm", "torchrun": "torch.distributed.run"}[command[0]]
    done = subprocess.run(
        [sys.executable, "-m", module, *command[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_alike(printed: str, shown: str) -> None:
    """The words are the same, and so are, up to rounding, the scores, sizes and predictions."""
    number = r"[+-]?\d[\d,]*\.?\d*"
    now, then = (re.sub("[━─┏┓┡┩┳┻╇┌┐└┘├┤┬┴┼]", "", text) for text in (printed, shown))
    assert re.sub(number, "#", " ".join(now.split())) == re.sub(number, "#", " ".join(then.split()))
    for line, wanted in zip(now.splitlines(), then.splitlines(), strict=False):
        if re.search(r"^│ (test|mean|root|interdependence|the same|parameters)|^[\d.,]+$|^\[", wanted):
            found, expected = (
                [float(each.replace(",", "")) for each in re.findall(number, text)] for text in (line, wanted)
            )
            assert found == pytest.approx(expected, rel=0.1, abs=0.01)


def test_every_block_of_code_says_its_language() -> None:
    """A block without one would not be run."""
    for name, page in PAGES.items():
        fences = re.findall(r"^```(.*)$", page, re.MULTILINE)
        assert all(fences[::2]), name
        assert not any(fences[1::2]), name


class TestWorkedExample(StructureSuite):
    row = worked.row

    def test_its_initialization(self) -> None:
        norm_of_w_is_gain(self.row.typical, 0.5)

    def test_nearest(self) -> None:
        structure = self.row.typical
        W = structure.to_dense(torch.randn(structure.num_parameters, dtype=torch.float64))
        assert reference.error(structure.to_dense(lphm.nearest(structure, W)), W) < 1e-14

    def test_rows_in_blocks(self) -> None:
        """The instance kind works for every structure, the attribute kind for those that reduce rows."""
        structure = self.row.typical
        w = torch.randn(structure.num_parameters, dtype=torch.float64)
        x = torch.randn(7, structure.n, dtype=torch.float64)
        out = torch.cat(list(streamed.interdependence_apply(structure, w, lambda: x.split(3), "instance")))
        assert reference.error(out, reference.apply(structure, w, x, kind="instance")) < 1e-12
        with pytest.raises(TypeError, match="structure must reduce blocks of rows"):
            streamed.interdependence_matrix(structure, w, x.mT.split(3))


def test_the_table_names_every_structure_and_its_counts() -> None:
    table = dict(re.findall(r"^\| `(\w+)\(.*?\)` \|.*?\| (.*?) \|", PAGE, re.MULTILINE))
    own = {name: cls for name, cls in STRUCTURES.items() if cls.__module__.startswith("lphm.")}
    assert set(table) == {cls.__name__ for cls in own.values()}
    for name in own:
        structure = TYPICAL[name]
        assert evaluated(table[type(structure).__name__], structure) == structure.num_parameters


def test_the_table_of_rectangular_w_has_every_structure_and_its_counts() -> None:
    section = re.search(r"^## Two sets and two widths\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)[1]
    table = dict(re.findall(r"^\| `(\w+)` \|.*?\| (.*?) \|$", section, re.MULTILINE))
    assert set(table) == {type(structure).__name__ for structure in TYPICAL.values()}
    for row in ROWS.values():
        for structure in row.rectangular.values():
            assert evaluated(table[type(structure).__name__], structure) == structure.num_parameters


def evaluated(formula: str, structure: Structure) -> float:
    """A formula of the table, with implied products written out."""
    formula = formula.replace("²", "**2").replace("pq", "(p*q)")
    formula = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", formula)
    return eval(formula, {}, vars(structure))


def test_the_package_says_where_to_read() -> None:
    assert "docs/structures.md" in lphm.Structure.__doc__
