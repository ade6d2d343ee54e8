"""Fits, predictions and saved runs are the same whatever state torch is in, and leave it as it was."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from lphm.estimators import LPHMClassifier
from lphm.learn.torch_state import plain_torch

RNG = np.random.default_rng(0)
TABLE, SERIES = RNG.standard_normal((60, 4)), RNG.standard_normal((40, 8, 2))


def fitted(X: np.ndarray) -> LPHMClassifier:
    model = LPHMClassifier(members=1, epochs=2, width=8, kind="both", random_state=0)
    return model.fit(X, (X.reshape(len(X), -1)[:, 0] > 0).astype(int))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device() -> Iterator[None]:
    """One that is not the CPU; "meta" stands for it."""
    torch.set_default_device("meta")
    try:
        yield
        assert torch.get_default_device().type == "meta"
    finally:
        torch.set_default_device(None)


STATES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "another device": default_device,
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("X", [TABLE, SERIES], ids=["table", "series"])
def test_a_fit_does_not_depend_on_the_state_of_torch(state: str, X: np.ndarray, tmp_path: Path) -> None:
    plain = fitted(X)
    expected, xi = plain.predict_proba(X), plain.interdependence_matrix(X[:3])
    plain.save(tmp_path / "saved")
    generator = torch.get_rng_state()
    with STATES[state]():
        model = fitted(X)
        assert np.array_equal(model.predict_proba(X), expected)
        assert np.array_equal(plain.predict_proba(X), expected)
        assert np.array_equal(plain.interdependence_matrix(X[:3]), xi)
        assert np.array_equal(LPHMClassifier.load(tmp_path / "saved").predict_proba(X), expected)
    assert torch.equal(torch.get_rng_state(), generator)
    assert np.array_equal(model.predict_proba(X), expected)
    assert all(parameter.requires_grad for parameter in model.run_.network.parameters())


def test_fits_in_several_threads_are_those_of_one() -> None:
    expected, found = fitted(TABLE).predict_proba(TABLE), {}

    def fit(number: int) -> None:
        found[number] = fitted(TABLE).predict_proba(TABLE)

    threads = [threading.Thread(target=fit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(each, expected) for each in found.values())


def test_loading_and_predicting_do_not_wait_for_a_training(tmp_path: Path) -> None:
    model = fitted(TABLE)
    model.save(tmp_path / "saved")
    begun, ended, found = threading.Event(), threading.Event(), []

    def train() -> None:
        with plain_torch():
            begun.set()
            ended.wait(60)

    def use() -> None:
        found.append(LPHMClassifier.load(tmp_path / "saved").predict_proba(TABLE))

    threads = [threading.Thread(target=train), threading.Thread(target=use)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(30)
    is_done = bool(found)
    ended.set()
    for thread in threads:
        thread.join()
    assert is_done
    assert np.array_equal(found[0], model.predict_proba(TABLE))


FORKED = """
import os, signal
import numpy as np, torch
from lphm.estimators import LPHMClassifier

torch.set_num_threads(2)
assert torch.randn(1500, 1500).mm(torch.randn(1500, 1500)).isfinite().all()  # in two threads
X = np.random.default_rng(0).standard_normal((400, 6))
many = np.tile(X, (20, 1))

def fitted():
    return LPHMClassifier(random_state=0, epochs=1, members=1, threads=2, kind="both").fit(X, X[:, 0] > 0)

model = fitted()
model.save("run")
calls = {
    "fit": lambda: fitted().run_.network.linear.weight.detach().numpy(),
    "predict": lambda: model.predict_proba(many),
    "xi": lambda: model.interdependence_matrix(X),
    "load": lambda: LPHMClassifier.load("run").predict_proba(many),
}
for name, call in calls.items():
    before = call()
    if not (child := os.fork()):
        signal.alarm(60)  # ends the child where it waits for ever
        np.testing.assert_allclose(call(), before, rtol=1e-3, atol=1e-5)
        os._exit(0)
    print(name, os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork a process")
def test_a_process_that_was_forked_does_not_wait_for_threads_that_it_lacks(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORKED], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False
    )
    assert ended.stdout.split() == ["fit", "0", "predict", "0", "xi", "0", "load", "0"], ended.stderr
