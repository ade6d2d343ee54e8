"""Every row of ``docs/rpn.md`` names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_row_of_rpn_md_names_its_test():
    rows = [line for line in (ROOT / "docs/rpn.md").read_text().splitlines() if line.startswith("| `")]
    assert len(rows) >= 20
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4, row
        named = re.findall(r"`(test_\w+)::(test_\w+)`", cells[-1])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / f"tests/rpn/{file}.py").read_text(), f"{file}::{test}"
