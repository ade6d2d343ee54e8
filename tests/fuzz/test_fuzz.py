"""Whatever the command line is given, it does what it promises or says in one line why not.

Every input goes through the command line in this process; ``fuzz.promises`` says what must hold then.
``make soak`` tries about 10,000 inputs, the suite a fixed sample of them.
"""

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import lphm.cli.bench
from fuzz import bases, damages, options, readings
from fuzz.calls import Case
from fuzz.promises import Figures, attempt

#: Inputs of every kind in the suite, and in ``make soak``.
KINDS: dict[str, tuple[st.SearchStrategy[Case], int, int]] = {
    "CSV files": (readings.csv_files(), 50, 2250),
    "Parquet files": (readings.parquet_files(), 50, 1750),
    "array files": (readings.array_files(), 40, 1000),
    "directories": (readings.parquet_directories(), 40, 1000),
    "options": (options.option_values(), 60, 2000),
    "full disks": (options.full_disks(), 20, 250),
    "damaged runs": (damages.damaged_runs(), 40, 1000),
    "damaged work": (damages.damaged_work(), 40, 1000),
}
PART = 250
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the memory of a call is bounded by way of /proc"
)
SOAK = "LPHM_SOAK" in os.environ
PARTS = [(kind, part) for kind, (_, _, many) in KINDS.items() for part in range(many // PART if SOAK else 1)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_every_input_is_answered_or_refused_in_one_line(
    kind: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    monkeypatch.setattr(lphm.cli.bench, "measure", functools.partial(lphm.cli.bench.measure, seconds=0.001))
    strategy, few, _ = KINDS[kind]
    figures = Figures()
    bases.prepare() if kind == "damaged work" else bases.base()

    @seed(part)
    @settings(
        max_examples=PART if SOAK else few,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def every(case: Case) -> None:
        shutil.rmtree(tmp_path / "case", ignore_errors=True)
        attempt(case, tmp_path / "case", figures)

    every()
    record_property("figures", [kind, dict(figures.counts)])
    if figures.failures:
        pytest.fail("\n\n".join(figures.failures.values()), pytrace=False)
