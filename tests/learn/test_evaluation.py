"""Evaluations: scores, predictions and xi of every sample, and that they are read back as written."""

import io
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score

from lphm.data.dataset import Dataset
from lphm.errors import InputError
from lphm.learn import evaluation
from lphm.learn.evaluation import Evaluation, evaluate
from lphm.learn.run import Run
from lphm.structures import LPHM
from support.report_cases import NASTY, NASTY_CLASS, dataset, run_of


def xi_of(run: Run, data: Dataset, kind: str) -> np.ndarray:
    """All samples at once, mean over channels."""
    return run.network.interdependence(run.config.input.encode(data.inputs), kind).mean(dim=1).numpy()


def test_classification_against_scikit_learn() -> None:
    data = dataset()
    run = run_of(data)
    found = evaluate(run, data)
    frame = found.predictions
    classes = ["01", NASTY_CLASS, "NA"]
    assert list(frame.columns) == ["row", "answer <b>", "predicted", *(f"probability_{c}" for c in classes)]
    assert list(frame["row"]) == list(range(90))
    assert list(frame["answer <b>"]) == list(data.target)
    assert found.score_name == "accuracy"
    assert found.score == pytest.approx(accuracy_score(data.target, frame["predicted"]))
    probabilities = frame.iloc[:, 3:].to_numpy()
    assert found.loss == pytest.approx(log_loss(data.target, probabilities, labels=sorted(classes)), rel=1e-5)
    pd.testing.assert_frame_equal(
        run.predict(data.inputs).iloc[:, 1:], frame.iloc[:, 3:], check_exact=False, rtol=1e-5
    )


def test_regression_against_scikit_learn() -> None:
    data = dataset("regression")
    run = run_of(data, "regression")
    found = evaluate(run, data)
    frame = found.predictions
    assert list(frame.columns) == ["row", "answer <b>", "predicted"]
    assert found.score_name == "r2"
    assert found.score == pytest.approx(r2_score(data.target, frame["predicted"]), rel=1e-4)
    mse = ((data.target - frame["predicted"]) ** 2).mean() / run.config.target.std**2
    assert found.loss == pytest.approx(mse, rel=1e-4)


@pytest.mark.parametrize("name", ["row", "predicted", "probability_01"])
def test_a_target_named_as_another_column(tmp_path: Path, name: str) -> None:
    data = dataset()
    data = replace(data, target=data.target.rename(name))
    run = run_of(data)
    evaluate(run, data).save(tmp_path)
    frame = Evaluation.load(tmp_path).predictions
    assert list(frame.columns[:3]) == ["row", f"{name}_", "predicted"]
    assert list(frame.iloc[:, 1]) == list(data.target)
    assert list(frame.iloc[:, 2]) == list(run.predict(data.inputs).iloc[:, 0])


def test_of_a_large_xi_the_rows_with_the_largest_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset()
    run = run_of(data)
    monkeypatch.setattr(evaluation, "MOST_LABELS", 3)
    monkeypatch.setattr(evaluation, "MOST_AVERAGED", 10 * 8 * 8)
    monkeypatch.setattr(evaluation, "MOST_ENTRIES", 8 * 8)
    found = evaluate(run, data).interdependence["instance"]
    xi = xi_of(run, data, "instance")
    mean = xi[: found.averaged].mean(axis=0)
    apart = np.abs(mean) * (1 - np.eye(len(mean)))
    kept = np.sort(np.argsort(-(apart.sum(0) + apart.sum(1)))[:3])
    assert (found.mixed, len(found.labels)) == (len(mean), 3)
    assert 10 <= found.averaged < len(data)
    np.testing.assert_allclose(found.mean, mean[np.ix_(kept, kept)], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.examples, xi[found.rows][:, kept][:, :, kept], rtol=1e-4, atol=1e-6)
    monkeypatch.undo()
    assert found.labels == tuple(evaluate(run, data).interdependence["instance"].labels[i] for i in kept)


