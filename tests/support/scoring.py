"""Exported models in an interpreter that has onnxruntime and NumPy, and neither torch nor lphm."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

BATCHES = (1, 7, 1024)
SCRIPT = """
import sys
from importlib.util import find_spec
sys.path.insert(0, sys.argv[1])
import numpy as np
import onnxruntime
assert not any(map(find_spec, ("torch", "lphm", "pandas", "sklearn"))), "it has more than it should"
samples = {name: each.astype(object) if each.dtype.kind == "U" else each
           for name, each in np.load(sys.argv[3]).items()}
session = onnxruntime.InferenceSession(sys.argv[2])
names = [output.name for output in session.get_outputs()]
outputs = {}
for batch in map(int, sys.argv[5:]):
    answers = session.run(None, {name: each[:batch] for name, each in samples.items()})
    for name, answer in zip(names, answers):
        outputs[f"{name} {batch}"] = answer.astype(str) if answer.dtype == object else answer
np.savez(sys.argv[4], **outputs)
"""


def score(model: Path, samples: dict[str, np.ndarray]) -> dict[int, dict[str, np.ndarray]]:
    """The outputs of an ONNX model for each of the batches, by name."""
    site = model.parent / "site"
    if not site.exists():
        site.mkdir()
        for package in ("numpy", "onnxruntime"):
            for folder in Path(find_spec(package).origin).parents[1].glob(f"{package}*"):
                if not (site / folder.name).exists():
                    (site / folder.name).symlink_to(folder)
    inputs, outputs = model.with_suffix(".in.npz"), model.with_suffix(".out.npz")
    np.savez(inputs, **samples)
    alone = [sys.executable, "-I", "-S", "-W", "error", "-c", SCRIPT]
    done = subprocess.run(
        [*alone, site, model, inputs, outputs, *map(str, BATCHES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = dict(np.load(outputs))
    return {
        batch: {name.split()[0]: each for name, each in found.items() if name.endswith(f" {batch}")}
        for batch in BATCHES
    }
