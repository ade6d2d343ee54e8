"""``predict`` and ``evaluate`` in use: what is printed where, kept columns, formats, directories."""

import io
import json
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lphm.__main__ import main
from lphm.data.fitting import fit_features, fit_series
from lphm.data.parquet_files import ParquetIndex
from lphm.data.targets import NumberTarget
from lphm.errors import InputError
from lphm.learn.config import PatternConfig, PatternRunConfig, build_network
from lphm.learn.run import Run, load_run, save_run
from support.runs import make_run

pytestmark = pytest.mark.usefixtures("run_folder")
Printed = Callable[..., tuple[str, str]]


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Printed:
    """Run ``lphm`` in this process; return what is on standard output and on standard error."""

    def run(*arguments: object) -> tuple[str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["lphm", *map(str, arguments)])
        main()
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def rows(number: int) -> pd.DataFrame:
    """Rows that the run of ``run_folder`` predicts, with columns that it does not read."""
    rng = np.random.default_rng(number)
    return pd.DataFrame(
        {
            "id": [f"00{i}" for i in range(number)],
            "big": pd.array([2**60 + i if i % 3 else None for i in range(number)], dtype="Int64"),
            "x": rng.standard_normal(number),
            "c": rng.choice(["u", "v", "w"], number),
            "y": rng.choice(["no", "yes"], number),
        }
    )


def write_directory(folder: Path, frame: pd.DataFrame) -> None:
    """Two files, of several row groups."""
    folder.mkdir()
    frame[:9].to_parquet(folder / "a.parquet", row_group_size=4)
    frame[9:].to_parquet(folder / "b.parquet", row_group_size=5)


def test_without_an_output_predictions_are_printed_and_nothing_else_beside_them(
    tmp_path: Path, printed: Printed
) -> None:
    out, err = printed("predict", "run", "t.csv")
    assert out.splitlines()[0] == "y,probability_no,probability_yes"
    assert len(out.splitlines()) == 13
    assert "12 predictions of 'y' in standard output" in err
    assert printed("predict", "run", "t.csv", "-o", "-")[0] == out
    assert printed("predict", "run", "t.csv", "--quiet") == (out, "")
    said, _ = printed("predict", "run", "t.csv", "-o", "out.csv")
    assert said == "12 predictions of 'y' in out.csv\n"
    assert (tmp_path / "out.csv").read_text() == out


def test_columns_that_are_kept_come_first_as_they_are_in_the_file(tmp_path: Path, printed: Printed) -> None:
    frame = rows(12)
    frame.to_csv(tmp_path / "n.csv", index=False)
    alone = printed("predict", "run", "n.csv", "--quiet")[0].splitlines()
    kept = printed("predict", "run", "n.csv", "--keep", "id", "--keep", "x", "--quiet")[0].splitlines()
    given = [line.split(",") for line in (tmp_path / "n.csv").read_text().splitlines()]
    assert kept == [f"{cells[0]},{cells[2]},{line}" for cells, line in zip(given, alone, strict=True)]
    truth, _ = printed("predict", "run", "n.csv", "--keep", "y", "--quiet")
    assert truth.startswith("y_,y,probability_no")  # the prediction keeps the name of the target


def test_a_column_to_keep_that_is_not_there(tmp_path: Path, failing) -> None:
    rows(3).rename(columns={"id": "ident"}).to_csv(tmp_path / "n.csv", index=False)
    line = failing("predict", "run", "n.csv", "--keep", "idents", "-o", "out.csv")
    assert "n.csv must have the column 'idents', got ident, big, x, c, y; did you mean 'ident'?" in line
    assert "did you mean" not in failing("predict", "run", "n.csv", "--keep", "price", "-o", "out.csv")


