"""Run folders without a model: of a training that was interrupted, or of a cross-validation."""

import shlex
from pathlib import Path

from lphm._io import read_json
from lphm.errors import InputError

OPTIONS = "options.json"  # the options of ``lphm train``, written before the training begins
SUMMARY = "summary.json"  # the columns and the target, described after it


def continuing(folder: Path) -> str:
    """The command that goes on with an interrupted run."""
    return shlex.join(["lphm", "train", "-o", str(folder), "--resume"])


def no_model(folder: Path) -> InputError | None:
    """The error for a run folder that ``lphm train`` began and that holds no model; None for another."""
    if not (folder / OPTIONS).is_file():
        return None
    options = read_json(folder / OPTIONS)
    if options.get("folds") or options.get("compare"):
        wrong = "--compare" if options.get("compare") else "--folds"
        return InputError(f"{folder} must hold a model, got a run with {wrong}, which keeps none; train one")
    return InputError(f"{folder} is unfinished; continue it with {continuing(folder)}")
