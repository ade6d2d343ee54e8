"""What a run does to samples that it did not learn from: scores, predictions, and what it mixes.

predictions.csv         row, the truth, predicted, and for classification the probability of each class
interdependence.npz     loss and score; of each kind the mean of xi, xi of a few samples, and the labels
"""

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lphm._io import write_atomically
from lphm.data.columns import column_numbers, plain_values
from lphm.data.dataset import Dataset
from lphm.data.targets import ClassTarget
from lphm.errors import InputError
from lphm.learn.objective import loss, score
from lphm.learn.run import Run
from lphm.nn.layer import BilinearInterdependence
from lphm.ops.checks import Kind

PREDICTIONS, INTERDEPENDENCE = "predictions.csv", "interdependence.npz"
KINDS: tuple[Kind, ...] = ("instance", "attribute")
#: So many samples have their own xi kept, and so many entries of xi are computed at a time.
MOST_EXAMPLES, MOST_ENTRIES = 12, 2**23
AGAIN = "evaluate the run again"


@dataclass(frozen=True, eq=False)
class Interdependence:
    """The last block's ``xi`` of one kind, mean over channels; entry ``(i, j)`` weighs ``i`` in output ``j``.

    Args:
        labels: names of what is mixed, ``k`` of them.
        mean: mean over all samples, ``(k, k)``.
        examples: of single samples, ``(examples, k, k)``.
        rows: which samples those are, ``(examples,)``.
    """

    labels: tuple[str, ...]
    mean: np.ndarray
    examples: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A run's answers for samples whose truth is known.

    Args:
        loss: cross entropy, or mean squared error of the standardised target.
        score: accuracy or R².
        score_name: which of them, ``"accuracy"`` or ``"r2"``.
        predictions: columns in this order: ``row``, the number of the sample; the truth, named as the target;
            ``predicted``; for classification ``probability_CLASS`` of each class.
        interdependence: by kind, for the kinds that the network has.
    """

    loss: float
    score: float
    score_name: str
    predictions: pd.DataFrame
    interdependence: Mapping[str, Interdependence]

    def save(self, folder: Path) -> None:
        """Write ``predictions.csv`` and ``interdependence.npz``, each whole or not at all."""
        with write_atomically(folder / PREDICTIONS) as temporary:
            self.predictions.to_csv(temporary, index=False)
        arrays: dict[str, Any] = {
            f"{kind}_{name}": np.asarray(getattr(of_kind, name))
            for kind, of_kind in self.interdependence.items()
            for name in ("labels", "mean", "examples", "rows")
        }
        with write_atomically(folder / INTERDEPENDENCE) as temporary:
            np.savez_compressed(
                temporary, loss=self.loss, score=self.score, score_name=self.score_name, **arrays
            )

    @staticmethod
    def load(folder: Path) -> "Evaluation":
        """Read back what ``save`` wrote; classes come back as text.

        Raises:
            InputError: a file is missing or damaged.
        """
        path = folder / INTERDEPENDENCE
        try:
            with np.load(io.BytesIO(_existing(path).read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            scores = float(arrays["loss"]), float(arrays["score"]), str(arrays["score_name"])
            found: dict[str, Interdependence] = {
                kind: _interdependence(arrays, kind) for kind in KINDS if f"{kind}_mean" in arrays
            }
        except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            if isinstance(error, InputError):
                raise
            reason = f"a file without {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(
                f"{path} must hold loss, score and interdependence, got {reason}; {AGAIN}"
            ) from error
        return Evaluation(*scores, _read_predictions(folder / PREDICTIONS), found)


def evaluate(run: Run, data: Dataset, interdependence: bool = True) -> Evaluation:
    """Predict every sample, score the predictions, and average ``xi``; in batches of bounded memory.

    Args:
        run: the trained run.
        data: samples with their truth, as at training.
        interdependence: average xi, too, which takes the most time.

    Raises:
        InputError: the samples are not what the run was trained on.
    """
    target = run.config.target
    outputs = run.outputs(data.inputs)
    encoded = target.encode(data.target)
    error, reached = loss(target, outputs, encoded), score(target, outputs, encoded)
    decoded = target.decode(outputs)
    classes = isinstance(target, ClassTarget)
    truth = (
        pd.Series(plain_values(data.target), dtype=object)
        if classes
        else pd.Series(column_numbers(data.target, target.name))
    )
    columns = [pd.Series(np.arange(len(data))), truth, decoded.iloc[:, 0]]
    predictions = pd.concat([*columns, decoded.iloc[:, 1:]], axis=1)
    predictions.columns = ["row", target.name, "predicted", *decoded.columns[1:]]
    rows = _examples(predictions) if classes else _spread(truth.to_numpy())
    kinds = {
        m.kind for m in run.network.modules() if interdependence and isinstance(m, BilinearInterdependence)
    }
    mixed: dict[str, Interdependence] = {
        kind: _average(run, data, kind, rows) for kind in KINDS if kind in kinds
    }
    return Evaluation(error.item(), reached.item(), target.score, predictions, mixed)


# Which samples are shown.


def _examples(predictions: pd.DataFrame) -> np.ndarray:
    """Samples of every class: up to a third of them mistakes, the most confident of each sort first."""
    truth, guess = (predictions.iloc[:, i].map(str).to_numpy() for i in (1, 2))
    order = np.argsort(-predictions.iloc[:, 3:].to_numpy().max(axis=1), kind="stable")
    chosen = _one_of_each(truth, order[truth[order] != guess[order]], [], MOST_EXAMPLES // 3)
    chosen = _one_of_each(truth, order[truth[order] == guess[order]], chosen, MOST_EXAMPLES)
    chosen = _one_of_each(truth, order, chosen, MOST_EXAMPLES)
    return np.array(sorted(chosen, key=lambda row: (truth[row], row)), dtype=np.int64)


def _one_of_each(truth: np.ndarray, candidates: np.ndarray, chosen: list[int], most: int) -> list[int]:
    """``chosen`` and further candidates, each of the class that is chosen least so far."""
    chosen, counts = list(chosen), Counter(truth[chosen])
    left: dict[str, list[int]] = {}
    for row in candidates[~np.isin(candidates, chosen)].tolist():
        left.setdefault(truth[row], []).append(row)
    place = {row: i for i, row in enumerate(candidates.tolist())}
    while left and len(chosen) < most:
        label = min(left, key=lambda name: (counts[name], place[left[name][0]]))
        chosen.append(left[label].pop(0))
        counts[label] += 1
        left = {name: rows for name, rows in left.items() if rows}
    return chosen


def _spread(truth: np.ndarray) -> np.ndarray:
    """Samples from the smallest truth to the largest, in equal steps of rank."""
    ranks = np.linspace(0, len(truth) - 1, min(len(truth), MOST_EXAMPLES)).round().astype(int)
    rows: np.ndarray = np.argsort(truth, kind="stable")[ranks]
    return rows


# xi.


def _average(run: Run, data: Dataset, kind: Kind, rows: np.ndarray) -> Interdependence:
    """``xi`` of that kind over all samples and of the samples ``rows``."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for xi in _batches(run, data, kind, np.arange(len(data))):
        total, count = total + xi.double().sum(dim=0), count + len(xi)
    examples = torch.cat(list(_batches(run, data, kind, rows)))
    labels = _labels(run, kind, examples.shape[-1])
    return Interdependence(labels, (total / count).float().numpy(), examples.numpy(), rows)