def test_all_columns_that_are_missing_are_named_with_what_may_be_meant(tmp_path: Path, failing) -> None:
    frame = pd.DataFrame({f"feature {i}": np.arange(12.0) for i in range(9)})
    config = make_run().config
    sizes = replace(config.network, attribute=None)
    config = config.model_copy(update={"input": fit_features(frame), "network": sizes})
    save_run(Run(config, build_network(config)), tmp_path / "r", {})
    (tmp_path / "n.csv").write_text("FEATURE 8,other\n1,2\n")
    line = failing("predict", "r", "n.csv", "-o", "out.csv")
    names = ", ".join(f"'feature {i}'" for i in range(9))
    assert line == (
        f"lphm: error: n.csv lacks the columns {names} of the training; it has 'FEATURE 8'; rename it to "
        "'feature 8'; add the others (empty cells count as missing), or train without them\n"
    )
    header = ",".join(f"feature {i}" for i in range(8))
    for last, remedy in (
        ("Feature 8", "it has 'Feature 8'; rename it to 'feature 8'"),
        ("z", "add it (empty cells count as missing), or train without it"),
    ):
        (tmp_path / "n.csv").write_text(f"{header},{last}\n1,2,3,4,5,6,7,8,9\n")
        line = failing("predict", "r", "n.csv", "-o", "out.csv")
        assert line == f"lphm: error: n.csv lacks the column 'feature 8' of the training; {remedy}\n"


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
def test_every_format_has_the_same_predictions_and_exact_kept_values(
    tmp_path: Path, printed: Printed, name: str
) -> None:
    frame = rows(12)
    frame.to_parquet(tmp_path / "n.parquet")
    expected = load_run(tmp_path / "run").predict(frame)
    printed("predict", "run", "n.parquet", "--keep", "big", "--keep", "id", "-o", name)
    if name.endswith(".parquet"):
        written = pd.read_parquet(tmp_path / name, dtype_backend="numpy_nullable")
    else:
        written = pd.read_csv(tmp_path / name, dtype={"big": "Int64", "id": str})
    assert list(written.columns) == ["big", "id", *expected.columns]
    assert list(written["id"]) == list(frame["id"])
    assert list(written["big"].fillna(-1)) == list(frame["big"].fillna(-1))  # 2**60 + 1 is no float
    assert list(written["y"]) == list(expected["y"])
    assert np.allclose(written["probability_no"], expected["probability_no"], rtol=1e-7, atol=0)


def test_classes_of_several_types_are_text_in_parquet(tmp_path: Path, printed: Printed) -> None:
    run = make_run()
    target = run.config.target.model_copy(update={"classes": [1, "yes"]})
    save_run(Run(run.config.model_copy(update={"target": target}), run.network), tmp_path / "run", {})
    rows(40).to_csv(tmp_path / "n.csv", index=False)
    printed("predict", "run", "n.csv", "-o", "out.parquet")
    assert {*pd.read_parquet(tmp_path / "out.parquet")["y"]} <= {"1", "yes"}


def test_a_directory_is_predicted_as_its_rows_together_in_the_order_of_the_files(
    tmp_path: Path, printed: Printed
) -> None:
    frame = rows(23)
    frame.to_parquet(tmp_path / "whole.parquet")
    write_directory(tmp_path / "parts", frame)
    for name in ("csv", "parquet"):
        for source in ("whole.parquet", "parts"):
            printed("predict", "run", source, "--keep", "id", "--keep", "big", "-o", f"{source}.{name}")
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "whole.parquet.csv").read_text()
    parts, whole = (pd.read_parquet(tmp_path / f"{each}.parquet") for each in ("parts", "whole.parquet"))
    pd.testing.assert_frame_equal(parts, whole)
    assert printed("predict", "run", "parts", "--quiet")[0].count("probability_no") == 1


