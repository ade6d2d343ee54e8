"""The interdependence matrices of samples, with names."""

from abc import ABC, abstractmethod
from typing import Literal, overload

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from lphm.estimators.categories import Inputs
from lphm.learn.evaluation import mixed_names
from lphm.learn.run import Run
from lphm.learn.torch_state import on_the_cpu
from lphm.nn.network import InterdependenceNetwork, interdependence_layers
from lphm.ops.checks import Kind


class InterdependenceMatrices(ABC):
    """``interdependence_matrix`` of a fitted estimator."""

    run_: Run

    @abstractmethod
    def _inputs(self, X: ArrayLike) -> Inputs:
        """The checked samples."""

    @overload
    def interdependence_matrix(
        self, X: ArrayLike, kind: Kind | None = None, *, names: Literal[False] = False
    ) -> np.ndarray: ...

    @overload
    def interdependence_matrix(
        self, X: ArrayLike, kind: Kind | None = None, *, names: Literal[True]
    ) -> pd.DataFrame: ...

    @on_the_cpu()
    def interdependence_matrix(
        self, X: ArrayLike, kind: Kind | None = None, *, names: bool = False
    ) -> np.ndarray | pd.DataFrame:
        """``xi`` of every sample, the mean over channels: ``(N, k, k)``, or a data frame with names.

        Entry ``(i, j)`` is the weight of input ``i`` in output ``j``.

        instance: between the features of a table, or the steps of series.
        attribute: between the channels of series. Of a table, between the columns of the network, each of
        which is a learned mix of all features, named "channel 1" and so on. It is the default kind of
        tables: for ``xi`` between the features, fit with ``kind="instance"`` or ``kind="both"``.

        Args:
            X: samples as at ``fit``.
            kind: "instance" or "attribute", one that the network has; instance where it has both and none is
                given.
            names: give one data frame: a row for each sample and input, whose index has the levels
                ``sample`` (the index of ``X``, or numbers from 0) and ``input``, and a column for each
                output. ``frame.loc[sample]`` is the ``xi`` of a sample.

        Raises:
            ValueError: the network has no such interdependence.
        """
        check_is_fitted(self)
        xi, labels = _matrices(self.run_, self._inputs(X), kind)
        if not names:
            return xi
        samples = X.index if isinstance(X, pd.DataFrame) and len(X) == len(xi) else pd.RangeIndex(len(xi))
        rows = pd.MultiIndex.from_product([samples, labels], names=["sample", "input"])
        return pd.DataFrame(xi.reshape(-1, len(labels)), rows, pd.Index(labels, name="output"))


def _matrices(run: Run, inputs: Inputs, kind: Kind | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """``xi`` of every sample, ``(N, k, k)``, and what it is between; without the learned rows that fill up.

    Raises:
        ValueError: the network has no interdependence of that kind.
    """
    network = run.network
    kinds = {layer.kind for layer in interdependence_layers(network).values()}
    chosen: Kind = kind or ("instance" if "instance" in kinds else "attribute")
    if not isinstance(network, InterdependenceNetwork):
        raise ValueError("a matrix must be that of a network, got ridge; fit with method='network'")
    if chosen not in kinds:
        raise ValueError(f"kind must be one that the network was fitted with, got {kind!r}")
    encoded = run.config.input.encode(inputs)
    parts = (network.interdependence(part, chosen).mean(dim=1) for part in torch.split(encoded, 256))
    xi = np.concatenate([part.numpy() for part in parts])
    names = mixed_names(run, chosen, xi.shape[-1])
    k = len(names)
    return xi[:, :k, :k], names
