"""Files as they come, through the real command."""

import gzip
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from support.command import lphm, summary
from support.strangers import contracts, houses, loans, sensors, trips, visits

SHORT = ("--members", 1, "--width", 8, "--epochs", 2)
TELLS = "gives the target away"


def said(stdout: str) -> str:
    """What was printed, without the frames and line breaks of tables."""
    return " ".join(stdout.translate(str.maketrans("│┌┐└┘─├┤┬┴┼", " " * 11)).split())


@pytest.mark.slow
@pytest.mark.parametrize("as_people_write_it", [True, False])
def test_a_new_user_gets_the_error_in_euros(tmp_path: Path, as_people_write_it: bool) -> None:
    separator, encoding = (";", "cp1252") if as_people_write_it else (",", "utf-8")
    houses().to_csv(tmp_path / "houses.csv", index=False, sep=separator, encoding=encoding)
    trained = lphm("train", "houses.csv", "--target", "price", "-o", "r", cwd=tmp_path)
    shown = summary(trained)
    assert float(shown["test R²"]) > 0.9
    error, unit = shown["mean absolute error"].split()
    assert unit == "€"
    assert set(shown["what matters most"].split(", ")) == {"size", "zone", "sold"}
    assert float(error.replace(",", "")) < 0.2 * 500_000
    text = said(trained.stdout)
    for line in (
        "sold (date such as 31.12.2024), size (number such as 1234,5 m²), floor",
        "zone (4), garden (2)",
        "id (a running number), address (another value in every row)",
        "To use these columns all the same: --keep id --keep address",
        "--time sold",
    ):
        assert line in text
    one = houses().iloc[[3]].drop(columns=["price", "id", "address"])
    one.to_csv(tmp_path / "one.csv", index=False)
    assert lphm("predict", "r", "one.csv", "-o", "p.csv", cwd=tmp_path).returncode == 0
    truth = float(houses()["price"][3].removeprefix("€ ").replace(".", ""))
    assert pd.read_csv(tmp_path / "p.csv")["price"][0] == pytest.approx(truth, rel=0.3)
    evaluated = lphm("evaluate", "r", "houses.csv", cwd=tmp_path)
    assert summary(evaluated)["mean absolute error"].endswith(" €")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "target", "left_out", "advice"),
    [
        (sensors, "state", ["machine", "timestamp"], "--series machine --step timestamp"),
        (loans, "paid", ["letter"], "--keep letter"),
        (visits, "cost", ["invoice"], "--keep invoice"),
        (contracts, "left", ["left_on"], "--keep left_on"),
    ],
)
def test_a_leak_is_found_before_it_fools_anyone(
    tmp_path: Path, make, target: str, left_out: list[str], advice: str
) -> None:
    make().to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "d").mkdir()
    make().to_parquet(tmp_path / "d" / "t.parquet", row_group_size=100)
    for source in ("t.csv", "d"):
        trained = lphm("train", source, "--target", target, *SHORT, "-o", f"r{source}", cwd=tmp_path)
        assert advice in said(trained.stdout), trained.stderr
        assert "--time" not in trained.stdout
        metrics = json.loads((tmp_path / f"r{source}" / "metrics.json").read_text())
        assert list(metrics["left_out"]) == left_out
        assert metrics["left_out"][left_out[0]] == TELLS
    kept = lphm("train", "t.csv", "--target", target, *SHORT, "--keep", left_out[0], "-o", "k", cwd=tmp_path)
    assert f"{left_out[0]} ({TELLS})" not in said(kept.stdout)
    assert kept.returncode == 0


@pytest.mark.slow
def test_a_score_that_rests_on_one_column_is_doubted(tmp_path: Path) -> None:
    loans().to_csv(tmp_path / "t.csv", index=False)
    command = ("train", "t.csv", "--target", "paid", "--epochs", 30, "-o")
    doubt = "rests on 'letter' alone: is it known before 'paid' is? To leave it out: --drop letter"
    assert doubt in said(lphm(*command, "k", "--keep", "letter", cwd=tmp_path).stdout)
    assert "The score is almost perfect" in (tmp_path / "k" / "report.html").read_text()
    assert "almost perfect" not in lphm(*command, "r", cwd=tmp_path).stdout