@pytest.mark.parametrize("most", [1, 500, 2**23])
def test_xi_is_the_networks_whatever_the_batches(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    data = dataset()
    run = run_of(data)
    sizes = []
    own = type(run.network).interdependence
    monkeypatch.setattr(evaluation, "MOST_ENTRIES", most)
    monkeypatch.setattr(
        type(run.network), "interdependence", lambda self, x, kind: sizes.append(len(x)) or own(self, x, kind)
    )
    found = evaluate(run, data).interdependence
    assert max(sizes) == {1: 1, 500: 6, 2**23: 89}[most]  # of 2 x 6 x 6 and 2 x 8 x 8 entries a sample
    assert list(found) == ["instance", "attribute"]
    for kind, mixed in found.items():
        xi = xi_of(run, data, kind)
        np.testing.assert_allclose(mixed.mean, xi.mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(mixed.examples, xi[mixed.rows], rtol=1e-4, atol=1e-6)
        assert np.ptp(xi, axis=0).max() > 0.01  # samples differ: a mean over the wrong ones would show


def test_labels() -> None:
    data = dataset()
    found = evaluate(run_of(data), data).interdependence
    long = "a name that is much longer than an axis of a picture has room for"
    learned = tuple(f"learned row {i}" for i in range(1, 4))
    assert found["instance"].labels == (NASTY, "$x_1$ & more", long, "fifth", "kind", *learned)
    assert found["attribute"].labels == tuple(f"channel {i}" for i in range(1, 7))


def test_only_the_kinds_that_the_network_has() -> None:
    data = dataset()
    assert list(evaluate(run_of(data, instance=None), data).interdependence) == ["attribute"]
    assert not evaluate(run_of(data, instance=None, attribute=None), data).interdependence


def predictions(truth: list[str], guess: list[str], sure: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"row": range(len(truth)), "t": truth, "predicted": guess, "p": sure, "q": 0.0})


def test_examples_are_of_every_class_right_and_wrong() -> None:
    rng = np.random.default_rng(0)
    truth = [str(c) for c in rng.integers(0, 10, 400)]
    guess = [t if rng.random() < 0.8 else "x" for t in truth]
    frame = predictions(truth, guess, list(rng.random(400)))
    rows = evaluation._classified_examples(frame)
    assert len(set(rows)) == 12
    assert {truth[row] for row in rows} == {str(c) for c in range(10)}
    wrong = [row for row in rows if truth[row] != guess[row]]
    assert len(wrong) == 4
    assert max(Counter(truth[row] for row in rows).values()) == 2


def test_examples_where_all_or_none_is_right() -> None:
    truth = ["a", "b"] * 4
    assert len(evaluation._classified_examples(predictions(truth, truth, [0.5] * 8))) == 8
    assert len(evaluation._classified_examples(predictions(truth, ["c"] * 8, [0.5] * 8))) == 8


def test_examples_of_a_regression_go_from_the_smallest_to_the_largest() -> None:
    truth = np.random.default_rng(0).permutation(111).astype(float)
    rows = evaluation._regressed_examples(truth)
    assert list(truth[rows]) == list(range(0, 111, 10))
    assert list(evaluation._regressed_examples(np.array([3.0, 1.0]))) == [1, 0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_round_trip(tmp_path: Path, task: str) -> None:
    data = dataset(task)
    found = evaluate(run_of(data, task), data)
    found.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interdependence.npz", "predictions.csv"]
    back = Evaluation.load(tmp_path)
    assert (back.loss, back.score, back.score_name) == (found.loss, found.score, found.score_name)
    pd.testing.assert_frame_equal(back.predictions, found.predictions, check_dtype=False, rtol=1e-6)
    for kind, mixed in found.interdependence.items():
        assert back.interdependence[kind].labels == mixed.labels
        for name in ("mean", "examples", "rows"):
            np.testing.assert_array_equal(getattr(back.interdependence[kind], name), getattr(mixed, name))


def test_a_target_named_like_another_column(tmp_path: Path) -> None:
    data = dataset()
    data = Dataset(data.name, data.inputs, data.target.rename("predicted"))
    found = evaluate(run_of(data), data)
    found.save(tmp_path)
    back = Evaluation.load(tmp_path).predictions
    assert list(back.iloc[:, 1]) == list(data.target)
    assert list(back.iloc[:, 2]) == list(found.predictions.iloc[:, 2])


def test_formulas_are_text_in_the_file_and_read_back_as_they_were(tmp_path: Path) -> None:
    classes = {"01": "=1+1", "NA": "'=1+1", NASTY_CLASS: "-"}
    data = dataset()
    data = Dataset(data.name, data.inputs, data.target.map(classes).rename("@y"))
    found = evaluate(run_of(data), data)
    found.save(tmp_path)
    written = pd.read_csv(tmp_path / "predictions.csv", dtype=str)
    assert written.columns[1] == "'@y"
    assert {*written.iloc[:, 1]} == {"'=1+1", "''=1+1", "-"}
    back = Evaluation.load(tmp_path).predictions
    assert list(back.columns) == list(found.predictions.columns)
    for column in (1, 2):
        assert list(back.iloc[:, column]) == list(found.predictions.iloc[:, column])


def rewrite(**changes: np.ndarray | None):
    """Change or leave out arrays of the file."""

    def damage(folder: Path) -> None:
        path = folder / "interdependence.npz"
        with np.load(path) as file:
            arrays = {**{name: file[name] for name in file.files}, **changes}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    return damage


def vast(folder: Path) -> None:
    """A header that announces 73 TiB."""
    header = io.BytesIO()
    layout = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(header, layout)
    with zipfile.ZipFile(folder / "interdependence.npz", "w") as file:
        file.writestr("loss.npy", header.getvalue())


def text(content: str):
    return lambda folder: (folder / "predictions.csv").write_text(content)


DAMAGE = {
    "no predictions": (lambda f: (f / "predictions.csv").unlink(), "must be a file that an evaluation wrote"),
    "no xi": (lambda f: (f / "interdependence.npz").unlink(), "must be a file that an evaluation wrote"),
    "half": (
        lambda f: (f / "interdependence.npz").write_bytes((f / "interdependence.npz").read_bytes()[:200]),
        "must hold loss, score and interdependence, got",
    ),
    "nothing in it": (lambda f: (f / "interdependence.npz").write_bytes(b""), "got No data left in file"),
    "without loss": (rewrite(loss=None), "got a file without 'loss"),
    "without labels": (rewrite(instance_labels=None), "got a file without 'instance_labels"),
    "other shapes": (
        rewrite(attribute_mean=np.zeros((2, 3))),
        r"got attribute of shapes \(2, 3\) and \(12, 6, 6\) for 6 labels",
    ),
    "a vast shape": (vast, "must hold loss, score and interdependence, got"),
    "objects": (rewrite(loss=np.array([{}], dtype=object)), "allow_pickle"),
    "empty table": (text(""), "got No columns to parse"),
    "other columns": (text("a,b\n1,2\n"), "got the columns a, b; evaluate the run again"),
    "words for numbers": (
        text("row,t,predicted,probability_a\n0,a,a,much\n"),
        "Unable to parse string .much.",
    ),
    "a word for a row": (text("row,t,predicted\nzero,1,1\n"), "Unable to parse string .zero."),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line(tmp_path: Path, case: str) -> None:
    data = dataset()
    evaluate(run_of(data), data).save(tmp_path)
    damage, message = DAMAGE[case]
    damage(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        Evaluation.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert "evaluate the run again" in str(caught.value)


def test_any_changed_byte_is_read_or_is_one_error(tmp_path: Path) -> None:
    data = dataset()
    evaluate(run_of(data), data).save(tmp_path)
    path = tmp_path / "interdependence.npz"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(len(whole), size=200):
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with suppress(InputError):
            Evaluation.load(tmp_path)


def test_a_wide_network_is_labelled_by_its_width() -> None:
    data = dataset()
    run = run_of(data, width=12, instance=LPHM(n=12, p=3, q=4, r=1).to_config())
    found = evaluate(run, data).interdependence["attribute"]
    assert (found.labels[-1], found.mean.shape) == ("channel 12", (12, 12))
    assert torch.isfinite(torch.from_numpy(found.mean)).all()
