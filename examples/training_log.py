"""Follow a training: log its epochs, and stop it when its score is good enough.

python examples/training_log.py                # lines of JSON, which need no other package
python examples/training_log.py tensorboard    # with the extra [integrations]
python examples/training_log.py mlflow         # with the extra [integrations]

What is logged goes to the folder "logs".
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer

from lphm.estimators import Epoch, LPHMClassifier


class Lines:
    """A logger that appends a line of JSON to a file for all that it is given."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """The choices, once."""
        self._append({"params": params})

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """The losses and scores of an epoch."""
        self._append({"step": step, **metrics})

    def finalize(self, status: str) -> None:
        """How it ended."""
        self._append({"status": status})

    def _append(self, line: dict[str, Any]) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


def logger_of(kind: str, folder: Path) -> Any:
    """The logger of this example, or one of Lightning."""
    if kind == "lines":
        return Lines(folder / "cancer.jsonl")
    loggers = import_module("lightning.pytorch.loggers")
    if kind == "tensorboard":
        return loggers.TensorBoardLogger(folder, name="cancer")  # tensorboard --logdir logs
    return loggers.MLFlowLogger("cancer", tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def good_enough(epoch: Epoch) -> bool:
    """Whether the accuracy on the validation part is at least 0.95."""
    return epoch.val_score is not None and epoch.val_score >= 0.95


def main(kind: str = "lines", folder: Path = Path("logs")) -> int:
    """Train on measurements of tumours, and return the epochs that it took."""
    folder.mkdir(exist_ok=True)
    X, y = load_breast_cancer(return_X_y=True)
    logger = logger_of(kind, folder)
    model = LPHMClassifier(members=1, epochs=20, random_state=0, logger=logger, callbacks=good_enough)
    model.fit(X, y)
    print(f"stopped after {model.n_iter_} of 20 epochs; the log is in {folder}")
    return model.n_iter_


if __name__ == "__main__":
    main(*sys.argv[1:])
