"""Tables as people have them, through the real command: what a cell means, and where the output goes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.command import lphm

SHORT = ("--members", 1, "--width", 8, "--quiet")
RNG = np.random.default_rng(0)


def train(folder: Path, frame: pd.DataFrame, *options: object, target: str = "y") -> None:
    frame.to_csv(folder / "d.csv", index=False)
    trained = lphm("train", "d.csv", "--target", target, *SHORT, *options, "-o", "r", cwd=folder)
    assert (trained.returncode, trained.stderr) == (0, "")


def predict(folder: Path, text: str, *options: object) -> pd.DataFrame:
    (folder / "q.csv").write_text(text)
    predicted = lphm("predict", "r", "q.csv", "-o", "p.csv", *options, cwd=folder)
    assert predicted.returncode == 0, predicted.stderr
    return pd.read_csv(folder / "p.csv")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_words_for_missing_in_a_column_of_numbers(tmp_path: Path, seed: int) -> None:
    frame = pd.DataFrame(RNG.normal(size=(200, 2)).round(3), columns=list("ab"))
    frame["y"] = np.where(frame.a + frame.b > 0, "p", "n")
    frame["a"] = frame["a"].astype(object)
    frame.loc[::10, "a"] = ["NA", "?", "-", "null"] * 5
    train(tmp_path, frame, "--epochs", 1, "--seed", seed)
    alone, beside = predict(tmp_path, "a,b\nNA,0\n"), predict(tmp_path, "a,b\nNA,0\n1,0\n")
    pd.testing.assert_frame_equal(alone, beside[:1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [["01", "02", "x"], ["true", "false", "maybe"], ["1", "2", "x"], ["1.0", "2.50", "x"]]
)
def test_a_category_means_the_same_alone_and_beside_others(tmp_path: Path, words: list[str]) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=200).round(3), "c": RNG.choice(words, 200)})
    frame["y"] = np.where((frame.c == words[0]) | (frame.a > 1), "pos", "neg")
    train(tmp_path, frame, "--epochs", 15)
    together = predict(tmp_path, "a,c\n" + "".join(f"0.1,{word}\n" for word in [*words, "unseen", ""]))
    assert together["y"][0] == "pos"
    assert len(set(together["probability_pos"][:4])) == 4  # known words, and one that is unknown
    assert together["probability_pos"][3] == together["probability_pos"][4]  # or missing
    for row, word in enumerate([*words, "unseen", ""]):
        pd.testing.assert_frame_equal(
            predict(tmp_path, f"a,c\n0.1,{word}\n"), together[row : row + 1].reset_index(drop=True)
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "asked"),
    [(["01", "1", "x"], "01"), (["true", "false"], "TRUE"), (["1", "2"], "1.0"), (["NA", "x"], "NA")],
)
def test_a_class_is_read_at_evaluate_as_at_training(tmp_path: Path, words: list[str], asked: str) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=120).round(3), "y": (words * 60)[:120]})
    train(tmp_path, frame, "--epochs", 1)
    for text in (f"a,y\n0.1,{asked}\n", f"a,y\n0.1,{asked}\n0.1,\n"):
        (tmp_path / "e.csv").write_text(text)
        evaluated = lphm("evaluate", "r", "e.csv", "--json", cwd=tmp_path)
        assert '"samples": 1' in evaluated.stdout, evaluated.stderr


@pytest.mark.slow
@pytest.mark.parametrize("source", ["t.parquet", "d"])
def test_columns_that_are_left_out_are_named(tmp_path: Path, source: str) -> None:
    (tmp_path / "d").mkdir()
    frame = pd.DataFrame({"a": RNG.normal(size=100), "same": 1.5, "y": [0, 1] * 50}).sample(
        frac=1, random_state=0
    )
    for name in ("t.parquet", "d/t.parquet"):
        frame.to_parquet(tmp_path / name, row_group_size=20)
    options = ("--target", "y", "--members", 1, "--width", 8, "--epochs", 1, "-o", "r")
    trained = lphm("train", source, *options, cwd=tmp_path)
    unused = {"__index_level_0__": "an index without a name", "same": "one value in every row"}
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["left_out"] == unused
    said = " ".join(trained.stdout.replace("│", " ").split())
    assert ", ".join(f"{name} ({reason})" for name, reason in unused.items()) in said
    assert "--keep" not in said


@pytest.mark.slow
def test_a_comma_at_the_end_of_every_row_shifts_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame(RNG.normal(size=(100, 3)), columns=list("abc"))
    train(tmp_path, frame.assign(y=3 * frame.a + frame.b), "--epochs", 3)
    plain = predict(tmp_path, "a,b,c\n0.5,1,2\n-2,3,1\n")
    pd.testing.assert_frame_equal(predict(tmp_path, "a,b,c\n0.5,1,2,\n-2,3,1,\n"), plain)
    assert plain["y"][0] != plain["y"][1]


@pytest.mark.slow
def test_a_target_named_as_the_probability_of_a_class(tmp_path: Path) -> None:
    frame = pd.DataFrame(RNG.normal(size=(60, 2)).round(3), columns=list("ab"))
    frame["probability_p"] = np.where(frame.a > 0, "p", "n")
    train(tmp_path, frame, "--epochs", 1, target="probability_p")
    predicted = predict(tmp_path, frame[["a", "b"]].to_csv(index=False))
    assert list(predicted) == ["probability_p_", "probability_n", "probability_p"]
    assert set(predicted["probability_p_"]) <= {"n", "p"}
    assert (tmp_path / "r" / "report.html").is_file()


@pytest.mark.slow
def test_an_output_overwrites_neither_its_input_nor_the_run(tmp_path: Path) -> None:
    frame = pd.DataFrame(RNG.normal(size=(60, 2)).round(3), columns=["a", "y"])
    train(tmp_path, frame, "--epochs", 1)
    (tmp_path / "link.csv").symlink_to("d.csv")
    for output in ("d.csv", "./d.csv", "link.csv", "r/predictions.csv"):
        before = (tmp_path / output).read_bytes()
        refused = lphm("predict", "r", "d.csv", "-o", output, cwd=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1
        assert "must not be" in refused.stderr
        assert (tmp_path / output).read_bytes() == before


@pytest.mark.slow
def test_series_are_predicted_in_the_order_of_the_table_with_their_names(tmp_path: Path) -> None:
    steps, ids = 6, RNG.permutation(40)
    u = RNG.normal(size=(40, steps)).round(3)
    frame = pd.DataFrame({"id": np.repeat(ids, steps), "t": np.tile(range(steps), 40), "u": u.ravel()})
    frame["v"], frame["lab"] = RNG.normal(size=len(frame)).round(3), np.repeat(u.mean(1).round(4), steps)
    train(tmp_path, frame, "--series", "id", "--step", "t", "--epochs", 40, target="lab")
    predicted = predict(tmp_path, frame.to_csv(index=False))
    assert list(predicted) == ["id", "lab"]
    assert list(predicted["id"]) == list(ids)
    assert np.corrcoef(predicted["lab"], u.mean(1))[0, 1] > 0.7
    shuffled = predict(tmp_path, frame[::-1].to_csv(index=False))
    pd.testing.assert_frame_equal(shuffled[::-1].reset_index(drop=True), predicted)