def _batches(run: Run, data: Dataset, kind: Kind, rows: np.ndarray) -> Iterator[torch.Tensor]:
    """``xi`` of the samples ``rows``, mean over channels, ``(batch, k, k)`` at a time."""
    size, start = 1, 0  # the first sample alone says how large xi is
    while start < len(rows):
        encoded = run.config.input.encode(data.take(rows[start : start + size]).inputs)
        xi = run.network.interdependence(encoded, kind)  # (N, channels, k, k)
        yield xi.mean(dim=1)
        start, size = start + size, max(1, min(256, MOST_ENTRIES // xi[0].numel()))


def _labels(run: Run, kind: Kind, k: int) -> tuple[str, ...]:
    """Names of the ``k`` rows (instance) or columns (attribute) of ``X`` that ``xi`` mixes."""
    columns = run.config.input.column_labels
    if kind == "attribute":
        if len(columns) == k:
            return tuple(columns)
        return tuple(f"channel {i}" for i in range(1, k + 1))
    names = list(run.config.input.labels)
    if len(names) > k:
        return tuple(f"row {i}" for i in range(1, k + 1))
    return (*names, *(f"learned row {i}" for i in range(1, k - len(names) + 1)))


# Reading.


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path} must be a file that an evaluation wrote, got none; {AGAIN}")
    return path


def _interdependence(arrays: Mapping[str, np.ndarray], kind: Kind) -> Interdependence:
    labels, mean, examples, rows = (arrays[f"{kind}_{n}"] for n in ("labels", "mean", "examples", "rows"))
    k = len(labels)
    if mean.shape != (k, k) or examples.shape != (len(rows), k, k):
        raise ValueError(f"{kind} of shapes {mean.shape} and {examples.shape} for {k} labels")
    return Interdependence(tuple(map(str, labels)), mean, examples, rows)


def _read_predictions(path: Path) -> pd.DataFrame:
    _existing(path)
    try:
        header = list(pd.read_csv(path, nrows=0, header=0, keep_default_na=False).columns)
        words = {1: str, 2: str} if len(header) > 3 else {}  # a class called 01 or NA stays what it is
        frame = pd.read_csv(path, keep_default_na=False, dtype=words)
        if header[:1] != ["row"] or len(header) < 3:
            raise ValueError(f"the columns {', '.join(header)}")
        for number in [0, *range(3 if words else 1, len(header))]:
            pd.to_numeric(frame.iloc[:, number])
    except (OSError, ValueError, TypeError) as error:  # pandas' own exceptions are ValueErrors
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} must hold row, truth and predicted, got: {reason}; {AGAIN}") from error
    return frame
