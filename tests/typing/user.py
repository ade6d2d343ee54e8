"""A small program as a user writes it. ``mypy --strict`` has to accept it, and it has to run."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import assert_type

import lphm
from lphm import rpn, sharded, streamed


def sizes() -> tuple[int, dict[str, int]]:
    structure: lphm.Structure = lphm.LPHM(n=12, p=3, q=2, r=2)
    others = [
        lphm.Full(n=12),
        lphm.LowRank(n=12, r=2),
        lphm.HM(n=12, p=3, q=2),
        lphm.DualLPHM(n=12, p=3, r=2),
        lphm.RandomMatrixAdaptation(n=12, r=2, seed=1),
        lphm.Toeplitz(n=12, lags=5),
    ]
    try:
        lphm.LPHM(n=12, p=5, r=2)
    except lphm.DivisibilityError as error:
        print(error)
    return structure.num_parameters, {type(other).__name__: other.num_parameters for other in others}


def column_softmax(xi: Tensor) -> Tensor:
    return xi.softmax(dim=-2)


def functions(x: Tensor) -> Tensor:
    structure = lphm.LPHM(n=12, p=3, q=2, r=2)
    w = torch.randn(structure.num_parameters)
    A, S, T = structure.unpack(w)
    assert_type(structure.pack(A, S, T), Tensor)
    xi = lphm.interdependence_matrix(structure, w, x, normalize=column_softmax)
    mixed = lphm.interdependence_apply(structure, w, x, kind="attribute", normalize="softmax")
    assert_type(mixed, Tensor)
    nearest = lphm.nearest(structure, structure.to_dense(w))
    assert_type(nearest, Tensor)
    return (x @ xi - mixed).abs().max()


class Network(nn.Module):
    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.mix = lphm.BilinearInterdependence(lphm.LPHM(n=rows, p=3, r=2), kind="attribute", channels=2)
        self.read = nn.Linear(columns, 1)
        lphm.initialize_(self.mix.structure, self.mix.weight, gain=0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.read(self.mix(x))
        return out


def transformer(x: Tensor) -> Tensor:
    layer = nn.TransformerEncoderLayer(12, nhead=2, dim_feedforward=8, batch_first=True)
    attention = lphm.InterdependenceAttention(12, 2, 0.1, budget=60, batch_first=True)
    layer.register_module("self_attn", attention)
    output, weights = attention.forward(x, x, x, need_weights=False)
    assert_type(weights, Tensor | None)
    mixed: Tensor = layer.eval()(x)
    return output + mixed


def specification(x: Tensor) -> Tensor:
    xi = rpn.lphm_parameterized_bilinear_interdependence(
        r=2, p=3, q=2, b=12, m=5, interdependence_type="attribute", postprocess_functions=["torch.tanh"]
    )
    by_position = rpn.hm_parameterized_bilinear_interdependence(3, 2, "xi", 12, 5, "column", partial=True)
    parent = rpn.parameterized_bilinear_interdependence(b=None, m=5)
    assert_type(by_position.q, int)
    assert_type(rpn.from_tinybig(parent.structure, torch.randn(25)), tuple[lphm.Structure, Tensor])
    again = rpn.lphm_parameterized_bilinear_interdependence.from_config(xi.to_config())
    out: Tensor = again(x=x, w=torch.randn(1, xi.calculate_l()))
    return out


def rows_that_come_in_blocks(x: Tensor) -> Tensor:
    structure = lphm.LPHM(n=12, p=3, r=2)
    w = torch.randn(structure.num_parameters)

    def blocks() -> Iterable[Tensor]:
        return torch.split(x, 5)

    assert_type(streamed.interdependence_matrix(structure, w, blocks()), Tensor)
    return torch.cat(list(streamed.interdependence_apply(structure, w, blocks, normalize="scale")))


def rows_of_this_process(structure: lphm.LPHM, w: Tensor, x: Tensor) -> Tensor:
    xi = sharded.interdependence_matrix(structure, w, x, normalize="scale")
    return sharded.interdependence_apply(structure, w, x, xi, kind="attribute", rows=[6, 6])


def estimators() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), np.arange(40) % 2
    classifier = lphm.LPHMClassifier(members=1, epochs=1, random_state=0).fit(X, y)
    assert_type(classifier, lphm.LPHMClassifier)
    assert_type(classifier.interdependence_matrix(X), NDArray[Any])
    classifier.fit(X, y, X[:, 0] ** 2, groups=y, X_val=None, y_val=None)
    regressor = lphm.LPHMRegressor(structure="low-rank", r=1, members=1, epochs=1)
    assert_type(regressor.fit(X, X[:, 0]), lphm.LPHMRegressor)
    return classifier.predict_proba(X)


if __name__ == "__main__":
    torch.manual_seed(0)
    x = torch.randn(12, 5)
    print(*sizes())
    print(functions(x) < 1e-5, Network(12, 5)(x).shape, specification(x).shape)
    print(transformer(torch.randn(3, 4, 12)).shape)
    print(rows_that_come_in_blocks(x).shape, estimators().shape)
