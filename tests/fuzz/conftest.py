"""The figures of a run: what was tried, and how it ended."""

from collections import Counter, defaultdict

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts of every kind of input, over all processes."""
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in getattr(report, "user_properties", []):
                if name == "figures" and report.when == "call":
                    kinds[value[0]].update(value[1])
    if kinds:
        terminalreporter.section("inputs")
        columns = sorted({column for counts in kinds.values() for column in counts})
        terminalreporter.write_line("".join(f"{c:>16}" for c in ["", *columns]))
        for kind, counts in [*kinds.items(), ("all", sum(kinds.values(), Counter()))]:
            terminalreporter.write_line(f"{kind:>16}" + "".join(f"{counts[c]:>16,}" for c in columns))