def test_no_more_than_two_row_groups_of_a_directory_are_in_memory(
    tmp_path: Path, printed: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_directory(tmp_path / "parts", rows(60))
    read, frames = ParquetIndex.read, []

    def watched(*arguments: object) -> pd.DataFrame:
        frame = read(*arguments)
        frames.append(weakref.ref(frame))
        assert sum(each() is not None for each in frames) <= 2
        return frame

    monkeypatch.setattr(ParquetIndex, "read", watched)
    printed("predict", "run", "parts", "-o", "out.parquet")
    printed("evaluate", "run", "parts")
    assert len(frames) > 20


def test_files_of_a_directory_that_cannot_be_predicted_are_named_and_nothing_is_written(
    tmp_path: Path, failing
) -> None:
    write_directory(tmp_path / "parts", rows(23))
    late = rows(6).astype({"x": object})
    late.loc[4, "x"] = "much"
    late["x"] = late["x"].map(str)
    late.to_parquet(tmp_path / "parts" / "c.parquet", row_group_size=3)
    line = failing("predict", "run", "parts", "--quiet", "-o", "out.csv")
    assert "c.parquet: column 'x' must hold numbers, got 'much' in row 5" in line
    rows(6).assign(id=[[1]] * 6).to_parquet(tmp_path / "parts" / "c.parquet")
    assert "one type in all files" in failing("predict", "run", "parts", "--keep", "id", "-o", "out.csv")
    line = failing("predict", "run", "parts", "--keep", "idd", "-o", "out.csv")
    assert "did you mean 'id'?" in line
    (tmp_path / "none").mkdir()
    assert "must hold .parquet files, got none" in failing("predict", "run", "none", "-o", "out.csv")
    rows(0).to_parquet(tmp_path / "none" / "a.parquet")
    assert "must hold rows, got files without any" in failing("predict", "run", "none", "-o", "out.csv")


def test_unknown_categories_are_counted_over_all_parts_and_said(tmp_path: Path, printed: Printed) -> None:
    frame = rows(23)
    frame.loc[2:14, "c"] = [f"X{i % 8}" for i in range(13)]
    frame.loc[20, "c"] = None
    write_directory(tmp_path / "parts", frame)
    frame.to_csv(tmp_path / "n.csv", index=False)
    said = "1 column: 'c' had 13 rows with unknown categories ('X0', 'X1', 'X2', 'X3', 'X4', …)"
    for command in (("predict", "run", "parts"), ("predict", "run", "n.csv"), ("evaluate", "run", "parts")):
        assert said in printed(*command)[1]
        assert printed(*command, "--quiet")[1] == ""
    assert said in printed("evaluate", "run", "n.csv")[1]
    assert "unknown" not in printed("predict", "run", "t.csv")[1]


def test_a_column_that_is_empty_and_never_was_in_training_is_said(tmp_path: Path, printed: Printed) -> None:
    features = [{"name": "x", "missing": 0.0}, {"name": "c", "missing": 0.0}]
    summary = tmp_path / "run" / "summary.json"
    summary.write_text(json.dumps({"features": features}))
    frame = rows(23).assign(c=None)
    frame.loc[:20, "x"] = None
    write_directory(tmp_path / "parts", frame)
    frame.assign(x=None).to_csv(tmp_path / "n.csv", index=False)
    frame[:1].to_csv(tmp_path / "one.csv", index=False)
    c = "column 'c' is missing in all 23 rows, and never was in training; it counts as an unknown category\n"
    x = "column 'x' is missing in all 23 rows, and never was in training; it counts as the mean\n"
    of_one = (x + c).replace("all 23 rows", "the only row")
    for file, said in (("parts", c), ("n.csv", x + c), ("one.csv", of_one), ("t.csv", "")):
        shown = [line for line in printed("evaluate", "run", file)[1].splitlines() if "column" in line]
        assert shown == said.splitlines()
    assert x + c in printed("predict", "run", "n.csv")[1]
    assert printed("predict", "run", "n.csv", "--quiet")[1] == ""
    features[1]["missing"] = 0.25  # it was missing in some rows, whose vector is learned
    summary.write_text(json.dumps({"features": features}))
    assert c not in printed("predict", "run", "n.csv")[1]
    summary.unlink()
    assert "never was" not in printed("predict", "run", "n.csv")[1]


def test_a_score_of_the_rows_that_were_trained_on_is_doubted(tmp_path: Path, printed: Printed) -> None:
    (tmp_path / "new.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    for options, rows in (({}, "most of its rows"), ({"test": "new.csv"}, "its rows")):
        (tmp_path / "run" / "options.json").write_text(json.dumps({"source": "t.csv"} | options))
        said = (
            f"t.csv is the data of the run: it was trained on {rows}; 'lphm info run' shows the test score\n"
        )
        assert said in printed("evaluate", "run", "t.csv")[1]
        assert "trained on" not in printed("evaluate", "run", "t.csv", "--quiet")[1]
        assert "trained on" not in printed("evaluate", "run", "new.csv")[1]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_file_before_the_run_is_named(command: str, failing) -> None:
    line = failing(command, "t.csv", "run")
    assert line == "lphm: error: the run comes first, then the data, got t.csv and run; swap them\n"


def test_a_directory_is_scored_as_its_rows_together(tmp_path: Path, printed: Printed) -> None:
    frame = rows(23)
    frame.loc[3, "y"] = None
    frame.loc[12:, "y"] = None
    frame.loc[18:, "y"] = "no"
    frame["price"] = 5 + 2 * np.random.default_rng(0).standard_normal(23)
    frame.loc[[2, 15], "price"] = None
    frame.to_parquet(tmp_path / "whole.parquet")
    write_directory(tmp_path / "parts", frame)
    run = make_run()
    target = NumberTarget(name="price", mean=5.0, std=2.0)
    config = run.config.model_copy(update={"target": target})
    save_run(Run(config, build_network(config)), tmp_path / "number", {})
    for folder, samples in (("run", 16), ("number", 21)):
        whole, parts = (
            json.loads(printed("evaluate", folder, source, "--json", "--quiet")[0])
            for source in ("whole.parquet", "parts")
        )
        assert parts == pytest.approx(whole, rel=1e-5)
        assert parts["samples"] == samples


def test_a_directory_without_a_target_cannot_be_scored(tmp_path: Path, failing) -> None:
    write_directory(tmp_path / "parts", rows(12).assign(y=pd.Series([None] * 12, dtype=str)))
    assert "rows in which 'y' is not missing, got none" in failing("evaluate", "run", "parts", "--quiet")
    for name in ("a", "b"):
        rows(12).drop(columns="c").to_parquet(tmp_path / "parts" / f"{name}.parquet")
    assert "parts lacks the column 'c' of the training" in failing("evaluate", "run", "parts", "--quiet")


def test_series_keep_what_has_one_value_in_each(tmp_path: Path, printed: Printed, failing) -> None:
    array = np.random.default_rng(0).standard_normal((5, 12, 2))
    schema = fit_series(array, ["u", "v"], "id", "t")
    target = make_run().config.target
    config = PatternRunConfig(source="s", input=schema, target=target, patterns=PatternConfig(), seed=0)
    with torch.random.fork_rng():
        save_run(Run(config, build_network(config)), tmp_path / "series", {})
    long = pd.DataFrame(array.reshape(-1, 2), columns=["u", "v"])
    long["id"], long["t"] = np.repeat(list("edcba"), 12), np.tile(np.arange(12), 5)
    long["place"] = long["id"] + "!"
    long.to_csv(tmp_path / "long.csv", index=False)
    out, _ = printed("predict", "series", "long.csv", "--keep", "place", "--keep", "id", "--quiet")
    table = pd.read_csv(io.StringIO(out))
    assert list(table.columns)[:3] == ["id", "place", "y"]
    assert [*table["id"], *table["place"]] == [*"edcba", "e!", "d!", "c!", "b!", "a!"]
    line = failing("predict", "series", "long.csv", "--keep", "t", "-o", "out.csv")
    assert "column 't' must have one value in every series" in line
    (tmp_path / "parts").mkdir()
    assert "series must come from one file" in failing("predict", "series", "parts", "-o", "out.csv")
    config = config.model_copy(update={"input": fit_series(array, ["u", "v"])})
    save_run(Run(config, build_network(config)), tmp_path / "arrays", {})
    np.savez(tmp_path / "s.npz", X=array, name=np.array(list("edcba")), other=np.zeros(3))
    out, _ = printed("predict", "arrays", "s.npz", "--keep", "name", "--quiet")
    assert [line[:2] for line in out.splitlines()[1:]] == ["e,", "d,", "c,", "b,", "a,"]
    assert "other (5,)" in failing("predict", "arrays", "s.npz", "--keep", "other", "-o", "out.csv")


def test_guarded_text_is_for_csv_and_includes_kept_columns(tmp_path: Path, printed: Printed, failing) -> None:
    rows(3).assign(id="=1+1").to_csv(tmp_path / "n.csv", index=False)
    out, _ = printed("predict", "run", "n.csv", "--keep", "id", "--spreadsheet", "--quiet")
    assert out.splitlines()[1].startswith("'=1+1,")
    line = failing("predict", "run", "n.csv", "--spreadsheet", "-o", "out.parquet")
    assert "must be a .csv file for --spreadsheet" in line


def test_the_row_of_a_prediction_that_is_not_finite_is_that_of_its_file(tmp_path: Path, failing) -> None:
    frame = rows(23)
    run = load_run(tmp_path / "run")
    for parameter in run.network.parameters():
        parameter.data.mul_(1e30)
    save_run(run, tmp_path / "huge", {})
    with pytest.raises(InputError, match=r"finite numbers, got .* for row 9;"):
        run.outputs(frame[8:12])
    frame.loc[:, "x"] = 0.0
    write_directory(tmp_path / "parts", frame)
    assert "a.parquet: predictions must be finite numbers" in failing(
        "predict", "huge", "parts", "--quiet", "-o", "out.csv"
    )
