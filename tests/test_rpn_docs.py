"""``docs/migrating.md`` runs, and every row of ``docs/rpn.md`` names a test that exists."""

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_blocks_of_migrating_md_run():
    text = (ROOT / "docs/migrating.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names, runner, report = {}, doctest.DocTestRunner(), []
    for number, block in enumerate(blocks):
        example = doctest.DocTestParser().get_doctest(block, names, f"block {number}", "migrating.md", 0)
        runner.run(example, out=report.append, clear_globs=False)
        names = example.globs  # one block goes on where the last one ended
    assert not report, "".join(report)
    assert len(blocks) >= 5
    assert runner.summarize(verbose=False).attempted >= 20


def test_every_row_of_rpn_md_names_its_test():
    rows = [line for line in (ROOT / "docs/rpn.md").read_text().splitlines() if line.startswith("| `")]
    assert len(rows) >= 20
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4, row
        named = re.findall(r"`(test_rpn\w*)::(test_\w+)`", cells[-1])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / f"tests/{file}.py").read_text(), f"{file}::{test}"