def test_all_misspelt_columns_are_in_one_message_with_the_command(tmp_path: Path, failing) -> None:
    houses(60).to_csv(tmp_path / "t.csv", index=False)
    line = failing(
        "train", "t.csv", "--target", "prise", "--drop=adress", "--category", "zome", "--keep", "iid"
    )
    assert "t.csv must have the columns 'prise', 'adress', 'zome', 'iid', got id, address, sold, size" in line
    assert "did you mean 'price', 'address', 'zone', 'id'?" in line
    assert line.endswith("? try: lphm train t.csv --target price --drop=address --category zone --keep id\n")
    line = failing("train", "t.csv", "--target", "prise", "--drop", "xylophone")
    assert "did you mean 'price'?" in line
    assert "lphm train" not in line  # no command would run
    assert "did you mean" not in failing("train", "t.csv", "--target", "xylophone")
    line = failing("train", "t.csv", "--target", "price", "--drop", "size,zone")
    assert line == (
        "lphm: error: t.csv must have the column 'size,zone', got id, address, sold, size, zone, floor, "
        "garden, price; repeat the option, once for 'size' and once for 'zone'\n"
    )


@pytest.mark.slow
def test_everything_that_is_wrong_is_in_one_message_whose_command_runs(tmp_path: Path) -> None:
    frame = houses(120).drop(columns=["price"]).assign(y=np.arange(120) % 7 * 1.5)
    frame["notes"] = [f"the house of number {i} has a view over the river" for i in range(120)]
    frame["tags and more"] = [[i, i + 1] for i in range(120)]
    frame["z"] = [complex(i, 1) for i in range(120)]
    frame.drop(columns="z").to_parquet(tmp_path / "t.parquet")
    refused = lphm("train", "t.parquet", "--target", "y", *SHORT, "-o", "r", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "2 columns cannot be used: " in refused.stderr
    assert "column 'notes' must hold numbers or categories, got text: 120 distinct values" in refused.stderr
    assert "column 'tags and more' must hold numbers or categories, got values such as" in refused.stderr
    assert not (tmp_path / "r").exists()
    command = shlex.split(refused.stderr.rsplit("try: ", 1)[1])
    assert command[-4:] == ["--drop", "notes", "--drop", "tags and more"]
    assert lphm(*command[1:], cwd=tmp_path).returncode == 0
    (tmp_path / "r").rename(tmp_path / "before")
    hashed = (*command[1:-4], "--text", "notes", "--drop", "tags and more")
    trained = lphm(*hashed, cwd=tmp_path)
    assert "notes (text, its words hashed to 32 numbers)" in said(trained.stdout)


def zstandard(file: Path, text: str) -> None:
    with pa.CompressedOutputStream(str(file), "zstd") as stream:
        stream.write(text.encode())


#: How the text of a table with ';' gets into a file, and what is said of it.
FILES: dict[str, tuple[Callable[[Path, str], object], str]] = {
    "latin.csv": (
        lambda file, text: file.write_bytes(text.encode("latin-1")),
        "';', decimal commas, encoding",
    ),
    "excel.csv": (lambda file, text: file.write_bytes(text.encode("utf-16")), "encoding utf-16"),
    "mark.csv": (lambda file, text: file.write_bytes(text.encode("utf-8-sig")), "by ';', decimal commas"),
    "tabs.tsv": (lambda file, text: file.write_text(text.replace(";", "\t")), "separated by tabs, decimal"),
    "bars.txt": (lambda file, text: file.write_text(text.replace(";", "|")), "separated by '|', decimal"),
    "t.csv.gz": (lambda file, text: file.write_bytes(gzip.compress(text.encode())), "separated by ';'"),
    "t.csv.zst": (zstandard, "separated by ';', decimal commas"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_cell_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    write, told = FILES[name]
    write(tmp_path / name, trips().to_csv(index=False, sep=";"))
    trained = lphm("train", name, "--target", "fare", *SHORT, "-o", "r", cwd=tmp_path)
    text = said(trained.stdout)
    for line in (
        "km (number such as 1234,5 km), start (date such as 31/12/2024 18:30), took (duration such as",
        "01:30:00), active, toll (number such as 1,234.5 $)",
        "zone (3)",
        told,
    ):
        assert line in text, trained.stderr
    write(tmp_path / f"new-{name}", trips()[:3].drop(columns="fare").to_csv(index=False, sep=";"))
    predicted = lphm("predict", "r", f"new-{name}", cwd=tmp_path)
    assert len(predicted.stdout.splitlines()) == 4, predicted.stderr
    assert float(summary(lphm("evaluate", "r", name, cwd=tmp_path))["samples"]) == 80


def test_cells_that_differ_from_the_others_are_named_and_not_taken_for_an_identifier(
    tmp_path: Path, failing
) -> None:
    frame = pd.DataFrame({"a": np.arange(60) % 7, "price": [f"{3 * i} €" for i in range(60)]})
    frame["weight"] = [f"{i + 1} kg" if i % 3 else f"{1000 + i} g" for i in range(60)]
    frame["seen"] = [f"{i % 28 + 1}.{i % 12 + 1}.2024" for i in range(60)]
    frame["y"] = [f"€ {i}" for i in range(60)]
    frame.loc[50, ["price", "seen"]] = ["$ 150", "soon"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    line = failing("train", "t.csv", "--target", "y")
    assert "3 columns cannot be used" in line
    for got in (
        "column 'price' must hold numbers or categories, got cells such as '0 €' in 59 of 60 rows, "
        "and '$ 150' in row 51",
        "such as '2 kg' in 40 of 60 rows, and '1000 g' in row 1",
        "such as '1.1.2024' in 59 of 60 rows, and 'soon' in row 51",
    ):
        assert got in line
    assert line.endswith("; try: lphm train t.csv --target y --drop price --drop weight --drop seen\n")
    frame.loc[7, "y"] = "free"
    frame[["a", "y"]].to_csv(tmp_path / "t.csv", index=False)
    line = failing("train", "t.csv", "--target", "y")
    wanted = "target 'y' must hold numbers or classes, got cells such as '€ 0' in 59 of 60 rows, and 'free'"
    assert f"{wanted} in row 8; mend these cells, or leave them empty" in line


@pytest.mark.slow
def test_the_words_of_free_text_count_in_a_directory_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = rng.random(400) < 0.5
    notes = [f"{'fine' if each else 'broken'} thing, number {i}, seen today" for i, each in enumerate(good)]
    frame = pd.DataFrame({"x": rng.normal(size=400), "notes": notes, "y": np.where(good, "keep", "repair")})
    frame.loc[5, "notes"] = None
    (tmp_path / "d").mkdir()
    frame[:250].to_parquet(tmp_path / "d" / "a.parquet", row_group_size=100)
    frame[250:].astype({"notes": "category"}).to_parquet(tmp_path / "d" / "b.parquet")
    options = ("--target", "y", "--text", "notes", "--members", 1, "--epochs", 10)
    trained = lphm("train", "d", *options, "-o", "r", cwd=tmp_path)
    assert float(summary(trained)["test accuracy"]) > 0.9
    assert "notes (text, its words hashed to 32 numbers)" in said(trained.stdout)
    frame.drop(columns="y").to_csv(tmp_path / "n.csv", index=False)
    for source in ("d", "n.csv"):
        predicted = lphm("predict", "r", source, "-o", f"{source}.csv", cwd=tmp_path)
        assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "d.csv").read_text() == (tmp_path / "n.csv.csv").read_text()
    wrong = lphm("train", "d", "--target", "y", "--text", "nodes", "--drop", "z", cwd=tmp_path)
    assert "d must have the columns 'z', 'nodes', got x, notes, y; did you mean 'notes'?" in wrong.stderr


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_series_with_decimal_commas_and_units(tmp_path: Path, layout: str) -> None:
    rng = np.random.default_rng(0)
    state = np.arange(40) % 2
    values = rng.normal(size=(40, 12)) + 3 * np.sin(np.arange(12) / 2) * state[:, None]
    if layout == "long":
        machine, step = np.divmod(np.arange(480), 12)
        frame = pd.DataFrame({"machine": machine, "at": [f"{each:02}:30" for each in step]})
        frame["bar"] = [f"{each:.2f} bar".replace(".", ",") for each in values.ravel()]
        options = ("--series", "machine", "--step", "at")
        frame["state"] = np.where(state, "worn", "ok")[machine]
    else:
        frame = pd.DataFrame(values, columns=[f"ch_{i}" for i in range(12)]).round(2).astype(str)
        frame = frame.map(lambda cell: cell.replace(".", ","))
        options = ("--wide", r"ch_(\d+)")
        frame["state"] = np.where(state, "worn", "ok")
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    trained = lphm("train", "t.csv", "--target", "state", *options, "-o", "r", cwd=tmp_path)
    assert float(summary(trained)["test accuracy"]) > 0.8
    one = frame[frame["machine"] == 3] if layout == "long" else frame.iloc[[3]]
    one.drop(columns="state").to_csv(tmp_path / "one.csv", index=False, sep=";")
    predicted = lphm("predict", "r", "one.csv", cwd=tmp_path)
    assert ",worn," in predicted.stdout or predicted.stdout.splitlines()[1].startswith("worn"), (
        predicted.stderr
    )
    evaluated = summary(lphm("evaluate", "r", "t.csv", cwd=tmp_path))
    assert float(evaluated["accuracy"]) > 0.9
