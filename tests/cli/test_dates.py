"""Dates of all years, through the commands."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.command import lphm

SHORT = ("--members", 1, "--width", 8, "--epochs", 3, "--quiet")
YEARS = [1200, 1500, 1677, 1900, 2000, 2262, 2600, 9998]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("options", [(), ("--time", "when")], ids=["column", "time"])
def test_tables_of_distant_dates_are_trained_on_and_predicted(
    tmp_path: Path, suffix: str, options: tuple
) -> None:
    rng = np.random.default_rng(0)
    when = [f"{year}-{month:02}-01" for year in YEARS for month in range(1, 13)]
    dates = pd.Series(np.array(when, "datetime64[s]"))
    frame = pd.DataFrame({"when": dates if suffix == "parquet" else when, "x": rng.standard_normal(96)})
    frame["y"] = frame["x"] + dates.dt.month
    write = pd.DataFrame.to_parquet if suffix == "parquet" else pd.DataFrame.to_csv
    write(frame, tmp_path / f"t.{suffix}", index=False)
    trained = lphm("train", f"t.{suffix}", "--target", "y", *SHORT, *options, "-o", "run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    write(frame.tail(3), tmp_path / f"new.{suffix}", index=False)
    done = lphm("predict", "run", f"new.{suffix}", "-o", "out.csv", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    predicted = pd.read_csv(tmp_path / "out.csv")
    assert len(predicted) == 3
    assert np.isfinite(predicted.to_numpy()).all()
