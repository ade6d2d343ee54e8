"""The estimators and the command line on a GPU."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from lphm.estimators import LPHMClassifier, LPHMRegressor
from support.command import lphm, summary

pytestmark = [pytest.mark.cuda, pytest.mark.slow]
QUICK = {"members": 2, "epochs": 20, "width": 16, "learning_rate": 0.01, "random_state": 0}


@pytest.mark.parametrize("device", ["cuda", "auto"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fit_and_predict(device: str, precision: str, tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    model = LPHMClassifier(**QUICK, device=device, precision=precision).fit(X, y)
    assert model.score(X, y) > 0.9
    assert {tensor.device.type for tensor in model.run_.network.state_dict().values()} == {"cpu"}
    on_gpu = model.predict_proba(X)
    np.testing.assert_allclose(on_gpu, model.set_params(device="cpu").predict_proba(X), atol=1e-5)
    model.save(tmp_path / "model")
    back = LPHMClassifier.load(tmp_path / "model")
    assert np.array_equal(back.predict_proba(X), model.predict_proba(X))


def test_a_regression_is_as_good_as_on_the_cpu() -> None:
    X, y = load_diabetes(return_X_y=True)
    scores = [LPHMRegressor(**QUICK, device=device).fit(X, y).score(X, y) for device in ("cpu", "cuda")]
    assert scores[1] == pytest.approx(scores[0], abs=0.1)


def test_the_command_line(tmp_path: Path) -> None:
    result = lphm("train", "iris", "--device", "cuda", "--early-stopping", "-o", "run", cwd=tmp_path)
    assert float(summary(result)["test accuracy"]) > 0.8
    assert "Warning" not in result.stderr
    load_iris(as_frame=True).data.to_csv(tmp_path / "x.csv", index=False)
    for device in ("cuda", "cpu"):
        predicted = lphm("predict", "run", "x.csv", "--device", device, "-o", f"{device}.csv", cwd=tmp_path)
        assert predicted.returncode == 0, predicted.stderr
    tables = [np.genfromtxt(tmp_path / f"{d}.csv", delimiter=",", skip_header=1) for d in ("cuda", "cpu")]
    np.testing.assert_allclose(*tables, atol=1e-4)
