"""A run on samples that it was not trained on: scores, predictions, and the interdependence matrices.

predictions.csv         row, the truth, predicted, and for classification the probability of each class;
                        text that a spreadsheet would run as a formula has an apostrophe before it
interdependence.npz     loss, score and what stands beside it; of each kind the mean of xi, xi of a few
                        samples, and the labels
"""

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lphm._io import write_atomically
from lphm.data.columns import column_numbers, plain_values
from lphm.data.dataset import Dataset
from lphm.data.formulas import guard_formulas, unguard_formulas
from lphm.data.targets import ClassTarget, free_name
from lphm.errors import InputError
from lphm.learn.run import Run
from lphm.nn.network import InterdependenceNetwork, interdependence_layers
from lphm.ops.checks import Kind

PREDICTIONS, INTERDEPENDENCE = "predictions.csv", "interdependence.npz"
DETAIL = "detail_"  # before the names of details among the arrays
KINDS: tuple[Kind, ...] = ("instance", "attribute")
#: Most samples whose xi is kept, and most entries of xi that are computed at a time.
MOST_EXAMPLES, MOST_ENTRIES = 12, 2**23
#: Most rows and columns of xi that are kept, and about the most entries that are averaged in all.
MOST_LABELS, MOST_AVERAGED = 256, 2**30
ADVICE = "evaluate the run again"
#: What damaged files raise; RuntimeError is an encrypted archive, MemoryError a header with a vast shape.
UNREADABLE = (
    *(OSError, EOFError, LookupError, ValueError, TypeError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclass(frozen=True, eq=False)
class Interdependence:
    """``xi`` of one kind in the last block, averaged over channels.

    Entry ``(i, j)`` is the weight of input ``i`` in output ``j``. Of more than ``MOST_LABELS`` rows or
    columns, those are kept whose weights in the others, and of the others in them, are the largest.
    """

    labels: tuple[str, ...]  # names of the k rows or columns that are kept
    mean: np.ndarray  # (k, k)
    examples: np.ndarray  # of single samples, (examples, k, k)
    rows: np.ndarray  # the numbers of those samples, (examples,)
    mixed: int  # rows or columns that are mixed, k or more
    averaged: int  # samples that the mean is of: all, or as many as a bounded number of entries allows


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions of a run for samples whose truth is known.

    ``predictions`` has the columns ``row``, the number of the sample; the truth, named as the target (with
    ``_`` behind it if another column has that name);
    ``predicted``; and for classification ``probability_CLASS`` of each class.
    """

    loss: float  # cross entropy, or mean squared error of the standardised target
    score: float  # accuracy or R²
    score_name: str  # which of them, "accuracy" or "r2"
    predictions: pd.DataFrame
    interdependence: Mapping[str, Interdependence]  # by kind, for the kinds that the network has
    #: Beside the score: for classification what always predicting the most frequent class of these samples
    #: gets ("baseline"); for regression mean absolute ("mae") and root mean squared error ("rmse"), in the
    #: unit of the target.
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float]:
        """Loss, score and details by their names, as ``metrics.json`` has them."""
        return {"loss": self.loss, self.score_name: self.score, **self.details}

    def save(self, folder: Path) -> None:
        """Write ``predictions.csv`` and ``interdependence.npz``, each whole or not at all."""
        with write_atomically(folder / PREDICTIONS) as temporary:
            guard_formulas(self.predictions).to_csv(temporary, index=False)
        arrays: dict[str, Any] = {"loss": self.loss, "score": self.score, "score_name": self.score_name}
        arrays |= {f"{DETAIL}{name}": value for name, value in self.details.items()}
        for kind, of_kind in self.interdependence.items():
            arrays |= {f"{kind}_{name}": np.asarray(value) for name, value in asdict(of_kind).items()}
        with write_atomically(folder / INTERDEPENDENCE) as temporary:
            np.savez_compressed(temporary, **arrays)

    @staticmethod
    def load(folder: Path) -> "Evaluation":
        """Read back what ``save`` wrote; classes come back as text.

        Raises:
            InputError: a file is missing or damaged.
        """
        with _reading(folder / INTERDEPENDENCE, "loss, score and interdependence") as content:
            with np.load(content, allow_pickle=False) as file:
                arrays = dict(file)
            scores = float(arrays["loss"]), float(arrays["score"]), str(arrays["score_name"])
            details = {
                name.removeprefix(DETAIL): float(value)
                for name, value in arrays.items()
                if name.startswith(DETAIL)
            }
            interdependence: dict[str, Interdependence] = {
                kind: _interdependence(arrays, kind) for kind in KINDS if f"{kind}_mean" in arrays
            }
        with _reading(folder / PREDICTIONS, "row, truth and predicted") as content:
            predictions = unguard_formulas(_predictions(content))
        return Evaluation(*scores, predictions, interdependence, details)


def evaluate(
    run: Run, data: Dataset, interdependence: bool = True, outputs: Tensor | None = None
) -> Evaluation:
    """Predict every sample, score the predictions, and average ``xi``; in batches of bounded memory.

    Args:
        run: the trained run.
        data: samples with their truth, as at training; loss and score count each by its weight.
        interdependence: whether to average ``xi``, which takes most of the time.
        outputs: the outputs of the run for these samples, if they are known already, ``(N, k)``.

    Raises:
        InputError: the samples are not like those that the run was trained on.
    """
    outputs = run.outputs(data.inputs) if outputs is None else outputs
    target = run.config.target
    y, decoded = target.encode(data.target), target.decode(outputs)
    is_classes = isinstance(target, ClassTarget)
    truth = plain_values(data.target) if is_classes else column_numbers(data.target, target.name)
    first = (pd.Series(range(len(data))), pd.Series(truth, dtype=object if is_classes else None))
    predictions = pd.concat([*first, decoded], axis=1)
    probabilities = list(decoded.columns[1:])
    name = free_name(target.name, ["row", "predicted", *probabilities])
    predictions.columns = ["row", name, "predicted", *probabilities]
    matrices: dict[str, Interdependence] = {}
    if interdependence:
        rows = _classified_examples(predictions) if is_classes else _regressed_examples(np.asarray(truth))
        present = {layer.kind for layer in interdependence_layers(run.network).values()}
        matrices = {kind: _average(run, data, kind, rows) for kind in KINDS if kind in present}
    weight = torch.as_tensor(data.weights)
    loss, score = target.loss(outputs, y, weight).item(), target.score(outputs, y, weight).item()
    details = target.details(outputs, y, weight)
    return Evaluation(loss, score, target.score_name, predictions, matrices, details)


def _classified_examples(predictions: pd.DataFrame) -> np.ndarray:
    """Samples of every class, up to a third of them errors; the most confident of each sort first."""
    truth, guess = (predictions.iloc[:, i].map(str).to_numpy() for i in (1, 2))
    order = np.argsort(-predictions.iloc[:, 3:].to_numpy().max(axis=1), kind="stable")
    chosen = _balanced(truth, order[truth[order] != guess[order]], [], MOST_EXAMPLES // 3)
    chosen = _balanced(truth, order[truth[order] == guess[order]], chosen, MOST_EXAMPLES)
    chosen = _balanced(truth, order, chosen, MOST_EXAMPLES)
    return np.array(sorted(chosen, key=lambda row: (truth[row], row)), dtype=np.int64)


def _balanced(truth: np.ndarray, candidates: np.ndarray, chosen: list[int], most: int) -> list[int]:
    """``chosen`` and further candidates, each of the class that was chosen least often before."""
    candidates = candidates[~np.isin(candidates, chosen)]
    labels = pd.Series(truth[candidates], dtype=object)
    turns = labels.groupby(labels).cumcount() + labels.map(Counter(truth[chosen])).astype(int)
    order = np.argsort(turns.to_numpy(), kind="stable")[: max(0, most - len(chosen))]
    return [*chosen, *candidates[order].tolist()]


def _regressed_examples(truth: np.ndarray) -> np.ndarray:
    """Samples from the smallest truth to the largest, in equal steps of rank."""
    ranks = np.linspace(0, len(truth) - 1, min(len(truth), MOST_EXAMPLES)).round().astype(int)
    return np.asarray(np.argsort(truth, kind="stable")[ranks])


def _average(run: Run, data: Dataset, kind: Kind, rows: np.ndarray) -> Interdependence:
    """``xi`` of that kind: its mean over the samples, and that of the samples ``rows``."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for xi in _matrices(run, data, kind, np.arange(len(data))):
        total, count = total + xi.double().sum(dim=0), count + len(xi)
        if count * xi[0].numel() >= MOST_AVERAGED:
            break
    mean = (total / count).float()
    apart = mean.abs().fill_diagonal_(0)
    strongest = (apart.sum(dim=0) + apart.sum(dim=1)).argsort(descending=True, stable=True)[:MOST_LABELS]
    kept = strongest.sort().values
    examples = torch.cat([xi[:, kept][:, :, kept] for xi in _matrices(run, data, kind, rows)])
    names = mixed_names(run, kind, len(mean))
    names += tuple(f"learned row {i + 1}" for i in range(len(mean) - len(names)))
    labels = tuple(names[i] for i in kept.tolist())
    return Interdependence(labels, mean[kept][:, kept].numpy(), examples.numpy(), rows, len(mean), count)


def _matrices(run: Run, data: Dataset, kind: Kind, rows: np.ndarray) -> Iterator[Tensor]:
    """``xi`` of the samples ``rows``, mean over channels, ``(batch, k, k)`` at a time."""
    size, start = 1, 0  # one sample alone, whose xi says how many fit into a batch
    while start < len(rows):
        encoded = run.config.input.encode(data.take(rows[start : start + size]).inputs)
        assert isinstance(run.network, InterdependenceNetwork)  # it has layers of that kind
        xi = run.network.interdependence(encoded, kind)  # (N, channels, k, k)
        yield xi.mean(dim=1)
        start, size = start + size, max(1, min(256, MOST_ENTRIES // xi[0].numel()))


def mixed_names(run: Run, kind: Kind, k: int) -> tuple[str, ...]:
    """Names of the ``k`` rows (instance) or columns (attribute) that ``xi`` mixes.

    The learned rows that fill up come last and have none.
    """
    if kind == "attribute":
        columns = run.config.input.column_labels
        return tuple(columns) if len(columns) == k else tuple(f"channel {i + 1}" for i in range(k))
    names = run.config.input.labels
    if len(names) > k:
        return tuple(f"row {i + 1}" for i in range(k))
    return tuple(names)


@contextmanager
def _reading(path: Path, content: str) -> Iterator[io.BytesIO]:
    """The bytes of a file; an error in what they hold becomes an ``InputError``."""
    if not path.is_file():
        raise InputError(f"{path} must be a file that an evaluation wrote, got none; {ADVICE}")
    try:
        yield io.BytesIO(path.read_bytes())
    except UNREADABLE as error:
        reason = f"a file without {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path} must hold {content}, got {reason}; {ADVICE}") from error


def _interdependence(arrays: Mapping[str, np.ndarray], kind: Kind) -> Interdependence:
    labels, mean, examples, rows, mixed, averaged = (
        arrays[f"{kind}_{field.name}"] for field in fields(Interdependence)
    )
    k = len(labels)
    if mean.shape != (k, k) or examples.shape != (len(rows), k, k):
        raise ValueError(f"{kind} of shapes {mean.shape} and {examples.shape} for {k} labels")
    return Interdependence(tuple(map(str, labels)), mean, examples, rows, int(mixed), int(averaged))


def _predictions(content: io.BytesIO) -> pd.DataFrame:
    header = list(pd.read_csv(content, nrows=0, header=0, keep_default_na=False).columns)
    types = {1: str, 2: str} if len(header) > 3 else {}  # a class called 01 or NA is not a number
    content.seek(0)
    frame = pd.read_csv(content, keep_default_na=False, dtype=types)
    if header[:1] != ["row"] or len(header) < 3:
        raise ValueError(f"the columns {', '.join(header)}")
    for number in [0, *range(3 if types else 1, len(header))]:
        pd.to_numeric(frame.iloc[:, number])
    return frame
