"""The estimators are classes to mypy, with every argument and its type, though scikit-learn has no types."""

from pathlib import Path

import pytest
from mypy import api

from support.sources import ROOT

PROGRAM = """
import numpy as np

import lphm

X, y = np.zeros((20, 3)), np.zeros(20)
model = lphm.LPHMClassifier(random_state=0, class_weight="balanced", epochs=3)
reveal_type(model.fit(X, y))
reveal_type(model.fit(X, y).predict(X))
reveal_type(model.epochs)
reveal_type(lphm.LPHMRegressor.load("folder"))
lphm.LPHMClassifier(epochs="3")
lphm.LPHMRegressor(structure="dense")
"""


@pytest.mark.slow
def test_a_strict_users_program(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    # With the settings and the cache of `make lint`, which takes seconds where it has run before.
    printed, errors, _ = api.run(
        ["--config-file", str(ROOT.parent / "pyproject.toml"), "--no-pretty", str(tmp_path / "program.py")]
    )
    assert errors == ""
    messages = [line.split(": ", 1)[1] for line in printed.splitlines() if "program.py:" in line]
    assert [message.split("  [")[0].rstrip() for message in messages] == [
        'note: Revealed type is "lphm.estimators.models.LPHMClassifier"',
        'note: Revealed type is "numpy.ndarray[tuple[Any, ...], numpy.dtype[Any]]"',
        'note: Revealed type is "int | None"',
        'note: Revealed type is "lphm.estimators.models.LPHMRegressor"',
        'error: Argument "epochs" to "LPHMClassifier" has incompatible type "str"; expected "int | None"',
        'error: Argument "structure" to "LPHMRegressor" has incompatible type "Literal[\'dense\']"; expected '
        "\"Literal['lphm', 'full', 'low-rank', 'hm', 'dual-lphm']\"",
    ]
