"""Batches of small matrices: sizes, the tensors that every contender gets, and the oracle in float64."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import lphm
from benchmarks.cases import KINDS, Kind, Oriented
from benchmarks.oracle import Truth

#: Numbers of ``xi`` that the oracle forms at a time.
CHUNK = 2**22


@dataclass(frozen=True)
class LayerCase(Oriented):
    """A layer on ``N`` matrices ``X`` (``b x m``), or with ``matrix`` the ``xi`` of every channel."""

    kind: Kind
    N: int
    b: int
    m: int
    channels: int
    p: int
    r: int
    normalize: str | None = None
    matrix: bool = False

    @property
    def d(self) -> int:
        """Rows (attribute) or columns (instance) that each ``xi`` is applied to."""
        return self.n // self.channels

    @property
    def K(self) -> int:
        """Rows of the thin pair."""
        return self.p * self.r

    @property
    def structure(self) -> lphm.LPHM:
        """The structure of every ``W``."""
        return lphm.LPHM(n=self.n, p=self.p, r=self.r)

    @property
    def sizes(self) -> str:
        """The sizes as the table prints them."""
        return f"{self.N}, {self.b}, {self.m}"

    @property
    def operation(self) -> str:
        """What is computed, as the table prints it."""
        return "matrix()" if self.matrix else self.normalize or ""

    def __str__(self) -> str:
        words = [self.kind, self.sizes, f"{self.channels} channels", self.operation]
        return ", ".join(word for word in words if word)


SIZES = ((64, 8, 32), (256, 24, 32), (64, 32, 32), (64, 96, 32), (32, 256, 64), (16, 1024, 64))
#: Sizes of the readout of the library's network, which takes ``xi`` of at most 8 columns.
READOUT_SIZES = ((64, 8, 8), (256, 24, 8))
CHANNELS = (1, 4, 8)
P, R = 4, 2


def select(
    kinds: tuple[Kind, ...] = KINDS,
    normalizes: tuple[str | None, ...] = (None, "softmax"),
    sizes: tuple[tuple[int, int, int], ...] = SIZES,
    channels: tuple[int, ...] = CHANNELS,
) -> list[LayerCase]:
    """The table's cases of these kinds and sizes."""
    cases = []
    for normalize in normalizes:
        for kind in kinds:
            for N, b, m in sizes:
                for C in channels:
                    # Attention with heads of fewer columns than K is a larger problem than that of the peers.
                    narrow = kind == "instance" and normalize == "softmax" and m // C < P * R
                    r = max(1, m // C // P) if narrow else R
                    cases.append(LayerCase(kind, N, b, m, C, P, r, normalize))
    return cases


def readout_cases(channels: tuple[int, ...] = CHANNELS) -> list[LayerCase]:
    """``layer.matrix(x)`` as the network's readout calls it."""
    return [LayerCase("attribute", *size, C, P, R, matrix=True) for size in READOUT_SIZES for C in channels]


@dataclass(frozen=True)
class LayerInputs:
    """Data, gradient of the output, factors of all channels, and the weights of the peers."""

    case: LayerCase
    x: Tensor  # (N, b, m)
    G: Tensor  # (N, b, m), or (N, C, k, k) for matrix
    A: Tensor  # (C, p, p)
    S: Tensor  # (C, n/p, r)
    T: Tensor  # (C, n/p, r)
    M: Tensor  # (m, m), the linear layer's weight, as nn.Linear has it
    projections: Tensor  # (3 m, m), of nn.MultiheadAttention

    @property
    def data(self) -> Tensor:
        """A new leaf ``x`` on the same memory."""
        return self.x.detach().requires_grad_()

    @property
    def linear_G(self) -> Tensor:
        """The gradient of the linear layer's output."""
        return self.x if self.case.matrix else self.G

    @property
    def leaves(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """New leaves ``x, A, S, T``."""
        A, S, T = (factor.clone().requires_grad_() for factor in (self.A, self.S, self.T))
        return self.data, A, S, T

    @property
    def w(self) -> Tensor:
        """The parameters ``(C, l)`` of the library's layer."""
        return torch.cat([factor.flatten(1) for factor in (self.A, self.S, self.T)], dim=1)


def draw(case: LayerCase, device: str = "cpu", dtype: torch.dtype = torch.float32) -> LayerInputs:
    """The same numbers on every machine, with ``xi`` of unit variance divided by ``k`` in softmax."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, variance: float = 1.0) -> Tensor:
        return (torch.randn(shape, generator=generator) * math.sqrt(variance)).to(device, dtype)

    N, b, m, C, p, r, s = case.N, case.b, case.m, case.channels, case.p, case.r, case.n // case.p
    return LayerInputs(
        case,
        x=normal(N, b, m),
        G=normal(N, C, case.k, case.k) if case.matrix else normal(N, b, m),
        A=normal(C, p, p, variance=1 / p**2),
        S=normal(C, s, r, variance=1 / s),
        T=normal(C, s, r, variance=1 / (s * r)),
        M=normal(m, m, variance=1 / m),
        projections=normal(3 * m, m, variance=1 / m),
    )


# The oracle. It shares no code with the library: W is formed by torch.kron, and then xi.


def layer_truth(inputs: LayerInputs) -> Truth:
    """Value, ``dx`` and ``dw`` ``(C, l)`` of the layer."""
    truth = factors_truth(inputs)
    value, dx, *gradients = truth.values()
    return {"value": value, "dx": dx, "dw": torch.cat([g.flatten(1) for g in gradients], dim=1)}


def factors_truth(inputs: LayerInputs) -> Truth:
    """Value, ``dx``, ``dA``, ``dS`` and ``dT`` of the layer."""
    case = inputs.case

    def apply(x: Tensor, A: Tensor, S: Tensor, T: Tensor) -> Tensor:
        W = torch.stack([torch.kron(a, s @ t.T) for a, s, t in zip(A, S, T, strict=True)])
        rows = x if case.kind == "attribute" else x.mT  # (N, n, k)
        xi = torch.einsum("nik,cij,njl->nckl", rows, W, rows)
        if case.matrix:
            return xi
        xi = xi.softmax(-2) if case.normalize == "softmax" else xi
        out = torch.einsum("ncdk,nckl->ncdl", rows.unflatten(1, (case.channels, -1)), xi).flatten(1, 2)
        return out if case.kind == "attribute" else out.mT

    return _truth(apply, inputs, (inputs.A, inputs.S, inputs.T), ("dA", "dS", "dT"))


def linear_truth(inputs: LayerInputs) -> Truth:
    """``X Mᵀ``."""
    inputs = replace(inputs, G=inputs.linear_G)
    return _truth(lambda x, M: x @ M.T, inputs, (inputs.M,), ("dM",))


def attention_truth(inputs: LayerInputs) -> Truth:
    """Self-attention with one head per channel and four projections without bias."""
    C = inputs.case.channels

    def apply(x: Tensor, projections: Tensor, M: Tensor) -> Tensor:
        query, key, value = (
            (x @ side.T).unflatten(2, (C, -1)).transpose(1, 2) for side in projections.chunk(3)
        )
        weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)  # (N, C, b, b)
        return (weights @ value).transpose(1, 2).flatten(2) @ M.T

    return _truth(apply, inputs, (inputs.projections, inputs.M), ("dprojections", "dM"))


def _truth(
    apply: Callable[..., Tensor], inputs: LayerInputs, parameters: tuple[Tensor, ...], names: tuple[str, ...]
) -> Truth:
    """The value, and the gradients summed over a few samples at a time."""
    leaves = [parameter.detach().double().requires_grad_() for parameter in parameters]
    totals, values, dxs = [torch.zeros_like(leaf) for leaf in leaves], [], []
    for part, G in _chunks(inputs):
        x = part.double().requires_grad_()
        out = apply(x, *leaves)
        dx, *gradients = torch.autograd.grad(out, [x, *leaves], G.double())
        values.append(out.detach())
        dxs.append(dx)
        totals = [total + gradient for total, gradient in zip(totals, gradients, strict=True)]
    return {"value": torch.cat(values), "dx": torch.cat(dxs), **dict(zip(names, totals, strict=True))}


def _chunks(inputs: LayerInputs) -> Iterator[tuple[Tensor, Tensor]]:
    case = inputs.case
    samples = max(1, CHUNK // (case.channels * max(case.n, case.k) ** 2))
    yield from zip(inputs.x.split(samples), inputs.G.split(samples), strict=True)
