"""The oracle: W formed with ``torch.kron`` in float64, and everything else by its definition.

It cuts the factors out of the parameter vector itself and shares no line with the package. The
tests compare values and gradients with it; benchmarks assert against it before they time.
"""

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from lphm import Structure


def cut(w: Tensor, *shapes: tuple[int, int]) -> list[Tensor]:
    """Matrices that lie row-major, one after another, in ``w`` ``(l,)``."""
    matrices, start = [], 0
    for rows, columns in shapes:
        stop = start + rows * columns
        matrices.append(w[start:stop].reshape(rows, columns))
        start = stop
    assert start == len(w), f"the factors hold {start} numbers, the vector {len(w)}"
    return matrices


def full(w: Tensor, n: int, columns: int) -> Tensor:
    """``W``."""
    return cut(w, (n, columns))[0]


def lphm(w: Tensor, n: int, columns: int, p: int, q: int, r: int) -> Tensor:
    """``A ⊗ (S Tᵀ)``."""
    A, S, T = cut(w, (p, q), (n // p, r), (columns // q, r))
    return torch.kron(A, S @ T.T)


def low_rank(w: Tensor, n: int, columns: int, r: int) -> Tensor:
    """``P Qᵀ``."""
    P, Q = cut(w, (n, r), (columns, r))
    return P @ Q.T


def hm(w: Tensor, n: int, columns: int, p: int, q: int) -> Tensor:
    """``A ⊗ B``."""
    A, B = cut(w, (p, q), (n // p, columns // q))
    return torch.kron(A, B)


def dual_lphm(w: Tensor, n: int, columns: int, p: int, q: int, r: int) -> Tensor:
    """``(P Qᵀ) ⊗ (S Tᵀ)``."""
    P, Q, S, T = cut(w, (p, r), (q, r), (n // p, r), (columns // q, r))
    return torch.kron(P @ Q.T, S @ T.T)


def random_matrix(w: Tensor, n: int, columns: int, r: int, seed: int) -> Tensor:
    """``diag(λ₁) A diag(λ₂) Bᵀ``; the columns of ``A`` have length ``√n``, those of ``B`` ``√columns``."""
    generator = torch.Generator().manual_seed(seed)
    A, B = torch.randn(2, max(n, columns), r, dtype=torch.float64, generator=generator)
    A, B = (len(M) ** 0.5 * torch.nn.functional.normalize(M, dim=0) for M in (A[:n], B[:columns]))
    return torch.diag(w[:n]) @ A @ torch.diag(w[n:]) @ B.T


def toeplitz(w: Tensor, n: int, columns: int, lags: int) -> Tensor:
    """``w`` from the lag ``-(lags // 2)`` on, each along its own diagonal: a sum of shifted identities."""
    size, first = max(n, columns), -(lags // 2)
    shifted = [t * torch.diag(torch.ones(size - abs(lag)).to(w), lag) for lag, t in enumerate(w, start=first)]
    return sum(shifted)[:n, :columns]


DENSE: dict[str, Callable[..., Tensor]] = {
    "Full": full,
    "LowRank": low_rank,
    "HM": hm,
    "LPHM": lphm,
    "DualLPHM": dual_lphm,
    "RandomMatrixAdaptation": random_matrix,
    "Toeplitz": toeplitz,
}


def dense(structure: Structure, w: Tensor) -> Tensor:
    """``W`` ``(*, n, columns)`` in float64 from ``w`` ``(*, l)``."""
    if w.dim() > 1:
        return torch.stack([dense(structure, row) for row in w])
    sizes = asdict(structure)
    columns = sizes.pop("columns") or sizes["n"]
    return DENSE[type(structure).__name__](w.double(), columns=columns, **sizes)


def visible(mask: Tensor | None, causal: bool, xi: Tensor, channels: bool) -> Tensor:
    """Which entries ``[j, i]`` of ``xi`` take part in its softmax: output ``i`` may look at ``j``."""
    (k, outputs), batch = xi.shape[-2:], xi.dim() - 2 - channels
    seen = torch.tensor([[j <= i or not causal for i in range(outputs)] for j in range(k)])
    if mask is None:
        return seen
    pairs = mask.unsqueeze(-2) if mask.dim() == batch + 1 else mask  # (*batch, i, j)
    pairs = pairs.transpose(-2, -1)
    return seen & (pairs.unsqueeze(-3) if channels else pairs)


def masked_softmax(xi: Tensor, seen: Tensor) -> Tensor:
    """``exp(xi)`` where it is seen and 0 elsewhere, over sums of columns; 0 where nothing is seen."""
    logits = torch.where(seen, xi, -torch.inf)
    top = logits.detach().amax(dim=-2, keepdim=True)
    positive = torch.exp(logits - torch.where(top.isfinite(), top, 0))
    total = positive.sum(dim=-2, keepdim=True)
    return positive / torch.where(total == 0, 1, total)


def normalized(xi: Tensor, normalize: object, n: int, columns: int) -> Tensor:
    """``xi`` after its post-processing."""
    if normalize is None:
        return xi
    if normalize == "scale":
        return xi / (n * columns) ** 0.5
    if normalize == "softmax":
        positive = torch.exp(xi - xi.detach().amax(dim=-2, keepdim=True))
        return positive / positive.sum(dim=-2, keepdim=True)
    return normalize(xi)


def matrix(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    kind: str = "attribute",
    normalize: object = None,
    mask: Tensor | None = None,
    causal: bool = False,
    y: Tensor | None = None,
) -> Tensor:
    """``Xᵀ W Y`` or ``X W Yᵀ``, for every channel; fewer rows meet the leading part of ``W``."""
    if mask is not None and mask.dim() < x.dim():  # what takes no part is zero
        x = torch.where(mask.unsqueeze(-2 if kind == "attribute" else -1), x, 0)
    y = x if y is None else y
    rows, columns = (side.shape[-2] if kind == "attribute" else side.shape[-1] for side in (x, y))
    W = dense(structure, w)
    n, m = W.shape[-2:]
    W = W[..., :rows, :columns]
    X, Y = (side.double() if w.dim() == 1 else side.double().unsqueeze(-3) for side in (x, y))
    xi = X.mT @ W @ Y if kind == "attribute" else X @ W @ Y.mT
    if mask is not None or causal:
        assert normalize == "softmax"
        return masked_softmax(xi, visible(mask, causal, xi, channels=w.dim() > 1))
    return normalized(xi, normalize, n, m)


def apply(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None = None,
    kind: str = "attribute",
    normalize: object = None,
    mask: Tensor | None = None,
    causal: bool = False,
    y: Tensor | None = None,
) -> Tensor:
    """``D xi`` or ``xiᵀ D``, for every channel."""
    D = (x if data is None else data).double()
    D = D if w.dim() == 1 else D.unsqueeze(-3)
    xi = matrix(structure, w, x, kind, normalize, mask, causal, y)
    return D @ xi if kind == "attribute" else xi.mT @ D


def grouped(
    structure: Structure,
    w: Tensor,
    x: Tensor,
    data: Tensor | None = None,
    kind: str = "attribute",
    normalize: object = None,
    mask: Tensor | None = None,
    causal: bool = False,
    y: Tensor | None = None,
) -> Tensor:
    """Group ``c`` of the rows (attribute) or columns (instance) of ``D`` mixed by ``xi_c``."""
    vectors = w.reshape(-1, w.shape[-1])
    dim = -2 if kind == "attribute" else -1
    D = x if data is None else data
    size = D.shape[dim] // len(vectors)
    parts = [
        apply(structure, vector, x, D.narrow(dim, c * size, size), kind, normalize, mask, causal, y)
        for c, vector in enumerate(vectors)
    ]
    return torch.cat(parts, dim=dim)


def error(got: Tensor, want: Tensor) -> float:
    """The largest difference, over the largest entry of what is wanted."""
    assert got.shape == want.shape, f"got shape {tuple(got.shape)}, want {tuple(want.shape)}"
    if want.numel() == 0:
        return 0.0
    difference = (got.double() - want.double()).abs().amax().item()
    size = want.double().abs().amax().item()
    return difference / size if size else difference
